"""Functions whose arguments torch checks by their values, in Python: right and checked under jit and vmap."""

import pytest
import torch
from torch.nn import functional

import funcnet as fn

TRANSFORMATIONS = {
    "jit": lambda f, *args: fn.jit(f, backend="eager")(*args),
    "vmap": lambda f, *args: fn.vmap(f)(*(torch.stack([x, x]) for x in args))[1],
    "vmap of vmap": lambda f, *args: fn.vmap(fn.vmap(f))(*(x[None, None] for x in args))[0, 0],
    "jit of vmap": lambda f, *args: fn.jit(fn.vmap(f), backend="eager")(*(torch.stack([x, x]) for x in args))[1],
}
X, Y = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
V = Y.abs() + 0.1
COUNTS = torch.tensor([1, 0, 3])
gaussian = functional.gaussian_nll_loss

FUNCTIONS = {  # and arguments, and those that are wrong
    "gaussian_nll_loss": (gaussian, (X, Y, V), (X, Y, -V)),
    "one variance per row": (lambda x, y, v: gaussian(x, y, v, full=True, reduction="sum"), (X, Y, V[:, 0]), None),
    "one variance per column": (lambda x, y, v: gaussian(x, y, v, reduction="none"), (X, Y, V[:1]), None),
    "variances below eps": (gaussian, (X, Y, V / 1e9), None),
    "an infinite variance": (gaussian, (X, Y, V / 0), None),
    "GaussianNLLLoss": (torch.nn.GaussianNLLLoss(), (X, Y, V), (X, Y, V - V.median())),
    "gradient of gaussian_nll_loss": (fn.grad(gaussian, 2), (X, Y, V - V.min() + 1e-9), (X, Y, -V)),
    "cov": (torch.cov, (X,), None),
    "cov of a vector": (lambda x: x[0].cov(correction=0), (X,), None),
    "cov of complex numbers": (lambda x, y: torch.cov(torch.complex(x, y)).abs(), (X, Y), None),
    "cov of integers": (torch.cov, ((X * 9).long(),), None),
    "cov by frequencies": (lambda x, n: torch.cov(x, fweights=n), (X, COUNTS), (X, -COUNTS)),
    "cov by weights": (lambda x, w: torch.cov(x, aweights=w), (X, V[0]), (X, -V[0])),
    "cov by both": (
        lambda x, n, w: torch.cov(x, correction=2, fweights=n, aweights=w),
        (X, COUNTS, V[0]),
        (X, COUNTS * 0, V[0]),
    ),
    "too few to correct": (lambda x: torch.cov(x, correction=3), (X,), None),
    "gradient of cov": (fn.grad(lambda x, w: torch.cov(x, aweights=w).sin().sum()), (X, V[0]), (X, -V[0])),
    "corrcoef": (torch.corrcoef, (X,), None),
    "corrcoef of a vector": (lambda x: x[0].corrcoef(), (X,), None),
    "corrcoef of complex numbers": (lambda x, y: torch.corrcoef(torch.complex(x, y)).imag, (X, Y), None),
    "gradient of corrcoef": (fn.grad(lambda x: torch.corrcoef(x).sin().sum()), (X,), None),
    "lstsq": (lambda a, b: torch.linalg.lstsq(a, b).solution, (X, Y), None),
    "lstsq of a vector": (lambda a, b: torch.linalg.lstsq(a.mT, b[:3, :1]).solution[:, 0], (X, Y), None),
    "rank": (lambda a: torch.linalg.lstsq(a, a).rank, (X,), None),
    "gradient of lstsq": (fn.grad(lambda a, b: torch.linalg.lstsq(a, b)[0].sin().sum()), (X, Y), None),
}


@pytest.mark.filterwarnings("ignore:cov():UserWarning")
@pytest.mark.parametrize("transform", TRANSFORMATIONS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_equals_torch_without_the_transformation(name, transform):
    f, args, _ = FUNCTIONS[name]
    torch.testing.assert_close(TRANSFORMATIONS[transform](f, *args), f(*args))


@pytest.mark.parametrize("transform", TRANSFORMATIONS)
@pytest.mark.parametrize("name", [name for name, (_, _, bad) in FUNCTIONS.items() if bad])
def test_arguments_are_checked(name, transform):
    f, _, bad = FUNCTIONS[name]
    with pytest.raises((ValueError, RuntimeError)) as wanted:
        f(*bad)
    with pytest.raises(RuntimeError) as got:
        TRANSFORMATIONS[transform](f, *bad)
    assert str(got.value) == str(wanted.value)


@pytest.mark.parametrize("transform", TRANSFORMATIONS)
def test_shapes_that_do_not_fit_are_errors(transform):
    run = TRANSFORMATIONS[transform]
    with pytest.raises(ValueError, match="var is of incorrect size"):
        run(gaussian, X, Y, V[:2])
    with pytest.raises(RuntimeError):
        run(lambda x, n: torch.cov(x, fweights=n), X, COUNTS[:2])
    with pytest.raises(RuntimeError):
        run(lambda x, n: torch.cov(x, aweights=n), X, COUNTS)
    with pytest.raises(RuntimeError):
        run(lambda a, b: torch.linalg.lstsq(a, b)[0], X, Y[:3])


def test_lstsq_of_a_vector():
    f = lambda a, b: torch.linalg.lstsq(a, b).solution  # noqa: E731
    torch.testing.assert_close(fn.jit(f)(X, Y[:, 0]), f(X, Y[:, 0]))


def test_residuals_that_depend_on_the_rank_are_refused():
    with pytest.raises(RuntimeError, match="needs the values of a tensor"):
        fn.jit(lambda a, b: torch.linalg.lstsq(a, b, driver="gelsd")[1])(X, Y)
