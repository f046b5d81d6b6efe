"""Functions whose arguments torch checks by reading values in Python are right and checked under jit and vmap."""

import pytest
import torch
from torch import distributions
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

LABELS = torch.tensor([[1, 1], [2, 1]])


def ctc(x, labels, steps=(4,), sizes=(3,), **options):
    """Return the loss of scores with an axis of classes at the end, by time."""
    lengths = (torch.as_tensor(n) for n in (steps, sizes))
    return functional.ctc_loss(x.log_softmax(-1), labels, *lengths, **options)


EYE = torch.eye(4, dtype=torch.float64)
DISTRIBUTIONS = {
    "Normal": lambda x, y: distributions.Normal(x, x.exp()).log_prob(y).sum(),
    "Categorical": lambda x, y: distributions.Categorical(logits=x).log_prob((y > 0).long()[:, 0]).sum(),
    "OneHotCategorical": lambda x, y: distributions.OneHotCategorical(logits=x[:3]).log_prob(torch.eye(3)).sum(),
    "Geometric": lambda x, y: distributions.Geometric(x.sigmoid()).log_prob(torch.ones(())).sum(),
    "Multinomial": lambda x, y: distributions.Multinomial(4, logits=x[0]).log_prob(torch.tensor([2.0, 1.0, 1.0])),
    "MultivariateNormal": lambda x, y: distributions.MultivariateNormal(
        torch.zeros(4), covariance_matrix=x @ x.T + EYE
    ).log_prob(y[:, 0]),
    "Wishart": lambda x, y: distributions.Wishart(5.0, covariance_matrix=x @ x.T + EYE).log_prob(EYE),
    "VonMises": lambda x, y: distributions.VonMises(x, x.exp()).log_prob(y).sum(),
}
FUNCTIONS = {  # name: (function, arguments, wrong arguments)
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
    "one_hot": (lambda n: functional.one_hot(n, 4), (COUNTS,), None),
    "one_hot by keyword": (lambda n: functional.one_hot(n, num_classes=4), (COUNTS,), None),
    "gradient of one_hot": (
        fn.grad(lambda x, n: (x.log_softmax(0) * functional.one_hot(n, 4).T).sum()),
        (X, COUNTS),
        (X, COUNTS + 1),
    ),
    "multilabel_soft_margin_loss": (
        fn.grad(lambda x, n: functional.multilabel_soft_margin_loss(x.T, functional.one_hot(n, 4))),
        (X, COUNTS),
        None,
    ),
    "index_select by a 0-d index": (fn.jacrev(lambda x: x.index_select(1, torch.tensor(2)).sin()), (X,), None),
    "of a 0-d tensor": (fn.jacrev(lambda x: torch.index_select(x.sum(), 0, torch.tensor(0)).sin()), (X,), None),
    "var of a 0-d tensor": (fn.jacrev(lambda x: x[0, 0].var(correction=0) * x), (X,), None),
    "ctc_loss": (fn.grad(lambda x, n: ctc(x, n.clamp(1, 2))), (X, COUNTS), None),
    "ctc_loss of a batch": (
        fn.grad(lambda x: ctc(torch.stack([x, 2 * x], 1), LABELS, torch.tensor([4, 3]), torch.tensor([2, 1]))),
        (X,),
        None,
    ),
    "ctc_loss without alignments": (lambda x: ctc(x[:2], LABELS[0], (2,), (2,)), (X,), None),
    "zero in place of infinity": (
        fn.grad(lambda x: ctc(x[:2], LABELS[0], torch.tensor([2]), torch.tensor([2]), zero_infinity=True)),
        (X,),
        None,
    ),
    "gradient with respect to log_probs": (
        fn.grad(
            lambda x: functional.ctc_loss(x.sigmoid() - 2, LABELS[0], COUNTS.new_tensor([4]), COUNTS.new_tensor([2]))
        ),
        (X,),
        None,
    ),
    "bincount": (lambda n: torch.bincount(n, minlength=4), (COUNTS,), None),
    "bincount by a method": (lambda n, w: n.bincount(w, 5).sin(), (COUNTS, V[0]), None),
    "gradient by bincount": (
        fn.grad(lambda x, n: (torch.bincount(n, V[0], minlength=4)[:, None] * x).sin().sum()),
        (X, COUNTS),
        None,
    ),
    "repeat_interleave": (lambda x: x.repeat_interleave(torch.tensor([2, 0, 1]), 1), (X,), None),
    "repeat_interleave to a size": (lambda x, n: x.repeat_interleave(n, 1, output_size=4), (X, COUNTS), None),
    "nll_loss": (fn.grad(lambda x, n: functional.nll_loss(x.log_softmax(0).T, n, ignore_index=0)), (X, COUNTS), None),
    **{f"log_prob of {name}": (fn.grad(f), (X, Y), None) for name, f in DISTRIBUTIONS.items()},
    "lstsq": (lambda a, b: torch.linalg.lstsq(a, b).solution, (X, Y), None),
    "lstsq of a vector": (lambda a, b: torch.linalg.lstsq(a.mT, b[:3, :1]).solution[:, 0], (X, Y), None),
    "rank": (lambda a: torch.linalg.lstsq(a, a).rank, (X,), None),
    "gradient of lstsq": (fn.grad(lambda a, b: torch.linalg.lstsq(a, b)[0].sin().sum()), (X, Y), None),
}


