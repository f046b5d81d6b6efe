"""Writes inside of an autograd.Function with setup_context, to tensors that it creates, under vmap."""

import pytest
import torch

import funcnet as fn

X = torch.tensor([[1.0, -2.0, 3.0], [-1.0, 5.0, -0.5], [2.0, 0.5, 4.0]], dtype=torch.float64)


class Masked(torch.autograd.Function):
    """Set the negative numbers of a copy to zero, and their gradients to a tenth."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        y = x.clone()
        y[x < 0] = 0.0
        return y

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        grad = grad.clone()
        grad[x < 0] = 0.1
        return grad


class Filled(Masked):
    @staticmethod
    def forward(x):
        return x.clone().masked_fill_(x < 0, 0.0)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        result = torch.zeros(3, dtype=torch.float64)
        result.masked_fill_(x < 0, 0.1)
        result[x >= 0] = 1.0
        return result * grad


class Buffered(Masked):
    @staticmethod
    def forward(x):
        y = torch.zeros(3, dtype=torch.float64)
        y[0] = x[1]
        y[1:] += x[:2].clamp(min=0)
        y[x > 2] = 7.0
        return y


class WithRule(Masked):
    """A Function with a rule for vmap, whose backward pass writes."""

    generate_vmap_rule = False

    @staticmethod
    def vmap(info, in_dims, x):
        return Masked.apply(x.movedim(in_dims[0], 0)), 0


FUNCTIONS = {cls.__name__: cls for cls in (Masked, Filled, Buffered, WithRule)}


def gradient(f, x):
    """Differentiate by torch's autograd."""
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(f(leaf), leaf)[0]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_writes_in_forward_and_backward(name):
    apply = FUNCTIONS[name].apply
    f = lambda x: apply(x * 2).sin().sum()  # noqa: E731
    values, grads = torch.stack([apply(x) for x in X]), torch.stack([gradient(f, x) for x in X])
    torch.testing.assert_close(fn.vmap(apply)(X), values)
    torch.testing.assert_close(fn.vmap(fn.grad(f))(X), grads)
    torch.testing.assert_close(fn.grad(lambda x: fn.vmap(f)(x).sum())(X), grads)
    torch.testing.assert_close(fn.vmap(fn.vmap(fn.grad(f)))(X[None])[0], grads)
    torch.testing.assert_close(fn.vmap(fn.jacrev(f))(X), grads)
    torch.testing.assert_close(fn.jit(fn.vmap(fn.grad(f)), backend="eager")(X), grads)


def test_a_write_to_a_shared_argument_is_refused():
    class Writes(Masked):
        @staticmethod
        def forward(x, shared):
            shared[0] = x[0]
            return shared * x

    with pytest.raises(RuntimeError, match="vmap"):
        fn.vmap(Writes.apply, in_dims=(0, None))(X, torch.zeros(3, dtype=torch.float64))
