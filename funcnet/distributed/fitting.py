"""`fit` on several ranks, each with a part of every batch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from funcnet.checkpoint import Checkpoints
from funcnet.distributed.group import Group, group
from funcnet.training.callbacks import Callback
from funcnet.training.fitting import run
from funcnet.training.options import Options
from funcnet.transforms import batching
from funcnet.tree import Tree

Carry = TypeVar("Carry")
Result = TypeVar("Result")


def fit(
    step: Callable[[Carry, Any], tuple[Carry, Any]],
    carry: Carry,
    xs: Any = None,
    *,
    steps: int | None = None,
    every: int | None = None,
    on_chunk: Sequence[Callback] = (),
    checkpoints: Checkpoints | str | Path | None = None,
    progress: bool = True,
    backend: str = "auto",
    batch_dims: Any = 0,
) -> tuple[Carry, Any]:
    """Run `fn.fit` on all ranks, data-parallel: a step gets a part of its batch, and averages its gradients.

    In the step, `fn.distributed.mean` averages gradients and metrics over the ranks; with `weight=len(x)` the result is
    that of the whole batch also where it is not divided evenly. Every rank is given the same arguments. Rank 0 calls
    the callbacks, and reads and writes checkpoints; after a failure, a run that is started again goes on exactly.
    Ctrl-C saves, too, but with more than one rank it then raises KeyboardInterrupt, as exchanges may be incomplete.

    Args:
        step: step(carry, x) -> (carry, metrics), where x is the rank's part of a batch.
        carry: The first carry, such as (params, state of the optimizer).
        xs: The batches, each whole: a tree of tensors with a row per step, a DataLoader or another iterable, or a
            function of the number of steps taken, which returns an iterator from there.
        steps: The number of steps. None: one per row of xs, or until the iterable ends.
        every: Steps per chunk. None: a hundredth of `steps`, or a little more.
        on_chunk: Functions of (step, carry, metrics), called on rank 0 after each chunk.
        checkpoints: The folder of this run, or a `fn.checkpoint.Checkpoints`.
        progress: Whether rank 0 shows a progress bar, in a terminal.
        backend: "native", "inductor", "eager" or "auto": how the chunks are compiled.
        batch_dims: The axis of x along which each tensor is divided: an int, None for one that all ranks get whole,
            such as a random key, or a tree of them that is a prefix of x.
    Returns:
        (the last carry, the history), as `fn.fit`.
    Raises:
        PeerError: Another rank has failed or died; the last chunk is saved.
        ValueError, TypeError: An argument is wrong, a checkpoint in the folder belongs to another run, or the tensors
            of a batch have no common size along batch_dims.
    Example:
        >>> def step(w, x):
        ...     loss, grads = fn.value_and_grad(lambda w: (w - x).square().mean())(w)
        ...     loss, grads = fn.distributed.mean((loss, grads), weight=len(x))
        ...     return fn.sgd_step(w, grads, 0.1), {"loss": loss}
        >>> w, history = fn.distributed.fit(step, torch.tensor(0.0), torch.ones(5, 4))
        >>> w
        tensor(0.6723)
    """
    ranks = group()
    with ranks.watching():
        folder = checkpoints if ranks.rank == 0 else None
        options = Options(steps, every, on_chunk, folder, progress, backend)
        return run(_Ranks(ranks, batch_dims), step, carry, xs, options)


class _Ranks:
    """The ranks as the team of a run."""

    def __init__(self, ranks: Group, dims: Any) -> None:
        self.ranks, self.dims, self.is_first = ranks, dims, ranks.rank == 0

    def first(self, f: Callable[[], Result]) -> Result:
        """Call a function on rank 0, and return its result, or raise its error, on all."""
        found: Any = None
        if self.is_first:
            try:
                found = f(), None
            except Exception as raised:
                found = None, raised
        result, error = self.ranks.of_first(found)
        if error is not None:
            raise error
        return result

    def check_interrupt(self) -> None:
        """Raise a PeerError if an interrupt is due to a lost rank."""
        if self.ranks.watch is not None:
            self.ranks.watch.check_interrupt()

    def end_interrupted(self) -> None:
        """Raise, with more than one rank."""
        if self.ranks.size > 1:
            raise KeyboardInterrupt("distributed.fit: interrupted; rank 0 has saved what it has reached.")

    def part(self, xs: Tree) -> Tree:
        """Take a rank's part of stacked batches; the chunks, which are those of whole batches, agree on all ranks."""
        axes = batching.axes("batch_dims", self.dims, xs)
        moved = [axis + 1 if axis is not None and axis >= 0 else axis for axis in axes]
        if self.ranks.size == 1 or not any(axis is not None for axis in axes):
            return xs
        return self.ranks.part_of(xs, moved)
