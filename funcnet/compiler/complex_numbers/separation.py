"""Separate the complex values of a program into their parts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from funcnet._torch import Operation
from funcnet.compiler.complex_numbers.parts import Emitter, Pair, Real
from funcnet.compiler.program import Apply, Block, Op, Scan, Switch, Var, While, emit, inputs, substitute

aten = torch.ops.aten

Rule = Callable[["Separation", Apply], bool]  # tells whether it has appended the operation


class Separation:
    """Appends the operations of one program.

    Attributes:
        has_lanes: Whether the operations are for one of many lanes, in which torch cannot be called.
        ops: The operations of the current block.
        parts: The parts of each complex value.
        wholes: The complex tensors with the same value, of those that have one in this block or around it.
        stacks: The complex values that `view_as_real` has been applied to, by its results.
    """

    def __init__(self, rules: dict[Operation, Rule], has_lanes: bool) -> None:
        self.rules, self.has_lanes = rules, has_lanes
        self.ops: list[Op] = []
        self.parts: dict[Var, tuple[Var, Var]] = {}
        self.wholes: dict[Var, Var] = {}
        self.stacks: dict[Var, Var] = {}

    def outermost(self, block: Block) -> Block:
        """Return the block of a program."""
        params = tuple(stacked(var) if var.dtype.is_complex else var for var in block.params)
        for var, param in zip(block.params, params, strict=True):
            if var is not param:
                self.view(var, param)
                self.wholes[var] = emit(self.ops, aten.view_as_complex.default, (param,), var.shape, var.dtype, var)
        self.extend(block.ops)
        results = tuple(self.joined(var) if var.dtype.is_complex else var for var in block.results)
        return Block(params, self.ops, results)

    def inner(self, block: Block) -> Block:
        """Return the block of a loop or branch."""
        outside, self.ops, self.wholes = (self.ops, self.wholes), [], {**self.wholes}
        params = self.new(block.params)
        self.extend(block.ops)
        found = Block(params, self.ops, self.flat(block.results))
        self.ops, self.wholes = outside
        return found

    def extend(self, ops: Sequence[Op]) -> None:
        """Append operations."""
        for op in ops:
            match op:
                case Apply():
                    self.apply(op)
                case Scan():
                    loop = replace(op, init=self.flat(op.init), xs=self.flat(op.xs), body=self.inner(op.body))
                    self.ops.append(replace(loop, outputs=self.new(op.outputs)))
                case Switch():
                    branches = tuple(map(self.inner, op.branches))
                    self.ops.append(Switch(op.index, branches, self.new(op.outputs)))
                case While():
                    blocks = self.inner(op.test), self.inner(op.body)
                    self.ops.append(While(self.flat(op.init), *blocks, self.new(op.outputs)))

    def new(self, values: Sequence[Var]) -> tuple[Var, ...]:
        """Return values, with new ones for the parts of the complex ones."""
        for var in values:
            if var.dtype.is_complex:
                re, im = (Var(var.shape, var.dtype.to_real(), var.device) for _ in range(2))
                self.parts[var] = re, im
        return self.flat(values)

    def flat(self, values: Sequence[Var]) -> tuple[Var, ...]:
        """Return values, with their parts in place of the complex ones."""
        return tuple(part for var in values for part in self.parts.get(var, (var,)))

    def apply(self, op: Apply) -> None:
        """Append an operation: on the parts by its rule, or else on complex values."""
        if not any(var.dtype.is_complex for var in (*op.outputs, *inputs(op))):
            self.copy(op)
        elif not (op.target in self.rules and self.rules[op.target](self, op)):
            self.call(op)

    def copy(self, op: Apply) -> None:
        """Append an operation on real values; of a stack of parts, select one of these directly."""
        if op.target is aten.select.int and op.args[0] in self.stacks:
            stack, axis, i = op.args
            if axis % len(stack.shape) == len(stack.shape) - 1:
                self.name(op, self.parts[self.stacks[stack]][i])
                return
        self.ops.append(op)

    def name(self, op: Apply, var: Var) -> None:
        """Give a real value as the result of an operation."""
        self.ops.append(Apply(aten.clone.default, (var,), {}, op.outputs))

    def call(self, op: Apply) -> None:
        """Append an operation on complex values."""
        wholes = {var: self.whole(var) for var in inputs(op) if var.dtype.is_complex}
        kwargs = {name: substitute(value, wholes) for name, value in op.kwargs.items()}
        self.ops.append(Apply(op.target, substitute(op.args, wholes), kwargs, op.outputs))
        for out in op.outputs:
            if out.dtype.is_complex:
                self.wholes[out] = out
                self.view(out, self.joined(out))

    def whole(self, var: Var) -> Var:
        """Return a value as a complex tensor."""
        if var not in self.wholes:
            self.wholes[var] = emit(self.ops, aten.complex.default, self.parts[var], var.shape, var.dtype, var)
        return self.wholes[var]

    def joined(self, var: Var) -> Var:
        """Return a value as a real tensor with an axis of both parts."""
        like = stacked(var)
        return emit(self.ops, aten.view_as_real.default, (self.whole(var),), like.shape, like.dtype, like)

    def view(self, var: Var, stack: Var) -> None:
        """Record the parts of a value, which a real tensor holds along its last axis."""
        axis = len(var.shape)
        re, im = (emit(self.ops, aten.select.int, (stack, axis, i), var.shape, stack.dtype, var) for i in (0, 1))
        self.parts[var] = re, im

    def emitter(self, op: Apply) -> Emitter:
        """Return what appends the operations in place of one, in the real dtype of its first result."""
        out = op.outputs[0]
        return Emitter(self.ops, out.dtype.to_real() if out.dtype.is_complex else out.dtype, out)

    def pair(self, arg: Any, emitter: Emitter) -> Pair:
        """Return a tensor or number as an argument of a formula, in the dtype of an emitter."""
        if not isinstance(arg, Var):
            return Pair(Real(float(arg.real), emitter), Real(float(arg.imag), emitter))
        if arg.dtype.is_complex:
            re, im = self.parts[arg]
            return Pair(Real(emitter.cast(re), emitter), Real(emitter.cast(im), emitter))
        return Pair(Real(emitter.cast(arg), emitter), Real(0.0, emitter))

    def bind(self, out: Var, pair: Pair) -> None:
        """Record the parts of a value."""
        self.parts[out] = pair.re.fitted(out.shape), pair.im.fitted(out.shape)


def stacked(var: Var) -> Var:
    """Return a real value with an axis of the parts of a complex one."""
    return Var((*var.shape, 2), var.dtype.to_real(), var.device)
