"""Real and imaginary parts in formulas: their operators append operations on real tensors to a block."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from funcnet._torch import Operation
from funcnet.compiler.program import Op, Var, emit

aten = torch.ops.aten
_PYTHON: dict[Operation, Callable[[float, float], float]] = {
    aten.add.Tensor: operator.add,
    aten.sub.Tensor: operator.sub,
    aten.mul.Tensor: operator.mul,
}


@dataclass(frozen=True)
class Emitter:
    """Appends operations on real tensors of one dtype, on the device of a value."""

    ops: list[Op]
    dtype: torch.dtype
    like: Var

    def __call__(self, target: Operation, *args: Any, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Var:
        """Append an operation, and return its result."""
        return emit(self.ops, target, args, shape, dtype or self.dtype, self.like)

    def cast(self, var: Var) -> Var:
        """Convert a tensor to the dtype."""
        if var.dtype == self.dtype:
            return var
        return emit(self.ops, aten._to_copy.default, (var,), var.shape, self.dtype, self.like, {"dtype": self.dtype})

    def full(self, shape: tuple[int, ...], number: float) -> Var:
        """Return a tensor of one number."""
        options = {"dtype": self.dtype, "device": self.like.device}
        return emit(self.ops, aten.full.default, ([*shape], number), shape, self.dtype, self.like, options)


@dataclass(frozen=True)
class Real:
    """A real tensor or number."""

    value: Var | float
    emitter: Emitter

    def __add__(self, other: "Real") -> "Real":
        return self.with_(other, aten.add.Tensor)

    def __sub__(self, other: "Real") -> "Real":
        return self.with_(other, aten.sub.Tensor)

    def __mul__(self, other: "Real") -> "Real":
        return self.with_(other, aten.mul.Tensor)

    def __truediv__(self, other: "Real") -> "Real":
        return self.with_(other, aten.div.Tensor)

    def __neg__(self) -> "Real":
        return Real(-self.value, self.emitter) if isinstance(self.value, float) else self.apply(aten.neg.default)

    def apply(self, target: Operation) -> "Real":
        """Apply a function of one argument."""
        x = self.var
        return Real(self.emitter(target, x, shape=x.shape), self.emitter)

    def with_(self, other: "Real", target: Operation, dtype: torch.dtype | None = None) -> "Real":
        """Apply a function of two arguments, of which the second may be a number."""
        both = self.value, other.value
        if isinstance(both[0], float) and isinstance(both[1], float) and target in _PYTHON:
            return Real(_PYTHON[target](both[0], both[1]), self.emitter)
        x, y = self.var, other.value if target in _PYTHON else other.var
        shape = x.shape if isinstance(y, float) else torch.broadcast_shapes(x.shape, y.shape)
        return Real(self.emitter(target, x, y, shape=tuple(shape), dtype=dtype), self.emitter)

    def where(self, condition: "Real", other: "Real") -> "Real":
        """Choose this value where a condition is true, else the other one."""
        values = condition.var, self.var, other.var
        shape = torch.broadcast_shapes(*(var.shape for var in values))
        return Real(self.emitter(aten.where.self, *values, shape=tuple(shape)), self.emitter)

    def number(self, number: float) -> "Real":
        """Return a number for the same formula."""
        return Real(number, self.emitter)

    @property
    def var(self) -> Var:
        """The value as a tensor."""
        return self.emitter.full((), self.value) if isinstance(self.value, float) else self.value

    def fitted(self, shape: tuple[int, ...]) -> Var:
        """Return the value as a tensor of a shape."""
        if isinstance(self.value, float):
            return self.emitter.full(shape, self.value)
        var = self.value
        return var if var.shape == shape else self.emitter(aten.expand.default, var, [*shape], shape=shape)


class Pair(NamedTuple):
    """The parts of a complex value."""

    re: Real
    im: Real
