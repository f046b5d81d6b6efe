"""autograd.Functions, most of which have a forward that takes a context, and a module that calls a function."""

import torch
from torch import nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable


class Clip(Function):
    """The identity, with a gradient that is clipped."""

    @staticmethod
    def forward(ctx, x, limit):
        ctx.limit = limit
        return x

    @staticmethod
    def backward(ctx, g):
        return g.clamp(-ctx.limit, ctx.limit), None


class Swish(Function):
    """Saves its input and an intermediate value."""

    @staticmethod
    def forward(ctx, x):
        gate = torch.sigmoid(x)
        ctx.save_for_backward(x, gate)
        return x * gate

    @staticmethod
    def backward(ctx, g):
        x, gate = ctx.saved_tensors
        return g * gate * (1 + x * (1 - gate))


class Exp(Function):
    """Saves its result, and nothing if no gradient is needed."""

    @staticmethod
    def forward(ctx, x, unused=None):
        y = x.exp()
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(y, None)
        return y

    @staticmethod
    def backward(ctx, g):
        y, nothing = ctx.saved_tensors
        assert nothing is None
        return (g * y, None) if ctx.needs_input_grad[0] else (None, None)


class Straight(Function):
    """Rounds, with the gradient of the identity where a mask, an attribute, allows it."""

    @staticmethod
    def forward(ctx, x):
        ctx.inside, ctx.shape = x.abs() < 1, x.shape
        return x.round()

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        return g.reshape(ctx.shape) * ctx.inside


class Product(Function):
    """Two arguments, two results, of which one has no gradient."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        sign = (x > y).to(x.dtype)
        ctx.mark_non_differentiable(sign)
        return x * y, sign

    @staticmethod
    def backward(ctx, g, _):
        x, y = ctx.saved_tensors
        return g * y, g * x


class Largest(Function):
    """A result of integers, and cotangents that may be None."""

    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        value, place = x.max(-1)
        ctx.save_for_backward(place)
        ctx.count = x.shape[-1]
        return value, place

    @staticmethod
    def backward(ctx, g, _):
        (place,) = ctx.saved_tensors
        return g[..., None] * (place[..., None] == torch.arange(ctx.count))


class Writing(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.exp_()

    @staticmethod
    def backward(ctx, g):
        return g


class Rectified(Function):
    """Writes to a part of its gradient that a mask chooses."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        g = g.clone()
        g[x < 0] = 0
        return g


class Nearest(Function):
    """Adds gradients to a tensor that all examples share."""

    @staticmethod
    def forward(ctx, x, table):
        place = (x[:, None] - table).square().sum(-1).argmin(1)
        ctx.save_for_backward(place, table)
        return table[place]

    @staticmethod
    def backward(ctx, g):
        place, table = ctx.saved_tensors
        return g, torch.zeros_like(table).index_add_(0, place, g)


class Newer(Function):
    """Has setup_context, and no rule for vmap."""

    @staticmethod
    def forward(x):
        return x.exp()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


class Noisy(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.kept = torch.rand_like(x) > 0.5
        return x * ctx.kept

    @staticmethod
    def backward(ctx, g):
        return g * ctx.kept


class Outside(Function):
    """Leaves torch in its forward, or differentiates in its backward."""

    @staticmethod
    def forward(ctx, x, inner):
        ctx.save_for_backward(x)
        return x.sin() if inner else torch.tensor(x.detach().numpy()).sin()

    @staticmethod
    def backward(ctx, g):
        x = ctx.saved_tensors[0].detach().requires_grad_()
        with torch.enable_grad():
            return torch.autograd.grad(x.sin(), x, g)[0], None


class Saved(Swish):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x, x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx, g):
        x, _ = ctx.saved_tensors
        gate = torch.sigmoid(x)
        return g * gate * (1 + x * (1 - gate))


class Net(nn.Module):
    def __init__(self, between):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)
        self.between = between

    def forward(self, x):
        return self.b(self.between(self.a(x)))
