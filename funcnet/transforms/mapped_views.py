"""x[i], for a 0-d tensor i that differs between examples, as the view of x that it is in one example.

It is a copy under vmap. A write to the copy is therefore followed by the same write to x; and a copy that is used after
another write to x is made again, in place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from funcnet import _torch, tree
from funcnet.transforms.mapped_indices import get_items, selects, set_items

Run = Callable[[Any, Any, dict[str, Any]], Any]  # (function, args, kwargs) -> result


@dataclass
class _Place:
    """Where a copy comes from, and the versions of both when they were equal."""

    x: Tensor
    index: Any
    version: int
    version_of_copy: int


class Views:
    """The copies that a function has made by x[i]."""

    def __init__(self) -> None:
        self.is_used = False  # most functions make no copies
        self.places: Any = WeakIdKeyDictionary()  # copy -> its place
        self.viewed: Any = WeakIdKeyDictionary()  # view of a copy -> the copy, which lives as long as it

    def run(self, call: Run, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Call a function by `call`, and keep the copies and their places equal."""
        if self.is_used:
            self.refresh(call, (args, kwargs))
        result = call(func, args, kwargs)
        if self.is_used:
            self.update(call, result)
        if func is Tensor.__getitem__ and selects(args[1]):
            x, index = args
            self.is_used = True
            self.note(result, x, tree.map(_cloned, index))  # as a later write to the index moves no view
        return result

    def refresh(self, call: Run, values: Any) -> None:
        """Make the copies again whose memory is that of one of the tensors, if their x has changed."""
        copies = self.by_memory()
        for leaf in tree.leaves(values):
            if isinstance(leaf, Tensor) and (copy := copies.get(_memory(leaf))) is not None:
                place = self.places[copy]
                self.refresh(call, place.x)
                if _version(place.x) != place.version:
                    call(Tensor.copy_, (copy, call(get_items, (place.x, place.index), {})), {})
                    self.note(copy, place.x, place.index)

    def update(self, call: Run, result: Any) -> None:
        """Repeat writes to copies in their places, and find new views of copies."""
        for copy, place in reversed([*self.places.items()]):  # a copy of a part of a copy comes after it
            if _version(copy) != place.version_of_copy:
                place.version_of_copy = _version(copy)  # no second attempt while an error of the first one is handled
                call(set_items, (place.x, place.index, copy), {})
                self.note(copy, place.x, place.index)
        copies = self.by_memory()
        for leaf in tree.leaves(result):
            if isinstance(leaf, Tensor) and leaf not in self.places and _memory(leaf) in copies:
                self.viewed[leaf] = copies[_memory(leaf)]

    def note(self, copy: Tensor, x: Tensor, index: Any) -> None:
        self.places[copy] = _Place(x, index, _version(x), _version(copy))

    def by_memory(self) -> dict[int | None, Tensor]:
        return {_memory(copy): copy for copy in [*self.places]}


def _cloned(index: Any) -> Any:
    return index.clone() if isinstance(index, Tensor) else index


def _version(x: Tensor) -> int:
    x = _torch.unwrapped(x)
    return 0 if x.is_inference() else x._version  # torch refuses writes to a tensor made in inference mode


def _memory(x: Tensor) -> int | None:
    try:
        return _torch.storage_number(_torch.unwrapped(x))
    except NotImplementedError:  # a sparse tensor, for example
        return None
