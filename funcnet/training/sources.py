"""The inputs of a run's steps, in chunks: from tensors in memory, a DataLoader, any iterable, or no inputs."""

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import groupby, islice
from math import ceil
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from funcnet import tree
from funcnet.control_flow.carry import signature
from funcnet.tree import Tree
from funcnet.tree.conversion import arrays_as_tensors, is_array, numbers_as_tensors

CHUNKS = 100  # of a run, by default; and batches of a chunk, at most
_BYTES = 1 << 26  # of the batches of a chunk, by default


class Part(NamedTuple):
    """The inputs of successive steps, stacked."""

    xs: Tree
    length: int


Chunk = list[Part]  # of one part, or of several where the shapes of batches change
Chunks = Generator[Chunk, None, None]


class Source(Protocol):
    """The inputs of the steps of a run."""

    is_slow: bool  # whether a thread should load the chunks

    @property
    def steps(self) -> int | None:
        """The number of steps of the run; None: until the inputs end."""

    def chunks(self, start: int, every: int | None) -> Chunks:
        """Yield the chunks from a step on; they end at multiples of `every`."""


def source_of(xs: Any, steps: int | None) -> Source:
    """Return the source of a run's inputs: None, a tree of tensors, an iterable, or a function of the first step.

    Raises:
        ValueError, TypeError: xs is none of these, or does not fit the number of steps.
    """
    leaves = tree.leaves(xs)
    is_leaf = len(leaves) == 1 and leaves[0] is xs and not isinstance(xs, Tensor) and not is_array(xs)
    if is_leaf and (isinstance(xs, Iterable) or callable(xs)) and not isinstance(xs, str | bytes):
        return Stream(xs, steps)
    return Rows.of(arrays_as_tensors(xs), steps)


class Rows:
    """Tensors in memory: step i takes row i. After the last row, the first one is next."""

    is_slow = False

    def __init__(self, xs: Tree, size: int, steps: int) -> None:
        self.xs, self.size, self.steps = xs, size, steps

    @classmethod
    def of(cls, xs: Tree, steps: int | None) -> "Rows":
        """Check the tensors, and take one step per row if the number of steps is not given."""
        leaves = tree.leaves(xs)
        sizes = {leaf.shape[0] if tree.is_tensor(leaf) and leaf.ndim else 0 for leaf in leaves}
        if len(sizes) > 1 or 0 in sizes:
            found = tree.map(tree.describe, xs)
            raise ValueError(
                "fit: expected xs to be an iterable of batches, or a tree of tensors with a common leading axis, a row"
                f" per step, got {found}."
            )
        size = sizes.pop() if sizes else 1
        if steps is None and not leaves:
            raise ValueError("fit: expected `steps`, or an xs with one row per step, got neither.")
        return cls(xs, size, size if steps is None else steps)

    def chunks(self, start: int, every: int | None) -> Chunks:
        for first, end in _bounds(start, self.steps, every or default_every(self.steps)):
            yield [Part(self.rows(first % self.size, end - first), end - first)]

    def rows(self, first: int, count: int) -> Tree:
        """Return rows, as a view unless they begin again."""
        if first + count <= self.size or self.xs is None:
            return tree.map(lambda leaf: leaf[first : first + count], self.xs)
        rows = torch.arange(first, first + count) % self.size
        return tree.map(lambda leaf: leaf[rows.to(leaf.device)], self.xs)


class Stream:
    """Batches of an iterable, such as a DataLoader: one per step. An iterable that ends is iterated over again.

    An iterator ends for good. A function is called with the number of steps taken and returns an iterable from there.
    """

    is_slow = True

    def __init__(self, batches: Any, steps: int | None) -> None:
        self.source, self.steps = batches, steps

    def chunks(self, start: int, every: int | None) -> Chunks:
        batches, at = self.from_step(start), start
        first = next(batches, None)
        if first is None:
            return
        every = every or self.default_every(first)
        batches = _with_first(first, batches)
        while self.steps is None or at < self.steps:
            end = (at // every + 1) * every
            chunk = [*islice(batches, (end if self.steps is None else min(end, self.steps)) - at)]
            if not chunk:
                return
            at += len(chunk)
            yield [_stacked([*part]) for _, part in groupby(chunk, signature)]

    def from_step(self, start: int) -> Iterator[Tree]:
        """Yield the batches from a step on, as trees of tensors."""
        if callable(self.source) and not isinstance(self.source, Iterable):
            yield from map(_batch, iter(_iterable(self.source, start)))
            return
        count = 0
        for batch in self.epochs():
            if count >= start:
                yield _batch(batch)
            count += 1
        if count < start:
            raise ValueError(
                f"fit: expected an iterator with more than the {start} batches that this run has taken before, got one"
                f" with {count}. A run that goes on skips batches: pass the iterator from its start, or pass a function"
                " of the number of steps taken, which returns an iterator from there."
            )

    def epochs(self) -> Iterator[Any]:
        while True:
            count = 0
            for count, batch in enumerate(self.source, 1):  # noqa: B007
                yield batch
            if self.steps is None or isinstance(self.source, Iterator):
                return
            if not count:
                raise ValueError(f"fit: expected an iterable of batches, got {self.source!r}, which is empty.")

    def default_every(self, batch: Tree) -> int:
        """Return a number of batches that fit in memory."""
        size = sum(leaf.numel() * leaf.element_size() for leaf in tree.leaves(batch))
        most = CHUNKS if self.steps is None else default_every(self.steps)
        return max(1, min(most, CHUNKS, _BYTES // max(size, 1)))


def default_every(steps: int) -> int:
    """Return the steps of a chunk: a hundredth of all, or somewhat more if that divides them, which saves a kernel."""
    least = ceil(steps / CHUNKS)
    return next((size for size in range(least, 2 * least + 1) if steps % size == 0), least)


def _bounds(start: int, steps: int, every: int) -> Iterator[tuple[int, int]]:
    while start < steps:
        end = min((start // every + 1) * every, steps)
        yield start, end
        start = end


def _with_first(first: Tree, rest: Iterator[Tree]) -> Iterator[Tree]:
    yield first
    yield from rest


def _iterable(source: Callable[[int], Any], start: int) -> Iterable[Any]:
    batches = source(start)
    if not isinstance(batches, Iterable):
        raise TypeError(
            f"fit: expected xs to be a function from the number of steps taken to an iterable of batches, but it"
            f" returned {tree.describe(batches)}."
        )
    return batches


def _batch(batch: Any) -> Tree:
    batch = numbers_as_tensors(arrays_as_tensors(batch))
    for path, leaf in zip(tree.paths(batch), tree.leaves(batch), strict=True):
        if not tree.is_tensor(leaf):
            raise TypeError(f"fit: in a batch, at {tree.place(path)}: expected a tensor, got {tree.describe(leaf)}.")
    return batch


def _stacked(batches: list[Tree]) -> Part:
    return Part(tree.stack(batches), len(batches))
