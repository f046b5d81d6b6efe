"""Python reads the values of constants, as numpy() and tensor_split() do, under every transformation."""

from itertools import product

import pytest
import torch
from backends import mostly_slow

import funcnet as fn

C = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
X = torch.tensor([0.5, 0.6, 0.7], dtype=torch.float64)
PLACES = torch.tensor([1, 2])
SPLITS = {
    "a list": lambda x: x.tensor_split([1, 2]),
    "numbers of the function": lambda x: torch.tensor_split(x, torch.tensor([1, 2])),
    "computed numbers": lambda x: x.tensor_split(torch.ones(2, dtype=torch.int64).cumsum(0)),
    "closed-over numbers": lambda x: x[None].tensor_split(PLACES, dim=1),
    "a keyword": lambda x: torch.tensor_split(x, tensor_indices_or_sections=PLACES),
    "a count": lambda x: x.tensor_split(PLACES[1]),
    "a count by keyword": lambda x: torch.tensor_split(x, tensor_indices_or_sections=PLACES[1]),
    "from the end": lambda x: x.tensor_split(-PLACES.flip(0)),
}
READS = {
    "numpy": lambda c: c.numpy(),
    "detach": lambda c: (2 * c.detach()).cpu().numpy() / 2,
    "asarray": lambda c: pytest.importorskip("numpy").asarray(c),
    "array": lambda c: pytest.importorskip("numpy").array(c, dtype="float64", copy=True),
    "tolist": lambda c: c.tolist(),
    "float": lambda c: [float(number) for number in c],
    "format": lambda c: [float(f"{number:.3f}") for number in c],
}
PLACES_OF_CONSTANTS = {
    "closed over": lambda read: lambda x: torch.as_tensor(read(C)) * x,
    "computed": lambda read: lambda x: torch.as_tensor(read(C * 2)) * x / 2,
    "made": lambda read: lambda x: torch.as_tensor(read(torch.arange(3.0, dtype=torch.float64) + 1)) * x,
    "an argument": lambda read: lambda x, c=C: torch.as_tensor(read(c)) * x,
}
TRANSFORMATIONS = {
    "grad": lambda f: lambda x: fn.grad(lambda x: f(x).sum())(x),
    "value_and_grad": lambda f: lambda x: fn.value_and_grad(lambda x: (f(x).sum(), f(x)), has_aux=True)(x)[1],
    "jvp": lambda f: lambda x: fn.jvp(f, (x,), (torch.ones_like(x),))[1],
    "vjp": lambda f: lambda x: fn.vjp(f, x)[1](torch.ones_like(x))[0],
    "jacfwd": lambda f: lambda x: fn.jacfwd(f)(x).diagonal(),
    "grad of scan": lambda f: (
        lambda x: fn.grad(
            lambda x: fn.scan(lambda c, _: (c + f(x).sum(), None), torch.zeros((), dtype=x.dtype), length=2)[0] / 2
        )(x)
    ),
    "hessian": lambda f: lambda x: fn.hessian(lambda x: (f(x) * x).sum())(x).diagonal() / 2,
    "vmap": lambda f: lambda x: fn.vmap(f)(x[None])[0] / x,
    "vmap of grad": lambda f: lambda x: fn.vmap(fn.grad(lambda x: f(x).sum()))(x[None])[0],
    "jit": lambda f: lambda x: fn.jit(f, backend="eager")(x) / x,
    "jit of vmap of grad": lambda f: (
        lambda x: fn.jit(fn.vmap(fn.grad(lambda x: f(x).sum())), backend="eager")(x[None])[0]
    ),
}
CONSTANTS = [  # of jit, an argument is traced, and has no values
    pair for pair in product(PLACES_OF_CONSTANTS, TRANSFORMATIONS) if pair != ("an argument", "jit")
]


def needs_numpy(name):
    if name in ("numpy", "detach"):
        pytest.importorskip("numpy")


@pytest.mark.parametrize("transform", TRANSFORMATIONS)
@pytest.mark.parametrize("name", mostly_slow(SPLITS, ("computed numbers", "a keyword")))
def test_parts_of_a_tensor(name, transform):
    f = lambda x: torch.cat([n * part.reshape(-1) for n, part in enumerate(SPLITS[name](x), 1)])  # noqa: E731
    wanted = f(torch.ones_like(X))
    torch.testing.assert_close(TRANSFORMATIONS[transform](f)(X), wanted)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("place, transform", CONSTANTS)
