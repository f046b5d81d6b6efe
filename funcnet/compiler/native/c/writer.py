"""From loops to C: one function that runs a whole program, over a range of blocks of lanes.

A varying element is a vector of lanes (a GNU vector type, which gcc and clang keep in registers), a shared one a
scalar, and the same text serves both.
"""

import itertools
import math
from dataclasses import replace
from typing import Any

import torch

from funcnet.compiler.native import memory
from funcnet.compiler.native.c import matmul
from funcnet.compiler.native.c.body import Place, combined
from funcnet.compiler.native.c.nest import UNROLL, Walk
from funcnet.compiler.native.loop_ir import (
    Accumulate,
    Buffer,
    Check,
    Const,
    Contract,
    Cumulate,
    Kernel,
    Loop,
    Nest,
    Operand,
    Sort,
    Statement,
    View,
    never,
)
from funcnet.compiler.native.lowering import sorting

NAMES = {
    torch.float32: "f32",
    torch.float64: "f64",
    torch.int64: "i64",
    torch.int32: "i32",
    torch.int16: "i16",
    torch.int8: "i8",
    torch.uint8: "u8",
    torch.uint64: "u64",
    torch.uint32: "u32",
    torch.uint16: "u16",
    torch.bool: "b8",
}


ALIGN = 64  # bytes, those of the widest vectors
WIDENED = ("add", "mul")  # what runs in float64 along an axis, lest its rounding errors pile up
UNROLL_MOST = 1024  # steps of a scan at a time; C compilers refuse to read some larger numbers


