"""Two operations of torch that call Python functions, so that traced programs can contain such calls.

An operation takes the number of a call in a table. Under vmap it becomes the same call for a whole batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch
from funcnet.compiler.errors import BatchingError


@dataclass(frozen=True)
class PythonCall:
    """A call of a Python function.

    Attributes:
        run: From the tensors of one example to those of its results.
        like: The shape, dtype and device of each result; None for a call without results.
        method: How vmap batches it: "sequential", "expand_dims", "broadcast_all" or None.
        batch: The sizes of the batch axes, which are the first ones of every tensor.
    """

    run: Callable[..., Sequence[Tensor]]
    like: tuple[Any, ...] | None = None
    method: str | None = "sequential"
    batch: tuple[int, ...] = ()

    def __call__(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        if not self.batch or self.method != "sequential":
            return [*self.run(*tensors)]
        one = replace(self, batch=self.batch[1:])
        rows = [one([x[i] for x in tensors]) for i in range(self.batch[0])]
        return [torch.stack(column) for column in zip(*rows, strict=True)]

    def without_values(self) -> list[Tensor]:
        """Return tensors like the results, without memory."""
        meta = torch.device("meta")
        return [torch.zeros((*self.batch, *like.shape), dtype=like.dtype, device=meta) for like in self.like or ()]

    def apply(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Make the call as an operation of torch; a traced program keeps it."""
        number = next(_numbers)
        _calls[number] = self
        try:
            operation = torch.ops.funcnet.callback if self.like is None else torch.ops.funcnet.pure_callback
            found: list[Tensor] | None = operation([*tensors], number)
            return found or []
        finally:
            if not _torch.is_dispatching():
                del _calls[number]


_numbers, _calls = count(), dict[int, PythonCall]()


def _callback(tensors: list[Tensor], number: int) -> None:
    _calls[number](tensors)


def _pure_callback(tensors: list[Tensor], number: int) -> list[Tensor]:
    return _calls[number](tensors)


def _of_batch(info: Any, in_dims: Any, tensors: list[Tensor], number: int) -> Any:
    """Return the results of a whole batch, and their axes."""
    call, size = _calls[number], info.batch_size
    if call.method is None:
        raise BatchingError(
            "pure_callback: expected a vmap_method, which vmap needs, got None. Pass vmap_method='sequential', or "
            "'broadcast_all' or 'expand_dims' for a function that takes leading batch axes."
        )
    ones = 1 if call.method == "expand_dims" else size
    pairs = zip(tensors, in_dims[0], strict=True)
    moved = [x[None].expand(ones, *x.shape) if dim is None else x.movedim(dim, 0) for x, dim in pairs]
    found = replace(call, batch=(size, *call.batch)).apply(moved)
    return (None, None) if call.like is None else (found, [0] * len(found))


_LIBRARY = torch.library.Library("funcnet", "DEF")
_LIBRARY.define("callback(Tensor[] tensors, int number) -> ()")
_LIBRARY.define("pure_callback(Tensor[] tensors, int number) -> Tensor[]")
_LIBRARY.impl("callback", _callback, "CompositeExplicitAutograd")
_LIBRARY.impl("callback", lambda tensors, number: None, "Meta")
_LIBRARY.impl("pure_callback", _pure_callback, "CompositeExplicitAutograd")
_LIBRARY.impl("pure_callback", lambda tensors, number: _calls[number].without_values(), "Meta")
for _name in ("callback", "pure_callback"):
    torch.library.register_vmap(f"funcnet::{_name}", _of_batch, lib=_LIBRARY)