@pytest.mark.parametrize("name", mostly_slow(READS, ("detach", "format")))
def test_the_values_of_a_constant(name, place, transform):
    needs_numpy(name)
    f = PLACES_OF_CONSTANTS[place](READS[name])
    torch.testing.assert_close(TRANSFORMATIONS[transform](f)(X), C)


def test_an_argument_that_is_not_differentiated():
    pytest.importorskip("numpy")
    f = lambda x, c: (torch.from_numpy(c.numpy()) * x).sum()  # noqa: E731
    torch.testing.assert_close(fn.grad(f)(X, C), C)
    torch.testing.assert_close(fn.vmap(fn.grad(f), in_dims=(0, None))(X[None], C)[0], C)
    values = lambda x: (torch.from_numpy(x.detach().numpy()) * x).sum()  # noqa: E731
    torch.testing.assert_close(fn.grad(values)(X), X)


LOST = {
    "grad": lambda read: fn.grad(lambda x: read(x).sum())(X),
    "a result": lambda read: fn.grad(lambda x: read(x * 2).sum())(X),
    "grad outside": lambda read: fn.grad(lambda z: fn.grad(lambda x: (x * read(z)).sum())(X).sum())(X),
    "jvp": lambda read: fn.jvp(lambda x: read(x * 2), (X,), (X,)),
    "jvp outside": lambda read: fn.jvp(lambda z: fn.grad(lambda x: (x * read(z * 2)).sum())(X), (X,), (X,)),
    "jacfwd": lambda read: fn.jacfwd(lambda x: read(x) * x)(X),
}


@pytest.mark.parametrize("name", LOST)
def test_values_whose_derivative_would_be_lost_are_refused(name):
    pytest.importorskip("numpy")
    with pytest.raises(RuntimeError, match="derivatives would be lost|needs the values"):
        LOST[name](lambda x: torch.from_numpy(x.numpy()))


def test_values_that_differ_between_examples_are_refused():
    pytest.importorskip("numpy")
    for read in (lambda x: x.detach().numpy(), lambda x: x.tensor_split(x.long())):
        for f in (read, fn.grad(lambda x, read=read: (torch.as_tensor(read(x)[0]) * x).sum())):
            with pytest.raises(RuntimeError, match="needs the values of a tensor"):
                fn.vmap(f)(X[None])


def test_a_function_without_reads_runs_once():
    runs = []
    fn.grad(lambda x: (runs.append(0), (x * C).sum())[1])(X)
    assert len(runs) == 1


TEXTS = {
    "a constant": lambda x: (str(C.sum() * 2), repr(C * 2), f"{C.sum():.2f}", f"{C.sum()}", f"{C[0] + 1:>6.1f}|"),
    "a new tensor": lambda x: (str(torch.arange(3) + 1), f"{torch.ones(()) / 3:.3f}"),
    "a tree": lambda x: (f"{[C * 2, {'a': torch.tensor(2) + 1}]}", "%s" % (C * 3)),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_of_constants_while_tracing(name):
    texts = []

    def f(x):
        texts.append(TEXTS[name](x))
        return x.sum()

    fn.jit(f, backend="eager")(X)
    fn.jit(fn.grad(f), backend="eager")(X)
    fn.jit(fn.vmap(f), backend="eager")(X[None])
    assert texts == [TEXTS[name](X)] * 3


def test_texts_of_traced_tensors_have_no_values():
    texts = []
    f = lambda x: (texts.append((str(x), f"{x}", repr([x * 2]))), x)[1]  # noqa: E731
    fn.jit(f, backend="eager")(X)
    text = "traced float64 tensor of shape (3,)"
    assert texts == [(text, text, f"[{text}]")]
    for f in (lambda x: f"{x.sum():.1f}" and x.sum(), fn.grad(lambda x: f"{x.sum():.1f}" and x.sum())):
        with pytest.raises(RuntimeError, match=r"formatting by '.1f' needs the values of a tensor"):
            fn.jit(f, backend="eager")(X)


def test_a_text_belongs_to_the_values_of_the_constant():
    texts, scale = [], torch.ones(())
    f = fn.jit(lambda x: (texts.append(f"{scale * 2:.0f}"), x * scale)[1], backend="eager")
    f(X)
    scale.fill_(3)
    torch.testing.assert_close(f(X), 3 * X)
    assert texts == ["2", "6"]
