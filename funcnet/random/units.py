"""Floating-point numbers from the words of the generator, on which most distributions build."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from funcnet.random import native
from funcnet.random.arguments import Key, Scalar, Shape, check_dtype
from funcnet.random.generator import SYMMETRIC32, SYMMETRIC64, UNIT32, UNIT64, WORDS32, Source, draw, draw_at, draw_each
from funcnet.random.special import erfinv, normal_quantile

# dtype: (the source of numbers, the function from these numbers to multiples of the dtype's epsilon in [0, 1))
FLOATS: dict[torch.dtype, tuple[Source, Callable[[Tensor], Tensor]]] = {
    torch.float32: (UNIT32, lambda unit: unit),
    torch.float64: (UNIT64, lambda unit: unit),
    torch.float16: (WORDS32, lambda word: ((word >> 6) & 1023).to(torch.float16) * 2.0**-10),
    torch.bfloat16: (WORDS32, lambda word: ((word >> 1) & 127).to(torch.bfloat16) * 2.0**-7),
}
SIGN32 = Source("sign32", torch.int32, 1, lambda x, y: (x ^ y) >> 31 | 1)  # 1 or -1
SIGN64 = Source("sign64", torch.int64, 1, lambda x, y: x.to(torch.int64) >> 31 | 1)
SYMMETRIC = {torch.float32: SYMMETRIC32, torch.float64: SYMMETRIC64}


def sample(
    operation: str, key: Key, shape: Shape | None, dtype: torch.dtype, f: Callable[..., Tensor], **parameters: Scalar
) -> Tensor:
    """Draw f(unit, *parameters), with unit uniform on the multiples of the dtype's epsilon in [0, 1)."""
    check_dtype(operation, dtype, FLOATS)
    source, scale = FLOATS[dtype]
    return draw(operation, key, shape, source, lambda numbers, *rest: f(scale(numbers), *rest), dtype, **parameters)


def signs(dtype: torch.dtype) -> Source:
    """Return the source of 1 and -1 for numbers of a dtype."""
    return SIGN64 if dtype.itemsize == 8 else SIGN32


def unit_each(keys: Tensor, dtype: torch.dtype) -> Tensor:
    """Draw uniform(key, (), dtype) for each of several keys, of shape (*, 2)."""
    source, scale = FLOATS[dtype]
    return scale(draw_each(keys, source))


def unit_at(key: Key, counter: Tensor, dtype: torch.dtype) -> Tensor:
    """Draw the numbers that uniform(key, shape, dtype) has at some places, by their positions in row-major order."""
    source, scale = FLOATS[dtype]
    return scale(draw_at(key, counter, source))


def normal_each(keys: Tensor, dtype: torch.dtype) -> Tensor:
    """Draw normal(key, (), dtype) for each of several keys, of shape (*, 2)."""
    return as_normal(unit_each(keys, dtype))


def as_normal(unit: Tensor) -> Tensor:
    """Turn numbers uniform on [0, 1) into normal ones."""
    return quantile(2 * unit - (1 - torch.finfo(unit.dtype).eps / 2))


def between(unit: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Map [0, 1) to [low, high) as XLA does: in float32 and float16, unit * span + low is rounded only once."""
    wide = torch.float64 if unit.dtype in (torch.float32, torch.float16) else unit.dtype
    return torch.maximum(low, (unit.to(wide) * (high - low).to(wide) + low.to(wide)).to(unit.dtype))


def between_numbers(unit: Tensor, low: float, span: float) -> Tensor:
    """Compute `between` in fewer operations, for low and high - low as numbers of the dtype; `unit` is overwritten."""
    if unit.dtype in SYMMETRIC and (library := native.library(unit)):
        function = library.affine32 if unit.dtype == torch.float32 else library.affine64
        native.call(function, unit, unit.numel(), low, span)
        return unit
    wide = torch.float64 if unit.dtype in (torch.float32, torch.float16) else unit.dtype
    return (unit.to(wide) * span + low).to(unit.dtype).clamp(min=low)


def quantile(u: Tensor) -> Tensor:
    """Compute sqrt(2) erfinv(u), in float32 for the narrower dtypes."""
    if u.dtype in SYMMETRIC:
        return normal_quantile(u)
    return u.new_full((), math.sqrt(2)) * erfinv(u.to(torch.float32)).to(u.dtype)


def check_order(operation: str, lower: str, low: Scalar, upper: str, high: Scalar) -> None:
    """Refuse bounds in the wrong order, and NaN; the values of tensors are not read."""
    if isinstance(low, int | float) and isinstance(high, int | float) and not low <= high:
        raise ValueError(f"random.{operation}: expected {lower} to be at most {upper}, got {low} and {high}.")
