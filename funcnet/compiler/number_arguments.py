"""Python numbers among the arguments of a jitted function: the traced ones do not need a new program per value."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet import tree

_DTYPES = {int: torch.int64, float: torch.float64}
_CPU = torch.device("cpu")
_BOUND = 2**63  # larger ints do not fit into int64


class NumberArguments:
    """Decides which leaves of the arguments are traced numbers: floats, and ints from their second value on.

    A number whose value the function needs becomes a constant for good; numbers in static arguments always are.
    """

    def __init__(self, argnums: int | Sequence[int] = (), argnames: str | Sequence[str] = ()) -> None:
        self._argnums = {argnums} if isinstance(argnums, int) else set(argnums)
        self._argnames = {argnames} if isinstance(argnames, str) else set(argnames)
        self._first: dict[Hashable, int] = {}
        self._constant: set[Hashable] = set()
        self._known: set[Hashable] = set()  # structures whose static arguments are already in _constant

    @property
    def static(self) -> tuple[list[int], list[str]]:
        """The positions and names of static arguments."""
        return sorted(self._argnums), sorted(self._argnames)

    def positions(
        self, structure: Hashable, leaves: Sequence[Any], numbers: Sequence[int], args: Any, kwargs: Any
    ) -> tuple[int, ...]:
        """Return the positions of the traced numbers among the leaves."""
        if (self._argnums or self._argnames) and structure not in self._known:
            self._known.add(structure)
            self.fix(structure, self._static(args, kwargs))
        free = (i for i in numbers if (structure, i) not in self._constant)
        return tuple(i for i in free if self._varies(structure, i, leaves[i]))

    def _static(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int]:
        """List the positions of the leaves in static arguments."""
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
            self._first[structure, i] = _BOUND  # equal to no value, so every value differs from it
        return first != value

    def fix(self, structure: Hashable, positions: Iterable[int]) -> None:
        """Make leaves constants from now on."""
        self._constant.update((structure, i) for i in positions)


def is_like(value: Any, traced: float) -> bool:
    """Tell whether a value can take the place of a traced number."""
    return value.__class__ is traced.__class__ and (value.__class__ is float or -_BOUND <= value < _BOUND)


def parameter(value: float) -> Tensor:
    """Return a traced number's value as the tensor that the program takes."""
    return torch.scalar_tensor(value, dtype=_DTYPES[type(value)], device=_CPU)
