"""Exchanges of values between the examples of a vmap that has an axis name."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.numpy.axes import one_axis
from funcnet.numpy.promotion import as_tensor
from funcnet.transforms import all_gather, axis_index, axis_size, psum
from funcnet.tree import Tree

__all__ = ["all_to_all", "ppermute", "pshuffle", "psum_scatter", "pswapaxes"]


def ppermute(x: Tree, axis_name: Hashable, perm: Iterable[tuple[int, int]]) -> Any:
    """Send values from examples to others: for each pair (source, destination) of perm.

    Args:
        x: A tree of tensors and numbers.
        axis_name: The axis_name of a vmap around this call.
        perm: The pairs. An example that is not a destination receives zeros.
    Raises:
        NameError: No vmap of this name runs.
        ValueError: An example occurs twice as a source or as a destination, or does not exist.
    Example:
        >>> shift = lambda x: fn.lax.ppermute(x, "i", [(0, 1), (1, 2)])
        >>> fn.vmap(shift, axis_name="i")(torch.tensor([5.0, 6.0, 7.0]))
        tensor([0., 5., 6.])
    """
    pairs, size = [*perm], axis_size(axis_name)
    for places in zip(*pairs, strict=True):
        if len({*places}) < len(places) or not all(0 <= place < size for place in places):
            raise ValueError(f"ppermute: expected each of {size} examples at most once on each side, got {pairs}.")
    sources = {destination: source for source, destination in pairs}
    table = torch.tensor([sources.get(place, -1) for place in range(size)])
    return tree.map(lambda leaf: _from(table, axis_name, leaf), x)


def _from(table: Tensor, axis_name: Hashable, leaf: Any) -> Tensor:
    values = all_gather(as_tensor("ppermute", leaf), axis_name)
    source = _at(table.to(values.device), 0, axis_index(axis_name))
    received = _at(values, 0, source.clamp(min=0))
    return torch.where(source < 0, torch.zeros_like(received), received)  # bools stay bools


def _at(x: Tensor, axis: int, place: Tensor) -> Tensor:
    return x.index_select(axis, place[None]).squeeze(axis)


def pshuffle(x: Tree, axis_name: Hashable, perm: Sequence[int]) -> Any:
    """Give each example the value of another one: example i that of perm[i].

    Example:
        >>> fn.vmap(lambda x: fn.lax.pshuffle(x, "i", [2, 0, 1]), axis_name="i")(torch.tensor([5.0, 6.0, 7.0]))
        tensor([7., 5., 6.])
    """
    if sorted(perm) != [*range(axis_size(axis_name))]:
        raise ValueError(f"pshuffle: expected a permutation of {axis_size(axis_name)} examples, got {perm}.")
    return ppermute(x, axis_name, zip(perm, range(len(perm)), strict=True))


def all_to_all(
    x: Tree,
    axis_name: Hashable,
    split_axis: int,
    concat_axis: int,
    *,
    axis_index_groups: None = None,
    tiled: bool = False,
) -> Any:
    """Send the parts of each example's tensor along an axis, one to each example, which puts them together.

    Args:
        x: A tree of tensors.
        axis_name: The axis_name of a vmap around this call.
        split_axis: The axis of the parts. Its length is the number of examples, or a multiple of it if tiled.
        concat_axis: Where the result has the axis of the examples from which its parts come.
        axis_index_groups: Must be None.
        tiled: Whether parts are slices that are concatenated, instead of entries that are stacked.
    Raises:
        NameError: No vmap of this name runs.
        ValueError: The length of an axis is another one.
    Example:
        >>> columns = fn.vmap(lambda row: fn.lax.all_to_all(row, "i", 0, 0), axis_name="i")
        >>> columns(torch.tensor([[1, 2], [3, 4]]))
        tensor([[1, 3],
                [2, 4]])
    """
    _check_groups("all_to_all", axis_index_groups)

    def exchanged(leaf: Tensor) -> Tensor:
        values = all_gather(leaf, axis_name)
        mine = _part("all_to_all", values, one_axis("all_to_all", split_axis, leaf.ndim) + 1, axis_name, tiled)
        place = one_axis("all_to_all", concat_axis, leaf.ndim)
        joined = mine.movedim(0, place)
        return joined.flatten(place, place + 1) if tiled else joined

    return tree.map(exchanged, x)


def _part(name: str, x: Tensor, axis: int, axis_name: Hashable, tiled: bool) -> Tensor:
    """Return this example's part along an axis: a slice if tiled, else an entry without the axis."""
    count, length = axis_size(axis_name), x.shape[axis]
    if length % count or (length != count and not tiled):
        allowed = f"a multiple of {count}" if tiled else f"{count} entries"
        raise ValueError(f"{name}: expected an axis of {allowed}, one per example, got {length}.")
    blocks = x.unflatten(axis, (count, length // count)) if tiled else x
    return _at(blocks, axis, axis_index(axis_name))


def _check_groups(name: str, groups: Any) -> None:
    if groups is not None:
        raise NotImplementedError(f"{name}: expected axis_index_groups=None, got {groups!r}. Nest two vmaps instead.")


def pswapaxes(x: Tree, axis_name: Hashable, axis: int, *, axis_index_groups: None = None) -> Any:
    """Exchange an axis with that of the examples: `all_to_all` with this axis twice."""
    return all_to_all(x, axis_name, axis, axis, axis_index_groups=axis_index_groups)


def psum_scatter(
    x: Tree, axis_name: Hashable, *, scatter_dimension: int = 0, axis_index_groups: None = None, tiled: bool = False
) -> Any:
    """Sum over all examples, and give each example a part of the sum along an axis; arguments as for `all_to_all`.

    Example:
        >>> fn.vmap(lambda x: fn.lax.psum_scatter(x, "i"), axis_name="i")(torch.tensor([[1, 2], [3, 4]]))
        tensor([4, 6])
    """
    _check_groups("psum_scatter", axis_index_groups)

    def part(total: Tensor) -> Tensor:
        axis = one_axis("psum_scatter", scatter_dimension, total.ndim)
        return _part("psum_scatter", total, axis, axis_name, tiled)

    return tree.map(part, psum(x, axis_name))
