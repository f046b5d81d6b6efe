"""remat: equal gradients at every nesting, whatever the function holds, and at most half the memory at its peak."""

import weakref
from functools import cached_property, lru_cache, partial

import pytest
import torch
from tables import numbers
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

import funcnet as fn
from funcnet import tree

DEPTH, BLOCK, WIDTH = 24, 4, 32


class LiveBytes(TorchDispatchMode):
    """Count the bytes of all storages that operations make, from when they are made until they are freed."""

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
    """A net of 24 layers, in blocks of 4 whose application is wrapped."""
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
    assert peaks["plain"] > DEPTH  # at least what each layer keeps for its derivative
    assert peaks["remat"] < 0.5 * peaks["plain"]


def test_gradients_of_trees_with_strangers_are_equal():
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


CAPTURES = {
    "with a gradient inside": lambda w: lambda x: fn.grad(lambda a: (a**2 * w).sum())(x).sum(),
    "with a tangent inside": lambda w: lambda x: fn.jvp(lambda a: (a**2 * w).sum(), (x,), (x,))[1],
    "with a vmap inside": lambda w: lambda x: fn.vmap(lambda a: a * w)(x).sum(),
    "as the result": lambda w: lambda x: w,
    "as a default": lambda w: lambda x, w=w: fn.grad(lambda a: a * a * w)(x.sum()),
    "in partial": lambda w: partial(lambda w, x: fn.grad(lambda a: a * a * w)(x.sum()), w),
    "in a function of a function": lambda w: (lambda held: lambda x: (lambda: held()[0] * x)().sum())(lambda: [w]),
    "as the object of a method": lambda w: Scale(w).gradient,
    "as the object of a builtin method": lambda w: w.mul,
    "in a callable object": lambda w: Scale(w),
    "in a class that is made outside": lambda w: class_of(w)().times,
    "in an object": lambda w: (lambda held: lambda x: fn.grad(lambda a: a * a * held.w)(x.sum()))(Scale(w)),
    "in another transformation": lambda w: fn.vmap(lambda a: fn.grad(lambda a: a * a * w)(a)),
}


class Scale:
    def __init__(self, w):
        self.w = w

    def gradient(self, x):
        return fn.grad(lambda a: (a**2 * self.w).sum())(x).sum()

    __call__ = gradient


def class_of(w):
    class Local:
        def times(self, x):
            return w * x

    return Local


@pytest.mark.parametrize("make", CAPTURES.values(), ids=CAPTURES)
def test_what_the_function_holds_is_differentiated_wherever_it_is(make):
    w, x = torch.tensor(2.0, dtype=torch.float64), numbers(3)

    def along(w):
        return lambda remat: remat(make(w))(x).sum()

    for transform in (fn.grad, fn.hessian, fn.jacfwd, lambda f: lambda w: fn.jvp(fn.grad(f), (w,), (w,))):
        assert tree.allclose(*(transform(lambda w, r=r: along(w)(r).sin())(w) for r in (fn.remat, itself)), rtol=1e-12)
    of_x = [
        fn.grad(lambda x, r=r: fn.vmap(lambda w: r(make(w))(x).sum())(numbers(2)).square().sum())(x)
        for r in (fn.remat, itself, lambda f: fn.remat(fn.remat(f)))
    ]
    assert_close(of_x[0], of_x[1])
    assert_close(of_x[2], of_x[1])
    leaf = w.clone().requires_grad_()
    along(leaf)(fn.remat).backward()
    assert_close(leaf.grad, fn.grad(lambda w: along(w)(itself))(w))


def itself(f):
    return f


class Slots:
    __slots__ = ("w",)

    def __init__(self, w):
        self.w = w


class Same:
    """Its copy is itself."""

    def __init__(self, w):
        self.w = w

    def __copy__(self):
        return self


class Uncopied(Same):
    def __copy__(self):
        raise NotImplementedError


HIDDEN = {
    "in a set": lambda w: (lambda held: lambda x: next(iter(held)) * x)({w}),
    "in slots": lambda w: (lambda held: lambda x: held.w * x)(Slots(w)),
    "in a class that is made inside": lambda w: (lambda made: lambda x: made().times(x))(class_of(w)),
    "in a generator": lambda w: (lambda held: lambda x: next(held) * x)(w for _ in range(99)),
    "in a cache": lambda w: (lambda held: lambda x: held() * x)(lru_cache(lambda: w)),
    "in what is its own copy": lambda w: (lambda held: lambda x: held.w * x)(Same(w)),
    "in what cannot be copied": lambda w: (lambda held: lambda x: held.w * x)(Uncopied(w)),
}
INSIDE = {
    "alone": lambda f: f,
    "in a gradient": lambda f: fn.grad(lambda x: f(x).sin().sum()),
    "in a tangent": lambda f: lambda x: fn.jvp(lambda x: f(x).sin(), (x,), (x,))[1],
    "in a vmap": lambda f: fn.vmap(lambda x: f(x.sin())),
}


