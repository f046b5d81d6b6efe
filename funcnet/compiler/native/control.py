"""Statements that do not loop over elements: checks, branches, loops with a condition, and calls of torch."""

from dataclasses import dataclass, field
from typing import Any

from funcnet.compiler.native.buffers import View


@dataclass(eq=False)
class Check:
    """Set an error code, which numbers the kernel's messages, if the element of a view is false in any lane."""

    view: View
    code: int


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
