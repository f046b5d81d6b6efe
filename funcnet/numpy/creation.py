"""New arrays: from values, of one value, and ranges."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, DType, as_dtype, as_tensor, converted, inexact, promote, result_type
from funcnet.numpy.unsigned import wider
from funcnet.transforms import transformed
from funcnet.tree.conversion import is_array

Shape = int | Sequence[int]

__all__ = [
    "arange", "array", "asarray", "astype", "copy", "empty", "empty_like", "full", "full_like", "geomspace", "linspace",
    "logspace", "ones", "ones_like", "zeros", "zeros_like",
]  # fmt: skip


def array(object: ArrayLike, dtype: DType | None = None, *, copy: bool = True, ndmin: int = 0) -> Tensor:
    """Make a tensor of a number, nested lists, a numpy array or a tensor.

    Args:
        object: The values. Tensors in lists are stacked.
        dtype: By default that of a tensor; float32, int32, complex64 or bool for everything else, as in JAX.
        copy: Whether a tensor is copied.
        ndmin: The least number of axes; new ones come first.
    Raises:
        TypeError: object or dtype is of another type.
    Example:
        >>> from funcnet import numpy as jnp
        >>> jnp.array([1, 2.5]), jnp.array([1, 2]).dtype
        (tensor([1.0000, 2.5000]), torch.int32)
    """
    x = as_tensor("array", object) if dtype is None else converted("array", object, as_dtype("array", dtype))
    x = x.clone() if copy and (x is object or is_array(object)) else x
    return x.reshape((1,) * (ndmin - x.ndim) + tuple(x.shape))


def asarray(a: ArrayLike, dtype: DType | None = None) -> Tensor:
    """Make an array of numbers, lists or arrays; a tensor is not copied."""
    return array(a, dtype, copy=False)


def astype(x: ArrayLike, dtype: DType | None) -> Tensor:
    """Convert to a dtype; floating-point numbers are rounded towards 0 to become integers.

    NaN becomes the integer 0, and numbers out of range the nearest integer of the dtype.
    """
    to = torch.float32 if dtype is None else as_dtype("astype", dtype)
    is_integer = not (to.is_floating_point or to.is_complex or to in (torch.bool, torch.uint64))
    if is_integer and isinstance(x, Tensor) and x.is_floating_point():
        return _as_integers(x if x.dtype.itemsize > 2 else x.float(), to)
    return converted("astype", x, to)


def _as_integers(x: Tensor, dtype: torch.dtype) -> Tensor:
    least, most = torch.iinfo(dtype).min, torch.iinfo(dtype).max
    if _is_within(x, least, most):
        return x.to(dtype)
    inside = (x >= float(least)) & (x < float(most + 1))
    limit = torch.where(torch.isnan(x), 0, torch.where(x > 0, most, least))
    return torch.where(inside, torch.where(inside, x, 0.0).to(dtype), limit.to(dtype))


def _is_within(x: Tensor, least: int, most: int) -> bool:
    """Tell whether all numbers have known values in a range, where reading them costs less than replacing others."""
    if transformed() or not x.is_cpu or x.numel() == 0:
        return False
    low, high = torch.aminmax(x.detach())  # NaN, if there is one
    return low.item() >= least and high.item() < most + 1


def copy(a: ArrayLike) -> Tensor:
    """Copy an array."""
    return as_tensor("copy", a).clone()


def zeros(shape: Shape, dtype: DType | None = None) -> Tensor:
    """Zeros, float32 by default."""
    return _filled("zeros", shape, 0, torch.float32 if dtype is None else dtype)


def ones(shape: Shape, dtype: DType | None = None) -> Tensor:
    """Ones, float32 by default."""
    return _filled("ones", shape, 1, torch.float32 if dtype is None else dtype)


def full(shape: Shape, fill_value: ArrayLike, dtype: DType | None = None) -> Tensor:
    """An array of one value, of its dtype by default; fill_value may be an array that broadcasts to shape."""
    return _filled("full", shape, fill_value, dtype)


def _filled(operation: str, shape: Shape, value: ArrayLike, dtype: DType | None) -> Tensor:
    kind = None if dtype is None else as_dtype(operation, dtype)
    return array(value, kind, copy=False).expand(sizes(operation, shape)).clone()


def sizes(operation: str, shape: Any) -> tuple[int, ...]:
    """Return a shape as a tuple.

    Raises:
        TypeError: It is not an int or a sequence of ints.
    """
    try:
        return (shape.__index__(),) if hasattr(shape, "__index__") else tuple(size.__index__() for size in shape)
    except (AttributeError, TypeError):
        raise TypeError(f"{operation}: expected shape to be an int or a sequence of ints, got {shape!r}.") from None


def empty(shape: Shape, dtype: DType | None = None) -> Tensor:
    """Zeros, as in JAX, which has no uninitialised arrays."""
    return zeros(shape, dtype)


def full_like(a: ArrayLike, fill_value: ArrayLike, dtype: DType | None = None, shape: Shape | None = None) -> Tensor:
    """An array of one value, of the shape and dtype of a."""
    like = as_tensor("full_like", a)
    kind = like.dtype if dtype is None else as_dtype("full_like", dtype)
    value = converted("full_like", fill_value, kind, like.device).to(like.device)
    return value.expand(like.shape if shape is None else sizes("full_like", shape)).clone()


def zeros_like(a: ArrayLike, dtype: DType | None = None, shape: Shape | None = None) -> Tensor:
    """Zeros of the shape and dtype of a."""
    return full_like(a, 0, dtype, shape)


def ones_like(a: ArrayLike, dtype: DType | None = None, shape: Shape | None = None) -> Tensor:
    """Ones of the shape and dtype of a."""
    return full_like(a, 1, dtype, shape)


empty_like = zeros_like


def arange(start: Any, stop: Any = None, step: Any = None, dtype: DType | None = None) -> Tensor:
    """start, start + step, ... up to stop, which is not included; int32 for integers, else float32."""
    start, stop, step = (0, start, 1) if stop is None else (start, stop, 1 if step is None else step)
    kind = result_type(start, stop, step) if dtype is None else as_dtype("arange", dtype)
    return torch.arange(start, stop, step, dtype=wider(kind)).to(kind)


def linspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: DType | None = None,
    axis: int = 0,
) -> Any:
    """num equally spaced numbers from start to stop; with retstep, (numbers, distance).

    Args:
        start, stop: Numbers, or arrays that broadcast: the numbers are then along a new axis.
        num: How many.
        endpoint: Whether stop is the last one.
        retstep: Whether to return the distance as well.
        dtype: By default floating-point.
        axis: Where the new axis is.
    """
    low, high = (inexact(x) for x in promote("linspace", start, stop))
    parts = max(num - 1 if endpoint else num, 1)
    unit = torch.arange(num, dtype=low.dtype, device=low.device) / parts
    low, high = low[..., None], high[..., None]
    points = low * (1 - unit) + high * unit
    points = torch.movedim(
        torch.cat([points[..., :-1], high.expand(points[..., -1:].shape)], -1) if endpoint and num > 1 else points,
        -1,
        axis,
    )
    points = points if dtype is None else _whole(points, as_dtype("linspace", dtype))
    return (points, (high - low)[..., 0] / parts) if retstep else points


def _whole(points: Tensor, dtype: torch.dtype) -> Tensor:
    return points.to(dtype) if dtype.is_floating_point or dtype.is_complex else torch.floor(points).to(dtype)


def logspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    base: ArrayLike = 10.0,
    dtype: DType | None = None,
    axis: int = 0,
) -> Tensor:
    """num numbers from base^start to base^stop with equal ratios."""
    points = torch.pow(*promote("logspace", base, linspace(start, stop, num, endpoint, axis=axis)))
    return points if dtype is None else points.to(as_dtype("logspace", dtype))


def geomspace(
    start: ArrayLike, stop: ArrayLike, num: int = 50, endpoint: bool = True, dtype: DType | None = None, axis: int = 0
) -> Tensor:
    """num numbers from start to stop with equal ratios; both of one sign."""
    low, high = (inexact(x) for x in promote("geomspace", start, stop))
    exponents = linspace(torch.log(torch.abs(low)), torch.log(torch.abs(high)), num, endpoint, axis=axis)
    points = torch.sign(low) * torch.exp(exponents)
    return points if dtype is None else points.to(as_dtype("geomspace", dtype))
