"""`fit`: a run that lasts, in chunks of jitted scans."""

import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import torch

from funcnet import tree
from funcnet.checkpoint import Checkpoints
from funcnet.compiler.jit import jit
from funcnet.compiler.progress import Show, drawers
from funcnet.compiler.tracing.trace import loop
from funcnet.control_flow.scan import kept_scan
from funcnet.training.callbacks import Callback, mean, named
from funcnet.training.prefetch import ahead
from funcnet.training.run import Alone, Keeper, Reached, Team
from funcnet.training.sources import Chunk, Chunks, Source, source_of
from funcnet.transforms import transformed
from funcnet.transforms.flatten import check_function
from funcnet.tree import Tree
from funcnet.tree.conversion import arrays_as_tensors, numbers_as_tensors, scalars_as_tensors

Carry = TypeVar("Carry")
Step = Callable[[Any, Any], tuple[Any, Any]]


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
) -> tuple[Carry, Any]:
    """Repeat a step as `scan` does, in chunks, each a jitted scan: with progress, callbacks, checkpoints and Ctrl-C.

    The result is the same bit for bit whatever `every` is. With checkpoints, a run that was killed at any moment and is
    started again with the same arguments goes on from its last checkpoint, and ends with the same bits. All that
    changes from step to step must be in the carry, such as random keys, or in xs.

    Ctrl-C ends the running chunk, saves what was reached before it, prints how to go on, and returns that. If no chunk
    has ended yet, it raises KeyboardInterrupt. Any other error saves, too, and is raised.

    Args:
        step: step(carry, x) -> (carry, metrics), as for `scan`; metrics is a tree of tensors, best a dict by name.
        carry: The first carry, such as (params, state of the optimizer).
        xs: The inputs of the steps: a tree of tensors with a row per step, as for `scan`, which begins again after its
            last row; or a DataLoader or another iterable of batches, each the x of one step, which is iterated over
            again when it ends; or an iterator; or a function of the number of steps taken, which returns an iterator
            from there. Batches are loaded in a thread, one chunk ahead. None: x is None.
        steps: The number of steps. None: one per row of xs, or until the iterable ends.
        every: Steps per chunk. Chunks end at its multiples. None: a hundredth of `steps`, or a little more; of batches,
            at most 100 and at most 64 MiB.
        on_chunk: Functions of (step, carry, metrics), called after each chunk with the number of steps taken, and the
            metrics of the chunk's steps. One that returns `fn.STOP` stops the run. See `fn.callbacks`.
        checkpoints: The folder of this run, or a `fn.checkpoint.Checkpoints`, which says how often to save and what to
            keep. The end of a run is always saved.
        progress: Whether to show a progress bar with the metrics, in a terminal.
        backend: "native", "inductor", "eager" or "auto": how `jit` compiles the chunks.
    Returns:
        (the last carry, the history): the metrics of all steps, stacked along a new leading axis.
    Raises:
        ValueError, TypeError: An argument is wrong, or a checkpoint in the folder belongs to another run.
    Source:
        A run goes on by skipping the batches that it has taken: an iterable must yield the same ones again, so give a
        DataLoader that shuffles a generator with a fixed seed.
    Example:
        >>> def step(w, x):
        ...     loss, grads = fn.value_and_grad(lambda w: (w - x).square())(w)
        ...     return fn.sgd_step(w, grads, 0.1), {"loss": loss}
        >>> w, history = fn.fit(step, torch.tensor(0.0), torch.ones(1), steps=20, every=10)
        >>> w, history["loss"][-1]
        (tensor(0.9885), tensor(0.0002))
    """
    return fit_together(Alone(), step, carry, xs, steps, every, on_chunk, checkpoints, progress, backend)


def fit_together(
    team: Team,
    step: Step,
    carry: Tree,
    xs: Any,
    steps: int | None,
    every: int | None,
    on_chunk: Sequence[Callback],
    checkpoints: Checkpoints | str | Path | None,
    progress: bool,
    backend: str,
) -> tuple[Any, Any]:
    """Run `fit` in a team of processes: the first one calls the callbacks, reads and writes checkpoints."""
    _check(step, steps, every, on_chunk, checkpoints)
    folder = Checkpoints(checkpoints) if isinstance(checkpoints, str | Path) else checkpoints
    carry = numbers_as_tensors(arrays_as_tensors(scalars_as_tensors(carry)))
    carry = tree.map(lambda leaf: leaf.detach() if tree.is_tensor(leaf) else leaf, carry)
    source, keeper = source_of(xs, steps), Keeper(folder, on_chunk, team)
    reached = keeper.start(carry, source.steps)
    with _bar(progress) as show:
        return _Loop(step, source, every, keeper, backend, reached, show).run()


