"""remat of functions that capture tensors: captures are found wherever they are held, or refused."""

from functools import cached_property, lru_cache, partial

import pytest
import torch
from tables import numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree

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
def test_captured_tensors_are_differentiated_wherever_they_are(make):
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
    """An object whose copy is the object itself."""

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
    "in an object that is its own copy": lambda w: (lambda held: lambda x: held.w * x)(Same(w)),
    "in an object that cannot be copied": lambda w: (lambda held: lambda x: held.w * x)(Uncopied(w)),
}
INSIDE = {
    "alone": lambda f: f,
    "in a gradient": lambda f: fn.grad(lambda x: f(x).sin().sum()),
    "in a tangent": lambda f: lambda x: fn.jvp(lambda x: f(x).sin(), (x,), (x,))[1],
    "in a vmap": lambda f: fn.vmap(lambda x: f(x.sin())),
}


@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE)
@pytest.mark.parametrize("make", HIDDEN.values(), ids=HIDDEN)
def test_hidden_tensors_are_refused(make, inside):
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


def test_attributes_of_other_objects_are_not_read():
    x, lazy, numbers_ = torch.ones(3), Lazy(), [0.5] * 10
    assert torch.equal(fn.grad(lambda x: fn.remat(lambda y: (x * y, lazy, numbers_)[0])(x).sum())(x), 2 * x)


def test_unused_hidden_tensors_are_allowed():
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
def test_captures_are_frozen_until_derivatives_are_computed(f):
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


def test_a_function_may_capture_itself():
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


def test_views_of_parameters_that_torch_autograd_differentiates():
    """Without recording, torch gives a view of a leaf requires_grad=True, but it is not a hidden tensor."""
    w = torch.arange(4.0).reshape(2, 2).clone().requires_grad_()
    fn.remat(lambda w: (w[None] * w.view(4, 1, 1)).sin().sum())(w).backward()
    assert_close(w.grad, fn.grad(lambda w: (w[None] * w.view(4, 1, 1)).sin().sum())(w.detach()))
