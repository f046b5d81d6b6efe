"""The checkpoints of a run: its state, saved and restored."""

import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from funcnet.checkpoint import Checkpoints
from funcnet.training.metrics import means
from funcnet.training.state import RunState
from funcnet.tree import Tree


class Saver:
    """Saves the state of a run, and restores it; without checkpoints, it does nothing."""

    def __init__(self, checkpoints: Checkpoints | None) -> None:
        self.checkpoints = checkpoints
        self.saved: int | None = None  # the step of the last checkpoint

    def restore(self, carry: Tree, steps: int | None) -> RunState | None:
        """Restore the last checkpoint; None if there is none.

        Raises:
            CheckpointError, ValueError: The folder cannot be written to, or its checkpoints belong to another run.
        """
        if self.checkpoints is None:
            return None
        self.checkpoints.prepare()
        found = self.checkpoints.restore_parts({"carry": carry})
        if found is None:
            return None
        if type(content := found.tree) is not dict or content.keys() != {"carry", "metrics", "states", "message"}:
            raise ValueError(
                f"fit: expected checkpoints of a run, got others, in {self.checkpoints}. Use a new folder."
            )
        if steps is not None and found.step > steps:
            raise ValueError(
                f"fit: expected checkpoints of at most {steps} steps, got one of step {found.step} in"
                f" {self.checkpoints}. Raise `steps`, or use another folder for another run."
            )
        self.saved = found.step
        return RunState(found.step, content["carry"], content["metrics"], content["states"], content["message"])

    def check_metrics(self, metrics: Tree) -> None:
        """Raise if `keep_best` does not name one of the metrics."""
        if self.checkpoints is not None and self.checkpoints.keep_best is not None:
            self.checkpoints.check_metadata(means(metrics))

    def save_if_due(self, state: RunState) -> None:
        if self.checkpoints is not None and self.checkpoints.is_due(state.step):
            self.save(state)

    def save(self, state: RunState) -> None:
        """Save, unless the step has been saved. A file that cannot be written is a warning: the run is worth more."""
        if self.checkpoints is None or self.saved == state.step or not state.metrics:
            return
        content = {
            "carry": state.carry,
            "metrics": (state.history(),),
            "states": state.callbacks,
            "message": state.message,
        }
        try:
            self.checkpoints.save(content, step=state.step, metadata=means(state.metrics[-1]))
        except OSError as error:
            warnings.warn(f"fit: step {state.step:,} could not be saved: {error}. The run goes on.", stacklevel=2)
        else:
            self.saved = state.step

    def save_after_error(self, state: RunState) -> None:
        """Save before an error is raised, which an error of saving does not replace."""
        with _without_interrupts():
            try:
                self.save(state)
            except Exception as error:
                warnings.warn(f"fit: step {state.step:,} could not be saved: {error}", stacklevel=2)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ignore further interrupts: torchrun sends two, and so do people."""
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
