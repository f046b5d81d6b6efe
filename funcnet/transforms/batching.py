"""Batches and ensembles: a function of one example becomes a function of many."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import WRAPPER_ASSIGNMENTS, partial, update_wrapper
from itertools import starmap
from typing import Any, Generic, ParamSpec, TypeVar

import torch
from torch import Tensor

from funcnet import tree
from funcnet.reprs import Shown, text
from funcnet.tracebacks import boundary
from funcnet.transforms.axis_names import named
from funcnet.transforms.batched_writes import vmap_with_buffers
from funcnet.transforms.flatten import Flattener, check_function, transformed
from funcnet.transforms.purity import Pure
from funcnet.transforms.wrapped import global_name
from funcnet.tree import Tree
from funcnet.tree.conversion import arrays_as_tensors
from funcnet.tree.nodes import prefix_leaves

P = ParamSpec("P")
R = TypeVar("R")


def vmap(
    f: Callable[P, R],
    in_dims: Any = 0,
    out_dims: Any = 0,
    *,
    chunk_size: int | None = None,
    axis_name: Hashable | None = None,
    axis_size: int | None = None,
    spmd_axis_name: Any = None,
    in_axes: Any = ...,
    out_axes: Any = ...,
) -> "Vmap[P, R]":
    """Transform a function of one example into a function of many, batched along an axis of its tensors.

    f may write in place to tensors that it creates: `out = torch.zeros(3); out[0] = x.sum()` fills one `out` per
    example. Where torch.func.vmap refuses such a write, f runs again and creates these tensors with a batch axis.

    Args:
        f: Any function of pytrees.
        in_dims: The axis to map over in every tensor: an int, None for an argument that all examples share, or a tree
            of them that is a prefix of the tuple of arguments. Keyword arguments are mapped over axis 0, as in JAX.
            Leaves that are not tensors or numpy arrays are shared by all examples.
        out_dims: The axis at which results are stacked, likewise a prefix of the result; None for a result that does
            not depend on the mapped arguments.
        chunk_size: How many examples to compute at once; fewer need less memory. None: all.
        axis_name: A name by which f refers to the mapped axis, in `psum`, `pmean`, `pmax`, `pmin`, `all_gather` and
            `axis_index`: f then computes with values of the other examples. `jit` does not make such an axis lanes.
        axis_size: The number of examples; required if no tensor is mapped.
        spmd_axis_name: Accepted as in JAX; it has no effect.
        in_axes, out_axes: The names of in_dims and out_dims in JAX.
    Returns:
        A `Vmap`, called like f.
    Raises:
        ValueError: No tensor is mapped, one lacks the axis, the sizes differ, or in_dims does not fit the arguments;
            chunk_size is below 1, or given with an axis_name.
        TypeError: An axis is neither an int nor None; or axes are given under both names.
        RuntimeError: f writes in place to an argument or to a tensor that it closes over; write to a copy of it. The
            write may already have happened; one through `.data` of a tensor that f closes over is not detected.
    Example:
        >>> fn.vmap(torch.dot, in_dims=(0, None))(torch.eye(2), torch.tensor([3.0, 4.0]))
        tensor([3., 4.])
    """
    check_function("vmap", f)
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"vmap: expected a chunk_size of at least 1, or None for all at once, got {chunk_size}.")
    if chunk_size is not None and axis_name is not None:
        raise ValueError("vmap: expected a chunk_size or an axis_name, got both: examples of one chunk see no others.")
    inputs, outputs = _one_of("in_dims", in_dims, in_axes), _one_of("out_dims", out_dims, out_axes)
    return Vmap(f, inputs, outputs, chunk_size, axis_name, axis_size)


def _one_of(name: str, dims: Any, axes: Any) -> Any:
    """Return the axes, which may be given under their name in torch.func or under that in JAX."""
    if axes is ...:
        return dims
    if not isinstance(dims, int) or dims != 0:
        raise TypeError(f"vmap: expected {name} or {name.replace('dims', 'axes')}, two names of one option, got both.")
    return axes


@dataclass(frozen=True)
class Vmap(Shown, Generic[P, R]):
    """A function mapped over an axis; made by `vmap`."""

    f: Callable[P, R]
    in_dims: Any = 0
    out_dims: Any = 0
    chunk_size: int | None = None
    axis_name: Hashable | None = None
    axis_size: int | None = None
    whole_size: int | None = None  # of all examples, if these are a part of them: `jit` rounds as for all

    def __post_init__(self) -> None:
        if not torch.compiler.is_compiling():
            vars(self).update({name: getattr(self.f, name) for name in WRAPPER_ASSIGNMENTS if hasattr(self.f, name)})

    def __repr__(self) -> str:
        options = [field for field in fields(self)[1:] if getattr(self, field.name) != field.default]
        given = "".join(f", {field.name}={text(getattr(self, field.name))}" for field in options)
        return f"vmap({text(self.f)}{given})"

    def __reduce__(self) -> Any:
        return global_name(self) or (Vmap, tuple(getattr(self, field.name) for field in fields(self)))

    @boundary
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Apply f to every example and stack the results."""
        arguments = arrays_as_tensors((args, kwargs) if kwargs else (args,))
        dims = argument_axes(self.in_dims, arguments)
        size = common_size(arguments, dims, self.axis_size)
        inputs, results = Flattener(), _Results(self.out_dims)
        leaves, structure = tree.flatten(arguments)
        tensors = inputs.take(leaves, structure, [dim is not None for dim in dims])
        in_dims = _mapped(dims)
        if not tensors or self.axis_name is not None:
            tensors, in_dims = (*tensors, torch.arange(size)), (*in_dims, 0)

        def flat(*tensors: Tensor) -> Any:
            args, *keywords = inputs.rebuild(tensors)
            with named(self.axis_name, size, tensors):
                return results.split(self.f(*args, **(keywords[0] if keywords else {})))

        if not torch.compiler.is_compiling():  # which cannot trace the wrapping of a partial
            update_wrapper(flat, self.f)
        batched = vmap_with_buffers(flat, in_dims)
        with Pure("vmap", self.f, leaves):
            try:
                return results.join(starmap(batched, _chunks(tensors, in_dims, size, self.chunk_size)), size)
            except IndexError:
                if size:
                    raise
                return results.join(_of_none(batched, tensors, in_dims), 0)


