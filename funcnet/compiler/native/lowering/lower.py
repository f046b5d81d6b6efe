"""From a program to loops: views become strides, chains of elementwise operations share one nest of loops.

An elementwise result is pending: it exists only inside its nest, and gets memory when another statement reads it. A
later operation of the same shape is fused into the nest of its operands if all its operands are ready there.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from funcnet.compiler.errors import InternalError, UnsupportedError
from funcnet.compiler.native import long_sums
from funcnet.compiler.native.buffers import HALVES, Buffer, View, whole
from funcnet.compiler.native.contract import Contract
from funcnet.compiler.native.control import Check, Failure, codes
from funcnet.compiler.native.loop_ir import Accumulate, Const, LoopProgram, Nest, Operand, Statement, Store
from funcnet.compiler.native.lowering.selection import select
from funcnet.compiler.native.lowering.values import Emit, Number, Pending, Scope, Splat, Value, inside
from funcnet.compiler.native.target import Target
from funcnet.compiler.program import Apply, Op, Program, Var, inputs

Rule = Callable[..., Value | list[Value]]


class Lowering:
    """Lowers one program; the rules of operations call its methods."""

    def __init__(self, program: Program, rules: dict[str, Rule], target: Target):
        self.rules, self.target = rules, target
        self.lanes = program.in_dims is not None
        self.values: dict[Var, Value] = {}
        self.scope = Scope()
        self.messages: list[str | Failure] = []
        self.calls: list[Apply] = []
        self.op: Apply
        self.program = program
        self.destination: dict[Var, View] = {}

    def run(self) -> LoopProgram:
        """Lower the program."""
        block = self.program.block
        inputs = [self._input(position, var) for position, var in enumerate(block.params)]
        outputs = [self._output(position, var) for position, var in enumerate(block.results)]
        self.destination.update(zip(block.results, outputs, strict=True))
        for op in block.ops:
            self.lower(op)
        finished = [self._finish(self.values[var], out) for var, out in zip(block.results, outputs, strict=True)]
        arguments = [view.buffer for view in inputs], [view.shape for view in inputs]
        return LoopProgram(*arguments, finished, self.scope.statements, self.lanes, self.messages, self.calls)

    def _input(self, position: int, var: Var) -> View:
        buffer = Buffer(var.dtype, math.prod(var.shape), var in self.program.varying, "input", position)
        self.values[var] = view = whole(buffer, var.shape)
        return view

    def _output(self, position: int, var: Var) -> View:
        dims = self.program.out_dims
        shared = dims is None or dims[position] is None
        return whole(Buffer(var.dtype, math.prod(var.shape), not shared, "output", position), var.shape)

    def _finish(self, value: Value, out: View) -> Buffer:
        """Copy a value to a result, or make the large temporary that holds it the result; return its buffer."""
        if isinstance(value, View) and not out.varying and value.fills("temporary", self.target.stack):
            value.buffer.kind, value.buffer.position = "output", out.buffer.position
            return value.buffer
        if not isinstance(value, View) or value.buffer is not out.buffer:
            self.store(out, value)
        return out.buffer

    @contextmanager
    def inside(self, statements: list[Statement]) -> Iterator[None]:
        """Append to the statements of a loop or branch."""
        outer, self.scope = self.scope, Scope(statements)
        yield
        self.scope = outer

    def lower(self, op: Op) -> None:
        """Lower one operation and bind its outputs."""
        if not isinstance(op, Apply):
            found = self.rules[type(op).__name__](self, op)
            self.values.update(zip(op.outputs, found if isinstance(found, list) else [found], strict=True))
            return
        self.op = op
        results = self._results(op)
        for var, value in zip(op.outputs, results if isinstance(results, list) else [results], strict=True):
            if (value.shape, value.dtype) != memory(var):
                raise InternalError(
                    f"{op.target}: its rule gives {value.dtype}{list(value.shape)}, not {var.dtype}{list(var.shape)}"
                )
            self.values[var] = value

    def _results(self, op: Apply) -> Value | list[Value]:
        """Apply the rule of an operation; without one, or if it refuses the arguments, torch computes the operation."""
        rule = self.rules.get(op.target._schema.name.removeprefix("aten::"))
        if rule is None or (_is_complex(op) and op.target not in _PARTS):
            return self.rules["Apply"](self, op, "the native backend has no rule for it")
        for var in op.outputs:
            if memory(var)[1] not in DTYPES:
                raise UnsupportedError(f"{op.target}: the native backend has no {var.dtype}")
        args, kwargs = map(self._argument, op.args), {name: self._argument(value) for name, value in op.kwargs.items()}
        try:
            return rule(self, *args, **kwargs)
        except UnsupportedError as error:
            self.op = op  # the rule may have replaced it
            return self.rules["Apply"](self, op, str(error))

    def _argument(self, arg: object) -> object:
        if isinstance(arg, Var):
            return self.values[arg]
        return type(arg)(self._argument(item) for item in arg) if isinstance(arg, list | tuple) else arg

    def temporary(self, shape: Sequence[int], dtype: torch.dtype, varying: bool) -> View:
        """Return a new row-major temporary."""
        return whole(Buffer(dtype, math.prod(shape), varying), shape)

    def output(self, varying: bool, position: int = 0) -> View:
        """Return the memory of a result of the current operation: that of a shared result of the program, if it is."""
        var = self.op.outputs[position]
        result = self.destination.get(var)
        return (
            result if result and not varying and not result.varying else self.temporary(var.shape, var.dtype, varying)
        )

    def view(self, value: Value) -> View:
        """Return the memory of a value; allocate it if the value has none."""
        if isinstance(value, View):
            return value
        if isinstance(value, Splat):
            one = self.temporary((), value.dtype, False)
            self.store(one, Splat(value.const, ()))
            return one.expand(value.shape)
        if value.view is None:
            value.view = self.temporary(value.shape, value.dtype, value.node.varying)
            value.nest.body.append(Store(value.view, value.node))
            value.scope.ready[value.view.buffer] = value.scope.positions[value.nest]
        return value.view

    def nest(self, shape: Sequence[int], values: Sequence[Value]) -> Nest:
        """Return a nest of this shape in which all values are ready or computed, preferably one that computes them."""
        shape, scope = tuple(shape), self.scope
        ready = max(map(self._ready, values), default=-1)
        local = {value.nest for value in values if isinstance(value, Pending) and value.scope is scope}
        nest = max((nest for nest in local if nest.shape == shape), key=scope.positions.__getitem__, default=None)
        at = -1 if nest is None else scope.positions[nest]
        if nest is not None and at >= ready and all(self._ready(v) < at or inside(v, nest) for v in values):
            return nest
        last = scope.last.get(shape)
        if last is not None and scope.positions[last] > max(at, ready):
            return last
        nest = Nest(shape)
        scope.add(nest)
        return nest

    def _ready(self, value: Value) -> int:
        """Return the position of the statement after which a value is complete; -1 if it is before all statements."""
        if isinstance(value, View):
            return self.scope.ready.get(value.buffer, -1)
        return self.scope.positions[value.nest] if isinstance(value, Pending) and value.scope is self.scope else -1

    def operand(self, value: Value | Number, nest: Nest) -> Operand | Number:
        """Return a value as an operand in the body of a nest."""
        if isinstance(value, Number):
            return value
        if isinstance(value, Splat):
            return value.const
        if isinstance(value, Pending) and value.nest is nest:
            return value.node
        return self.view(value).expand(nest.shape)

    def map(
        self, shape: Sequence[int], formula: Callable[..., Operand], *values: Value | Number, after: Sequence[View] = ()
    ) -> Value:
        """Apply formula(emit, *operands) at every index of a shape to values that broadcast to it."""
        nest = self.nest(shape, [*(value for value in values if not isinstance(value, Number)), *after])
        node = formula(Emit(nest), *(self.operand(value, nest) for value in values))
        return Splat(node, nest.shape) if isinstance(node, Const) else Pending(node, nest, self.scope)

    def store(self, out: View, value: Value, dtype: torch.dtype | None = None) -> None:
        """Copy a value to out, with broadcasting."""
        nest = self.nest(out.shape, [value])
        operand = Emit(nest).cast(self.operand(value, nest), dtype or out.dtype)
        nest.body.append(Store(out, operand))
        ready = self.scope.ready
        ready[out.buffer] = max(ready.get(out.buffer, -1), self.scope.positions[nest])

    def reduce(self, op: str, value: Value, axes: Sequence[int], identity: Number, keep: bool = False) -> View:
        """Combine the elements along some axes, in the dtype of the value."""
        nest = self.nest(value.shape, [value])
        operand = Emit(nest).cast(self.operand(value, nest), value.dtype)
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(value.shape))
        out = self.temporary(kept, value.dtype, operand.varying)
        target = out.expand(value.shape)
        nest.body.append(Accumulate(target, operand, op, Const(identity, value.dtype), long_sums.scratch(target, op)))
        self.scope.ready[out.buffer] = self.scope.positions[nest]
        shape = kept if keep else tuple(size for axis, size in enumerate(value.shape) if axis not in axes)
        return whole(out.buffer, shape)

    def contract(self, left: Value, right: Value) -> View:
        """Return the matrix product over the last two axes, the result of the current operation."""
        a, b = self.view(left), self.view(right)
        out = self.output(a.varying or b.varying)
        self.scope.add(Contract(out, a, b), out)
        return out

    def dense(self, view: View) -> View:
        """Return a row-major copy."""
        copy = self.temporary(view.shape, view.dtype, view.varying)
        self.store(copy, view)
        return copy

    def check(self, value: Value, message: str | Failure) -> None:
        """Raise an error after the run if a value of one element is false, or is the number of a failure."""
        code, count = codes(self.messages)[-1], message.count if isinstance(message, Failure) else 0
        self.messages.append(message)
        self.scope.add(Check(self.view(value), code, count))


_SIGNED = (torch.int64, torch.int32, torch.int16, torch.int8)
_UNSIGNED = (torch.uint64, torch.uint32, torch.uint16, torch.uint8)
DTYPES = (torch.float32, torch.float64, *HALVES, *_SIGNED, *_UNSIGNED, torch.bool)
_ATEN = torch.ops.aten
_PARTS = (_ATEN.complex.default, _ATEN.view_as_complex.default, _ATEN.view_as_real.default)  # they have rules


def memory(var: Var) -> tuple[tuple[int, ...], torch.dtype]:
    """Return the shape and dtype of a value in memory: a complex one has an axis of both parts at the end."""
    return ((*var.shape, 2), var.dtype.to_real()) if var.dtype.is_complex else (var.shape, var.dtype)


def _is_complex(op: Apply) -> bool:
    return any(var.dtype.is_complex for var in (*op.outputs, *inputs(op)))


def lower(program: Program, rules: dict[str, Rule], target: Target) -> LoopProgram:
    """Lower a program for a machine by the rules of its operations."""
    for var in program.block.params:
        if var.device.type != target.device:
            raise UnsupportedError(f"the native backend runs on the {target.device.upper()}, not on {var.device}")
        if var.dtype not in DTYPES:
            raise UnsupportedError(f"the native backend has no {var.dtype}")
    return Lowering(select(program), rules, target).run()
