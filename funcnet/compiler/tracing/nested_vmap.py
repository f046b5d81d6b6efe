"""A scan inside a vmap that is not outermost: one loop whose carries hold the whole batch.

torch.func has no public way to take a batch out of its wrapper in the middle of a vmap and to put it back, so this file
uses, by way of _torch, what torch.func.vmap itself is made of.
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
    """The vmaps around the code that runs now, outermost first: their levels and batch sizes."""

    levels: tuple[tuple[int, int], ...]

    @classmethod
    def active(cls) -> "Batches | None":
        """Return the vmaps that are active; None when there is another transformation among them."""
        levels = _torch.batches()
        return None if levels is None else cls(tuple(levels))

    def unwrap(self, tensor: Tensor) -> Tensor:
        """Turn what one example sees into the whole batch, batch axes first."""
        for level, size in reversed(self.levels):
            tensor = _torch.remove_batch(tensor, level, size)
        return tensor

    def wrap(self, tensor: Tensor) -> Tensor:
        """Turn a whole batch, batch axes first, into what one example sees."""
        for level, _ in self.levels:
            tensor = _torch.add_batch(tensor, level)
        return tensor


def batched(loop: Loop, batches: Batches) -> Loop:
    """Turn a loop over whole batches into one that is called inside of their vmaps."""
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
    """Return the results as a function of torch creates them: row by row in memory, and with a maker.

    The latter is what vmap needs for a buffer that the examples share until the function writes to it.
    """
    new = [x.clone(memory_format=torch.contiguous_format) for x in (*carries, *ys)]
    return new[: len(carries)], new[len(carries) :]


class _BatchedError(Exception):
    """A loop that starts from values that all examples share does not stay so."""


def _unbatched(step: Step) -> Step:
    """Turn a step into one that makes sure that all examples share what it returns."""

    def run(carries: list[Tensor], slices: list[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        new, ys = step(carries, slices)
        if any(map(_torch.is_batched, (*new, *ys))):
            raise _BatchedError
        return new, ys

    return run
