"""Products of vectors, matrices and tensors."""

from collections.abc import Callable, Sequence
from functools import partial
from string import ascii_letters
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.axes import one_axis
from funcnet.numpy.promotion import ArrayLike, DType, as_dtype, as_tensor, conjugated, promote
from funcnet.numpy.unsigned import widened

__all__ = [
    "cross",
    "dot",
    "einsum",
    "inner",
    "kron",
    "matmul",
    "matvec",
    "outer",
    "tensordot",
    "vdot",
    "vecdot",
    "vecmat",
]


def operands_in(preferred: DType | None, operands: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Convert the operands of a product to the dtype of its result, if that is a wider one."""
    if preferred is None:
        return operands
    dtype = as_dtype("preferred_element_type", preferred)
    return tuple(x.to(torch.promote_types(x.dtype, dtype)) for x in operands)


def result_in(preferred: DType | None, result: Tensor) -> Tensor:
    """Convert the result of a product to its preferred dtype."""
    return result if preferred is None else result.to(as_dtype("preferred_element_type", preferred))


def _multiplied(product: Callable[..., Tensor], *operands: Tensor) -> Tensor:
    """Return a product in the dtype of its operands, which torch computes as int64 or, for bools, not at all."""
    dtype = operands[0].dtype
    if dtype == torch.bool:
        return product(*(x.to(torch.int32) for x in operands)) != 0
    return product(*map(widened, operands)).to(dtype)


def dot(a: ArrayLike, b: ArrayLike, *, precision: Any = None, preferred_element_type: DType | None = None) -> Tensor:
    """Sum over the last axis of a and the second-to-last of b, or its only one; a product with numbers.

    `precision` is accepted here and in the other products. They are computed in the dtype of the operands, or in
    `preferred_element_type` if it is wider, which is the dtype of the result.
    """
    x, y = operands_in(preferred_element_type, promote("dot", a, b))
    if x.ndim == 0 or y.ndim == 0:
        return result_in(preferred_element_type, x * y)
    _check_sum("dot", x.shape[-1], y.shape[max(y.ndim - 2, 0)], x, y)
    return result_in(
        preferred_element_type,
        _multiplied(torch.matmul, x, y) if y.ndim <= 2 else _dot_along(x, y, [x.ndim - 1], [y.ndim - 2]),
    )


def _dot_along(x: Tensor, y: Tensor, left: Sequence[int], right: Sequence[int]) -> Tensor:
    return _multiplied(lambda x, y: torch.tensordot(x, y, (left, right)), x, y)


def _check_sum(operation: str, left: int, right: int, x: Tensor, y: Tensor) -> None:
    if left != right:
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"{operation}: expected summed axes of equal length, got {left} and {right} in {shapes}.")


def matmul(a: ArrayLike, b: ArrayLike, *, precision: Any = None, preferred_element_type: DType | None = None) -> Tensor:
    """The product of matrices in the last two axes; leading axes broadcast, and vectors are rows or columns."""
    x, y = operands_in(preferred_element_type, promote("matmul", a, b))
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError("matmul: expected arrays of at least one axis, got a number. Use multiply.")
    _check_sum("matmul", x.shape[-1], y.shape[max(y.ndim - 2, 0)], x, y)
    return result_in(preferred_element_type, _multiplied(torch.matmul, x, y))


def matvec(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Products of matrices and vectors: leading axes broadcast."""
    x, y = promote("matvec", x1, x2)
    return _multiplied(torch.matmul, x, y[..., None])[..., 0]


def vecmat(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Products of conjugated vectors and matrices: leading axes broadcast."""
    x, y = promote("vecmat", x1, x2)
    return _multiplied(torch.matmul, conjugated(x)[..., None, :], y)[..., 0, :]


def vdot(a: ArrayLike, b: ArrayLike, *, precision: Any = None, preferred_element_type: DType | None = None) -> Tensor:
    """The inner product of flattened arrays, the first one conjugated."""
    x, y = operands_in(preferred_element_type, promote("vdot", a, b))
    return result_in(preferred_element_type, _multiplied(torch.matmul, conjugated(x).reshape(-1), y.reshape(-1)))


def vecdot(
    x1: ArrayLike,
    x2: ArrayLike,
    /,
    *,
    axis: int = -1,
    precision: Any = None,
    preferred_element_type: DType | None = None,
) -> Tensor:
    """The inner product along an axis, x1 conjugated; the other axes broadcast."""
    x, y = operands_in(preferred_element_type, promote("vecdot", x1, x2))
    x, y = (
        torch.movedim(x, one_axis("vecdot", axis, x.ndim), -1),
        torch.movedim(y, one_axis("vecdot", axis, y.ndim), -1),
    )
    return result_in(preferred_element_type, (conjugated(x) * y).sum(-1, dtype=x.dtype))


def inner(a: ArrayLike, b: ArrayLike, *, precision: Any = None, preferred_element_type: DType | None = None) -> Tensor:
    """Sum over the last axes of both; a product with numbers."""
    x, y = operands_in(preferred_element_type, promote("inner", a, b))
    return result_in(
        preferred_element_type,
        x * y if x.ndim == 0 or y.ndim == 0 else _dot_along(x, y, [x.ndim - 1], [y.ndim - 1]),
    )


def outer(a: ArrayLike, b: ArrayLike) -> Tensor:
    """All products of an element of a, in rows, and one of b, in columns; both are flattened."""
    x, y = promote("outer", a, b)
    return x.reshape(-1, 1) * y.reshape(-1)


def tensordot(
    a: ArrayLike,
    b: ArrayLike,
    axes: Any = 2,
    *,
    precision: Any = None,
    preferred_element_type: DType | None = None,
) -> Tensor:
    """Sum over several axes: the last ones of a and the first ones of b if axes is their number, else (of a, of b)."""
    x, y = operands_in(preferred_element_type, promote("tensordot", a, b))
    if isinstance(axes, int):
        axes = range(x.ndim - axes, x.ndim), range(axes)
    left, right = ([each] if isinstance(each, int) else list(each) for each in axes)
    left, right = ([one_axis("tensordot", i, z.ndim) for i in axes] for z, axes in ((x, left), (y, right)))
    return result_in(preferred_element_type, _dot_along(x, y, left, right))


def einsum(
    subscripts: Any,
    /,
    *operands: ArrayLike,
    optimize: Any = None,
    precision: Any = None,
    preferred_element_type: DType | None = None,
) -> Tensor:
    """Einstein summation: of "ij,jk->ik" and two matrices, or of x, [0, 1], y, [1, 2], [0, 2]."""
    if not isinstance(subscripts, str):
        subscripts, operands = _lettered([subscripts, *operands])
    operands = operands_in(preferred_element_type, promote("einsum", *operands))
    return result_in(preferred_element_type, _multiplied(partial(torch.einsum, subscripts), *operands))


def _lettered(arguments: list[Any]) -> tuple[str, tuple[Any, ...]]:
    """Convert arrays and lists of the numbers of their axes, in turn, to a string and the arrays."""
    arrays, axes = arguments[: len(arguments) // 2 * 2 : 2], arguments[1::2]
    lists = [*axes, *arguments[len(arguments) // 2 * 2 :]]
    if not all(isinstance(each, list | tuple) for each in lists):
        raise TypeError(
            "einsum: expected a string and arrays, or arrays and lists of the numbers of their axes in turn."
        )
    texts = ["".join("..." if i is Ellipsis else ascii_letters[i] for i in each) for each in lists]
    result = "->" + texts[-1] if len(lists) > len(axes) else ""
    return ",".join(texts[: len(axes)]) + result, tuple(arrays)


def kron(a: ArrayLike, b: ArrayLike) -> Tensor:
    """The Kronecker product."""
    x, y = promote("kron", a, b)
    ndim = max(x.ndim, y.ndim)
    x, y = x.reshape([1] * (ndim - x.ndim) + [*x.shape]), y.reshape([1] * (ndim - y.ndim) + [*y.shape])
    pairs = [size for i, j in zip(x.shape, y.shape, strict=True) for size in (i, j)]
    wide = x.reshape([k for i in x.shape for k in (i, 1)]) * y.reshape([k for j in y.shape for k in (1, j)])
    return wide.reshape([i * j for i, j in zip(pairs[::2], pairs[1::2], strict=True)])


def cross(
    a: ArrayLike, b: ArrayLike, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    """The vector product along axes of length 2 or 3; of two vectors of length 2 the third component alone.

    Args:
        a, b: Arrays, whose other axes broadcast.
        axisa, axisb, axisc: The axes of the vectors in a, in b and in the result.
        axis: All three of them.
    """
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    x, y = promote("cross", a, b)
    x = torch.movedim(x, one_axis("cross", axisa, x.ndim), -1)
    y = torch.movedim(y, one_axis("cross", axisb, y.ndim), -1)
    if (x.shape[-1], y.shape[-1]) == (2, 2):
        return x[..., 0] * y[..., 1] - x[..., 1] * y[..., 0]
    x, y = (torch.nn.functional.pad(v, (0, 1)) if v.shape[-1] == 2 else v for v in (x, y))
    if (x.shape[-1], y.shape[-1]) != (3, 3):
        raise ValueError(f"cross: expected vectors of length 2 or 3, got {x.shape[-1]} and {y.shape[-1]}.")
    parts = [x[..., i] * y[..., j] - x[..., j] * y[..., i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return torch.movedim(torch.stack(parts, -1), -1, axisc)


def multi_dot(arrays: Sequence[ArrayLike]) -> Tensor:
    """The product of several matrices, in the cheapest order."""
    return torch.linalg.multi_dot([as_tensor("multi_dot", x) for x in promote("multi_dot", *arrays)])
