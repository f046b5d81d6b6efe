"""Modules with autograd.Functions of the older signature, checkpoints and backward hooks."""

import sys

import pytest
import torch
from torch import nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint, checkpoint_sequential
from torch_modules import assert_gradients_are_the_modules, filled, numbers

import funcnet as fn

X = numbers(5, 3)


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


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.table = nn.Linear(3, 3), nn.Parameter(torch.ones(5, 3))

    def forward(self, x):
        return Nearest.apply(self.a(x.reshape(-1, 3)), self.table)


class Net(nn.Module):
    def __init__(self, between):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)
        self.between = between

    def forward(self, x):
        return self.b(self.between(self.a(x)))


def largest(x):
    value, place = Largest.apply(x)
    return x * value[..., None] + place[..., None]


# name: the function between two layers
CUSTOM = {
    "clip": lambda x: Clip.apply(x, 0.1),
    "swish": Swish.apply,
    "exp": Exp.apply,
    "straight": Straight.apply,
    "product": lambda x: sum(Product.apply(x, 2 * x)),
    "largest": largest,
    "rectified": Rectified.apply,
    "newer": Newer.apply,
    "one inside another's backward": lambda x: Swish.apply(Clip.apply(x, 0.2)),
}


@pytest.mark.parametrize("name", CUSTOM)
def test_functions_that_take_a_context(name):
    assert_gradients_are_the_modules(Net(CUSTOM[name]), X[:, None])


def test_a_function_that_adds_to_a_tensor_that_examples_share():
    assert_gradients_are_the_modules(Table(), X[:, None])


@pytest.mark.parametrize("inner, part", [(False, "forward"), (True, "backward")])
def test_a_function_that_leaves_torch_is_refused_with_a_remedy(inner, part):
    pytest.importorskip("numpy")
    apply, params, state = fn.from_module(Net(lambda x: Outside.apply(x, inner)))
    batched = fn.vmap(fn.grad(lambda params, x: apply(params, state, x)[0].sum()), in_dims=(None, 0))
    with pytest.raises(
        ValueError, match=f"{part} of the autograd.Function Outside reads values outside .*torch.func.vjp"
    ):
        batched(params, X.float())


def test_random_numbers_inside_of_a_function_come_from_the_key():
    apply, params, state = fn.from_module(Net(Noisy.apply).double())
    keys = fn.random.split(fn.random.key(2), 3)

    def loss(params, key):
        return apply(params, state, X, key=key)[0].sin().sum()

    loop = fn.tree.stack([fn.grad(loss)(params, key) for key in keys])
    before = torch.get_rng_state()
    batched = fn.vmap(fn.grad(loss), in_dims=(None, 0))
    for f in (batched, fn.jit(batched, backend="eager")):
        assert fn.tree.difference(f(params, keys), loop, atol=1e-12) is None
    assert torch.equal(torch.get_rng_state(), before)
    assert fn.value_and_grad(loss)(params, keys[0])[0] == loss(params, keys[0]) != loss(params, keys[1])


@pytest.mark.parametrize("name", ["swish", "exp"])
def test_second_derivatives_of_those_that_save_arguments_and_results(name):
    apply, params, state = fn.from_module(filled(Net(Saved.apply if name == "swish" else Exp.apply)))
    plain, _, _ = fn.from_module(filled(Net(nn.SiLU() if name == "swish" else torch.exp)))

    def curvature(apply):
        return fn.vmap(fn.hessian(lambda x: apply(params, state, x)[0].sin().sum()))(X)

    assert fn.tree.difference(curvature(apply), curvature(plain), atol=1e-12) is None


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


def test_a_function_that_writes_to_its_argument_is_refused():
    apply, params, state = fn.from_module(Net(lambda x: Writing.apply(x.clone())))
    with pytest.raises(ValueError, match=r"writes to its argument .* Compute a new tensor"):
        fn.grad(lambda params: apply(params, state, X.float())[0].sum())(params)


class Checkpointed(Net):
    def __init__(self, **options):
        super().__init__(nn.Dropout(0.0))
        self.options = options

    def forward(self, x):
        return self.b(checkpoint(lambda x, y: self.a(x).tanh() + y, x, 2.0, **self.options))


