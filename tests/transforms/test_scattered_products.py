"""Derivatives of products by index, with zeros among the factors, under all transformations."""

import pytest
import torch
from torch import Tensor

import funcnet as fn

INDEX = torch.tensor([[0, 1, 0], [2, 0, 2], [1, 1, 2]])
X = torch.tensor([[0.5, 2.0, -1.0], [0.0, 1.5, 3.0], [2.0, -0.5, 0.7]], dtype=torch.float64)
SOURCE = torch.tensor([[1.2, 0.0, 0.4], [0.0, -1.1, 0.0], [0.3, 0.0, 0.9]], dtype=torch.float64)
FUNCTIONS = {
    "scatter_reduce": lambda x, s: x.scatter_reduce(0, INDEX, s, "prod"),
    "without x": lambda x, s: torch.scatter_reduce(x, -1, INDEX, s, "prod", include_self=False),
    "index_reduce": lambda x, s: x.index_reduce(1, torch.tensor([0, 2, 0]), s, "prod"),
}
OTHERS = [*FUNCTIONS][1:]
pytestmark = pytest.mark.filterwarnings("ignore:index_reduce", "ignore:There is a performance drop")


def gradients(name: str, x: Tensor, source: Tensor) -> tuple[Tensor, ...]:
    """Return torch's gradients."""
    leaves = x.clone().requires_grad_(), source.clone().requires_grad_()
    return torch.autograd.grad(FUNCTIONS[name](*leaves).exp().sum(), leaves)


@pytest.mark.parametrize("name", ["scatter_reduce", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_gradients_are_those_of_torch(name: str) -> None:
    grad = fn.grad(lambda x, s: FUNCTIONS[name](x, s).exp().sum(), argnums=(0, 1))
    batch = torch.stack([X, X + 1]), torch.stack([SOURCE, SOURCE.flip(0)])
    want = [gradients(name, *args) for args in zip(*batch, strict=True)]
    for transformed in (fn.vmap(grad), fn.jit(fn.vmap(grad))):
        torch.testing.assert_close(transformed(*batch), tuple(map(torch.stack, zip(*want, strict=True))))
    torch.testing.assert_close(fn.jit(grad)(X, SOURCE), want[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives_are_those_of_the_product(name: str) -> None:
    def loss(x: Tensor, source: Tensor) -> Tensor:
        return FUNCTIONS[name](x, source).exp().sum()

    got = fn.jit(fn.hessian(loss, argnums=1))(X, SOURCE)
    step = 1e-5 * torch.eye(9, dtype=torch.float64).reshape(3, 3, 3, 3)
    at = fn.jit(fn.grad(loss, argnums=1))
    want = torch.stack([at(X, SOURCE + step[i, j]) - at(X, SOURCE - step[i, j]) for i in range(3) for j in range(3)])
    torch.testing.assert_close(got.reshape(9, 3, 3), want / 2e-5, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("jit", [lambda f: f, pytest.param(fn.jit, marks=pytest.mark.slow)])
def test_third_derivatives_with_three_zeros_are_those_of_the_product(jit) -> None:
    def third(f):
        return jit(fn.jacrev(fn.jacrev(fn.grad(f))))(torch.tensor([0.0, 0.0, 0.0, 2.0], dtype=torch.float64))

    got = third(lambda s: s.new_full((1,), 1.5).scatter_reduce(0, torch.zeros(4, dtype=torch.long), s, "prod").sum())
    torch.testing.assert_close(got, third(lambda s: 1.5 * s[0] * s[1] * s[2] * s[3]))


@pytest.mark.parametrize("how", ["amax", "amin", "mean"])
def test_excluded_elements_do_not_tie(how: str) -> None:
    x, index = torch.tensor([2.0, 3.0]), torch.tensor([0, 0, 1])
    source = torch.tensor([2.0, 2.0, 3.0 if how == "mean" else torch.inf if how == "amin" else -torch.inf])
    tangents = torch.ones(2), torch.tensor([1.0, 2.0, 4.0])

    def derivatives(x: Tensor, source: Tensor):
        def f(x: Tensor, source: Tensor) -> Tensor:
            args = 0, index, source, how
            return torch.stack(
                [reduce(x, *args, include_self=False) for reduce in (torch.scatter_reduce, torch.index_reduce)]
            )

        return fn.jvp(f, (x, source), tangents)[1], fn.vjp(f, x, source)[1](torch.ones(2, 2))

    pushed, pulled = fn.jit(derivatives)(x, source)
    torch.testing.assert_close(pushed, torch.tensor([1.5, 4.0]).expand(2, 2))
    torch.testing.assert_close(pulled, (torch.zeros(2), torch.tensor([1.0, 1.0, 2.0])))


def test_values_are_those_of_the_kernel() -> None:
    x, source = torch.tensor([1.0, torch.inf, torch.nan]), torch.tensor([0.1, 3.0, 2.0])
    f = lambda x, s: x.scatter_reduce(0, torch.tensor([0, 1, 2]), s, "prod")  # noqa: E731
    values = fn.jit(lambda x, s: fn.jvp(lambda s: f(x, s), (s,), (s,))[0])(x, source)
    torch.testing.assert_close(values, f(x, source), rtol=0, atol=0, equal_nan=True)


def test_gradients_at_infinities_are_those_of_torch() -> None:
    x, source = torch.tensor([1.0, torch.inf, 2.0, 0.0]), torch.tensor([-torch.inf, 3.0, torch.nan, torch.inf])
    f = lambda x, s: x.scatter_reduce(0, torch.arange(4), s, "prod")  # noqa: E731
    leaves = x.clone().requires_grad_(), source.clone().requires_grad_()
    want = torch.autograd.grad(f(*leaves).sum(), leaves)
    got = fn.jit(fn.grad(lambda x, s: f(x, s).sum(), argnums=(0, 1)))(x, source)
    torch.testing.assert_close(got, want, equal_nan=True)
