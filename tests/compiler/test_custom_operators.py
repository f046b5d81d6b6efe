"""Operators of other libraries (torch.library.custom_op) in native kernels: single calls, as those of torch."""

import gc

import pytest
import torch
from torch import Tensor

import funcnet as fn
from funcnet.compiler import StagingError

kept: list[Tensor] = []


@torch.library.custom_op("funcnet_tests::scaled", mutates_args=())
def scaled(x: Tensor, factor: float, mode: str = "mul") -> Tensor:
    """Multiply, or raise if any element is negative."""
    if (x < 0).any():
        raise ArithmeticError(f"{mode} of a negative number")
    kept.append(x)
    return x * factor


@scaled.register_fake
def _(x, factor, mode="mul"):
    return torch.empty_like(x)


@scaled.register_vmap
def _(info, in_dims, x, factor, mode="mul"):
    return scaled(x, factor, mode), in_dims[0]


@torch.library.custom_op("funcnet_tests::parts", mutates_args=())
def parts(xs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the sum and the largest of the positions of the maxima."""
    return torch.stack(xs).sum(0), torch.stack([x.argmax() for x in xs]).max()


@parts.register_fake
def _(xs):
    return torch.empty_like(xs[0]), xs[0].new_empty((), dtype=torch.int64)


@torch.library.custom_op("funcnet_tests::mistaken", mutates_args=())
def mistaken(x: Tensor) -> Tensor:
    """Return fewer elements than its fake implementation."""
    return x[:1].clone()


@mistaken.register_fake
def _(x):
    return torch.empty_like(x)


@torch.library.custom_op("funcnet_tests::doubled", mutates_args=())
def doubled(x: Tensor, places: Tensor) -> Tensor:
    return x * 2


@torch.library.custom_op("funcnet_tests::compiled", mutates_args=())
def compiled(x: Tensor, places: Tensor) -> Tensor:
    """Run another kernel with the same C text as the one that calls this."""
    return INNER(x, torch.arange(3))


@doubled.register_fake
@compiled.register_fake
def _(x, places):
    return torch.empty_like(x)


def twice(op):
    return lambda x, places: op(op(x[places].sin().exp(), places).cos() + 1, places).sin() * 3 + x


INNER = fn.jit(twice(doubled), backend="native")
X = torch.tensor([0.5, 1.0, 2.0])


@pytest.fixture(autouse=True)
def forget():
    yield
    kept.clear()


def in_a_scan(x):
    return fn.scan(lambda c, y: (scaled(c.exp(), 0.5, mode="half") + y, c.sin()), x, torch.stack([x, 2 * x]))


def in_a_loop(x):
    return fn.while_loop(lambda c: c.sum() < 50, lambda c: scaled(c + 1, 1.5), x)


def in_a_branch(x):
    return fn.cond(x.sum() > 0, lambda: scaled(x, 2.0).exp() + x.cos(), lambda: scaled(-x, 2.0))


def of_lists(x):
    total, place = parts([x.sin(), x[:1].expand(3).exp()])
    return total * 2 + 1, place + 1


PROGRAMS = {f.__name__: f for f in (in_a_scan, in_a_loop, in_a_branch, of_lists)}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_operator_is_one_call_of_a_kernel(name, dtype):
    f = PROGRAMS[name]
    run = fn.jit(f, backend="native")
    for x in (X.to(dtype), X.to(dtype) + 0.25):
        torch.testing.assert_close(run(x), f(x), rtol=1e-6, atol=1e-6)
    assert set(run.explain(x).calls) <= {"funcnet_tests.scaled.default", "funcnet_tests.parts.default"}


def test_auto_takes_a_kernel_for_a_loop_around_an_operator():
    explained = fn.jit(lambda x: fn.scan(lambda c, _: (scaled(c.sin().exp() * 2, 0.1), c.sum()), x, length=9)).explain(
        X
    )
    assert explained.backend == "native"
    assert explained.calls == {"funcnet_tests.scaled.default": 1}


def test_lanes_are_one_call():
    f = fn.vmap(lambda x: scaled(x.exp(), 2.0).sin() + x.cos())
    x = torch.linspace(-1, 1, 12).reshape(4, 3)
    torch.testing.assert_close(fn.jit(f, backend="native")(x), torch.stack([*map(around_one, x)]))
    assert len([x for x in kept if x.shape == (4, 3)]) == 1


def around_one(x):
    return scaled(x.exp(), 2.0).sin() + x.cos()


def test_its_error_is_raised_and_ends_the_run():
    run = fn.jit(lambda x: fn.scan(lambda c, _: (scaled(c - 1, 1.0), c.exp()), x, length=10), backend="native")
    with pytest.raises(ArithmeticError, match="mul of a negative number"):
        run(X)
    assert len(kept) == 0
    torch.testing.assert_close(run(X + 20)[0], X + 10)


def test_an_argument_that_it_keeps_stays_what_it_was():
    f = lambda x: fn.scan(lambda c, _: (scaled(c.exp().log() + 1, 1.0), None), x, length=20)[0].sin()  # noqa: E731
    run = fn.jit(f, backend="native")
    run(X)
    del run
    gc.collect()
    torch.testing.assert_close(torch.stack(kept), X + torch.arange(1.0, 21.0)[:, None], rtol=1e-5, atol=0.0)


def test_a_result_that_is_not_like_that_of_the_fake_implementation():
    message = r"mistaken.* returned a tensor of torch.float32 of shape \(1,\), but its fake .* of shape \(3,\)"
    with pytest.raises(RuntimeError, match=message):
        fn.jit(lambda x: mistaken(x.exp()).sin() + 1, backend="native")(X)


def test_an_operator_may_run_kernels_of_the_same_library():
    outer, x, places = fn.jit(twice(compiled), backend="native"), X.double(), torch.tensor([2, 1, 1])
    inner = lambda x, _: twice(doubled)(x, torch.arange(3))  # noqa: E731
    torch.testing.assert_close(outer(x, places), twice(inner)(x, places))
    assert outer.lower(x, places).as_text("c") == INNER.lower(x, places).as_text("c")
    with pytest.raises(IndexError):
        outer(x, torch.tensor([0, 1, 3]))


def test_a_callback_is_a_call_of_a_kernel():
    seen = []
    run = fn.jit(lambda x: (fn.debug.callback(seen.append, x.sum()), x.sin().exp() * 2)[1])
    run(X)
    explained = run.explain(X)
    assert explained.backend == "native" and explained.calls == {"funcnet.callback.default": 1}
    assert len(seen) == 1


@torch.library.custom_op("funcnet_tests::without_fake", mutates_args=())
def without_fake(x: Tensor) -> Tensor:
    return 2 * x


library = torch.library.Library("funcnet_tests_of_library", "DEF")
library.define("without_meta(Tensor x) -> Tensor")
library.impl("without_meta", lambda x: 2 * x, "CPU")


@pytest.mark.parametrize("backend", ["auto", "native"])
@pytest.mark.parametrize("name", ["funcnet_tests.without_fake", "funcnet_tests_of_library.without_meta"])
def test_an_operator_without_a_shape_rule_needs_one(name, backend):
    namespace, name = name.split(".")
    operator, x = getattr(getattr(torch.ops, namespace), name), torch.arange(3.0)
    with pytest.raises(StagingError, match=rf"register_fake\('{namespace}::{name}'\), or call it by fn.pure_callback"):
        fn.jit(lambda x: operator(x) + 1, backend=backend)(x)
    assert torch.equal(fn.jit(lambda x: fn.pure_callback(operator, x, x) + 1)(x), 2 * x + 1)
