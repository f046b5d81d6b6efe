"""Every rule of the native backend can be reached, holds for all overloads, and names unsupported operations."""

import pytest
import torch
from backends import check

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.decompositions import table, value_checks
from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native.lowering import elementwise, loops
from funcnet.compiler.native.lowering.table import RULES

aten = torch.ops.aten


def stays(func: torch._ops.OpOverload) -> bool:
    """Tell whether tracing may record an operation: it has no decomposition, or one that may return NotImplemented."""
    if func._schema.is_mutable or not torch._C._dispatch_has_kernel(func.name()):
        return False  # replaced by a functional variant; used by torch.jit only
    rule = table.find(func)
    if func in value_checks._FACTORISATIONS:
        return True  # recorded with a check of its result
    return rule is None or (rule in table._OWN.values() and "NotImplemented" in rule.__code__.co_names)


@pytest.mark.parametrize("name", [name for name in RULES if name not in (*loops.RULES, "Apply") and "::" not in name])
def test_tracing_can_record_every_operation_with_a_rule(name: str) -> None:
    packet = getattr(aten, name)
    assert any(stays(getattr(packet, overload)) for overload in packet.overloads())


NUMBERS = {
    "left_shift": lambda x, i: i << 2,
    "left_shift_by": lambda x, i: torch.bitwise_left_shift(i, i % 4),
    "left_shift_of": lambda x, i: torch.bitwise_left_shift(3, i % 4),
    "right_shift": lambda x, i: torch.bitwise_right_shift(i, 1),
    "right_shift_by": lambda x, i: torch.bitwise_right_shift(i, i % 4),
    "right_shift_of": lambda x, i: torch.bitwise_right_shift(100, i % 4),
    "shift_out": lambda x, i: torch.stack([i << 64, i >> 64, i >> -1, i << -1, i.int() << 32, i.int() >> 33]),
    "and": lambda x, i: torch.bitwise_and(6, i),
    "or": lambda x, i: torch.bitwise_or(i, 6) - torch.bitwise_or(9, i),
    "xor": lambda x, i: torch.bitwise_xor(6, i),
    "logical_or": lambda x, i: torch.logical_or(x, i),
    "logical_xor": lambda x, i: torch.logical_xor(x, i),
    "copysign": lambda x, i: torch.copysign(x, -2.0) + torch.copysign(i, -3),
    "floor": lambda x, i: torch.div(x, 0.3, rounding_mode="floor"),
    "trunc": lambda x, i: torch.div(i, 3, rounding_mode="trunc"),
    "remainder": lambda x, i: torch.remainder(7, i + 9) + torch.remainder(7.5, x + 9),
    "sub": lambda x, i: aten.sub.Scalar(x, 2, 3) - aten.sub.Scalar(i, 2, 3),
    "tens": lambda x, i: x.round(decimals=-1),
    "hundredths": lambda x, i: x.round(decimals=2),
    "least": lambda x, i: x.min(),
    "product": lambda x, i: x.prod() + i.prod(),
    "fresh": lambda x, i: aten.lift_fresh_copy(x),
    "angle": lambda x, i: torch.angle(x) + torch.angle(i),
    "scatter": lambda x, i: x.scatter(0, i % 4, x * 2, reduce="add"),
    "scatter_number": lambda x, i: x.scatter(0, i % 4, 2.5, reduce="add"),
}


@pytest.mark.few(8)
@pytest.mark.filterwarnings("ignore:The reduce argument")
@pytest.mark.parametrize("name", NUMBERS)
def test_overloads_with_numbers(name: str) -> None:
    check(
        NUMBERS[name],
        torch.tensor([1.25, -23.345, 0.0, 7.006], dtype=torch.float64),
        torch.tensor([5, -3, 0, 7]),
        ulp=0,
    )


