"""Operations with traced numbers among their arguments, computed with 0-d tensors of the fitting dtype."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet._torch import Operation, Overloads
from funcnet.compiler.tracing.arguments import SYMBOLS, plain
from funcnet.compiler.tracing.numbers import DTYPES

aten = torch.ops.aten


def as_operand(x: Any, number: Any) -> Any:
    """Return a symbolic number as a 0-d tensor of the dtype in which torch computes with it and x."""
    if not isinstance(number, SYMBOLS):
        return number
    return number.node.tensor(torch.result_type(plain(x), plain(number)))


def cast(number: Any, dtype: torch.dtype | None) -> Tensor:
    """Return a number as a 0-d tensor, by default of the dtype that torch.tensor(number) has."""
    kind = number.node.kind
    made: Tensor = number.node.tensor(dtype or (torch.get_default_dtype() if kind is float else DTYPES[kind]))
    return made


def find(func: Operation) -> Callable[..., Any] | None:
    """Return the rule of an operation with symbolic numbers among its arguments; None if there is none."""
    return _RULES.get(func.overloadpacket)


def _binary(packet: Overloads) -> Callable[..., Any]:
    def run(x: Any, y: Any, *, alpha: Any = None, **options: Any) -> Any:
        y = y if alpha is None else y * alpha
        return packet(as_operand(y, x), as_operand(x, y), **options)

    return run


def _arithmetic(packet: Overloads) -> Callable[..., Any]:
    """Compute in float32 where torch's kernels for 16-bit dtypes do."""
    run = _binary(packet)

    def wide(x: Any, y: Any, **options: Any) -> Any:
        halves = {t.dtype for t in (x, y) if isinstance(t, Tensor)} & _HALF
        if not halves:
            return run(x, y, **options)
        return run(*(t.float() if isinstance(t, Tensor) else t for t in (x, y)), **options).to(*halves)

    return wide


def _rsub(x: Any, y: Any, alpha: Any = 1) -> Any:
    return aten.sub(as_operand(x, y), x * alpha)


def _clamp(x: Any, low: Any = None, high: Any = None) -> Any:
    bounds = [torch.full_like(x, b) if isinstance(b, int | float) else as_operand(x, b) for b in (low, high)]
    return aten.clamp.Tensor(x, *bounds)


def _full(shape: Sequence[int], number: Any, *, dtype: torch.dtype | None = None, **_: object) -> Tensor:
    return cast(number, dtype).expand(shape).clone(memory_format=torch.contiguous_format)


def _full_like(x: Tensor, number: Any, **options: Any) -> Any:
    return _fill(torch.zeros_like(x, **options), number)


def _new_full(x: Tensor, shape: Sequence[int], number: Any, *, dtype: torch.dtype | None = None, **_: object) -> Tensor:
    return _full(shape, number, dtype=dtype or x.dtype)


def _fill(x: Tensor, number: Any) -> Any:
    return aten.fill.Tensor(x, cast(number, x.dtype))


def _scalar_tensor(number: Any, *, dtype: torch.dtype | None = None, **_: object) -> Any:
    return cast(number, dtype).clone()


def _masked_fill(x: Tensor, mask: Tensor, number: Any) -> Any:
    return aten.masked_fill.Tensor(x, mask, cast(number, x.dtype))


def _where(mask: Tensor, x: Any, y: Any) -> Any:
    return aten.where.self(mask, as_operand(y, x), as_operand(x, y))


def _addcmul(x: Tensor, a: Tensor, b: Tensor, *, value: Any = 1) -> Any:
    return x + value * a * b


def _addcdiv(x: Tensor, a: Tensor, b: Tensor, *, value: Any = 1) -> Any:
    return x + value * (a / b)


def _lerp(x: Tensor, y: Tensor, weight: Any) -> Any:
    return aten.lerp.Tensor(x, y, cast(weight, x.dtype))


_HALF = {torch.float16, torch.bfloat16}
_ARITHMETIC = "mul div true_divide"
_SIMPLE = (
    "add sub floor_divide remainder fmod pow eq ne lt le gt ge maximum minimum fmax fmin atan2"
    " copysign xlogy hypot clamp_min clamp_max"
)
_RULES: dict[Any, Callable[..., Any]] = {
    **{(packet := getattr(aten, name)): _arithmetic(packet) for name in _ARITHMETIC.split()},
    **{(packet := getattr(aten, name)): _binary(packet) for name in _SIMPLE.split()},
    aten.rsub: _rsub,
    aten.clamp: _clamp,
    aten.full: _full,
    aten.full_like: _full_like,
    aten.new_full: _new_full,
    aten.fill: _fill,
    aten.scalar_tensor: _scalar_tensor,
    aten._to_copy: _scalar_tensor,
    aten.masked_fill: _masked_fill,
    aten.where: _where,
    aten.addcmul: _addcmul,
    aten.addcdiv: _addcdiv,
    aten.lerp: _lerp,
}


def _power(input: Any, exponent: Any) -> Any:
    """Raise to a power that is a tensor: its derivative does not read the value of the exponent."""
    return torch.pow(as_operand(exponent, input), as_operand(input, exponent))


def _scaled(func: Callable[..., Any]) -> Callable[..., Any]:
    """Multiply by alpha first: torch's derivative tests whether alpha is 1."""

    def run(input: Any, other: Any, *, alpha: Any = 1, **options: Any) -> Any:
        if isinstance(alpha, SYMBOLS):
            return func(input, other * alpha, **options)
        return func(input, other, alpha=alpha, **options)

    return run


def _making(func: Callable[..., Any]) -> Callable[..., Any]:
    """Return a rule that creates a tensor from a traced number."""

    full: Any = torch.full  # torch's annotations do not allow symbolic numbers

    def run(data: Any, **options: Any) -> Any:
        return full((), data, **options) if isinstance(data, SYMBOLS) else func(data, **options)

    return run


# functions with a rule that applies before torch's autograd, and has torch's names of the arguments
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    torch.pow: _power,
    Tensor.pow: _power,
    Tensor.__pow__: _power,
    Tensor.__rpow__: lambda x, y: _power(y, x),
    **{f: _making(f) for f in (torch.tensor, torch.as_tensor)},
    **{f: _scaled(f) for f in (torch.add, torch.sub, Tensor.add, Tensor.sub, Tensor.add_, Tensor.sub_)},
}
