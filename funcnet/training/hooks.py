"""The callbacks of a run: started, called after each chunk, and their states."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from funcnet import tree
from funcnet.control_flow.carry import signature
from funcnet.training.callbacks import Callback, Stop
from funcnet.training.state import RunState
from funcnet.transforms.purity import writes
from funcnet.tree import Tree


class Hooks:
    """The callbacks of a run."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks, self.copies = callbacks, _Copies()

    def start(self, state: RunState) -> None:
        """Start the callbacks; of a run that goes on, set their states first."""
        known, found = [kind for kind, _ in state.callbacks], [_kind(each) for each in self._with_state()]
        if state.step and known != found:
            raise ValueError(
                f"fit: expected the callbacks with a state of the run that goes on, {known}, in on_chunk, got {found}."
                " Use another folder for another run."
            )
        for each, (_, saved) in zip(self._with_state(), state.callbacks, strict=False):
            each.state = saved
        for each in self.callbacks:
            if hasattr(each, "start"):
                each.start(state.step, state.carry)

    def call(self, step: int, carry: Tree, metrics: Tree) -> Stop | None:
        """Call all callbacks after a chunk, and return the first answer that stops the run."""
        answers = [_answer(each, each(step, carry, metrics), carry) for each in self.callbacks]
        return next((answer for answer in answers if answer is not None), None)

    def states(self, carry: Tree) -> tuple[tuple[str, Tree], ...]:
        """Return the class and state of each callback, which may change its own tensors and containers later."""
        self.copies.start(tree.leaves(carry))
        return tuple((_kind(each), tree.map(self.copies.of, each.state)) for each in self._with_state())

    def _with_state(self) -> list[Any]:
        return [each for each in self.callbacks if hasattr(each, "state")]


class _Copies:
    """Copies of the tensors of successive states: none of a carry, which belongs to the run, and one per version."""

    def __init__(self) -> None:
        self.before: dict[int, tuple[Any, int, Any]] = {}  # by id: a leaf, its version, and its copy
        self.now: dict[int, tuple[Any, int, Any]] = {}

    def start(self, carry: list[Any]) -> None:
        """Start with the next states, which may contain leaves of a carry."""
        self.before, self.now = self.now, {}
        shared = zip(carry, writes(carry), strict=True)
        self.before.update({id(leaf): (leaf, version, leaf) for leaf, version in shared})

    def of(self, leaf: Any) -> Any:
        (version,) = writes([leaf])
        known, known_version, copy = self.before.get(id(leaf), (None, 0, leaf))
        if isinstance(leaf, Tensor) and (known is not leaf or known_version != version):
            copy = leaf.detach().clone()
        self.now[id(leaf)] = leaf, version, copy
        return copy


def _kind(callback: Callback) -> str:
    return getattr(callback, "__qualname__", type(callback).__qualname__)


def _answer(callback: Callback, answer: Any, carry: Tree) -> Stop | None:
    if answer is not None and not isinstance(answer, Stop):
        raise TypeError(
            f"fit: expected the callback {_kind(callback)} to return None or fn.STOP, got {tree.describe(answer)}."
        )
    if answer is not None and answer.carry is not None and signature(answer.carry) != signature(carry):
        raise ValueError(
            f"fit: expected the callback {_kind(callback)} to stop with a carry like the one it got, but they differ"
            f" {tree.difference(tree.map(tree.describe, carry), tree.map(tree.describe, answer.carry))}."
        )
    return answer
