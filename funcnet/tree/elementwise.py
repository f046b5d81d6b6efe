"""Elementwise functions of whole lists of leaves, with one call of torch per list in place of one per leaf.

A call from Python costs more than the arithmetic of a small leaf. torch's `_foreach` operations loop over the tensors
of a list in C++ and call the same kernels, so the results have the same bits.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import optree
import torch
from torch import Tensor

from funcnet import _torch
from funcnet.tree.flattening import NAMESPACE, Structure, Tree
from funcnet.tree.nodes import align, map_as

_FEW = 8  # leaves for which a loop in Python takes less time
_LARGE = 1 << 15  # elements per leaf for which the lists' results leave the cache
_MOST = 1 << 18  # elements in a list: its intermediate results stay in a cache
_is_cpu, _dtype, _requires_grad = map(operator.attrgetter, ("is_cpu", "dtype", "requires_grad"))
_EXACT = (torch.float32, torch.float64)  # where a Python number is rounded to the dtype before it is multiplied


def map_elementwise(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Apply f as `tree.map` does; f is elementwise, and may be called with a `Column` in the place of each tensor."""
    found = map_columns(f, tree, *rest)
    return map_as("tree.map", f, tree, *rest) if found is None else found


def map_columns(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree | None:
    """Apply an elementwise f to the leaves of all trees; return None where that must be done leaf by leaf.

    That is so unless there are several leaves, each is a plain real floating-point tensor of the CPU, those of a tree
    have one dtype, and neither a derivative nor a mode is to see the operations on the single leaves.
    """
    if _is_observed():
        return None
    try:
        first, spec = _flatten(tree)
        rows = _by_columns(lambda *row: (f(*row),), [first, *map(spec.flatten_up_to, rest)])
    except (TypeError, ValueError, RuntimeError, RecursionError):  # raised again, with the path of the leaf
        return None
    return None if rows is None else spec.unflatten(rows[0])


def map_several(f: Callable[..., tuple[Any, ...]], tree: Tree, *rest: Tree) -> tuple[Tree, ...]:
    """Apply an elementwise f that returns one result per tree, and return a tree of results like each of the trees.

    f is called where the first tree is None, too.
    """
    first, spec = _flatten(tree)
    columns = [first, *(align("tree.map", spec, tree, other) for other in rest)]
    found: Sequence[Sequence[Any]] | None = None if _is_observed() else _by_columns(f, columns)
    if found is None:
        rows = [f(*row) for row in zip(*columns, strict=True)]
        found = [*zip(*rows, strict=True)] or columns
    return tuple(_rebuilt(spec, leaves, like) for leaves, like in zip(found, (tree, *rest), strict=True))


class Column:
    """Tensors of one dtype, as an argument of an elementwise function."""

    __slots__ = ("dtype", "tensors")

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors, self.dtype = tensors, tensors[0].dtype

    @property
    def shape(self) -> list[torch.Size]:
        return [tensor.shape for tensor in self.tensors]

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> "Column":
        return _run(function, *args, **(kwargs or {}))

    def __add__(self, other: Any) -> "Column":
        return _run(torch.add, self, other)

    def __sub__(self, other: Any) -> "Column":
        return _run(torch.sub, self, other)

    def __mul__(self, other: Any) -> "Column":
        if type(other) is float and self.dtype in _EXACT:
            other = torch.full((), other, dtype=self.dtype)  # converted once, not once per leaf
        return _run(torch.mul, self, other)

    def __truediv__(self, other: Any) -> "Column":
        return _run(torch.div, self, other)

    def to(self, dtype: torch.dtype) -> "Column":
        return Column([tensor.to(dtype) for tensor in self.tensors])

    __radd__, __rmul__ = __add__, __mul__


def _run(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Column:
    """Run an operation of torch on the tensors of all columns."""
    parts = [arg.tensors if isinstance(arg, Column) else arg for arg in args]
    each = _torch.OF_LISTS.get(function)
    if each is not None and not kwargs and isinstance(args[0], Column) and not _has_weights(function, args):
        return Column(each(*parts))
    count = next(len(arg.tensors) for arg in args if isinstance(arg, Column))
    columns = [part if isinstance(arg, Column) else [arg] * count for arg, part in zip(args, parts, strict=True)]
    return Column([function(*row, **kwargs) for row in zip(*columns, strict=True)])


def _has_weights(function: Any, args: Sequence[Any]) -> bool:
    """Tell whether an operation is lerp with a tensor as weight, of which torch's takes a list."""
    return function is torch.lerp and isinstance(args[2], Tensor)


def _is_observed() -> bool:
    """Tell whether something besides autograd sees the next operation, and not only its result."""
    return (
        _torch.is_transforming()
        or _torch.is_dispatching()
        or _torch.is_in_unguarded_mode()
        or torch.compiler.is_compiling()
    )


def _flatten(tree: Tree) -> tuple[list[Any], Structure]:
    return optree.tree_flatten(tree, none_is_leaf=True, namespace=NAMESPACE)


def _rebuilt(spec: Structure, leaves: Sequence[Any], like: Tree) -> Tree:
    """Build a tree, of the class of dicts and the order of keys that another one has."""
    tree, wanted = spec.unflatten(leaves), _flatten(like)[1]
    return tree if wanted == spec else wanted.unflatten(wanted.flatten_up_to(tree))


def _by_columns(f: Callable[..., tuple[Any, ...]], columns: Sequence[list[Any]]) -> list[list[Tensor]] | None:
    """Return the columns of f's results; None if f must be called leaf by leaf."""
    if len(columns[0]) < _FEW or not all(map(_is_plain, columns)):
        return None
    if sum(map(Tensor.numel, columns[0])) > _LARGE * len(columns[0]):
        return None
    parts = [f(*(Column(column[part]) for column in columns)) for part in _parts(columns[0])]
    return [[leaf for part in column for leaf in part.tensors] for column in zip(*parts, strict=True)]


def _is_plain(column: Sequence[Any]) -> bool:
    if {*map(type, column)} != {Tensor}:
        return False
    dtypes = {*map(_dtype, column)}
    is_constant = not (torch.is_grad_enabled() and any(map(_requires_grad, column)))
    return len(dtypes) == 1 and dtypes.pop().is_floating_point and all(map(_is_cpu, column)) and is_constant


def _parts(column: Sequence[Tensor]) -> Iterator[slice]:
    """Split a list into parts that are not too large, or have one tensor."""
    start = total = 0
    for i, size in enumerate(map(Tensor.numel, column)):
        total += size
        if total > _MOST and i > start:
            yield slice(start, i)
            start, total = i, size
    yield slice(start, len(column))
