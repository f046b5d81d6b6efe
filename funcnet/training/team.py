"""The processes that run the same steps together: one alone, or the ranks of `distributed.fit`."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from funcnet.tree import Tree

Result = TypeVar("Result")


class Team(Protocol):
    """The processes of a run, which exchange what only the first one knows."""

    is_first: bool  # whether this process calls the callbacks, saves, and prints

    def first(self, f: Callable[[], Result]) -> Result:
        """Call a function on the first process, and return its result, or raise its error, on all of them."""

    def part(self, xs: Tree) -> Tree:
        """Take the part of this process of stacked inputs."""

    def check_interrupt(self) -> None:
        """Raise if an interrupt is due to a process that was lost, not to Ctrl-C."""

    def end_interrupted(self) -> None:
        """Raise if the run cannot return after Ctrl-C, because its processes may have reached different chunks."""


class Alone:
    """A single process."""

    is_first = True

    def first(self, f: Callable[[], Result]) -> Result:
        return f()

    def part(self, xs: Tree) -> Tree:
        return xs

    def check_interrupt(self) -> None:
        pass

    def end_interrupted(self) -> None:
        pass
