"""New arrays: from values, of one value, ranges, and triangular and diagonal matrices."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, DType, as_dtype, as_tensor, inexact, promote, result_type

Shape = int | Sequence[int]

__all__ = [
    "arange", "array", "asarray", "astype", "copy", "diag", "diag_indices", "diagflat", "diagonal", "empty",
    "empty_like", "eye", "full", "full_like", "geomspace", "identity", "linspace", "logspace", "ones", "ones_like",
    "tri", "tril", "tril_indices", "triu", "triu_indices", "vander", "zeros", "zeros_like",
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
    if dtype is not None and not isinstance(object, Tensor) and isinstance(object, int | float | complex):
        x = torch.full((), object, dtype=as_dtype("array", dtype))
    elif dtype is not None and hasattr(object, "__array_interface__") and hasattr(object, "__setitem__"):
        x = torch.tensor(object.copy()).to(as_dtype("array", dtype))  # float64 stays exact if asked for
    else:
        x = as_tensor("array", object)
        x = x if dtype is None else x.to(as_dtype("array", dtype))
    x = x.clone() if copy and x is object else x
    return x.reshape((1,) * (ndmin - x.ndim) + tuple(x.shape))


def asarray(a: ArrayLike, dtype: DType | None = None) -> Tensor:
    """As `array`, without a copy of a tensor."""
    return array(a, dtype, copy=False)


def astype(x: ArrayLike, dtype: DType | None) -> Tensor:
    """Convert to a dtype; floating-point numbers are rounded towards 0 to become integers."""
    return as_tensor("astype", x).to(torch.float32 if dtype is None else as_dtype("astype", dtype))


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
    value = as_tensor("full_like", fill_value).to(device=like.device, dtype=kind)
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
    return torch.arange(start, stop, step, dtype=kind)


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


def eye(N: int, M: int | None = None, k: int = 0, dtype: DType | None = None) -> Tensor:  # noqa: N803
    """A matrix of N rows and M columns, by default N, with ones on its k-th diagonal."""
    columns = N if M is None else M
    kind = torch.float32 if dtype is None else as_dtype("eye", dtype)
    return (torch.arange(columns) - torch.arange(N)[:, None] == k).to(kind)


def identity(n: int, dtype: DType | None = None) -> Tensor:
    """The identity matrix."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: DType | None = None) -> Tensor:  # noqa: N803
    """Ones on and below the k-th diagonal, zeros above."""
    columns = N if M is None else M
    kind = torch.float32 if dtype is None else as_dtype("tri", dtype)
    return (torch.arange(columns) - torch.arange(N)[:, None] <= k).to(kind)


def tril(m: ArrayLike, k: int = 0) -> Tensor:
    """Matrices with zeros above the k-th diagonal."""
    return torch.tril(as_tensor("tril", m), k)


def triu(m: ArrayLike, k: int = 0) -> Tensor:
    """Matrices with zeros below the k-th diagonal."""
    return torch.triu(as_tensor("triu", m), k)


def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Tensor, Tensor]:
    """The rows and columns of the elements on and below the k-th diagonal, int32."""
    return _pairs((row, column) for row in range(n) for column in range(n if m is None else m) if column - row <= k)


def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Tensor, Tensor]:
    """The rows and columns of the elements on and above the k-th diagonal, int32."""
    return _pairs((row, column) for row in range(n) for column in range(n if m is None else m) if column - row >= k)


def _pairs(places: Any) -> tuple[Tensor, Tensor]:
    rows, columns = torch.tensor(list(places), dtype=torch.int32).reshape(-1, 2).unbind(1)
    return rows, columns


def diag_indices(n: int, ndim: int = 2) -> tuple[Tensor, ...]:
    """The indices of the main diagonal of an array of ndim axes of length n, int32."""
    return (torch.arange(n, dtype=torch.int32),) * ndim


def diag(v: ArrayLike, k: int = 0) -> Tensor:
    """A matrix with the vector v on its k-th diagonal; or the k-th diagonal of a matrix v."""
    x = as_tensor("diag", v)
    if x.ndim not in (1, 2):
        raise ValueError(f"diag: expected a vector or a matrix, got shape {tuple(x.shape)}.")
    return torch.diag_embed(x, k) if x.ndim == 1 else torch.diagonal(x, k)


def diagflat(v: ArrayLike, k: int = 0) -> Tensor:
    """A matrix with the flattened array on its k-th diagonal."""
    return torch.diag_embed(as_tensor("diagflat", v).reshape(-1), k)


def diagonal(a: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonals of the matrices in two axes, along a new last axis."""
    return torch.diagonal(as_tensor("diagonal", a), offset, axis1, axis2)


def vander(x: ArrayLike, N: int | None = None, increasing: bool = False) -> Tensor:  # noqa: N803
    """The powers of x in columns, the highest first, or last if increasing."""
    base = as_tensor("vander", x)
    powers = torch.arange(base.shape[0] if N is None else N, device=base.device)
    return base[:, None] ** (powers if increasing else powers.flip(0))
