"""Shapes of frequent operations: a formula per kind of operation, checked on small tensors by torch's CPU kernel.

torch's own rules for them are Python functions: ten times slower, and their first call imports torch.compile, 1 s. The
kernel runs on tensors with sizes of at most 2, once per operation, dtypes, other arguments and pattern of small sizes.
It gives the dtypes; an operation that it refuses, or whose result is not that of the formula, is left to torch's rule.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import cache
from itertools import pairwise, zip_longest
from typing import Any

import torch
from torch import Tensor

from funcnet._torch import Operation
from funcnet.compiler.tracing.arguments import SEQUENCES, flat, map_tensors
from funcnet.compiler.tracing.spec import META

aten = torch.ops.aten

Shape = tuple[int, ...]
Formula = Callable[..., Shape | None]

_inferred: dict[Hashable, tuple[Shape, tuple[torch.dtype, ...]] | None] = {}  # by shapes: those of the results
_known: dict[Hashable, tuple[torch.dtype, ...] | None] = {}  # by pattern of small sizes: the dtypes of the results
_MOST = 10_000  # keys


def infer(func: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the result of an operation as a meta tensor, or its results as a tuple of them.

    Args:
        func: Any operation.
        args, kwargs: Its arguments, with meta tensors.
    Returns:
        Row-major meta tensors; None if torch's rule is needed: for other operations, other layouts and errors.
    """
    if (formula := _formula(func)) is None:
        return None
    key = func, torch.get_default_dtype(), tuple(kwargs), _layouts((args, tuple(kwargs.values())))
    try:
        found = _inferred[key]
    except KeyError:  # not by `in`: another thread may clear the table after it
        if len(_inferred) >= _MOST:
            _inferred.clear()
        found = _inferred[key] = _infer(func, formula, args, kwargs)
    if found is None:
        return None
    shape, dtypes = found
    results = tuple([torch.empty(shape, dtype=dtype, device=META) for dtype in dtypes])
    return results if len(results) > 1 else results[0]


def _infer(
    func: Any, formula: Formula, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Shape, tuple[torch.dtype, ...]] | None:
    """Return the shape of all results and their dtypes; None if torch's rule is needed."""
    if formula is not _product and not all(map(_is_ordered, _tensors(args, kwargs))):
        return None
    if (shape := formula(*args, **kwargs)) is None:
        return None
    dtypes = _known_dtypes(func, formula, args, kwargs)
    return None if dtypes is None else (shape, dtypes)


