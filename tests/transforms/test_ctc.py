"""CTC losses in all their signatures equal torch's, with their gradients, under every transformation."""

import pytest
import torch
from backends import mostly_slow
from torch.nn import functional

import funcnet as fn

X = torch.randn(6, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
ROWS, CHAIN = torch.tensor([[1, 2, 1], [3, 3, 0]]), torch.tensor([1, 2, 1, 3, 3])
TENSORS = torch.tensor([6, 5]), torch.tensor([3, 2])


def ctc(targets, steps, sizes, index=slice(None), **options):
    return lambda x: functional.ctc_loss(x.log_softmax(-1)[:, index], targets, steps, sizes, **options)


LOSSES = {
    "rows": ctc(ROWS, *TENSORS),
    "rows, tuples": ctc(ROWS, (6, 5), (3, 2), reduction="sum"),
    "chain": ctc(CHAIN, *TENSORS, reduction="none"),
    "chain, tuples": ctc(CHAIN, (6, 5), (3, 2)),
    "chain, lists": ctc(CHAIN, [6, 4], [3, 2], reduction="sum"),
    "int32": ctc(CHAIN.int(), *(n.int() for n in TENSORS)),
    "blank": ctc(torch.tensor([[0, 1, 1], [2, 0, 2]]), (6, 5), (3, 2), blank=3),
    "one": ctc(ROWS[0], torch.tensor(6), torch.tensor(3), 0, reduction="none"),
    "one, tuples": ctc(ROWS[0], (6,), (3,), 0),
    "one, chain": ctc(ROWS[0, :2], torch.tensor([5]), torch.tensor([2]), 0, reduction="sum"),
    "infinite": ctc(CHAIN, (2, 5), (3, 2), reduction="none"),
    "zero": ctc(CHAIN, (2, 5), (3, 2), zero_infinity=True),
    "longer than the time": lambda x: ctc(CHAIN, (2, 2), (3, 2), reduction="none")(x[:2]),
    "no label": ctc(CHAIN[3:], (6, 5), (0, 2), reduction="none"),
    "no labels": ctc(CHAIN[:0], (6, 5), (0, 0), reduction="none"),
    "module": lambda x: torch.nn.CTCLoss(zero_infinity=True)(x.log_softmax(-1), CHAIN, *TENSORS),
}
TRANSFORMATIONS = {
    "grad": lambda f, x: fn.value_and_grad(f)(x),
    "vmap": lambda f, x: [y[1] for y in fn.vmap(fn.value_and_grad(f))(torch.stack([2 * x, x]))],
    "jit": lambda f, x: fn.jit(fn.value_and_grad(f), backend="eager")(x),
    "jit of vmap": lambda f, x: [
        y[1] for y in fn.jit(fn.vmap(fn.value_and_grad(f)), backend="eager")(torch.stack([2 * x, x]))
    ],
}


def weighted(loss):
    """Reduce losses of two examples with different weights."""
    return lambda x: (loss(x) * torch.tensor([0.3, 0.7])).sum() if loss(x).ndim else loss(x)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("transform", TRANSFORMATIONS)
@pytest.mark.parametrize("name", mostly_slow(LOSSES, ("chain, tuples", "infinite")))
def test_losses_and_gradients(name, transform):
    f, leaf = weighted(LOSSES[name]), X.clone().requires_grad_()
    value = f(leaf)
    (gradient,) = torch.autograd.grad(value, leaf)
    torch.testing.assert_close(tuple(TRANSFORMATIONS[transform](f, X)), (value.detach(), gradient), equal_nan=True)


@pytest.mark.slow
def test_a_kernel_of_chains():
    f = lambda x, targets, *lengths: ctc(targets, *lengths)(x)  # noqa: E731
    leaf = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(f(leaf, CHAIN, *TENSORS), leaf)
    torch.testing.assert_close(fn.jit(fn.grad(f), backend="native")(X, CHAIN, *TENSORS), gradient)


WRONG = {
    "too few targets": (CHAIN[:4], (6, 5), (3, 2)),
    "too many targets": (CHAIN, (6, 5), (2, 2)),
    "too much time": (CHAIN, (7, 5), (3, 2)),
    "too long rows": (ROWS, (6, 5), (4, 2)),
    "another batch": (CHAIN, (6, 5, 4), (3, 2, 1)),
    "another reduction": (CHAIN, (6, 5), (3, 2), slice(None), "max"),
}


@pytest.mark.parametrize("name", mostly_slow(WRONG, ("too few targets", "another batch")))
def test_lengths_that_do_not_fit_are_errors(name):
    targets, steps, sizes, index, reduction = (*WRONG[name], slice(None), "mean")[:5]
    f = ctc(targets, torch.tensor(steps), torch.tensor(sizes), index, reduction=reduction)
    for run in (f, fn.grad(f), fn.jit(f, backend="eager"), fn.jit(fn.grad(f), backend="eager")):
        with pytest.raises((RuntimeError, ValueError), match="[Ee]xpected|length|batch|valid value for reduction"):
            run(X)
