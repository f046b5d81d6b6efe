"""A scan inside a vmap that is not outermost: one loop whose carries hold the whole batch.

torch.func has no public way to unwrap a batched tensor inside a vmap and to wrap it again, so this file uses private
functions of torch.func by way of _torch.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from funcnet import _torch

Step = Callable[[list[Tensor], list[Tensor]], tuple[Sequence[Tensor], Sequence[Tensor]]]
Loop = Callable[..., tuple[list[Tensor], list[Tensor]]]


@dataclass(frozen=True)
class Batches:
    """The levels and batch sizes of the active vmaps, outermost first."""

    levels: tuple[tuple[int, int], ...]

    @classmethod
    def active(cls) -> "Batches | None":
        """Return the active vmaps; None if another transformation is active, too."""
        levels = _torch.batches()
        return None if levels is None else cls(tuple(levels))

    def unwrap(self, tensor: Tensor) -> Tensor:
        """Return the whole batch of a tensor of one example, batch axes first."""
        for level, size in reversed(self.levels):
            tensor = _torch.remove_batch(tensor, level, size)
        return tensor

    def wrap(self, tensor: Tensor) -> Tensor:
        """Return the tensor of one example of a whole batch, whose batch axes are first."""
        for level, _ in self.levels:
            tensor = _torch.add_batch(tensor, level)
        return tensor


def batched(loop: Loop, batches: Batches) -> Loop:
    """Turn a loop over whole batches into a loop that can be called inside their vmaps."""
    depth = len(batches.levels)

    def run(
        step: Step,
        init: Sequence[Tensor],
        xs: Sequence[Tensor],
        length: int,
        unroll: int,
    ) -> tuple[list[Tensor], list[Tensor]]:
        shared = [not _torch.is_batched(x) for x in xs]
        if not any(map(_torch.is_batched, (*init, *xs))):
            with suppress(_BatchedError):
                return _created(*loop(_unbatched(step), init, xs, length, unroll))

        def whole(carries: list[Tensor], slices: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            each = [x if alike else batches.wrap(x) for x, alike in zip(slices, shared, strict=True)]
            new, ys = step([batches.wrap(c) for c in carries], each)
            return [batches.unwrap(c) for c in new], [batches.unwrap(y) for y in ys]

        stacked = [x if alike else batches.unwrap(x).movedim(depth, 0) for x, alike in zip(xs, shared, strict=True)]
        carries, ys = loop(whole, [batches.unwrap(c) for c in init], stacked, length, unroll)
        return _created([batches.wrap(c) for c in carries], [batches.wrap(y.movedim(0, depth)) for y in ys])

    return run


def _created(carries: list[Tensor], ys: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return row-major copies of the results, as an operation of torch would create them.

    vmap needs an operation that creates a buffer in order to write different values per example to it.
    """
    new = [x.clone(memory_format=torch.contiguous_format) for x in (*carries, *ys)]
    return new[: len(carries)], new[len(carries) :]


class _BatchedError(Exception):
    """A carry that all examples share at first differs between examples after a step."""


def _unbatched(step: Step) -> Step:
    """Return a step that raises _BatchedError unless all examples share its results."""

    def run(carries: list[Tensor], slices: list[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        new, ys = step(carries, slices)
        if any(map(_torch.is_batched, (*new, *ys))):
            raise _BatchedError
        return new, ys

    return run