class _Results:
    """The result of f on its way through torch.func.vmap: tensors to stack, and values shared by all examples."""

    def __init__(self, out_dims: Any) -> None:
        self.out_dims = out_dims
        self.axes: tuple[int, ...] = ()
        self.stacked, self.shared = Flattener(), Flattener()

    def split(self, result: Tree) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        dims = axes("out_dims", self.out_dims, result)
        self.axes = _mapped(dims)
        stacked = self.stacked.take(*tree.flatten(result), [dim is not None for dim in dims])
        return stacked, self.shared.split(self.stacked.rest)

    def join(self, chunks: Iterator[tuple[Sequence[Tensor], Sequence[Tensor]]], size: int) -> Tree:
        """Build the result of all examples from those of the chunks, each stacked at axis 0."""
        stacked, shared = next(chunks)
        if not stacked or len(stacked[0]) == size:
            whole = stacked
        elif transformed() or any(part.requires_grad for part in stacked):
            whole = [torch.cat(column) for column in zip(stacked, *(parts for parts, _ in chunks), strict=True)]
        else:  # in place, so that at most one chunk is held besides the result
            whole, done = [part.new_zeros(size, *part.shape[1:]) for part in stacked], 0
            while (done := _put(whole, stacked, done)) < size:
                del stacked
                stacked, _ = next(chunks)
        moved = [leaf.movedim(0, dim) if dim else leaf for leaf, dim in zip(whole, self.axes, strict=True)]
        self.stacked.rest = self.shared.rebuild(shared)
        return self.stacked.rebuild(moved)


def _of_none(batched: Callable[..., Any], tensors: Sequence[Tensor], dims: Sequence[int]) -> Iterator[Any]:
    """Return the results of no examples as a part of those of one example, of zeros.

    torch's own vmap reads the first example of 0-d tensors to find the dtype of a sum, and raises if there is none.
    """
    shapes = [[1 if axis == dim else n for axis, n in enumerate(t.shape)] for t, dim in zip(tensors, dims, strict=True)]
    ones = [torch.cat([t, t.new_zeros(n)], dim) for t, n, dim in zip(tensors, shapes, dims, strict=True)]
    stacked, shared = batched(*ones)
    yield [part.narrow(0, 0, 0) for part in stacked], shared


