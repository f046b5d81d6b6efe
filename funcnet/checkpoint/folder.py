"""A folder of checkpoints of one run: the last few, and the best one."""

import math
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from funcnet.checkpoint import atomic
from funcnet.checkpoint.errors import CheckpointError, DamagedCheckpointError
from funcnet.checkpoint.saving import Checkpoint, load, load_parts, metadata_of, save
from funcnet.tree import Tree

_NAME = re.compile(r"step-(\d{12,})\.safetensors")
_SHARE = 0.05  # of a run's time, at most, that checkpoints take by default


class Checkpoints:
    """A folder with the checkpoints of one run, which one process writes to.

    Args:
        folder: Created at the first save. Of two processes that write to it, each may remove the other's checkpoints.
        keep: How many of the last checkpoints are kept.
        keep_best: The name of an entry of `metadata`, such as "loss": the checkpoint with the lowest number there is
            kept, too; one without metadata, or with NaN there, is not the best. `fit` writes the means of its metrics
            over the last chunk.
        highest: Whether the best number is the highest one.
        every: For `fit`, steps from one checkpoint to the next.
        minutes: For `fit`, minutes from one checkpoint to the next. Without `every` and `minutes`, `fit` saves after
            each chunk, but spends at most a twentieth of its time on it.
    Raises:
        TypeError, ValueError: An argument is of another type, or out of its range.
    Example:
        >>> import tempfile
        >>> checkpoints = fn.checkpoint.Checkpoints(tempfile.mkdtemp(), keep=2)
        >>> for step in (10, 20, 30):
        ...     _ = checkpoints.save({"w": torch.tensor(step)}, step=step)
        >>> checkpoints.steps()
        [20, 30]
        >>> checkpoints.restore().tree
        {'w': tensor(30)}
    """

    def __init__(
        self,
        folder: str | Path,
        keep: int = 3,
        keep_best: str | None = None,
        *,
        highest: bool = False,
        every: int | None = None,
        minutes: float | None = None,
    ) -> None:
        _check(folder, keep, keep_best, every, minutes)
        self.folder, self.keep, self.keep_best, self.highest = Path(folder), keep, keep_best, highest
        self.every, self.minutes = every, minutes
        self._step, self._time, self._cost = 0, time.monotonic(), 0.0  # of the last checkpoint
        self._is_prepared = False
        self._best: dict[int, float] = {}  # the metric of each checkpoint that has been read

    def __repr__(self) -> str:
        return f"Checkpoints({str(self.folder)!r}, keep={self.keep}, keep_best={self.keep_best!r})"

    def save(self, tree: Tree, *, step: int, metadata: Mapping[str, Any] | None = None) -> Path:
        """Write a checkpoint as `save` does, then remove those that are not kept; return its path.

        Raises:
            CheckpointError: The folder cannot be written to; or as `save`.
            ValueError, TypeError: The metadata has no number for keep_best; or as `save`.
        """
        start = time.monotonic()
        self.check_metadata(metadata)
        self.prepare()
        path = save(self._path(step), tree, step=step, metadata=metadata)
        self._remove_old(step)
        self._step, self._time = step, time.monotonic()
        self._cost = self._time - start
        return path

    def prepare(self) -> None:
        """Create the folder, and remove what killed processes have left in it.

        Raises:
            CheckpointError: The folder cannot be written to.
        """
        if self._is_prepared:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic.remove_partial(self.folder)
            with tempfile.TemporaryFile(dir=self.folder):
                self._is_prepared = True
        except OSError as error:
            raise CheckpointError(
                f"Checkpoints: expected a folder that can be written to, got {self.folder}: {error}. Choose another"
                " folder, or change its permissions."
            ) from error

    def check_metadata(self, metadata: Mapping[str, Any] | None) -> None:
        """Raise if metadata does not have the number that `keep_best` names."""
        name = self.keep_best
        if name is None or not metadata:
            return
        if name not in metadata:
            raise ValueError(
                f"Checkpoints: expected keep_best to name an entry of metadata, got {name!r} and entries {[*metadata]}."
            )
        if not isinstance(metadata[name], int | float):
            raise TypeError(
                f"Checkpoints: expected keep_best to name a number, got {metadata[name]!r} in metadata at {name!r}."
            )

    def steps(self) -> list[int]:
        """List the steps of the checkpoints, in rising order."""
        found = (_NAME.fullmatch(path.name) for path in self.folder.glob("step-*") if path.is_file())
        return sorted(int(match[1]) for match in found if match)

    def latest(self) -> Path | None:
        """Return the path of the last checkpoint; None if there is none."""
        steps = self.steps()
        return self._path(steps[-1]) if steps else None

    def best(self) -> Path | None:
        """Return the path of the checkpoint with the best metric; None if there is none with one.

        Raises:
            ValueError: keep_best is not set.
        """
        if self.keep_best is None:
            raise ValueError(f"Checkpoints.best: expected keep_best to be set, got {self}. Name an entry of metadata.")
        step = self._best_step(self.steps())
        return None if step is None else self._path(step)

    def restore(self, like: Tree = None) -> Checkpoint | None:
        """Load the last checkpoint that is intact, as `load` does; None if there is none at all.

        A damaged file is left out with a warning. One that is intact and differs from `like` is an error.

        Raises:
            DamagedCheckpointError: All checkpoints are damaged.
            CheckpointError: The file differs from `like` in structure, shape or dtype.
        """
        return self._restored(partial(load, like=like))

    def restore_parts(self, likes: Mapping[str, Tree]) -> Checkpoint | None:
        """Load as `restore` does a dict, with the expected trees of some of its entries; see `load_parts`."""
        return self._restored(partial(load_parts, likes=likes))

    def _restored(self, load: Callable[[Path], Checkpoint]) -> Checkpoint | None:
        damaged: DamagedCheckpointError | None = None
        for step in reversed(self.steps()):
            try:
                found = load(self._path(step))
            except FileNotFoundError:  # another process has just removed it
                continue
            except DamagedCheckpointError as error:
                warnings.warn(f"{error} It is left out, and the one before it is taken.", stacklevel=4)
                damaged = error
            else:
                self._step, self._time = step, time.monotonic()
                return found
        if damaged is not None:
            raise DamagedCheckpointError(
                f"checkpoint: none of the checkpoints in {self.folder} is intact. Restore a copy, or remove the folder"
                " to start again."
            ) from damaged
        self._step, self._time = 0, time.monotonic()
        return None

    def is_due(self, step: int) -> bool:
        """Tell whether `fit`, after a number of steps, should save a checkpoint."""
        passed = time.monotonic() - self._time
        if self.every is None and self.minutes is None:
            return passed * _SHARE >= self._cost
        by_steps = self.every is not None and step // self.every > self._step // self.every
        return by_steps or (self.minutes is not None and passed >= 60 * self.minutes)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:012d}.safetensors"

    def _remove_old(self, saved: int) -> None:
        """Remove what is not kept; the one just saved is, also before those of a later step, which may be damaged."""
        steps = self.steps()
        kept = {*steps[-self.keep :], self._best_step(steps), saved}
        for step in steps:
            if step not in kept:
                self._path(step).unlink(missing_ok=True)
        self._best = {step: value for step, value in self._best.items() if step in kept}

    def _best_step(self, steps: list[int]) -> int | None:
        if self.keep_best is None:
            return None
        found = {step: self._metric(step) for step in steps}
        numbers = {step: value for step, value in found.items() if not math.isnan(value)}
        sign = -1 if self.highest else 1
        return min(numbers, key=lambda step: (sign * numbers[step], step), default=None)

    def _metric(self, step: int) -> float:
        """Return the metric of a checkpoint; NaN if it has none."""
        if step not in self._best:
            self._best[step] = math.nan
            with suppress(CheckpointError, OSError):
                found = metadata_of(self._path(step)).get(str(self.keep_best))
                self._best[step] = float(found) if isinstance(found, int | float) else math.nan
        return self._best[step]


def _check(folder: Any, keep: Any, keep_best: Any, every: Any, minutes: Any) -> None:
    if not isinstance(folder, str | Path):
        raise TypeError(f"Checkpoints: expected folder to be a str or Path, got {folder!r}.")
    if keep_best is not None and not isinstance(keep_best, str):
        raise TypeError(f"Checkpoints: expected keep_best to be the name of a metric, got {keep_best!r}.")
    for name, value in (("keep", keep), ("every", every)):
        if (value is not None or name == "keep") and (type(value) is not int or value < 1):
            raise ValueError(f"Checkpoints: expected {name} to be an int of at least 1, got {value!r}.")
    if minutes is not None and not (type(minutes) in (int, float) and minutes > 0):
        raise ValueError(f"Checkpoints: expected minutes to be a positive number, got {minutes!r}.")
