"""Small pools as elementwise operations on the elements of the windows. A large pool stays one operation."""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from funcnet.compiler.decompositions.windows import Windows

Rule = Callable[..., Any]


def pooling_rules() -> dict[Any, Rule]:
    """Return the rules for pools over two and three axes; torch computes pools over one axis by those over two."""
    aten = torch.ops.aten
    return {
        aten.max_pool2d_with_indices.default: _of_axes(2, _max_pool),
        aten.max_pool3d_with_indices.default: _of_axes(3, _max_pool),
        aten.max_pool2d_with_indices_backward.default: _of_axes(2, _max_pool_backward, values=2),
        aten.max_pool3d_with_indices_backward.default: _of_axes(3, _max_pool_backward, values=2),
        aten.avg_pool2d.default: _of_axes(2, _avg_pool),
        aten.avg_pool3d.default: _of_axes(3, _avg_pool),
        aten.avg_pool2d_backward.default: _of_axes(2, _avg_pool_backward, values=2),
        aten.avg_pool3d_backward.default: _of_axes(3, _avg_pool_backward, values=2),
    }


def _of_axes(axes: int, rule: Rule, values: int = 1) -> Rule:
    """Expand sizes to one per axis: torch also accepts one size for all axes, and the stride defaults to the kernel."""

    def of_axes(*args: Any) -> Any:
        given, (kernel, *options) = args[:values], args[values:]
        sizes = list(kernel) * (axes // len(kernel))
        stride = options.pop(0) if options else ()
        return rule(*given, sizes, list(stride) or sizes, *options)

    return of_axes


def _max_pool(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> Any:
    """Return the first largest element of each window, or its last NaN, and the index of that element in x."""
    if not x.is_floating_point():
        return NotImplemented  # the maximum starts from -inf, which integers lack
    if ceil_mode or (at := Windows(x.shape, kernel, stride, padding, dilation)).is_large:
        return NotImplemented
    origin, first = _origins(at, x)
    best, index = x.new_full((*x.shape[: -len(kernel)], *at.positions), -math.inf), first
    for element, start in zip(at.take(x, -math.inf), at.starts, strict=True):
        larger = (element > best) | (element != element)
        best, index = torch.where(larger, element, best), torch.where(larger, origin + _flat(start, at), index)
    return best, index


def _max_pool_backward(
    grad: Tensor,
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    index: Tensor,
) -> Any:
    if ceil_mode or (at := Windows(x.shape, kernel, stride, padding, dilation)).is_large:
        return NotImplemented
    origin, _ = _origins(at, x)
    return at.scatter((torch.where(index == origin + _flat(start, at), grad, 0.0) for start in at.starts), x)


def _avg_pool(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Any:
    if not x.is_floating_point():
        return NotImplemented  # torch rounds the mean of integers
    if ceil_mode or (at := Windows(x.shape, kernel, stride, padding, (1,))).is_large:
        return NotImplemented
    return reduce(torch.add, at.take(x)) / _divisor(at, x, count_include_pad, divisor)


def _avg_pool_backward(
    grad: Tensor,
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Any:
    if ceil_mode or (at := Windows(x.shape, kernel, stride, padding, (1,))).is_large:
        return NotImplemented
    part = grad / _divisor(at, x, count_include_pad, divisor)
    return at.scatter([part] * len(at.starts), x)


def _divisor(at: Windows, x: Tensor, count_include_pad: bool, divisor: int | None) -> Any:
    if divisor is not None or count_include_pad or not any(at.padding):
        return divisor or math.prod(at.kernel)
    return reduce(torch.add, at.take(torch.ones(at.shape, dtype=x.dtype, device=x.device)))


def _origins(at: Windows, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the flat index in x where each window begins, margin included, and that of its first element inside x."""
    origin = first = torch.zeros(at.positions, dtype=torch.int64, device=x.device)
    for axis, skip in enumerate(at.dilation):
        begin = torch.arange(at.positions[axis], device=x.device) * at.stride[axis] - at.padding[axis]
        missing = (skip - 1 - begin.clamp(max=0)) // skip
        along = [-1 if other == axis else 1 for other in range(len(at.positions))]
        unit = math.prod(at.shape[axis + 1 :])
        origin = origin + (begin * unit).reshape(along)
        first = first + ((begin + missing * skip) * unit).reshape(along)
    return origin, first.expand(*x.shape[: -len(at.shape)], *at.positions)


def _flat(start: Sequence[int], at: Windows) -> int:
    return sum(s * math.prod(at.shape[axis + 1 :]) for axis, s in enumerate(start))
