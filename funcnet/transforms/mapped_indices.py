"""Indices that differ between the examples of a vmap, where torch's rules are wrong or ask for values.

Writes, x[:, i] = y: if i is not the first index, the batching rule adds an index of the batch axis in front of it. The
two then have a slice between them, so that torch lays the result out in another order, in which the values do not
belong. Here the axes of i come first. Reads, x[i] with a 0-d i: inside a derivative torch reads the value of i.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch


def is_mapped(x: Any) -> bool:
    """Tell whether a tensor differs between the examples of a vmap."""
    while _torch.is_wrapped(x):
        if _torch.is_batched(x):
            return True
        x = _torch.unwrap(x)
    return False


def selects(index: Any) -> bool:
    """Tell whether an index, or a tuple of indices, has 0-d tensors that are mapped and no other tensors."""
    parts = index if isinstance(index, tuple) else (index,)
    tensors = [part for part in parts if isinstance(part, Tensor)]
    return any(map(is_mapped, tensors)) and not any(t.ndim for t in tensors) and all(map(_is_plain, parts))


def get_items(x: Tensor, index: Any) -> Tensor:
    """Compute x[index].

    Args:
        x: (*sizes).
        index: An index or a tuple of indices; mapped 0-d tensors among them select a part of their axis each.
    Returns:
        A tensor of the shape that x[index] has in one example; mapped 0-d indices drop their axes.
    """
    if not selects(index):
        return x[index]
    view, indices = _split(x, index if isinstance(index, tuple) else (index,))
    # The gradient of index_select would need x, and that of an index needs the index: f may write to both.
    for axis, part in reversed([*enumerate(indices)]):
        if part is not None:
            view = view[(slice(None),) * axis + (part.clone().reshape(1),)].squeeze(axis)
    return view


def set_items(x: Tensor, index: Any, value: Any) -> None:
    """Do x[index] = value.

    Args:
        x: (*sizes), written to in place.
        index: An index or a tuple of indices; mapped integer tensors among them broadcast to one shape, (*places).
        value: A number, or a tensor that broadcasts to the shape of x[index]: (*sizes before the first tensor,
            *places, *other sizes).
    """
    parts = index if isinstance(index, tuple) else (index,)
    if not any(map(is_mapped, parts)) or not all(map(_is_plain, parts)):
        x[index] = value
        return
    view, indices = _split(x, parts)
    places = [n for n, index in enumerate(indices) if index is not None]
    axes, count = torch.broadcast_shapes(*(indices[n].shape for n in places)), places[0]
    if axes and (not count or places[-1] - count >= len(places)):  # torch lays the axes of the indices out first
        x[index] = value
        return
    rest = [size for n, size in enumerate(view.shape) if n not in places]
    value = _stripped(torch.as_tensor(value).to(x)).expand([*rest[:count], *axes, *rest[count:]])
    value = value.movedim(tuple(range(count, count + len(axes))), tuple(range(len(axes)))) if axes else value[None]
    front = view.movedim(tuple(places), tuple(range(len(places))))
    each = _torch.example_mask(x.device)  # an index of all vmaps: those of outer ones only are behind the inner axes
    mapped = [indices[n] if each is None else torch.where(each, indices[n], indices[n]) for n in places]
    front[tuple(map(torch.atleast_1d, mapped))] = value


def _stripped(value: Tensor) -> Tensor:
    """Remove leading axes of size 1, which an assignment ignores: (1, ..., 1, n, *) -> (n, *)."""
    while value.ndim and len(value) == 1:
        value = value[0]
    return value


def _split(x: Tensor, parts: Sequence[Any]) -> tuple[Tensor, list[Any]]:
    """Apply the indices that are not tensors.

    Returns:
        The view, which keeps the axes that tensors index, and a list with one entry per axis of it: the tensor that
        indexes the axis, or None.
    """
    used = sum(part is not None and part is not ... for part in parts)
    indices: list[Any] = []
    for part in parts:
        if isinstance(part, Tensor):
            indices.append(part)
        elif not isinstance(part, int):
            indices += [None] * (x.ndim - used if part is ... else 1)
    return x[tuple(slice(None) if isinstance(part, Tensor) else part for part in parts)], indices


def _is_plain(part: Any) -> bool:
    is_number = isinstance(part, int) and not isinstance(part, bool)
    return part is None or part is ... or is_number or isinstance(part, slice) or _is_integer(part)


def _is_integer(index: Any) -> bool:
    return isinstance(index, Tensor) and not index.is_floating_point() and index.dtype not in (torch.bool, torch.uint8)


FUNCTIONS: dict[Any, Callable[..., Any]] = {Tensor.__getitem__: get_items, Tensor.__setitem__: set_items}