def _put(whole: Sequence[Tensor], parts: Sequence[Tensor], start: int) -> int:
    """Copy a chunk to its place and return where the next one begins."""
    end = start + len(parts[0])
    for all_parts, part in zip(whole, parts, strict=True):
        all_parts[start:end] = part
    return end


_KEYWORDS = "the axis of keyword arguments"


def argument_axes(in_dims: Any, arguments: tuple[Any, ...]) -> list[int | None]:
    """Return the mapped axis of every leaf of (args, kwargs), or of (args,); None for a shared leaf."""
    args, *keywords = arguments
    return [*axes("in_dims", in_dims, args), *(dim for kwargs in keywords for dim in axes(_KEYWORDS, 0, kwargs))]


def axes(name: str, dims: Any, values: Tree) -> list[int | None]:
    """Return the non-negative mapped axis of every mapped tensor of a tree, and None for its other leaves."""
    dims = tuple(dims) if name == "in_dims" and isinstance(dims, list) else dims
    leaves = tree.leaves(values)
    pairs = enumerate(zip(leaves, _spread(name, dims, values, len(leaves)), strict=True))
    return [None if dim is None else _axis(name, leaf, dim, partial(_place, values, i)) for i, (leaf, dim) in pairs]


def _spread(name: str, dims: Any, values: Tree, count: int) -> list[Any]:
    """Return the part of dims for each of the leaves."""
    if _is_axis(dims):
        return [dims] * count
    if type(dims) is type(values) is tuple and len(dims) == len(values) and all(map(_is_axis, dims)):  # as mostly
        return [dim for dim, value in zip(dims, values, strict=True) for _ in tree.leaves(value)]
    try:
        return prefix_leaves(dims, values)
    except ValueError as error:
        raise ValueError(
            f"vmap: expected {name} to be an int, None or a prefix of the tree it describes, got {dims!r}: {error}"
        ) from error


def _is_axis(dim: Any) -> bool:
    return dim is None or type(dim) is int


def _place(values: Tree, i: int) -> str:
    return tree.place(tree.paths(values)[i])


def _mapped(dims: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(dim for dim in dims if dim is not None)


def common_size(arguments: Tree, dims: Sequence[int | None], given: int | None = None) -> int:
    """Return the size of the mapped axis, which all mapped tensors, and the given one, have in common."""
    leaves = tree.leaves(arguments)
    found = [leaf.shape[dim] for leaf, dim in zip(leaves, dims, strict=True) if dim is not None]
    if len({*found, *([] if given is None else [given])}) != 1:
        paths = zip(tree.paths(arguments), dims, strict=True)
        names = (path.partition(".")[2] for path, dim in paths if dim is not None)  # without 0 for args, 1 for kwargs
        by_path = dict(zip(names, found, strict=True)) or "no mapped tensor"
        raise ValueError(
            f"vmap: expected one size of the mapped axis in all arguments{_and_size(given)}, got {by_path}."
            " Paths start with the argument's position or keyword; in_dims None shares an argument among all examples."
        )
    return found[0] if found else given or 0


def _and_size(given: int | None) -> str:
    return "" if given is None else f", axis_size {given}"


def _axis(name: str, leaf: Any, dim: Any, place: Callable[[], str]) -> int | None:
    if not isinstance(dim, int):
        raise TypeError(f"vmap: at {place()}: expected {name} to be an int or None, got {dim!r}.")
    if not isinstance(leaf, Tensor):
        return None
    count = leaf.ndim + (name == "out_dims")
    if name == _KEYWORDS and not leaf.ndim:
        raise ValueError(
            f"vmap: keyword arguments are mapped over axis 0, but the one at {place()} is a 0-d tensor."
            " Pass it by position with in_dims None there, or close over it, to share it among all examples."
        )
    if not -count <= dim < count:
        raise ValueError(
            f"vmap: at {place()}: {name} asks for axis {dim}, got shape {tuple(leaf.shape)}. "
            f"Set {name} to None there to share one value among all examples."
        )
    return dim % count


def _chunks(
    tensors: Sequence[Tensor], dims: Sequence[int], size: int, chunk_size: int | None
) -> Iterator[Sequence[Tensor]]:
    if chunk_size is None or chunk_size >= size:
        yield tensors
        return
    for start in range(0, size, chunk_size):
        stop = min(start + chunk_size, size)
        yield [tensor.narrow(dim, start, stop - start) for tensor, dim in zip(tensors, dims, strict=True)]
