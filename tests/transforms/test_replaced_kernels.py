"""Forward and second derivatives of functions whose kernels have none in torch."""

import pytest
import torch
from backends import mostly_slow
from torch.nn import functional

import funcnet as fn

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(3, 4, dtype=torch.float64, generator=GENERATOR)
TANGENT = torch.randn(3, 4, dtype=torch.float64, generator=GENERATOR)
INDICES, CLASSES = torch.tensor([[1, 2, 2], [0, 1, 2]]), torch.tensor([0, 1, 2])
LABELS = torch.tensor([[0, 1, -1, 2], [3, -1, 0, 0], [2, 1, 0, -1]])
FUNCTIONS = {
    "mean of bags": lambda x: functional.embedding_bag(INDICES, x, mode="mean").sin().sum(),
    "maximum of bags": lambda x: functional.embedding_bag(INDICES, x, mode="max").sin().sum(),
    "multi_margin_loss": lambda x: functional.multi_margin_loss(x.sin(), CLASSES, p=2),
    "multilabel_margin_loss": lambda x: functional.multilabel_margin_loss(x.sin(), LABELS),
    "ctc_loss": lambda x: functional.ctc_loss(x.log_softmax(-1)[:, None], torch.tensor([[1, 2]]), (3,), (2,)),
    "ctc_loss until the end": lambda x: functional.ctc_loss(x.log_softmax(-1)[:, None], torch.tensor([1]), (2,), (1,)),
}


@pytest.mark.parametrize("transform", [lambda f: f, lambda f: fn.jit(f, backend="eager")], ids=["eager", "jit"])
@pytest.mark.parametrize("name", mostly_slow(FUNCTIONS, ("maximum of bags", "multi_margin_loss")))
def test_forward_and_second_derivatives(name, transform):
    f, leaf = FUNCTIONS[name], X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(f(leaf), leaf)
    value, pushed = transform(lambda x: fn.jvp(f, (x,), (TANGENT,)))(X)
    torch.testing.assert_close((value, pushed), (f(X), (gradient * TANGENT).sum()))
    step = 1e-6 * TANGENT
    wanted = (fn.grad(f)(X + step) - fn.grad(f)(X - step)) / 2e-6
    hessian = transform(fn.hessian(f))(X)
    torch.testing.assert_close((hessian * TANGENT).sum((2, 3)), wanted, rtol=1e-6, atol=1e-8)
    twice = transform(fn.grad(lambda x: (fn.grad(f)(x) * TANGENT).sum()))(X)
    torch.testing.assert_close(twice, wanted, rtol=1e-6, atol=1e-8)


RRELUS = {
    "function": lambda x: functional.rrelu(x, 0.1, 0.3),
    "in place": lambda x: functional.rrelu(x * 1, 0.1, 0.3, inplace=True),
    "default slopes": lambda x: functional.rrelu(x, upper=0.5),
    "rrelu_": lambda x: functional.rrelu_(x * 1, 0.1, 0.3),
    "module": torch.nn.RReLU().eval(),
}


@pytest.mark.parametrize("name", RRELUS)
def test_rrelu_draws_nothing_outside_of_training(name):
    f, leaf = RRELUS[name], X.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(f(leaf).sin().sum(), leaf)
    each = fn.vmap(fn.grad(lambda x: f(x).sin().sum()))
    for transformed in (
        each,
        fn.jit(each, backend="eager"),
        fn.jit(fn.grad(lambda x: f(x).sin().sum()), backend="eager"),
    ):
        torch.testing.assert_close(transformed(X), wanted)
