"""Functions of elements, reductions and products of jax.lax that jax.numpy has under another name or not at all."""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from funcnet import numpy as jnp
from funcnet.numpy import kinks
from funcnet.numpy.axes import all_axes, one_axis
from funcnet.numpy.division import nonzero_divisor
from funcnet.numpy.products import operands_in, result_in
from funcnet.numpy.promotion import ArrayLike, DType, as_dtype, as_tensor, inexact, named, promote
from funcnet.numpy.unsigned import in_wider, widened

__all__ = [
    "Precision", "RoundingMethod", "approx_max_k", "approx_min_k", "argmax", "argmin", "batch_matmul", "clamp",
    "convert_element_type", "cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum", "digamma", "div",
    "dot_general", "erf", "erf_inv", "erfc", "integer_pow", "is_finite", "lgamma", "logistic",
    "optimization_barrier", "reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_prod", "reduce_sum",
    "reduce_xor", "rem", "round", "rsqrt", "select", "select_n", "sort", "sort_key_val", "top_k",
]  # fmt: skip


class Precision(Enum):
    """The precision of products in JAX; here they are always computed in the dtype of the operands."""

    DEFAULT = 0
    HIGH = 1
    HIGHEST = 2


class RoundingMethod(Enum):
    """Which of two whole numbers at the same distance `round` returns."""

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


Unary = Callable[[ArrayLike], Tensor]


def _float(name: str, f: Callable[[Tensor], Tensor], doc: str) -> Unary:
    """Make a function of floating-point numbers."""

    def function(x: ArrayLike) -> Tensor:
        return f(inexact(as_tensor(name, x)))

    return named(function, name, doc)


rsqrt = _float("rsqrt", torch.rsqrt, "1 / sqrt(x).")
logistic = _float("logistic", torch.sigmoid, "1 / (1 + exp(-x)).")
erf = _float("erf", torch.erf, "The error function.")
erfc = _float("erfc", torch.erfc, "1 - erf(x), exact for large x.")
erf_inv = _float("erf_inv", torch.erfinv, "The inverse of erf.")
lgamma = _float("lgamma", torch.lgamma, "The logarithm of abs(gamma(x)).")
digamma = _float("digamma", torch.digamma, "The derivative of lgamma.")
is_finite = _float("is_finite", torch.isfinite, "Whether x is neither infinite nor NaN.")


def convert_element_type(operand: ArrayLike, new_dtype: DType) -> Tensor:
    """Convert to a dtype, as `jnp.astype`."""
    return jnp.astype(operand, as_dtype("convert_element_type", new_dtype))


def div(x: ArrayLike, y: ArrayLike) -> Tensor:
    """x / y; of integers the whole part, rounded towards 0; of an integer by 0: -1."""
    a, b = promote("div", x, y)
    if a.is_floating_point() or a.is_complex():
        return a / b
    given, a, b = a.dtype, widened(a), widened(b)
    is_zero, divisor = nonzero_divisor(a, b, y)
    quotient = torch.floor_divide(a - torch.fmod(a, divisor), divisor)  # rounding_mode="trunc" crashes for min / -1
    return (quotient if is_zero is None else torch.where(is_zero, -1, quotient)).to(given)


def rem(x: ArrayLike, y: ArrayLike) -> Tensor:
    """The remainder of x / y, with the sign of x; of an integer by 0: x."""
    a, b = promote("rem", x, y)
    is_zero, divisor = nonzero_divisor(a, b, y)
    rest = in_wider(torch.fmod)(a, divisor)
    return rest if is_zero is None else torch.where(is_zero, a, rest)


def integer_pow(x: ArrayLike, y: int) -> Tensor:
    """x to the power of an int."""
    return jnp.power(x, y)


def round(x: ArrayLike, rounding_method: RoundingMethod | int = RoundingMethod.AWAY_FROM_ZERO) -> Tensor:
    """The nearest whole number; of two, the one away from 0 or, for TO_NEAREST_EVEN, the even one."""
    x = as_tensor("round", x)
    return (
        torch.round(x)
        if RoundingMethod(rounding_method) is RoundingMethod.TO_NEAREST_EVEN
        else torch.where(torch.abs(x - torch.trunc(x)) == 0.5, torch.trunc(x) + torch.sign(x), torch.round(x))
    )


