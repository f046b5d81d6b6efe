"""Python numbers among the arguments of a jitted function: which are traced, so that new values need no new program."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet import tree

_DTYPES = {int: torch.int64, float: torch.float64}
_CPU = torch.device("cpu")
_BOUND = 2**63  # beyond which an int does not fit


class NumberArguments:
    """Which leaves of the arguments are traced numbers: floats, and ints once they have had a second value.

    A number whose value a function needed stays a constant from then on, as those of static arguments do.
    """

    def __init__(self, argnums: int | Sequence[int] = (), argnames: str | Sequence[str] = ()) -> None:
        self._argnums = {argnums} if isinstance(argnums, int) else set(argnums)
        self._argnames = {argnames} if isinstance(argnames, str) else set(argnames)
        self._first: dict[Hashable, int] = {}
        self._constant: set[Hashable] = set()
        self._known: set[Hashable] = set()  # structures whose static leaves are among the constants

    @property
    def static(self) -> tuple[list[int], list[str]]:
        """The positions and names of static arguments."""
        return sorted(self._argnums), sorted(self._argnames)

    def positions(
        self, structure: Hashable, leaves: Sequence[Any], numbers: Sequence[int], args: Any, kwargs: Any
    ) -> tuple[int, ...]:
        """Return which of the leaves that are numbers are traced."""
        if (self._argnums or self._argnames) and structure not in self._known:
            self._known.add(structure)
            self.fix(structure, self._static(args, kwargs))
        free = (i for i in numbers if (structure, i) not in self._constant)
        return tuple(i for i in free if self._varies(structure, i, leaves[i]))

    def _static(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int]:
        """List the leaves of static arguments."""
        static = [i in self._argnums or i - len(args) in self._argnums for i in range(len(args))]
        marks = (
            [tree.map(lambda _, mark=mark: mark, arg) for arg, mark in zip(args, static, strict=True)],
            {name: tree.map(lambda _, name=name: name in self._argnames, arg) for name, arg in kwargs.items()},
        )
        return [i for i, mark in enumerate(tree.leaves(marks)) if mark]

    def _varies(self, structure: Hashable, i: int, value: float) -> bool:
        if isinstance(value, float):
            return True
        if not -_BOUND <= value < _BOUND:
            return False
        first = self._first.setdefault((structure, i), value)
        if first != value:
            self._first[structure, i] = _BOUND  # which no value equals
        return first != value

    def fix(self, structure: Hashable, positions: Iterable[int]) -> None:
        """Make leaves constants from now on."""
        self._constant.update((structure, i) for i in positions)


def parameter(value: float) -> Tensor:
    """Return a traced number's value as the tensor that the program takes."""
    return torch.scalar_tensor(value, dtype=_DTYPES[type(value)], device=_CPU)
