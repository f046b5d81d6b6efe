"""`fit`: a run that lasts, in chunks of jitted scans."""

import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from funcnet import tree
from funcnet.checkpoint import Checkpoints
from funcnet.compiler.jit import jit
from funcnet.compiler.progress import Show, drawers
from funcnet.compiler.tracing.trace import loop
from funcnet.control_flow.scan import kept_scan
from funcnet.training.callbacks import Callback, Stop
from funcnet.training.hooks import Hooks
from funcnet.training.metrics import joined, mean, named
from funcnet.training.options import Options
from funcnet.training.placement import like
from funcnet.training.prefetch import ahead
from funcnet.training.saving import Saver
from funcnet.training.sources import Chunk, Chunks, Source, source_of
from funcnet.training.state import RunState
from funcnet.training.team import Alone, Team
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
    changes from step to step must be in the carry, such as random keys, or in xs. A run goes on by skipping the batches
    that it has taken: an iterable must yield the same ones again, so give a DataLoader that shuffles a generator with a
    fixed seed.

    Ctrl-C ends the running chunk, saves what was reached before it, prints how to go on, and returns that. If no chunk
    has ended yet, it raises KeyboardInterrupt. Any other error saves, too, and is raised. If a checkpoint cannot be
    written, for instance because the disk is full, `fit` warns, goes on, and tries again at the next one.

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
        CheckpointError: The folder cannot be written to, or its checkpoint has another carry. A ValueError.
    Example:
        >>> def step(w, x):
        ...     loss, grads = fn.value_and_grad(lambda w: (w - x).square())(w)
        ...     return fn.sgd_step(w, grads, 0.1), {"loss": loss}
        >>> w, history = fn.fit(step, torch.tensor(0.0), torch.ones(1), steps=20, every=10)
        >>> w, history["loss"][-1]
        (tensor(0.9885), tensor(0.0002))
    """
    return run(Alone(), step, carry, xs, Options(steps, every, on_chunk, checkpoints, progress, backend))


def run(team: Team, step: Step, carry: Tree, xs: Any, options: Options) -> tuple[Any, Any]:
    """Run `fit` in a team of processes."""
    check_function("fit", step)
    if transformed() or loop() is not None:
        raise RuntimeError("fit: expected to run outside of jit, grad and vmap. Inside, use fn.scan.")
    carry = numbers_as_tensors(arrays_as_tensors(scalars_as_tensors(carry)))
    carry = tree.map(lambda leaf: leaf.detach() if tree.is_tensor(leaf) else leaf, carry)
    source = source_of(xs, options.steps)
    with _bar(options.progress and team.is_first) as show:
        return _Run(team, step, source, options, show).result(carry)


class _Run:
    """A run: its state after the last chunk, and the source, hooks and saver of its chunks."""

    state: RunState

    def __init__(self, team: Team, step: Step, source: Source, options: Options, show: Show | None) -> None:
        self.team, self.source, self.every, self.show = team, source, options.every, show
        self.hooks, self.saver = Hooks(options.on_chunk), Saver(options.folder())

        def chunk(carry: Tree, xs: Tree, length: int) -> Any:
            return kept_scan(step, carry, xs, length)

        progress = self.progress if show else None
        self.chunk = jit(chunk, static_argnums=2, backend=options.backend, progress=progress)
        self.taken = 0  # steps, those of the parts of the present chunk included

    def result(self, carry: Tree) -> tuple[Any, Any]:
        """Run to the end, or to an interrupt; save in every case."""
        self.start(carry)
        try:
            with self.chunks() as chunks:
                self.run(chunks)
            self.team.first(lambda: self.saver.save(self.state))  # all wait: a rank that has ended counts as lost
            self.report()
        except KeyboardInterrupt:
            self.interrupted()
        except BaseException:
            self.save_after_error()
            raise
        return self.state.carry, self.state.history()

    def start(self, carry: Tree) -> None:
        """Restore the last checkpoint, if there is one, and start the callbacks."""
        found = self.team.first(lambda: self.restored(carry))
        self.state = RunState(0, carry) if found is None else replace(found, carry=like(found.carry, carry))
        self.taken = self.state.step

    def restored(self, carry: Tree) -> RunState | None:
        """Restore the last checkpoint, with a list of leaves as carry, and start the callbacks."""
        found = self.saver.restore(carry, self.source.steps)
        self.hooks.start(RunState(0, carry) if found is None else found)
        return None if found is None else replace(found, carry=tree.leaves(found.carry), callbacks=())

    def chunks(self) -> AbstractContextManager[Iterable[Chunk]]:
        """Return the chunks that are left."""
        if self.state.message is not None or self.state.step == self.source.steps:
            return nullcontext(())
        chunks: Chunks = self.source.chunks(self.state.step, self.every)
        return ahead(chunks) if self.source.is_slow else nullcontext(chunks)

    def run(self, chunks: Iterable[Chunk]) -> None:
        """Run the chunks until one of them stops the run."""
        for chunk in chunks:
            carry, metrics, length = self.take(chunk)
            self.end(carry, metrics, length)
            if self.show is not None:
                self.show(self.state.step, self.source.steps, _text(metrics))
            if self.state.message is not None:
                return
            if self.team.is_first:
                self.saver.save_if_due(self.state)
        if not self.state.metrics:
            raise ValueError("fit: expected at least one batch, got none. Has the iterator been used before?")

    def take(self, chunk: Chunk) -> tuple[Any, Any, int]:
        """Take the steps of a chunk; return the carry, their metrics, and their number."""
        carry, metrics = self.state.carry, []
        for part in chunk:
            carry, found = self.chunk(carry, self.team.part(part.xs), part.length)
            self.taken += part.length
            metrics.append(found)
        return carry, joined(metrics), sum(part.length for part in chunk)

    def end(self, carry: Tree, metrics: Tree, length: int) -> None:
        """Check the metrics of a chunk, call the callbacks, and set the state after the chunk."""
        self.state.check_metrics(metrics)
        step, stop = self.state.step + length, self.team.first(lambda: self.called(carry, metrics, length))
        last = carry if stop is None or stop.carry is None else like(stop.carry, carry)
        states = self.hooks.states(carry) if self.team.is_first else ()
        message = None if stop is None else stop.message
        self.state = RunState(step, last, (*self.state.metrics, metrics), states, message)

    def called(self, carry: Tree, metrics: Tree, length: int) -> Stop | None:
        """Call the callbacks; the carry of their answer is a list of leaves."""
        self.saver.check_metrics(metrics)
        stop = self.hooks.call(self.state.step + length, carry, metrics)
        return stop if stop is None or stop.carry is None else replace(stop, carry=tree.leaves(stop.carry))

    def progress(self, done: int, total: int) -> None:
        """Show the steps of a part of a chunk."""
        if self.show is not None and done < total:
            self.show(self.taken + done, self.source.steps, "")

    def interrupted(self) -> None:
        """Save, and say how to go on."""
        if not self.state.metrics:
            raise KeyboardInterrupt(
                "fit: interrupted before the end of the first chunk. A smaller `every` ends it sooner."
            ) from None
        self.save_after_error()
        self.team.check_interrupt()
        self.say(f"interrupted {self.place()}{self.remedy()}")
        self.team.end_interrupted()

    def save_after_error(self) -> None:
        """Save without an exchange between processes, which may not take part any more."""
        if self.team.is_first:
            self.saver.save_after_error(self.state)

    def place(self) -> str:
        steps = self.source.steps
        return f"after {self.state.step:,}{'' if steps is None else f' of {steps:,}'} steps"

    def remedy(self) -> str:
        if self.saver.checkpoints is None:
            return ". To be able to go on, pass checkpoints=, a folder."
        if self.saver.saved != self.state.step:
            return "; not saved."
        return f"; saved in {self.saver.checkpoints.folder}. To go on, start the same run again."

    def report(self) -> None:
        """Say why a run has ended before its number of steps."""
        is_short = self.state.step != (self.source.steps or self.state.step)
        if self.state.message:
            self.say(f"stopped {self.place()}: {self.state.message}.")
        elif self.state.message is None and is_short and self.team.is_first:
            warnings.warn(f"fit: the iterator of batches has ended {self.place()}.", stacklevel=5)

    def say(self, message: str) -> None:
        if self.team.is_first:
            print(f"fit: {message}", file=sys.stderr, flush=True)


def _text(metrics: Tree) -> str:
    """Return the means of scalar metrics."""
    scalars = {path: leaf for path, leaf in named(metrics).items() if leaf.ndim == 1}
    return "  ".join(f"{path} {mean(leaf):.4g}".strip() for path, leaf in scalars.items())


def _bar(progress: bool) -> AbstractContextManager[Show | None]:
    return drawers[-1]("training") if progress and drawers else nullcontext()