@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE)
@pytest.mark.parametrize("make", HIDDEN.values(), ids=HIDDEN)
def test_what_the_function_hides_is_refused(make, inside):
    message = "remat: the function uses a tensor that is differentiated or mapped outside, and holds it where it cannot"
    w, x = torch.tensor(2.0), torch.ones(3)
    with pytest.raises(ValueError, match=message):
        fn.grad(lambda w: fn.remat(inside(make(w)))(x).sum())(w)
    with pytest.raises(ValueError, match=message):
        fn.grad(lambda w: fn.remat(lambda f, x: inside(f)(x))(make(w), x).sum())(w)
    with pytest.raises(ValueError, match=message):
        fn.remat(inside(make(w.clone().requires_grad_())))(x).sum().backward()


@pytest.mark.parametrize("wrap", [Scale, Slots, lambda x: {x}, lambda x: lambda: x])
def test_results_that_would_lose_their_gradients_are_refused(wrap):
    with pytest.raises(ValueError, match="remat: expected tensors and trees of them as results, got .*, which holds"):
        fn.grad(lambda x: fn.remat(lambda x: (x, wrap(x * 2)))(x)[0].sum())(torch.ones(3))


class Lazy:
    __slots__ = ()

    def __getattr__(self, name):
        raise AssertionError(name)


def test_objects_on_the_way_are_not_asked_for_attributes():
    x, lazy, numbers_ = torch.ones(3), Lazy(), [0.5] * 10
    assert torch.equal(fn.grad(lambda x: fn.remat(lambda y: (x * y, lazy, numbers_)[0])(x).sum())(x), 2 * x)


def test_what_is_hidden_and_not_used_does_no_harm():
    w, x = torch.tensor(2.0), torch.ones(3)
    assert torch.equal(fn.grad(lambda x: fn.remat(lambda x, _: x * w)(x, Slots(x)).sum())(x), w * x)


def in_a_loop(wrap, x):
    for scale in (1.0, 2.0, 3.0):
        weight = x * scale
        x = wrap(lambda x: torch.sin(x * weight + scale))(x)  # noqa: B023
    return x


def in_a_list(wrap, x):
    held = []
    for scale in (1.0, 2.0, 3.0):
        held[:] = [x * scale]
        x = wrap(lambda x: torch.sin(x * held[0]))(x)
    return x


def in_an_object(wrap, x):
    held = Scale(x)
    for _ in range(3):
        x = wrap(lambda x: torch.sin(x * held.w))(x)
        held.w = x.cos()
    return x


def in_what_is_computed_once(wrap, x):
    held = Squared(x)
    return wrap(lambda x: x * held.square)(x) + held.square


class Squared(Scale):
    @cached_property
    def square(self):
        return self.w**2


@pytest.mark.parametrize("f", [in_a_loop, in_a_list, in_an_object, in_what_is_computed_once])
def test_what_the_function_holds_is_kept_until_derivatives_are_computed(f):
    x = numbers(3)
    for transform in (fn.grad, fn.hessian, lambda f: lambda x: fn.jvp(fn.grad(f), (x,), (x.cos(),))):
        got, want = (transform(lambda x, wrap=wrap: f(wrap, x).sum())(x) for wrap in (fn.remat, itself))
        assert tree.allclose(got, want, rtol=1e-12)


def test_a_module_may_be_called_with_other_parameters():
    class Module(torch.nn.Module):
        def __init__(self, wrap):
            super().__init__()
            self.linear, self.wrap = torch.nn.Linear(3, 3).double(), wrap

        def forward(self, x):
            return self.wrap(lambda x: torch.tanh(self.linear(x)))(x).sum()

    params = {"linear.weight": numbers(3, 3), "linear.bias": numbers(3)}
    of = lambda module: lambda params: torch.func.functional_call(module, params, (numbers(2, 3),))  # noqa: E731
    got, want = (fn.grad(of(Module(wrap)))(params) for wrap in (fn.remat, itself))
    assert tree.allclose(got, want, rtol=1e-12) and want["linear.bias"].abs().min() > 0.01


def test_a_module_s_parameters_are_found():
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    fn.remat(module)(numbers(2, 3)).sum().backward()
    grads = [parameter.grad.clone() for parameter in module.parameters()]
    module.zero_grad()
    module(numbers(2, 3)).sum().backward()
    for got, parameter in zip(grads, module.parameters(), strict=True):
        assert_close(got, parameter.grad)


def test_a_function_may_lead_back_to_itself():
    def f(x):
        return fn.grad(lambda a: later(a))(x) * Scale(torch.tensor(3.0)).gradient(x)

    def later(a):
        return f and a**3  # a closure that leads back to f

    x = torch.tensor(2.0)
    assert fn.grad(fn.remat(f))(x) == fn.grad(f)(x) == 18 * 3 * x**2


def test_a_tensor_may_be_mapped_outside():
    def f(w):
        return fn.grad(fn.remat(lambda x: (w * x**2).sum()))(torch.ones(2))

    assert_close(fn.vmap(f)(torch.tensor([1.0, 3.0])), torch.tensor([[2.0, 2.0], [6.0, 6.0]]))


def test_results_may_be_shared_by_what_is_mapped():
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