class Printer:
    """Prints one kernel; `lines` grows as statements are visited."""

    def __init__(self, kernel: Kernel, lanes: int, vector: int):
        self.kernel, self.lanes, self.vector = kernel, lanes, vector
        self.lines: list[str] = []
        self.depth = 1
        self.counted: list[Statement] = []  # loops whose steps are published
        self.used: set[tuple[str, str]] = set()
        self.plan = memory.plan(kernel, lanes)
        self.names: dict[Any, str] = {}
        self.numbers = itertools.count()

    def put(self, line: str) -> None:
        """Add a line at the current depth."""
        self.lines.append("  " * self.depth + line)

    def open(self, line: str) -> None:
        """Add a line that begins a block."""
        self.put(line + " {")
        self.depth += 1

    def close(self) -> None:
        """End a block."""
        self.depth -= 1
        self.put("}")

    def name(self, thing: Buffer | Any, prefix: str = "v") -> str:
        """The C name of a buffer or counter."""
        if thing not in self.names:
            self.names[thing] = f"{prefix}{next(self.numbers)}"
        return self.names[thing]

    def fresh(self, prefix: str) -> str:
        """A new C name."""
        return f"{prefix}{next(self.numbers)}"

    def type(self, thing: Buffer | View | Operand) -> str:
        """The C type of an element or scalar."""
        return ("v" if thing.varying else "") + NAMES[thing.dtype]

    def call(self, function: str, kind: str, *args: str) -> str:
        """A call of one of the functions of cmath, which is remembered."""
        self.used.add((function, kind))
        return f"{function}_{kind}({', '.join(args)})"

    # Elements

    def address(self, view: View, place: Place) -> str:
        """The index of an element in its buffer."""
        offset, terms = view.offset, list[str]()
        for stride, at in zip(view.strides, place, strict=True):
            if isinstance(at, int):
                offset += stride * at
            elif stride:
                terms.append(at if stride == 1 else f"{at} * {stride}")
        terms += [f"{self.name(counter, 't')} * {stride}" for counter, stride in view.steps if stride]
        if offset or not terms:
            terms.append(str(offset))
        return " + ".join(terms)

    def load(self, view: View, place: Place) -> str:
        """An element as an expression."""
        return self.element(view.buffer, self.address(view, place))

    def element(self, buffer: Buffer, index: str) -> str:
        """The element of a buffer at an index, as an expression that can be read."""
        if buffer.kind == "output" and buffer.varying:
            return self.from_memory(buffer, f"{self.name(buffer)} + ({index}) * padded")
        return f"{self.name(buffer)}[{index}]"

    def from_memory(self, buffer: Buffer, pointer: str) -> str:
        """The lanes at a pointer; a bool is a byte in memory and a mask in a register."""
        if buffer.dtype == torch.bool:
            return f"-__builtin_convertvector(*(const vu8 *)({pointer}), vb8)"
        return f"*({self.type(buffer)} *)({pointer})"

    def store(self, view: View, place: Place, value: str) -> None:
        """Write an element."""
        index = self.address(view, place)
        buffer = view.buffer
        if buffer.kind != "output" or not buffer.varying:
            self.put(f"{self.name(buffer)}[{index}] = {value};")
        elif buffer.dtype == torch.bool:
            self.put(f"*(vu8 *)({self.name(buffer)} + ({index}) * padded) = __builtin_convertvector(-({value}), vu8);")
        else:
            self.put(f"*({self.type(buffer)} *)({self.name(buffer)} + ({index}) * padded) = {value};")

    # Nests

    def nest(self, nest: Nest) -> None:
        """Print the start values of its reductions, then its loops."""
        for part in nest.body:
            if isinstance(part, Accumulate):
                self.start(part)
        Walk(self, nest).print()

    def start(self, part: Accumulate) -> None:
        """Fill the target of a reduction with its identity."""
        buffer = part.view.buffer
        value = (
            self.splat(self.constant(part.identity), buffer.dtype) if buffer.varying else self.constant(part.identity)
        )
        if buffer.size <= UNROLL:
            for i in range(buffer.size):
                self.put(f"{self.name(buffer)}[{i}] = {value};")
        else:
            self.put(f"for (i64 i = 0; i < {buffer.size}; ++i) {self.name(buffer)}[i] = {value};")

    def constant(self, const: Const) -> str:
        """A C literal."""
        kind = NAMES[const.dtype]
        if const.dtype.is_floating_point:
            value = const.value
            assert isinstance(value, float)
            if math.isnan(value):
                return f'({kind})__builtin_nan("")'
            return (
                f"({kind}){'-' if value < 0 else ''}__builtin_inf()" if math.isinf(value) else f"({kind}){value.hex()}"
            )
        if const.dtype == torch.bool:
            return str(int(const.value))
        if kind[0] == "u":
            return f"({kind}){const.value}ULL"
        return "(-9223372036854775807LL - 1)" if const.value == -(1 << 63) else f"({kind}){const.value}LL"

    def splat(self, text: str, dtype: torch.dtype) -> str:
        """A scalar in every lane."""
        if dtype == torch.bool:
            return f"(-(mask_t)({text}) - (vb8){{0}})"
        return f"K_v{NAMES[dtype]}({text})"

    # Statements

    def statement(self, statement: Statement) -> None:
        """Print one statement."""
        match statement:
            case Nest():
                self.nest(statement)
            case Contract():
                matmul.contract(self, statement)
            case Cumulate():
                self.cumulate(statement)
            case Sort():
                sorting.sort(self, statement)
            case Check():
                self.check(statement)
            case Loop():
                self.loop(statement)
            case _:
                never(statement)

    def check(self, check: Check) -> None:
        """Set the code of an error, unless an earlier check failed, where a condition is false."""
        value = self.load(check.view, [0] * len(check.view.shape))
        lanes, each = ("for (int i = 0; i < L; ++i) ", f"({value})[i]") if check.view.varying else ("", value)
        self.put(f"{lanes}if (!{each} && flags_ < FAILED) flags_ += {check.code} * FAILED;")

    def loop(self, loop: Loop) -> None:
        """The steps of a scan; the stop flag ends it between two of them."""
        t = self.name(loop.counter, "t")
        if loop.unroll > 1:
            self.put(f"UNROLL({min(loop.unroll, UNROLL_MOST)})")
        self.open(f"for (i64 {t} = 0; {t} < {loop.counter.length}; ++{t})")
        self.put("if (control[0]) return;")
        self.block(loop, loop.body)
        if loop in self.counted:
            self.put("++*(volatile i64 *)(control + 2);")
        self.close()

    def block(self, home: Loop | None, body: list[Statement]) -> None:
        """Declare the temporaries that live here, then print the statements."""
        self.declare(home)
        for statement in body:
            self.statement(statement)

    def declare(self, home: Loop | None) -> None:
        """Declare the temporaries that live in a loop, or in the whole function, unless that has been done."""
        for buffer in self.plan.locals.pop(home, ()):
            self.array(self.type(buffer), self.name(buffer), self.plan.room(buffer))

    def array(self, kind: str, name: str, size: int) -> None:
        """Declare an array on the stack, aligned: gcc 12 may store to it as if it were and not see to it itself."""
        self.put(f"_Alignas({ALIGN}) {kind} {name}[{size}];")

    def cumulate(self, statement: Cumulate) -> None:
        """A running sum, product or extremum along one axis."""
        out, axis = statement.out, statement.axis
        if not math.prod(out.shape):
            return
        others = [a for a in range(len(out.shape)) if a != axis]
        for a in others:
            self.open(f"for (i64 i{a} = 0; i{a} < {out.shape[a]}; ++i{a})")
        (self.log_sums if statement.op == "logaddexp" else self.running)(
            statement, [f"i{a}" for a in range(len(out.shape))]
        )
        for _ in others:
            self.close()

    def running(self, statement: Cumulate, place: list[str]) -> None:
        """One line of a running reduction; sums and products of float32 in float64, as in ATen."""
        out, source, axis = statement.out, statement.source, statement.axis
        like, total = self.widened(out) if statement.op in WIDENED else out, self.fresh("a")
        first = [0 if a == axis else i for a, i in enumerate(place)]
        self.put(f"{self.type(like)} {total} = {self.convert(self.load(source, first), source, like)};")
        self.store(out, first, self.convert(total, like, out))
        self.open(f"for (i64 i{axis} = 1; i{axis} < {out.shape[axis]}; ++i{axis})")
        step = self.convert(self.load(source, place), source, like)
        self.put(f"{total} = {combined(self, statement.op, like, total, step)};")
        self.store(out, place, self.convert(total, like, out))
        self.close()

    def log_sums(self, statement: Cumulate, place: list[str]) -> None:
        """One line of log(exp(x[0]) + … + exp(x[i])): the highest so far, and the sum of the rest relative to it."""
        out, axis, kind = statement.out, statement.axis, self.type(statement.out)
        high, total = self.fresh("a"), self.fresh("a")
        for name, start in ((high, -math.inf), (total, 0)):
            value = self.constant(Const(start, out.dtype))
            self.put(f"{kind} {name} = {self.splat(value, out.dtype) if out.varying else value};")
        self.open(f"for (i64 i{axis} = 0; i{axis} < {out.shape[axis]}; ++i{axis})")
        self.store(out, place, self.call("logsum", kind, self.load(statement.source, place), f"&{high}", f"&{total}"))
        self.close()

    def widened(self, view: View) -> View:
        """The same elements in float64, if they are in float32."""
        wide = replace(view.buffer, dtype=torch.float64)
        return replace(view, buffer=wide) if view.dtype == torch.float32 else view

    def convert(self, text: str, source: View, to: View) -> str:
        """An element of one floating dtype in that of another view."""
        if source.dtype == to.dtype:
            return text
        if to.dtype == torch.float32:
            return self.call("narrow", self.type(to), text)
        return f"__builtin_convertvector({text}, {self.type(to)})" if to.varying else f"({self.type(to)}){text}"