def clamp(min: ArrayLike, x: ArrayLike, max: ArrayLike) -> Tensor:
    """Limit x to [min, max]; the order of the arguments is that of JAX. At a limit, all derivatives are 0."""
    return in_wider(kinks.clamp)(*promote("clamp", min, x, max))


def select(pred: ArrayLike, on_true: ArrayLike, on_false: ArrayLike) -> Tensor:
    """on_true where pred holds, else on_false; both are computed."""
    return jnp.where(pred, on_true, on_false)


def select_n(which: ArrayLike, *cases: ArrayLike) -> Tensor:
    """cases[which], element by element; a bool selects between two."""
    index = as_tensor("select_n", which).to(torch.int32)
    *rest, result = promote("select_n", *cases)
    for number in reversed(range(len(rest))):
        result = torch.where(index <= number, rest[number], result)
    return result


def reduce_sum(operand: ArrayLike, axes: Sequence[int]) -> Tensor:
    """The sum over axes, in the dtype of the operand."""
    x = as_tensor("reduce_sum", operand)
    return jnp.sum(x, tuple(axes), x.dtype)


def reduce_prod(operand: ArrayLike, axes: Sequence[int]) -> Tensor:
    """The product over axes, in the dtype of the operand."""
    x = as_tensor("reduce_prod", operand)
    return jnp.prod(x, tuple(axes), x.dtype)


def reduce_max(operand: ArrayLike, axes: Sequence[int]) -> Tensor:
    """The largest element over axes."""
    return jnp.max(operand, tuple(axes))


def reduce_min(operand: ArrayLike, axes: Sequence[int]) -> Tensor:
    """The smallest element over axes."""
    return jnp.min(operand, tuple(axes))


def reduce_and(operand: ArrayLike, axes: Sequence[int]) -> Tensor:
    """Whether all of the bools over axes are true."""
    return jnp.all(operand, tuple(axes))


def reduce_or(operand: ArrayLike, axes: Sequence[int]) -> Tensor:
    """Whether one of the bools over axes is true."""
    return jnp.any(operand, tuple(axes))


def reduce_xor(operand: ArrayLike, axes: Sequence[int]) -> Tensor:
    """The exclusive or of the bits of integers, or of bools, over axes."""
    x = as_tensor("reduce_xor", operand)
    for axis in sorted(all_axes("reduce_xor", tuple(axes), x.ndim), reverse=True):
        x = _folded(x, axis)
    return x


