"""Statements that do not loop over elements: checks, branches, loops with a condition, and calls of torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch

from funcnet.compiler.native.buffers import View


@dataclass(eq=False)
class Check:
    """Set an error code, which numbers the kernel's errors, if the element of a view is false in any lane.

    With a count the element is an int64: one below the count is added to the code.
    """

    view: View
    code: int
    count: int = 0


@dataclass(frozen=True)
class Failure:
    """The errors of factorisations of a batch of matrices; each has a number, by the matrix and the step that failed.

    Attributes:
        name: The function that torch's error names.
        shape: The batch.
    """

    name: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many errors there are."""
        return min(MOST, STEPS * math.prod(self.shape))

    def error(self, number: int) -> Exception:
        """Return torch's error."""
        info = torch.zeros(math.prod(self.shape), dtype=torch.int32, device="cpu")
        step = number % STEPS
        info[number // STEPS] = step - STEPS if step > STEPS - NEGATIVE else step
        try:
            torch.ops.aten._linalg_check_errors(info.reshape(self.shape), self.name, is_matrix=not self.shape)
        except RuntimeError as error:
            return error
        raise AssertionError(f"{self.name}: torch has no error {number}")

    def __str__(self) -> str:
        return f"{self.name}, plus {STEPS} times the index of the matrix, plus the step that failed, times 4"


STEPS = 1 << 14  # of a factorisation, at most
NEGATIVE = 32  # the last of these numbers stand for negative codes of LAPACK
MOST = 1 << 28  # numbers of the errors of one check


def error(errors: Sequence[str | Failure], code: int) -> Exception:
    """Return the error with a code; the first is 1."""
    for each in errors:
        if isinstance(each, Failure):
            if code <= each.count:
                return each.error(code - 1)
            code -= each.count
        elif code == 1:
            return RuntimeError(each)
        else:
            code -= 1
    raise AssertionError(f"no error has the code {code}")


def codes(errors: Sequence[str | Failure]) -> list[int]:
    """Return the first code of each error, and the first one that is free."""
    return [*accumulate((each.count if isinstance(each, Failure) else 1 for each in errors), initial=1)]


@dataclass(eq=False)
class Case:
    """Run statements if the element of a view, which all lanes share, has a value."""

    view: View
    value: int
    body: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Repeat:
    """Repeat statements, one of which is a Break."""

    body: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Break:
    """Leave the innermost Repeat if the element of a view is false in all lanes."""

    view: View


@dataclass(eq=False)
class TorchCall:
    """Let torch compute an operation, which has a position in the kernel's list; all views are dense."""

    position: int
    inputs: tuple[View, ...]
    outputs: tuple[View, ...]