NO_AXES = {
    "embedding": lambda i: torch.nn.functional.embedding(i, torch.arange(12.0).reshape(4, 3)),
    "row": lambda i: torch.arange(12).reshape(4, 3).index_select(0, i),
    "column": lambda i: torch.arange(12).reshape(3, 4).index_select(-1, i),
    "itself": lambda i: (i * 2).index_select(0, i * 0),
    "window": lambda i: (i + 1).unfold(0, 1, 1),
    "no_window": lambda i: (i + 1).unfold(0, 0, 1),
    "sum": lambda i: i.sum(0) + i.cumsum(0) + i.flip(()),
    "gather": lambda i: (i * 2).gather(0, i * 0),
    "scatter": lambda i: i.scatter_add(0, i * 0, i * 2),
    "repeat": lambda i: (i * 2).repeat(2, 3),
}


@pytest.mark.parametrize("name", NO_AXES)
def test_tensors_without_axes(name: str) -> None:
    check(NO_AXES[name], torch.tensor(2), ulp=0)


def test_torch_makes_views_as_a_dtype_of_another_kind() -> None:
    for dtype, to in ((torch.float64, torch.int64), (torch.int32, torch.float32), (torch.bool, torch.uint8)):
        f = lambda x, to=to: x.clone().view(to)  # noqa: E731
        x = torch.tensor([1, 0]).to(dtype)
        for jitted, y in ((jit(f, backend="native"), x), (jit(fn.vmap(f), backend="native"), x[None])):
            assert torch.equal(jitted(y), f(y)) and jitted.explain(y).calls


@pytest.mark.slow
def test_distances() -> None:
    x = torch.tensor([[1.25, -23.345, 0.5, 7.006]], dtype=torch.float64)
    f = lambda x: torch.dist(x, x.flip(1).sin(), 3)  # noqa: E731
    check(fn.grad(f), x, ulp=64, atol=1e-12)
    assert not jit(fn.grad(f), backend="native").explain(x).calls


@pytest.mark.parametrize("shrink", [torch.nn.functional.hardshrink, torch.nn.functional.softshrink])
def test_the_gradient_of_shrinking(shrink) -> None:
    x = torch.tensor([torch.nan, torch.inf, -torch.inf, 0.5, -0.5, -0.0, 0.2, 0.7, -3.0])
    check(fn.grad(lambda x: (shrink(x) * torch.arange(1.0, 10.0)).nan_to_num(0.0, 0.0, 0.0).sum()), x, ulp=0)
    check(fn.grad(lambda x: (shrink(x, 1.5) * torch.arange(1.0, 10.0)).sum()), x, ulp=0)


@pytest.mark.parametrize("backend", ["native", "eager"])
def test_uninitialised_memory_is_zero(backend: str) -> None:
    f = lambda x: [x.new_empty_strided((3, 2), (1, 3)), torch.empty_strided((2,), (1,)), torch.empty_like(x)]  # noqa: E731
    for got, like in zip(jit(f, backend=backend)(torch.ones(4)), f(torch.ones(4)), strict=True):
        assert torch.equal(got, torch.zeros(like.shape)) and got.dtype == like.dtype


def test_constants_known_to_the_c_compiler() -> None:
    """gcc 12 folds this program, and the first row of its result was ones."""
    f = lambda: torch.nn.functional.one_hot(torch.arange(5) % 4, 4).repeat_interleave(2, 1)  # noqa: E731
    assert torch.equal(jit(f, backend="native")(), f())


def test_a_scaled_sum_is_rounded_once() -> None:
    a = torch.full((16,), 1 + 2**-12)
    check(lambda a: torch.add(-(a * a), a, alpha=1 + 2**-12), a)
    assert jit(lambda a: torch.add(-(a * a), a, alpha=1 + 2**-12), backend="native")(a)[0] == 2**-24


def test_an_unsupported_operation_is_named() -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        return x.to(torch.float8_e5m2).float()

    for each in (f, fn.vmap(f)):
        with pytest.raises(UnsupportedError, match="float8_e5m2"):
            jit(each, backend="native")(torch.zeros(2, 3))


def test_a_function_without_a_text_for_integers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "sign", elementwise.elementwise(lambda e, x: e("lgamma", x)))
    with pytest.raises(UnsupportedError, match="lgamma of i64"):
        jit(torch.sign, backend="native")(torch.arange(3))
