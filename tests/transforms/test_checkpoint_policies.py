"""Policies of remat: stored products are not computed again, and no value or derivative changes."""

import pytest
import torch
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

import funcnet as fn
from funcnet import checkpoint_policies as policies
from funcnet import tree

WIDTH = 4
PRODUCTS = {torch.ops.aten.mm.default, torch.ops.aten.bmm.default, torch.ops.aten.mv.default}


class Products(TorchDispatchMode):
    """Count matrix products."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func in PRODUCTS
        return func(*args, **(kwargs or {}))


def block(params, x):
    hidden = fn.checkpoint_name(x @ params["a"], "hidden").tanh()
    out = torch.matmul(hidden, params["b"]).sigmoid()
    return out + torch.bmm(out[None], params["c"][None])[0].sin(), {"rows": 3}


def loss(wrap):
    return lambda params, x: wrap(block)(params, x)[0].square().sum()


def inputs():
    keys = fn.random.split(fn.random.key(0), 4)
    a, b, c, x = (fn.random.normal(key, (WIDTH, WIDTH), dtype=torch.float64) for key in keys)
    return {"a": a, "b": b, "c": c}, x


POLICIES = {  # name: policy, products in forward and backward pass
    "none": (None, 3 + 3 + 6),
    "nothing": (policies.nothing_saveable, 3 + 3 + 6),
    "everything": (policies.everything_saveable, 3 + 6),
    "dots": (policies.dots_saveable, 3 + 6),
    "names": (policies.save_only_these_names("other", "hidden"), 3 + 2 + 6),
    "other names": (policies.save_only_these_names("other"), 3 + 3 + 6),
}


def wrapping(name):
    return lambda f: fn.remat(f, policy=POLICIES[name][0])


@pytest.mark.parametrize("name", POLICIES)
def test_stored_products_are_not_computed_again(name):
    with Products() as products:
        found = fn.grad(loss(wrapping(name)), (0, 1))(*inputs())
    assert products.count == POLICIES[name][1]
    assert_close(found, fn.grad(loss(lambda f: f), (0, 1))(*inputs()))


NESTINGS = {
    "grad of grad": lambda f: fn.grad(lambda p, x: tree.norm(fn.grad(f)(p, x)), (0, 1)),
    "jvp": lambda f: lambda p, x: fn.jvp(f, (p, x), (p, x.cos())),
    "jvp of jvp": lambda f: lambda p, x: fn.jvp(lambda x: fn.jvp(lambda x: f(p, x), (x,), (x,))[1], (x,), (x.sin(),)),
    "jvp of grad": lambda f: lambda p, x: fn.jvp(fn.grad(f), (p, x), (p, x.cos())),
    "grad of jvp": lambda f: fn.grad(lambda p, x: fn.jvp(f, (p, x), (p, x.cos()))[1]),
    "vmap of grad": lambda f: fn.vmap(fn.grad(f), in_dims=(None, 0)),
    "grad of vmap": lambda f: fn.grad(lambda p, x: fn.vmap(f, in_dims=(None, 0))(p, x).sin().sum(), (0, 1)),
    "jacrev": lambda f: fn.jacrev(f),
}


def of_vectors(params, x):
    """A function of one row or of many, with products of vectors."""
    hidden = (x @ params["b"]).tanh()
    return (torch.mv(params["a"], hidden.sum(0) if x.ndim > 1 else hidden) @ params["c"]).sin()


@pytest.mark.parametrize("f", [lambda wrap: loss(wrap), lambda wrap: lambda p, x: wrap(of_vectors)(p, x).sum()])
@pytest.mark.parametrize("name", ["dots", "names"])
@pytest.mark.parametrize("nesting", NESTINGS)
def test_derivatives_are_unchanged(nesting, name, f):
    params, x = inputs()
    x = torch.stack([x, 2 * x]) if "vmap" in nesting else x
    transform = NESTINGS[nesting]
    assert_close(transform(f(wrapping(name)))(params, x), transform(f(lambda g: g))(params, x))


def test_jit_and_torch_autograd():
    params, x = inputs()
    expected = fn.grad(loss(lambda f: f))(params, x)
    assert_close(fn.jit(fn.grad(loss(wrapping("dots"))))(params, x), expected)
    leaves = tree.map(lambda p: p.clone().requires_grad_(), params)
    loss(wrapping("dots"))(leaves, x).backward()
    assert_close({name: p.grad for name, p in leaves.items()}, expected)


def test_products_that_are_written_to_are_computed_again():
    def f(w, x):
        y = x @ w
        y += 1
        return (y @ w).sin().sum()

    params, x = inputs()
    with Products() as products:
        found = fn.grad(fn.remat(f, policy=policies.dots_saveable))(params["a"], x)
    assert products.count == 2 + 1 + 4
    assert_close(found, fn.grad(f)(params["a"], x))


def test_other_code_in_derivatives_and_loops():
    """The rule of a custom_vjp and a scan run other products in the backward pass than in the forward pass."""
    square = fn.custom_vjp(lambda w: w @ w)
    square.defvjp(lambda w: (w @ w @ torch.eye(WIDTH).to(w), w), lambda w, c: (c @ w.T + w.T @ c,))

    def f(w, x):
        looped = fn.scan(lambda c, _: ((c @ w).tanh(), None), x, length=3)[0]
        return (square(w) @ looped @ (x @ w)).sin().sum()

    params, x = inputs()
    for transform in (fn.grad, lambda g: fn.jit(fn.grad(g))):
        found = transform(fn.remat(f, policy=policies.dots_saveable))(params["a"], x)
        assert_close(found, fn.grad(f)(params["a"], x))


def test_names_change_nothing():
    assert fn.checkpoint_name({"x": 3, "y": torch.tensor(2.0)}, "n") == {"x": 3, "y": 2}


def test_a_policy_is_a_function():
    with pytest.raises(TypeError, match="remat: expected policy to be one of fn.checkpoint_policies"):
        fn.remat(torch.sin, policy="dots")
