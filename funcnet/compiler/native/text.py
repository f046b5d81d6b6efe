"""The loop-level representation as text: one line per statement, loops indented."""

from collections.abc import Iterator, Sequence

from funcnet.compiler.native.buffers import Buffer, Counter, View
from funcnet.compiler.native.contract import Contract
from funcnet.compiler.native.control import Break, Case, Check, Repeat, TorchCall
from funcnet.compiler.native.loop_ir import (
    Accumulate,
    Cumulate,
    Gather,
    Index,
    Loop,
    LoopProgram,
    Nest,
    Node,
    Operand,
    Part,
    Scatter,
    Section,
    Sort,
    Statement,
    Store,
    never,
)
from funcnet.compiler.native.routines import Routine
from funcnet.compiler.program import Apply


def text(program: LoopProgram) -> str:
    """Return a lowered program as text.

    A view is `buffer[offset + stride i + …]`, where i, j, … are the indices of its axes and s0, s1, … the steps of the
    loops around it; `in` and `out` are arguments and results, `t` temporaries, and a star marks buffers that hold one
    vector of lanes per element.
    """
    return "\n".join(_Text(program.calls).lines(program)) + "\n"


class _Text:
    """Names of buffers, loops and scalars in the order in which they first appear."""

    def __init__(self, calls: Sequence[Apply]) -> None:
        self.calls = calls
        self.buffers: dict[Buffer, str] = {}
        self.counters: dict[Counter, str] = {}

    def lines(self, program: LoopProgram) -> Iterator[str]:
        for kind, buffers in (("in", program.inputs), ("out", program.outputs)):
            self.buffers |= {buffer: f"{kind}{i}{_star(buffer)}" for i, buffer in enumerate(buffers)}
        yield from (f"{name}: {_dtype(buffer)}[{buffer.size}]" for buffer, name in self.buffers.items())
        yield from self.body(program.statements, "")

    def body(self, statements: Sequence[Statement], indent: str) -> Iterator[str]:
        for statement in statements:
            yield from (f"{indent}{line}" for line in self.statement(statement))

    def statement(self, statement: Statement) -> Iterator[str]:
        match statement:
            case Nest():
                yield from self.nest(statement)
            case Contract(out, left, right, how):
                yield f"{self.view(out)} = {self.view(left)} @ {self.view(right)}  # {how.value}, {list(left.shape)}"
            case Cumulate(out, source, axis, op):
                yield f"{self.view(out)} = cumulative {op} of {self.view(source)} along {axis}"
            case Sort(values, indices, source, axis):
                order = "descending" if statement.descending else "ascending"
                yield f"{self.view(values)}, {self.view(indices)} = sort {self.view(source)} along {axis}, {order}"
            case TorchCall(position, inputs, outputs):
                arguments, results = (", ".join(map(self.view, views)) for views in (inputs, outputs))
                yield f"{results}{' = ' if results else ''}{self.calls[position].target}({arguments})  # by torch"
            case Routine(name, matrix, results, operands):
                yield f"{self.views((matrix, *results))} = {name} of {self.views((matrix, *operands))}"
            case Check(view, code, count):
                yield f"check {self.view(view)}{' < ' + str(count) if count else ''}  # message {code}"
            case Break(view):
                yield f"break unless {self.view(view)}"
            case Repeat(body):
                yield "repeat:"
                yield from self.body(body, "  ")
            case Case(view, value, body):
                yield f"if {self.view(view)} == {value}:"
                yield from self.body(body, "  ")
            case Loop(counter, _, body):
                yield f"for {self.counter(counter)}:"
                yield from self.body(body, "  ")
            case Section(body, counter):
                yield f"section, in threads for {self.counter(counter)}:" if counter else "section:"
                yield from self.body(body, "  ")
            case _:
                never(statement)

    def counter(self, counter: Counter) -> str:
        """Name the counter of a loop; return the name and its bound."""
        self.counters[counter] = name = f"s{len(self.counters)}"
        return f"{name} < {counter.length}"

    def nest(self, nest: Nest) -> Iterator[str]:
        """Write the loops of a nest on one line, and its body on the lines below."""
        axes = ", ".join(f"{index} < {size}" for index, size in zip(_INDICES, nest.shape, strict=False))
        yield f"for {axes or 'one element'}:"
        names: dict[Node, str] = {}
        for part in nest.body:
            yield f"  {self.part(part, names)}"

    def part(self, part: Part, names: dict[Node, str]) -> str:
        match part:
            case Gather(_, args, _, _, view):
                names[part] = f"x{len(names)}"
                return f"{names[part]} = {self.view(view)} at {self.operands(args, names)}"
            case Node(op, args):
                names[part] = f"x{len(names)}"
                return f"{names[part]} = {op}({self.operands(args, names)})  # {_dtype(part)}"
            case Store(view, value):
                return f"{self.view(view)} = {self.operand(value, names)}"
            case Accumulate(view, value, op):
                return f"{self.view(view)} {op}= {self.operand(value, names)}"
            case Scatter(view, indices, value, op):
                sign = f"{op or ''}="
                return f"{self.view(view)} at {self.operands(indices, names)} {sign} {self.operand(value, names)}"
            case _:
                return never(part)

    def operands(self, values: Sequence[Operand], names: dict[Node, str]) -> str:
        return ", ".join(self.operand(value, names) for value in values)

    def operand(self, value: Operand, names: dict[Node, str]) -> str:
        if isinstance(value, View):
            return self.view(value)
        if isinstance(value, Node):
            return names[value]
        return _INDICES[value.axis] if isinstance(value, Index) else repr(value.value)

    def views(self, views: Sequence[View]) -> str:
        return ", ".join(map(self.view, views))

    def view(self, view: View) -> str:
        """Write the address of the elements of a view."""
        name = self.buffers.setdefault(view.buffer, f"t{len(self.buffers)}{_star(view.buffer)}")
        terms = [_term(stride, index) for index, stride in zip(_INDICES, view.strides, strict=False) if stride]
        terms += [_term(stride, self.counters.get(counter, "s")) for counter, stride in view.steps if stride]
        return f"{name}[{' + '.join([str(view.offset)] * (bool(view.offset) or not terms) + terms)}]"


_INDICES = [*"ijklmnop", *(f"i{n}" for n in range(8, 64))]


def _term(stride: int, index: str) -> str:
    return index if stride == 1 else f"{stride} {index}"


def _star(buffer: Buffer) -> str:
    return "*" if buffer.varying else ""


def _dtype(value: Buffer | Node) -> str:
    return str(value.dtype).removeprefix("torch.")
