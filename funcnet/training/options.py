"""The options of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from funcnet.checkpoint import Checkpoints
from funcnet.training.callbacks import Callback


@dataclass(frozen=True)
class Options:
    """The options of `fit`, checked."""

    steps: int | None
    every: int | None
    on_chunk: Sequence[Callback]
    checkpoints: Checkpoints | str | Path | None
    progress: bool
    backend: str

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("every", self.every)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"fit: expected {name} to be an int of at least 1, got {value!r}.")
        if not isinstance(self.on_chunk, list | tuple) or not all(map(callable, self.on_chunk)):
            raise TypeError(f"fit: expected on_chunk to be a list of functions, got {self.on_chunk!r}.")
        if not isinstance(self.checkpoints, Checkpoints | str | Path | None):
            raise TypeError(f"fit: expected checkpoints to be a folder or a Checkpoints, got {self.checkpoints!r}.")
        if not isinstance(self.progress, bool):
            raise TypeError(f"fit: expected progress to be a bool, got {self.progress!r}.")

    def folder(self) -> Checkpoints | None:
        """Return the checkpoints of the run."""
        return Checkpoints(self.checkpoints) if isinstance(self.checkpoints, str | Path) else self.checkpoints
