"""x[i], for a 0-d tensor i that differs between examples, as the view of x that it is in one example.

It is a copy under vmap. A write to the copy is therefore followed by the same write to x, and the copy must not be used
once x has changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from funcnet import _torch, tree
from funcnet.transforms.mapped_indices import selects, set_items
from funcnet.transforms.refusals import ImpureError

_STALE = (
    "vmap: x[i], for a tensor i that differs between examples, is used after a write to x, but it is a copy from"
    " before that write. Take x[i].clone() before the write, or x[i] after it."
)


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

    def run(self, call: Callable[..., Any], func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Call a function by `call`, and keep the copies and their places equal."""
        if self.is_used:
            self.check((args, kwargs))
        result = call(func, args, kwargs)
        if self.is_used:
            self.update(call, result)
        if func is Tensor.__getitem__ and selects(args[1]):
            self.note(result, *args)
        return result

    def update(self, call: Callable[..., Any], result: Any) -> None:
        """Repeat writes to copies in their places, and find new views of copies."""
        copies = {_memory(copy): copy for copy in [*self.places]}
        for copy, place in [*self.places.items()]:
            if _version(copy) != place.version_of_copy:
                place.version_of_copy = _version(copy)  # no second attempt while an error of the first one is handled
                call(set_items, (place.x, place.index, copy), {})
                self.note(copy, place.x, place.index)
        for leaf in tree.leaves(result):
            if isinstance(leaf, Tensor) and leaf not in self.places and _memory(leaf) in copies:
                self.viewed[leaf] = copies[_memory(leaf)]

    def note(self, copy: Tensor, x: Tensor, index: Any) -> None:
        self.is_used = True
        self.places[copy] = _Place(x, index, _version(x), _version(copy))

    def check(self, results: Any) -> None:
        """Raise if one of the tensors is a copy of an x that has changed, or shares memory with one."""
        stale = {_memory(copy) for copy, place in self.places.items() if _version(place.x) != place.version}
        if stale and any(_memory(leaf) in stale for leaf in tree.leaves(results) if isinstance(leaf, Tensor)):
            raise ImpureError(_STALE)


def _version(x: Tensor) -> int:
    x = _torch.unwrapped(x)
    return 0 if x.is_inference() else x._version  # inference mode counts no versions


def _memory(x: Tensor) -> int | None:
    try:
        return _torch.storage_number(_torch.unwrapped(x))
    except NotImplementedError:  # a sparse tensor, for example
        return None
