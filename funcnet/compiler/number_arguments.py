"""Python numbers among the arguments of a jitted function: the traced ones do not need a new program per value."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from inspect import signature
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
    def static(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """The positions and names of static arguments."""
        return tuple(sorted(self._argnums)), tuple(sorted(self._argnames))

    def positions(
        self, structure: Hashable, leaves: Sequence[Any], numbers: Sequence[int], args: Any, kwargs: Any
    ) -> tuple[int, ...]:
        """Return the positions of the traced numbers among the leaves."""
        if (self._argnums or self._argnames) and structure not in self._known:
            self.fix(structure, self._static(args, kwargs))
            self._known.add(structure)  # after it: another thread must not find the structure too early
        free = (i for i in numbers if (structure, i) not in self._constant)
        return tuple(i for i in free if self._varies(structure, i, leaves[i]))

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise if a static argument is not hashable, or holds tensors."""
        places: list[tuple[object, Any]] = [(i, arg) for i, arg in enumerate(args) if self._is_static(i, len(args))]
        for place, arg in (*places, *((name, kwargs[name]) for name in kwargs if name in self._argnames)):
            if any(map(tree.is_tensor, tree.leaves(arg))) or not _is_hashable(arg):
                raise ValueError(
                    f"jit: expected the static argument {place!r} to be hashable and without tensors, got "
                    f"{tree.describe(arg)}. Pass a tuple in place of a list, or do not make the argument static."
                )

    def _is_static(self, i: int, count: int) -> bool:
        return i in self._argnums or i - count in self._argnums

    def _static(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int]:
        """List the positions of the leaves in static arguments."""
        static = [self._is_static(i, len(args)) for i in range(len(args))]
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


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def static_arguments(
    f: Callable[..., Any], argnums: int | Sequence[int] | None, argnames: str | Sequence[str] | None
) -> tuple[Sequence[int], Sequence[str]]:
    """Return the positions and names of static arguments; if only one of both is given, the other follows from f."""
    nums = (argnums,) if isinstance(argnums, int) else tuple(argnums or ())
    names = (argnames,) if isinstance(argnames, str) else tuple(argnames or ())
    if bool(nums) == bool(names):
        return nums, names
    try:
        parameters = signature(f).parameters.values()
    except (TypeError, ValueError):  # of a builtin function
        return nums, names
    known = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if nums and any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return nums, [known[i] for i in nums if 0 <= i < len(known)]
    if nums:
        nums = tuple(i + len(known) if -len(known) <= i < 0 else i for i in nums)
        return nums, [known[i] for i in nums if i < len(known)]
    return [i for i, name in enumerate(known) if name in names], names


def is_like(value: Any, traced: float) -> bool:
    """Tell whether a value can take the place of a traced number."""
    return value.__class__ is traced.__class__ and (value.__class__ is float or -_BOUND <= value < _BOUND)


def parameter(value: float) -> Tensor:
    """Return a traced number's value as the tensor that the program takes."""
    return torch.scalar_tensor(value, dtype=_DTYPES[type(value)], device=_CPU)