def _folded(x: Tensor, axis: int) -> Tensor:
    """Combine halves of an axis until one slice is left."""
    x = torch.nn.functional.pad(torch.movedim(x, axis, -1), (0, 1))
    while (n := x.shape[-1]) > 1:
        halves = x[..., : n // 2] ^ x[..., n // 2 : n // 2 * 2]
        x = torch.cat([halves, x[..., -1:]], -1) if n % 2 else halves
    return x[..., 0]


def argmax(operand: ArrayLike, axis: int, index_dtype: DType = torch.int32) -> Tensor:
    """The position of the largest element along an axis."""
    return jnp.argmax(operand, axis).to(as_dtype("argmax", index_dtype))


def argmin(operand: ArrayLike, axis: int, index_dtype: DType = torch.int32) -> Tensor:
    """The position of the smallest element along an axis."""
    return jnp.argmin(operand, axis).to(as_dtype("argmin", index_dtype))


def _cumulative(name: str, f: Callable[[Tensor, int], Tensor], doc: str) -> Callable[..., Tensor]:
    """Make a cumulative reduction, which may run from the end."""

    def function(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Tensor:
        x = as_tensor(name, operand)
        axis = one_axis(name, axis, x.ndim)
        return f(x.flip(axis), axis).flip(axis) if reverse else f(x, axis)

    return named(function, name, doc)


def _cumsum(x: Tensor, axis: int) -> Tensor:
    return torch.cumsum(x, axis, dtype=x.dtype)


def _cumprod(x: Tensor, axis: int) -> Tensor:
    return torch.cumprod(x, axis, dtype=x.dtype)


def _cummax(x: Tensor, axis: int) -> Tensor:
    return torch.cummax(x, axis).values


def _cummin(x: Tensor, axis: int) -> Tensor:
    return torch.cummin(x, axis).values


cumsum = _cumulative("cumsum", _cumsum, "The sums up to each element, or from it on if reverse.")
cumprod = _cumulative("cumprod", _cumprod, "The products up to each element, or from it on if reverse.")
cummax = _cumulative("cummax", _cummax, "The largest elements up to each, or from it on if reverse.")
cummin = _cumulative("cummin", _cummin, "The smallest elements up to each, or from it on if reverse.")
cumlogsumexp = _cumulative("cumlogsumexp", torch.logcumsumexp, "log(cumsum(exp(x))), or from the end if reverse.")


def sort(operand: ArrayLike, dimension: int = -1, is_stable: bool = True, num_keys: int = 1) -> Any:
    """Sort an array along an axis; of a sequence of arrays, all by the first num_keys."""
    if not isinstance(operand, list | tuple):
        return jnp.sort(operand, dimension)
    arrays = [as_tensor("sort", x) for x in operand]
    order = jnp.lexsort(arrays[:num_keys][::-1], dimension).long()
    return tuple(torch.gather(x, dimension, order) for x in arrays)


def sort_key_val(
    keys: ArrayLike, values: ArrayLike, dimension: int = -1, is_stable: bool = True
) -> tuple[Tensor, Tensor]:
    """Sort keys along an axis, and values by them; equal keys keep their order."""
    first, second = sort((keys, values), dimension)
    return first, second


def top_k(operand: ArrayLike, k: int, *, axis: int = -1) -> tuple[Tensor, Tensor]:
    """The k largest elements along an axis in descending order, and their positions, int32; of equal ones the first."""
    x = as_tensor("top_k", operand)
    axis = one_axis("top_k", axis, x.ndim)
    if not 0 <= k <= x.shape[axis]:
        raise ValueError(f"top_k: expected k from 0 to {x.shape[axis]}, the length of the axis, got {k}.")
    values, order = torch.sort(x, dim=axis, descending=True, stable=True)
    return values.narrow(axis, 0, k), order.narrow(axis, 0, k).to(torch.int32)


def approx_max_k(
    operand: ArrayLike, k: int, reduction_dimension: int = -1, recall_target: float = 0.95, **hints: Any
) -> tuple[Tensor, Tensor]:
    """The k largest elements, as those of `top_k`: they are exact, whatever the recall_target."""
    return top_k(operand, k, axis=reduction_dimension)


def approx_min_k(
    operand: ArrayLike, k: int, reduction_dimension: int = -1, recall_target: float = 0.95, **hints: Any
) -> tuple[Tensor, Tensor]:
    """The k least elements in ascending order, and their positions; they are exact, whatever the recall_target."""
    values, places = top_k(-as_tensor("approx_min_k", operand), k, axis=reduction_dimension)
    return -values, places


def optimization_barrier(operand: Any) -> Any:
    """Return the operand; in JAX, operations are not moved across it."""
    return operand


def batch_matmul(lhs: ArrayLike, rhs: ArrayLike, precision: Any = None) -> Tensor:
    """Products of matrices in the last two axes."""
    return jnp.matmul(lhs, rhs)


def dot_general(
    lhs: ArrayLike,
    rhs: ArrayLike,
    dimension_numbers: Any,
    precision: Any = None,
    preferred_element_type: DType | None = None,
) -> Tensor:
    """Sum over pairs of axes, and keep pairs of batch axes.

    Args:
        lhs, rhs: The arrays.
        dimension_numbers: ((summed axes of lhs, of rhs), (batch axes of lhs, of rhs)).
        precision: Accepted; products are computed in the dtype of the operands, or in a wider preferred one.
        preferred_element_type: The dtype of the result. None: that of the operands.
    Returns:
        An array with the batch axes, then the others of lhs, then the others of rhs.
    """
    x, y = operands_in(preferred_element_type, promote("dot_general", lhs, rhs))
    (x_sum, y_sum), (x_batch, y_batch) = dimension_numbers
    letters = iter("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    left, right = [next(letters) for _ in range(x.ndim)], [next(letters) for _ in range(y.ndim)]
    for i, k in zip((*x_sum, *x_batch), (*y_sum, *y_batch), strict=True):
        right[k] = left[i]
    batch = [left[i] for i in x_batch]
    rest = [name for i, name in enumerate(left) if i not in (*x_sum, *x_batch)]
    rest += [name for i, name in enumerate(right) if i not in (*y_sum, *y_batch)]
    result = torch.einsum(f"{''.join(left)},{''.join(right)}->{''.join(batch + rest)}", x, y)
    return result_in(preferred_element_type, result)
