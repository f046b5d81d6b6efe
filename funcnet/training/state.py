"""The state of a run at the end of a chunk, which is returned, saved and restored as a whole."""

from dataclasses import dataclass

from funcnet.training.metrics import check_alike, joined
from funcnet.tree import Tree


@dataclass(frozen=True)
class RunState:
    """The state of a run at the end of a chunk, after its callbacks.

    Attributes:
        step: The number of steps taken.
        carry: The carry after them.
        metrics: The metrics of each chunk; the first may be those of all chunks before a checkpoint.
        callbacks: The class and state of each callback that has one; on other processes than the first, empty.
        message: That of the callback that has stopped the run; None: none has.
    """

    step: int
    carry: Tree
    metrics: tuple[Tree, ...] = ()
    callbacks: tuple[tuple[str, Tree], ...] = ()
    message: str | None = None

    def history(self) -> Tree:
        """Return the metrics of all steps."""
        return joined(self.metrics) if self.metrics else None

    def check_metrics(self, metrics: Tree) -> None:
        """Raise if the metrics of the next chunk are not like those before."""
        if self.metrics:
            check_alike(self.metrics[-1], metrics)