def _tensors(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    return [leaf for leaf in flat((args, tuple(kwargs.values()))) if isinstance(leaf, Tensor)]


def _is_ordered(tensor: Tensor) -> bool:
    """Tell whether the axes are in row-major order in memory, with or without gaps; then those of the result are."""
    strides = tensor.stride()
    long = {stride for size, stride in zip(tensor.shape, strides, strict=True) if size > 1}
    if long == {0}:
        return True  # an expanded number
    return 0 not in long and len(long) == sum(size > 1 for size in tensor.shape) and _is_falling(strides)


def _is_falling(strides: Sequence[int]) -> bool:
    return all(outer >= inner for outer, inner in pairwise(strides))


def _known_dtypes(
    func: Any, formula: Formula, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[torch.dtype, ...] | None:
    key = func, torch.get_default_dtype(), tuple(kwargs), _kinds((args, tuple(kwargs.values())))
    try:
        return _known[key]
    except KeyError:
        if len(_known) >= _MOST:
            _known.clear()
        found = _known[key] = _dtypes(func, formula, args, kwargs)
        return found


def _dtypes(
    func: Any, formula: Formula, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[torch.dtype, ...] | None:
    """Return the dtypes of the kernel's results; None if the kernel fails or contradicts the formula."""
    args, kwargs = map_tensors(_small, args), map_tensors(_small, kwargs)
    try:
        found = func(*args, **kwargs)
    except (IndexError, RuntimeError, TypeError, ValueError):
        return None
    results, shape = flat(found), formula(*args, **kwargs)
    fits = all(result.shape == shape and result.is_contiguous() for result in results)
    return tuple([result.dtype for result in results]) if fits else None


def _small(tensor: Tensor) -> Tensor:
    return torch.ones(_small_shape(tensor), dtype=tensor.dtype, device="cpu")


def _small_shape(tensor: Tensor) -> Shape:
    """Replace sizes above 2 by 2: sizes of 0 and 1 have their own rules."""
    return tuple([size if size < 2 else 2 for size in tensor.shape])


def _layouts(value: object) -> Hashable:
    """Return a key of the shapes, strides and dtypes of tensors, and of the other arguments."""
    if isinstance(value, Tensor):
        return value.dtype, value.shape, value.stride()
    if isinstance(value, SEQUENCES):
        return tuple([_layouts(item) for item in value])
    return type(value), value


def _kinds(value: object) -> Hashable:
    """Return a key of all that the kernel's dtypes and errors depend on."""
    if isinstance(value, Tensor):
        return value.dtype, _small_shape(value)
    if isinstance(value, SEQUENCES):
        return tuple([_kinds(item) for item in value])
    return type(value), value


@cache
def _formula(func: Any) -> Formula | None:
    """Return the formula of an operation that returns new tensors of one shape, if there is one."""
    schema = func._schema
    if schema.is_mutable or func.is_view or {str(each.type) for each in schema.returns} != {"Tensor"}:
        return None
    return _FORMULAS.get(func, _broadcast if torch.Tag.pointwise in func.tags else None)


def _broadcast(*args: Any, **kwargs: Any) -> Shape | None:
    """Return the shape to which the shapes of all tensors broadcast, if there is one."""
    tensors = _tensors(args, kwargs)
    found = []
    for sizes in zip_longest(*(reversed(tensor.shape) for tensor in tensors), fillvalue=1):
        others = {*sizes} - {1}
        if len(others) > 1:
            return None
        found.append(others.pop() if others else 1)
    return tuple(found[::-1]) if tensors else None


def _product(a: Tensor, b: Tensor) -> Shape | None:
    """(*, n, m) and (*, m, k) -> (*, n, k), row-major whatever the layouts of a and b."""
    fits = a.ndim == b.ndim >= 2 and a.shape[:-2] == b.shape[:-2] and a.shape[-1] == b.shape[-2]
    return (*a.shape[:-1], b.shape[-1]) if fits else None


def _reduced(x: Tensor, axes: Sequence[int] | None = None, keepdim: bool = False, **_: Any) -> Shape:
    """Drop the given axes, or all; with keepdim their sizes become 1."""
    chosen = {axis % max(x.ndim, 1) for axis in axes} if axes else {*range(x.ndim)}
    sizes = [1 if axis in chosen else size for axis, size in enumerate(x.shape)]
    return tuple(size for axis, size in enumerate(sizes) if keepdim or axis not in chosen)


def _joined(tensors: Sequence[Tensor], axis: int = 0) -> Shape | None:
    """Add the sizes along the axis; the others are equal."""
    first, axis = tensors[0].shape, axis % max(tensors[0].ndim, 1)
    if any((*t.shape[:axis], *t.shape[axis + 1 :]) != (*first[:axis], *first[axis + 1 :]) for t in tensors):
        return None
    return (*first[:axis], sum(t.shape[axis] for t in tensors), *first[axis + 1 :]) if first else None


def _stacked(tensors: Sequence[Tensor], axis: int = 0) -> Shape | None:
    """Insert the number of tensors; their shapes are equal."""
    first, axis = tensors[0].shape, axis % (tensors[0].ndim + 1)
    return (*first[:axis], len(tensors), *first[axis:]) if all(t.shape == first for t in tensors) else None


_FORMULAS: dict[Any, Formula] = {
    aten.mm.default: _product,
    aten.bmm.default: _product,
    aten.sum.default: _reduced,
    aten.sum.dim_IntList: _reduced,
    aten.mean.default: _reduced,
    aten.mean.dim: _reduced,
    aten.amax.default: _reduced,
    aten.amin.default: _reduced,
    aten.var.correction: _reduced,
    aten.var_mean.correction: _reduced,
    aten.cat.default: _joined,
    aten.stack.default: _stacked,
}