class _Loop:
    """The chunks of a run."""

    def __init__(
        self,
        step: Step,
        source: Source,
        every: int | None,
        keeper: Keeper,
        backend: str,
        reached: Reached,
        show: Show | None,
    ) -> None:
        self.source, self.every, self.keeper, self.reached = source, every, keeper, reached
        self.show, self.taken = show, reached.step
        chunk = lambda carry, xs, length: kept_scan(step, carry, xs, length)  # noqa: E731
        self.chunk = jit(chunk, static_argnums=2, backend=backend, progress=self.progress if show else None)

    def run(self) -> tuple[Any, Any]:
        """Run to the end, or to an interrupt; save in every case."""
        try:
            with self.chunks() as chunks:
                self.all(chunks)
            self.keeper.save(self.reached)
            self.report()
        except KeyboardInterrupt:
            if not self.reached.metrics:
                raise KeyboardInterrupt(
                    "fit: interrupted before the end of the first chunk. A smaller `every` ends it sooner."
                ) from None
            self.keeper.save(self.reached)
            say(f"interrupted {self.place()}{self.remedy()}")
        except BaseException:
            self.keeper.save(self.reached)
            raise
        return self.reached.carry, self.reached.history()

    def all(self, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            carry, metrics, length = self.take(chunk)
            self.reached = self.keeper.after(self.reached, carry, metrics, length)
            if self.show is not None:
                self.show(self.reached.step, self.source.steps, _text(metrics))
            if self.reached.message is not None:
                return
            self.keeper.save_if_due(self.reached)

        if not self.reached.metrics:
            raise ValueError("fit: expected at least one batch, got none. Has the iterator been used before?")

    def take(self, chunk: Chunk) -> tuple[Any, Any, int]:
        """Run a chunk; return the carry, its metrics, and its length."""
        carry, metrics = self.reached.carry, []
        for part in chunk:
            carry, found = self.chunk(carry, self.keeper.team.part(part.xs), part.length)
            self.taken += part.length
            metrics.append(found)
        joined = metrics[0] if len(metrics) == 1 else tree.map(lambda *rows: torch.cat(rows), *metrics)
        return carry, joined, sum(part.length for part in chunk)

    def progress(self, done: int, total: int) -> None:
        """Show the steps of a part of a chunk."""
        if self.show is not None and done < total:
            self.show(self.taken + done, self.source.steps, "")

    def chunks(self) -> AbstractContextManager[Iterable[Chunk]]:
        """Return the chunks that are left."""
        if self.reached.message is not None or self.reached.step == self.source.steps:
            return nullcontext(())
        chunks: Chunks = self.source.chunks(self.reached.step, self.every)
        return ahead(chunks) if self.source.is_slow else nullcontext(chunks)

    def place(self) -> str:
        steps = self.source.steps
        return f"after {self.reached.step:,}{'' if steps is None else f' of {steps:,}'} steps"

    def remedy(self) -> str:
        if self.keeper.checkpoints is None:
            return ". To be able to go on, pass checkpoints=, a folder."
        return f"; saved in {self.keeper.checkpoints.folder}. To go on, start the same run again."

    def report(self) -> None:
        """Say why a run has ended before its number of steps."""
        if self.reached.message:
            say(f"stopped {self.place()}: {self.reached.message}.")
        elif self.reached.message is None and self.reached.step != (self.source.steps or self.reached.step):
            warnings.warn(f"fit: the iterator of batches has ended {self.place()}.", stacklevel=5)


def say(message: str) -> None:
    print(f"fit: {message}", file=sys.stderr, flush=True)


def _text(metrics: Tree) -> str:
    """Return the means of scalar metrics."""
    scalars = {path: leaf for path, leaf in named(metrics).items() if leaf.ndim == 1}
    return "  ".join(f"{path} {mean(leaf):.4g}".strip() for path, leaf in scalars.items())


def _bar(progress: bool) -> AbstractContextManager[Show | None]:
    return drawers[-1]("training") if progress and drawers else nullcontext()


def _check(step: Any, steps: Any, every: Any, on_chunk: Any, checkpoints: Any) -> None:
    check_function("fit", step)
    if transformed() or loop() is not None:
        raise RuntimeError("fit: expected to run outside of jit, grad and vmap. Inside, use fn.scan.")
    for name, value in (("steps", steps), ("every", every)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ValueError(f"fit: expected {name} to be an int of at least 1, got {value!r}.")
    if not isinstance(on_chunk, list | tuple) or not all(map(callable, on_chunk)):
        raise TypeError(f"fit: expected on_chunk to be a list of functions, got {on_chunk!r}.")
    if not isinstance(checkpoints, Checkpoints | str | Path | None):
        raise TypeError(f"fit: expected checkpoints to be a folder or a Checkpoints, got {checkpoints!r}.")