class Sequential(nn.Sequential):
    def forward(self, x):
        return checkpoint_sequential([*self], 2, x, use_reentrant=False)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize(
    "module",
    [
        Checkpointed(use_reentrant=True),
        Checkpointed(use_reentrant=False),
        Checkpointed(use_reentrant=False, preserve_rng_state=False, determinism_check="none"),
        Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)),
    ],
)
def test_checkpoints(module):
    module = filled(module)
    with_grad = X.clone().requires_grad_()
    module(with_grad).sin().sum().backward()
    want = {name: p.grad for name, p in module.named_parameters()}
    apply, params, state = fn.from_module(module)
    for f in (lambda f: f, lambda f: fn.jit(f, backend="eager")):
        grads = f(fn.grad(lambda params: apply(params, state, X)[0].sin().sum()))(params)
        found = dict(zip(fn.tree.paths(grads), fn.tree.leaves(grads), strict=True))
        assert fn.tree.difference(found, want, atol=1e-12) is None


def test_an_error_inside_a_checkpoint_is_the_functions():
    apply, params, state = fn.from_module(Net(lambda x: checkpoint(lambda x: x @ x, x, use_reentrant=False)))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        apply(params, state, X.float())


def test_dropout_inside_a_checkpoint_draws_from_the_key():
    apply, params, _ = fn.from_module(Net(lambda x: checkpoint(nn.functional.dropout, x, use_reentrant=False)))
    plain, _, _ = fn.from_module(Net(nn.functional.dropout))
    x, key = X.float(), fn.random.key(3)
    assert torch.equal(apply(params, {}, x, key=key)[0], plain(params, {}, x, key=key)[0])


def test_torch_is_as_before_after_a_call():
    places = torch.autograd.function, sys.modules[checkpoint.__module__]
    before = [dict(vars(place)) for place in places]
    apply, params, state = fn.from_module(Net(Swish.apply))
    fn.grad(lambda params: apply(params, state, X.float())[0].sum())(params)
    assert [dict(vars(place)) for place in places] == before
    with pytest.raises(RuntimeError, match="setup_context"):
        torch.func.grad(lambda x: Swish.apply(x).sum())(X)


@pytest.mark.parametrize("register", ["register_full_backward_hook", "register_full_backward_pre_hook"])
def test_backward_hooks_are_refused_where_they_would_not_run(register):
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    getattr(module[0], register)(lambda *_: None)
    apply, params, state = fn.from_module(module)
    y, _ = apply(params, state, X.float())
    assert fn.tree.difference(y, module(X.float()).detach()) is None
    with pytest.raises(ValueError, match="backward hook, which torch.func does not call"):
        fn.grad(lambda params: apply(params, state, X.float())[0].sum())(params)


def observed(x):
    x = x.sin()
    if x.requires_grad:
        x.register_hook(lambda grad: 0.5 * grad)
    return x


def test_hooks_of_tensors_and_parameters_change_gradients():
    assert_gradients_are_the_modules(Net(observed), X[:, None])
    module = Net(torch.tanh)
    module.a.weight.register_hook(lambda grad: grad.clamp(-0.1, 0.1))
    module.a.weight.register_hook(lambda grad: None)
    module.b.bias.register_hook(lambda grad: 3 * grad)
    assert_gradients_are_the_modules(module, X[:, None])
    apply, params, state = fn.from_module(module)
    models = fn.tree.stack([params, fn.tree.scale(2, params)])
    total = fn.grad(lambda models: fn.vmap(lambda params: apply(params, state, X)[0].sin().sum())(models).sum())
    each = fn.vmap(fn.grad(lambda params: apply(params, state, X)[0].sin().sum()))
    assert fn.tree.difference(total(models), each(models), atol=1e-12) is None
    hessian = fn.vmap(fn.hessian(lambda x: apply(params, state, x)[0].sin().sum()))
    plain, _, _ = fn.from_module(filled(Net(torch.tanh)))
    assert (
        fn.tree.difference(hessian(X), fn.vmap(fn.hessian(lambda x: plain(params, state, x)[0].sin().sum()))(X)) is None
    )


def test_scripted_functions():
    assert_gradients_are_the_modules(Net(torch.jit.script(scripted)), X[:, None])


def scripted(x):
    return x * torch.sigmoid(x)
