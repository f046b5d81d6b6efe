"""The state that a run has reached after a chunk, which is returned, saved and restored as a whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from funcnet import tree
from funcnet.checkpoint import Checkpoints
from funcnet.training.callbacks import Callback, Stop, mean, named
from funcnet.tree import Tree

Result = TypeVar("Result")


class Team(Protocol):
    """The processes that run the same steps together."""

    def first(self, f: Callable[[], Result]) -> Result:
        """Call a function on the first process, and return its result, or raise its error, on all of them."""

    def part(self, xs: Tree) -> Tree:
        """Take the part of this process of stacked inputs."""


class Alone:
    """A single process."""

    def first(self, f: Callable[[], Result]) -> Result:
        return f()

    def part(self, xs: Tree) -> Tree:
        return xs


@dataclass(frozen=True)
class Reached:
    """The state of a run at the end of a chunk, after the callbacks."""

    step: int
    carry: Tree
    metrics: tuple[Tree, ...] = ()  # of each chunk; the first may be those of a checkpoint
    states: tuple[tuple[str, Tree], ...] = ()  # of the callbacks that have one: their class, and the state
    message: str | None = None  # of the callback that has stopped the run

    def history(self) -> Tree:
        """Return the metrics of all steps."""
        if len(self.metrics) < 2:
            return self.metrics[0] if self.metrics else None
        return tree.map(_joined, *self.metrics)


def _joined(*columns: Tensor) -> Tensor:
    return torch.cat([each.to(columns[-1].device) for each in columns])  # that of a checkpoint is on the CPU


class Keeper:
    """Saves what a run has reached, and restores it; without checkpoints, it only remembers."""

    def __init__(self, checkpoints: Checkpoints | None, callbacks: Sequence[Callback], team: Team) -> None:
        self.checkpoints, self.callbacks, self.team = checkpoints, callbacks, team
        self.saved: int | None = None  # the step of the last checkpoint

    def start(self, carry: Tree, steps: int | None) -> Reached:
        """Restore the last checkpoint, if there is one, and start the callbacks."""
        reached = self.team.first(lambda: self.restored(carry)) or Reached(0, carry)
        if steps is not None and reached.step > steps:
            raise ValueError(
                f"fit: expected checkpoints of at most {steps} steps, got one of step {reached.step} in"
                f" {self.checkpoints}. Raise `steps`, or use another folder for another run."
            )
        self.team.first(lambda: self.started(reached))
        return reached

    def restored(self, carry: Tree) -> Reached | None:
        found = None if self.checkpoints is None else self.checkpoints.restore_parts({"carry": carry})
        if found is None:
            return None
        self.saved, content = found.step, found.tree
        if type(content) is not dict or "carry" not in content:
            raise ValueError(
                f"fit: expected checkpoints of a run, got others, in {self.checkpoints}. Use a new folder."
            )
        return Reached(found.step, content["carry"], *(content[key] for key in ("metrics", "states", "message")))

    def started(self, reached: Reached) -> None:
        known, found = [kind for kind, _ in reached.states], [_kind(each) for each in self.remembering()]
        if reached.step and known != found:
            raise ValueError(
                f"fit: expected the callbacks with a state of the run that goes on, {known}, in on_chunk, got {found}."
                " Use another folder for another run."
            )
        for each, (_, state) in zip(self.remembering(), reached.states, strict=False):
            each.state = state
        for each in self.callbacks:
            getattr(each, "start", _nothing)(reached.step, reached.carry)

    def remembering(self) -> list[Any]:
        """List the callbacks that have a state."""
        return [each for each in self.callbacks if hasattr(each, "state")]

    def after(self, reached: Reached, carry: Tree, metrics: Tree, length: int) -> Reached:
        """Call the callbacks after a chunk, and return what the run has reached then."""
        step = reached.step + length
        stop, states = self.team.first(lambda: self.called(step, carry, metrics))
        carry = carry if stop is None or stop.carry is None else stop.carry
        return Reached(step, carry, (*reached.metrics, metrics), states, None if stop is None else stop.message)

    def called(self, step: int, carry: Tree, metrics: Tree) -> tuple[Stop | None, tuple[tuple[str, Tree], ...]]:
        answers = [_answer(each, each(step, carry, metrics)) for each in self.callbacks]
        stops = [answer for answer in answers if answer is not None]
        # in containers of their own, which the callbacks do not change later
        states = tuple((_kind(each), tree.map(lambda leaf: leaf, each.state)) for each in self.remembering())
        return (stops[0] if stops else None), states

    def save_if_due(self, reached: Reached) -> None:
        self.team.first(
            lambda: self.save(reached) if self.checkpoints and self.checkpoints.is_due(reached.step) else None
        )

    def save(self, reached: Reached) -> None:
        """Save, unless the step has been saved."""
        if self.checkpoints is None or self.saved == reached.step or not reached.metrics:
            return
        content = {
            "carry": reached.carry,
            "metrics": (reached.history(),),
            "states": reached.states,
            "message": reached.message,
        }
        last = {path or "value": mean(leaf) for path, leaf in named(reached.metrics[-1]).items()}
        self.checkpoints.save(content, step=reached.step, metadata=last)
        self.saved = reached.step


def _kind(callback: Callback) -> str:
    return getattr(callback, "__qualname__", type(callback).__qualname__)


def _answer(callback: Callback, answer: Any) -> Stop | None:
    if answer is None or isinstance(answer, Stop):
        return answer
    raise TypeError(
        f"fit: expected the callback {_kind(callback)} to return None or fn.STOP, got {tree.describe(answer)}."
    )


def _nothing(step: int, carry: Any) -> None:
    pass
