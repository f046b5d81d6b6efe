"""From loops to C: one function that runs a whole program, over a range of blocks of lanes.

A varying element is a vector of lanes (a GNU vector type, which gcc and clang keep in registers), a shared one a scalar, and
the same text serves both. Nests of few iterations are written out with constant indices, so that the compiler keeps
small tensors in registers; others stay loops.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from funcnet.compiler import cmath, memory, products
from funcnet.compiler.loops import (
    Accumulate,
    Buffer,
    Const,
    Contract,
    Cumulate,
    Gather,
    Index,
    Loop,
    Nest,
    Node,
    Operand,
    Scatter,
    Statement,
    Store,
    View,
)
from funcnet.compiler.lowering import Kernel

NAMES = {
    torch.float32: "f32",
    torch.float64: "f64",
    torch.int64: "i64",
    torch.int32: "i32",
    torch.int16: "i16",
    torch.int8: "i8",
    torch.uint8: "u8",
    torch.bool: "b8",
}
INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^"}
COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
BOOLEAN = {"add": "or", "mul": "and", "maximum": "or", "minimum": "and", "lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}
UNROLL = 2  # iterations of a nest that are written out; the C compiler unrolls more where that pays
Place = Sequence[str | int]


class Printer:
    """Prints one kernel; `lines` grows as statements are visited."""

    def __init__(self, kernel: Kernel, lanes: int, vector: int):
        self.kernel, self.lanes, self.vector = kernel, lanes, vector
        self.lines: list[str] = []
        self.depth = 1
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
        if math.prod(nest.shape):
            Body(self, nest).print()

    def start(self, part: Accumulate) -> None:
        """Fill the target of a reduction with its identity."""
        buffer = part.view.buffer
        value = self.splat(self.constant(part.identity), buffer.dtype) if buffer.varying else self.constant(part.identity)
        if buffer.size <= UNROLL:
            for i in range(buffer.size):
                self.put(f"{self.name(buffer)}[{i}] = {value};")
        else:
            self.put(f"for (i64 i = 0; i < {buffer.size}; ++i) {self.name(buffer)}[i] = {value};")

    def constant(self, const: Const) -> str:
        """A C literal."""
        kind = NAMES[const.dtype]
        if const.dtype.is_floating_point:
            value = float(const.value)
            if math.isnan(value):
                return f'({kind})__builtin_nan("")'
            return f"({kind}){'-' if value < 0 else ''}__builtin_inf()" if math.isinf(value) else f"({kind}){value.hex()}"
        if const.dtype == torch.bool:
            return str(int(bool(const.value)))
        bits = torch.iinfo(const.dtype).bits
        value = (int(const.value) + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1) if kind != "u8" else int(const.value) % 256
        return "(-9223372036854775807LL - 1)" if value == -(1 << 63) else f"({kind}){value}LL"

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
                products.contract(self, statement)
            case Cumulate():
                self.cumulate(statement)
            case Loop():
                self.loop(statement)

    def loop(self, loop: Loop) -> None:
        """The steps of a scan; the stop flag ends it between two of them."""
        t = self.name(loop.counter, "t")
        self.open(f"for (i64 {t} = 0; {t} < {loop.counter.length}; ++{t})")
        self.put("if (control[0]) return;")
        self.block(loop, loop.body)
        self.close()

    def block(self, home: Loop | None, body: list[Statement]) -> None:
        """Declare the temporaries that live here, then print the statements."""
        for buffer in self.plan.locals.get(home, ()):
            self.put(f"{self.type(buffer)} {self.name(buffer)}[{self.plan.room(buffer)}];")
        for statement in body:
            self.statement(statement)

    def cumulate(self, statement: Cumulate) -> None:
        """A running sum or product along one axis."""
        out, source, axis = statement.out, statement.source, statement.axis
        if not math.prod(out.shape):
            return
        kind, running = self.type(out), self.fresh("a")
        place = [f"i{a}" for a in range(len(out.shape))]
        order = [a for a in range(len(out.shape)) if a != axis]
        for a in order:
            self.open(f"for (i64 i{a} = 0; i{a} < {out.shape[a]}; ++i{a})")
        self.put(f"{kind} {running} = {self.load(source, [0 if a == axis else p for a, p in enumerate(place)])};")
        self.store(out, [0 if a == axis else p for a, p in enumerate(place)], running)
        self.open(f"for (i64 i{axis} = 1; i{axis} < {out.shape[axis]}; ++i{axis})")
        self.put(f"{running} = {running} {INFIX[statement.op]} {self.load(source, place)};")
        self.store(out, place, running)
        for _ in range(len(order) + 1):
            self.close()


class Body:
    """The loops of one nest and what they do at one index."""

    def __init__(self, printer: Printer, nest: Nest):
        self.p, self.nest = printer, nest
        self.groups = _groups(nest)
        self.sizes = [math.prod(nest.shape[axis] for axis in group) for group in self.groups]
        self.names: dict[Operand, str] = {}
        self.sums: dict[Accumulate, str] = {}

    def print(self) -> None:
        """Written out if short, else loops."""
        if math.prod(self.sizes) <= UNROLL:
            for place in itertools.product(*(range(size) for size in self.sizes)):
                self.p.open("")
                self.once(place)
                self.p.close()
        else:
            self.loops(0, [])

    def loops(self, level: int, place: list[str]) -> None:
        """The loop of one group of axes; sums that it does not index live in a register meanwhile."""
        starts = [s for s in self.accumulations() if s not in self.sums and not any(self.strides(s.view)[level:])]
        for s in starts if level < len(self.sizes) else []:
            self.sums[s] = self.p.fresh("s")
            self.p.put(f"{self.p.type(s.view)} {self.sums[s]} = {self.p.load(s.view, self.expand([*place, *[0] * len(self.sizes[level:])]))};")
        if level == len(self.sizes):
            self.once(place)
            return
        i = f"i{level}"
        last = level == len(self.sizes) - 1
        if last and starts and not self.lanes_vary() and self.sizes[level] >= 2 * PARTIAL:
            self.partial(level, place, starts)
        else:
            if last and not self.nest.sequential:
                self.p.put("VECTORISE")
            self.p.open(f"for (i64 {i} = 0; {i} < {self.sizes[level]}; ++{i})")
            self.loops(level + 1, [*place, i])
            self.p.close()
        for s in starts:
            self.p.store(s.view, self.expand([*place, *[0] * len(self.sizes[level:])]), self.sums.pop(s))

    def partial(self, level: int, place: list[str], sums: list[Accumulate]) -> None:
        """A long inner reduction of scalars as PARTIAL interleaved ones, which are vectors to the compiler."""
        size, i = self.sizes[level], f"i{level}"
        totals = dict(self.sums)
        names = {s: self.p.fresh("w") for s in sums}
        for s in sums:
            self.p.put(f"{self.p.type(s.view)} {names[s]}[{PARTIAL}];")
            self.p.put(f"for (int w = 0; w < {PARTIAL}; ++w) {names[s]}[w] = {self.p.constant(s.identity)};")
        self.p.open(f"for (i64 j = 0; j < {size - size % PARTIAL}; j += {PARTIAL})")
        self.p.put("VECTORISE")
        self.p.open(f"for (int w = 0; w < {PARTIAL}; ++w)")
        self.p.put(f"const i64 {i} = j + w;")
        self.sums.update({s: f"{names[s]}[w]" for s in sums})
        self.once([*place, i])
        self.p.close()
        self.p.close()
        self.sums.update(totals)
        if size % PARTIAL:
            self.p.open(f"for (i64 {i} = {size - size % PARTIAL}; {i} < {size}; ++{i})")
            self.once([*place, i])
            self.p.close()
        for s in sums:
            step = self.combine(s, self.sums[s], f"{names[s]}[w]")
            self.p.put(f"for (int w = 0; w < {PARTIAL}; ++w) {self.sums[s]} = {step};")

    def lanes_vary(self) -> bool:
        """Whether anything in the nest is a vector of lanes."""
        return any(getattr(part, "varying", False) or (not isinstance(part, Node) and part.view.varying) for part in self.nest.body)

    def accumulations(self) -> Iterator[Accumulate]:
        """The reductions of the nest."""
        return (part for part in self.nest.body if isinstance(part, Accumulate))

    def strides(self, view: View) -> list[int]:
        """Strides along the groups of axes, each that of its last axis."""
        return [view.strides[group[-1]] for group in self.groups]

    def expand(self, place: Place) -> Place:
        """The indices of all axes of the nest for one index a group."""
        found: list[str | int] = [0] * len(self.nest.shape)
        for group, at in zip(self.groups, place, strict=True):
            found[group[-1]] = at
        return found

    def once(self, place: Place) -> None:
        """The body at one index."""
        self.names = {}
        full = self.expand(place)
        for part in self.nest.body:
            match part:
                case Node():
                    text = self.gather(part, full) if isinstance(part, Gather) else self.compute(part, full)
                    self.names[part] = self.p.fresh("n")
                    self.p.put(f"const {self.p.type(part)} {self.names[part]} = {text};")
                case Store():
                    self.p.store(part.view, full, self.read(part.value, full, part.view.varying))
                case Accumulate():
                    self.accumulate(part, full)
                case Scatter():
                    self.scatter(part, full)

    def read(self, x: Operand, place: Place, vector: bool = False) -> str:
        """An operand as a C expression, as a vector where one is wanted; a load is done once."""
        if isinstance(x, Const):
            text = self.p.constant(x)
        elif isinstance(x, Index):
            text = f"(i64){place[x.axis]}"
        else:
            if x not in self.names:
                assert isinstance(x, View)
                self.names[x] = self.p.fresh("l")
                self.p.put(f"const {self.p.type(x)} {self.names[x]} = {self.p.load(x, place)};")
            text = self.names[x]
        return self.p.splat(text, x.dtype) if vector and not x.varying else text

    def compute(self, node: Node, place: Place) -> str:
        """The expression of a node."""
        kind, of = self.p.type(node), node.args[-1].dtype
        op = BOOLEAN.get(node.op, node.op) if of == torch.bool and (node.varying or node.op not in COMPARISONS) else node.op
        if op in INFIX and not (of == torch.bool and op == "sub"):
            a, c = (self.read(x, place, node.varying and x.dtype == torch.bool) for x in node.args)
            return f"{a} {INFIX[op]} {c}"
        args = [self.read(x, place, node.varying) for x in node.args]
        if op in COMPARISONS:
            text = f"{args[0]} {COMPARISONS[op]} {args[1]}"
            return f"__builtin_convertvector({text}, vb8)" if node.varying else text
        match op:
            case "where":
                mask = f"__builtin_convertvector({args[0]}, mask_{kind})" if node.varying else args[0]
                return f"sel_{kind}({mask}, {args[1]}, {args[2]})"
            case "neg":
                return f"-{args[0]}"
            case "not":
                return ("!" if of == torch.bool and not node.varying else "~") + args[0]
            case "cast":
                return self.cast(node, args[0])
            case "shl" | "shr" if isinstance(shift := node.args[1], Const) and 0 <= shift.value < torch.iinfo(of).bits:
                return f"{args[0]} {'<<' if op == 'shl' else '>>'} {int(shift.value)}"
        return self.p.call(op, kind, *args)

    def cast(self, node: Node, text: str) -> str:
        """A conversion between dtypes."""
        source, kind = node.args[0], self.p.type(node)
        if node.dtype == torch.bool:
            return f"__builtin_convertvector({text} != 0, vb8)" if node.varying else f"{text} != 0"
        if not node.varying:
            return f"({kind}){text}"
        return f"__builtin_convertvector({'-' if source.dtype == torch.bool else ''}{text}, {kind})"

    def accumulate(self, part: Accumulate, place: Place) -> None:
        """One step of a reduction."""
        value = self.read(part.value, place, part.view.varying)
        if part in self.sums:
            self.p.put(f"{self.sums[part]} = {self.combine(part, self.sums[part], value)};")
        else:
            self.p.store(part.view, place, self.combine(part, self.p.load(part.view, place), value))

    def combine(self, part: Accumulate, a: str, b: str) -> str:
        """a op b of a reduction."""
        op = BOOLEAN.get(part.op, part.op) if part.view.dtype == torch.bool else part.op
        return f"{a} {INFIX[op]} {b}" if op in INFIX else self.p.call(op, self.p.type(part.view), a, b)

    def gather(self, node: Gather, place: Place) -> str:
        """A load at computed indices, lane by lane where they vary."""
        return self.at(node, node.view, node.args, place, lambda index: self.p.element(node.view.buffer, index))

    def at(self, node: Any, view: View, indices: Sequence[Operand], place: Place, element: Any) -> str:
        fixed = [str(self.read(x, place)) if isinstance(x, Index) else 0 for x in indices]
        base = self.p.address(view, fixed)
        moving = [(x, size, stride) for x, size, stride in zip(indices, view.shape, view.strides, strict=True) if not isinstance(x, Index)]
        if not any(x.varying for x, _, _ in moving):
            return str(element(" + ".join([base, *(f"within({self.read(x, place)}, {n}) * {s}" for x, n, s in moving)])))
        names = [(self.read(x, place, True), n, s) for x, n, s in moving]
        index = " + ".join([base, *(f"within({x}[i], {n}) * {s}" for x, n, s in names)])
        result = self.p.fresh("g")
        self.p.put(f"{self.p.type(node)} {result};")
        self.p.put(f"for (int i = 0; i < L; ++i) {result}[i] = {self.lane(view.buffer, index)};")
        return result

    def lane(self, buffer: Buffer, index: str) -> str:
        """Lane i of an element."""
        if not buffer.varying:
            minus = "-" if buffer.dtype == torch.bool else ""
            return f"{minus}{self.p.name(buffer)}[{index}]"
        return f"({self.p.element(buffer, index)})[i]"

    def scatter(self, part: Scatter, place: Place) -> None:
        """A store at computed indices, lane by lane where they vary."""
        buffer, view = part.view.buffer, part.view
        value = self.read(part.value, place, buffer.varying)
        op = ("|=" if view.dtype == torch.bool else "+=") if part.accumulate else "="
        fixed = self.p.address(view, [str(self.read(x, place)) if isinstance(x, Index) else 0 for x in part.indices])
        moving = [(x, size, stride) for x, size, stride in zip(part.indices, view.shape, view.strides, strict=True) if not isinstance(x, Index)]
        if not any(x.varying for x, _, _ in moving):
            index = " + ".join([fixed, *(f"within({self.read(x, place)}, {n}) * {s}" for x, n, s in moving)])
            self.p.put(f"{self.p.name(buffer)}[{index}] {op} {value};")
            return
        names = [(self.read(x, place, True), n, s) for x, n, s in moving]
        index = " + ".join([fixed, *(f"within({x}[i], {n}) * {s}" for x, n, s in names)])
        held = self.p.fresh("h")
        self.p.put(f"const {self.p.type(view)} {held} = {value};")
        self.p.put(f"for (int i = 0; i < L; ++i) {self.p.name(buffer)}[{index}][i] {op} {held}[i];")


PARTIAL = 16


def _groups(nest: Nest) -> list[list[int]]:
    """Runs of axes that every view of a nest walks as one, axes of size 1 left out; apart where indices are computed."""
    axes = [axis for axis, size in enumerate(nest.shape) if size != 1]
    views = [part.view for part in nest.body if isinstance(part, Store | Accumulate)]
    values = [x for part in nest.body for x in (part.args if isinstance(part, Node) else (part.value,))]
    if any(isinstance(x, Index) for x in values) or any(isinstance(part, Scatter | Gather) for part in nest.body):
        return [[axis] for axis in axes]
    views += [x for x in values if isinstance(x, View)]
    groups: list[list[int]] = []
    for axis in axes:
        if groups and all(v.strides[groups[-1][-1]] == v.strides[axis] * nest.shape[axis] for v in views):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    return groups