@pytest.mark.filterwarnings("ignore:cov():UserWarning", "ignore:There is a performance drop", "ignore:.*df values")
@pytest.mark.parametrize("transform", TRANSFORMATIONS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_equals_torch_without_the_transformation(name, transform):
    f, args, _ = FUNCTIONS[name]
    torch.testing.assert_close(TRANSFORMATIONS[transform](f, *args), f(*args))


@pytest.mark.parametrize("transform", TRANSFORMATIONS)
@pytest.mark.parametrize("name", [name for name, (_, _, bad) in FUNCTIONS.items() if bad])
def test_bad_arguments_get_the_error_of_eager_mode(name, transform):
    f, _, bad = FUNCTIONS[name]
    with pytest.raises((ValueError, RuntimeError)) as wanted:
        f(*bad)
    with pytest.raises(RuntimeError) as got:
        TRANSFORMATIONS[transform](f, *bad)
    assert str(got.value) == str(wanted.value)


WRONG = {
    "a scale": lambda x: distributions.Normal(0.0, -x.exp()).log_prob(x).sum(),
    "a value": lambda x: distributions.Exponential(x.exp()).log_prob(-x.exp()).sum(),
    "probabilities": lambda x: distributions.Geometric(-x.exp()).log_prob(torch.ones(())).sum(),
    "an asymmetric matrix": lambda x: distributions.MultivariateNormal(
        torch.zeros(3), covariance_matrix=x[:3] + 3 * torch.eye(3)
    ).log_prob(x[0]),
    "labels": lambda x: (functional.one_hot((9 * x[0].exp()).long(), 2) * x[0, 0]).sum(),
    "a size": lambda x: torch.bincount((2 * x[0].exp()).long(), minlength=1)[0] * x.sum(),
}


@pytest.fixture
def validation():
    """Validate the arguments of distributions, which torch.compile switches off for the whole process."""
    distribution = torch.distributions.Distribution
    before = distribution._validate_args
    distribution.set_default_validate_args(True)
    yield
    distribution.set_default_validate_args(before)


@pytest.mark.usefixtures("validation")
@pytest.mark.parametrize("name", WRONG)
def test_wrong_values_are_errors_in_traced_functions(name):
    for f in (WRONG[name], fn.grad(WRONG[name])):
        with pytest.raises(RuntimeError, match="valid|below minlength|smaller than num_classes"):
            fn.jit(f, backend="eager")(X)


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


def test_ctc_losses_of_lengths_that_differ():
    def gradient(x, labels, size):
        return fn.grad(lambda x: ctc(x[:, None], labels[None], (4,), size[None]))(x)

    args = torch.stack([X, Y]), LABELS, torch.tensor([1, 2])
    loop = torch.stack([gradient(*each) for each in zip(*args, strict=True)])
    torch.testing.assert_close(fn.vmap(gradient)(*args), loop)


KEYWORDS = {
    "cov": lambda x: torch.cov(input=x),
    "corrcoef": lambda x: torch.corrcoef(input=x),
    "one_hot": lambda x: functional.one_hot(input=(x > 0).long(), num_classes=3),
    "tensor_split": lambda x: torch.tensor_split(input=x, sections=2)[0],
    "index_select": lambda x: torch.index_select(input=x, dim=0, index=COUNTS, out=torch.empty_like(x[:3])),
}


@pytest.mark.parametrize("name", KEYWORDS)
def test_arguments_may_be_given_by_the_names_that_torch_documents(name):
    def f(x):
        buffer = torch.zeros(2, dtype=x.dtype)
        buffer[0] = x.sum()  # needs the replacements for functions that check values
        return KEYWORDS[name](x + buffer[0])

    batch = torch.stack([X, Y])
    torch.testing.assert_close(fn.vmap(f)(batch), torch.stack([*map(f, batch)]))
    torch.testing.assert_close(fn.vmap(KEYWORDS[name])(batch), torch.stack([*map(KEYWORDS[name], batch)]))
