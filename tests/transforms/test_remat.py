"""remat: equal gradients at every nesting, and at most half the memory at its peak."""

import weakref

import pytest
import torch
from tables import numbers
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

import funcnet as fn
from funcnet import tree

DEPTH, BLOCK, WIDTH = 24, 4, 32


class LiveBytes(TorchDispatchMode):
    """Count the bytes of all storages that operations allocate, until they are freed."""

    def __init__(self):
        super().__init__()
        self.live, self.peak, self.known = 0, 0, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        for leaf in tree.leaves(results):
            if isinstance(leaf, torch.Tensor):
                self.add(leaf.untyped_storage())
        return results

    def add(self, storage):
        if (pointer := storage.data_ptr()) not in self.known and storage.nbytes():
            self.known.add(pointer)
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self.remove, pointer, storage.nbytes())

    def remove(self, pointer, size):
        self.known.discard(pointer)
        self.live -= size


def deep(wrap):
    """Build a net of 24 layers, in blocks of 4 whose apply is wrapped."""
    blocks = [fn.mlp([WIDTH] * BLOCK, activation=torch.tanh, activate_last=True) for _ in range(DEPTH // BLOCK)]
    return fn.serial(*(block._replace(apply=wrap(block.apply)) for block in blocks))


def loss_of(model):
    return lambda params, x: model.apply(params, x).square().mean()


PLAIN, REMAT, TWICE = deep(lambda f: f), deep(fn.remat), deep(lambda f: fn.remat(fn.remat(f)))
NESTINGS = {
    "grad": lambda f: fn.grad(f, (0, 1)),
    "grad of grad": lambda f: fn.grad(lambda p, x: tree.norm(fn.grad(f)(p, x)), (0, 1)),
    "jvp of grad": lambda f: lambda p, x: fn.jvp(fn.grad(f), (p, x), (p, x.cos()))[1],
    "grad of jvp": lambda f: fn.grad(lambda p, x: fn.jvp(f, (p, x), (p, x.cos()))[1]),
    "jvp of jvp": lambda f: (
        lambda p, x: fn.jvp(lambda p: fn.jvp(lambda p: f(p, x), (p,), (tree.map(torch.cos, p),))[1], (p,), (p,))[1]
    ),
    "vmap of grad": lambda f: fn.vmap(fn.grad(f), in_dims=(None, 0)),
    "grad of vmap": lambda f: fn.grad(lambda p, x: fn.vmap(f, in_dims=(None, 0))(p, x).sum(), (0, 1)),
    "vmap of jvp of grad": lambda f: fn.vmap(lambda p, x: fn.jvp(fn.grad(f), (p, x), (p, x))[1], in_dims=(None, 0)),
    "jit of grad": lambda f: fn.jit(fn.grad(f), backend="eager"),
    "remat of grad": lambda f: fn.remat(fn.grad(f)),
}


@pytest.mark.parametrize("model", [REMAT, TWICE], ids=["once", "twice"])
@pytest.mark.parametrize("nesting", NESTINGS.values(), ids=NESTINGS)
def test_gradients_are_equal_at_every_nesting(model, nesting):
    x = numbers(3, WIDTH)
    params = model.init(fn.random.key(0), x)
    expected = nesting(loss_of(PLAIN))(params, x)
    assert tree.allclose(nesting(loss_of(model))(params, x), expected, rtol=1e-10, atol=1e-14)


def test_the_peak_memory_of_a_deep_net_s_gradient_is_at_most_half():
    x = numbers(1024, WIDTH, dtype=torch.float32)
    params = PLAIN.init(fn.random.key(0), x)
    peaks = {}
    for name, model in {"plain": PLAIN, "remat": REMAT}.items():
        with LiveBytes() as memory:
            fn.grad(loss_of(model))(params, x)
        peaks[name] = memory.peak / x.nbytes
        assert memory.live < 0.1 * memory.peak
    assert peaks["plain"] > DEPTH  # at least the values that each layer keeps for its derivative
    assert peaks["remat"] < 0.5 * peaks["plain"]


def test_gradients_of_trees_with_other_leaves_are_equal():
    def f(params, x, times):
        for _ in range(times):
            x = torch.tanh(params["w"] @ x + params["table"][params["index"]])
        return {"y": x.sum(), "times": times, "index": params["index"]}

    params = {"w": numbers(3, 3), "table": numbers(4, 3, seed=1), "index": torch.tensor(2)}

    def loss(f):
        return lambda params, x: f(params, x, times=3)["y"]

    x = numbers(3, seed=2)
    for transform in (fn.grad, fn.hessian, lambda f: fn.vmap(fn.grad(f), in_dims=(None, 0))):
        at = x if transform is not None and transform in (fn.grad, fn.hessian) else numbers(2, 3, seed=3)
        assert tree.allclose(transform(loss(fn.remat(f)))(params, at), transform(loss(f))(params, at), rtol=1e-12)
    assert fn.remat(f)(params, x, times=2)["times"] == 2


def test_fewer_numbers_are_kept_for_the_backward_pass():
    saved = []

    def pack(tensor):
        saved.append(tensor.numel())
        return tensor

    def f(x):
        for _ in range(20):
            x = torch.sin(x) * x
        return x.sum()

    def count(f):
        saved.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            x = torch.ones(100, requires_grad=True)
            y = f(x)
        (gradient,) = torch.autograd.grad(y, x)
        return sum(saved), gradient

    (kept, gradient), (kept_all, expected) = count(fn.remat(f)), count(f)
    assert_close(gradient, expected)
    assert kept <= 200 and kept_all > 3000


def itself(f):
    return f


def test_mapped_examples_may_share_results():
    def f(w, wrap):
        each = wrap(lambda w, x: (w.sin(), w * x, x))
        return fn.vmap(lambda x: sum(part**2 for part in each(w, x)))(numbers(4, 3))

    for transform in (fn.jacrev, lambda f: fn.jacrev(fn.jacfwd(f)), lambda f: fn.jacfwd(fn.jacrev(f))):
        got, want = (transform(lambda w, wrap=wrap: f(w, wrap))(numbers(3, seed=1)) for wrap in (fn.remat, itself))
        assert_close(got, want)


def test_under_plain_autograd():
    x = torch.tensor(2.0, requires_grad=True)
    fn.remat(lambda x: x**3)(x).backward()
    assert x.grad == 12
    fn.remat(lambda y: x * y)(torch.tensor(3.0)).backward()
    assert x.grad == 15
