"""The bodies of nests in C: the statements that run at one index."""

import math
from collections.abc import Sequence

import torch

from funcnet.compiler.errors import InternalError
from funcnet.compiler.native import merging
from funcnet.compiler.native.buffers import HALVES, View
from funcnet.compiler.native.c.functions.lanes import each_lane
from funcnet.compiler.native.c.primitives import Kind, Primitive, applied, lines
from funcnet.compiler.native.c.writer import NAMES, Place, Writer
from funcnet.compiler.native.loop_ir import (
    Accumulate,
    Const,
    Gather,
    Index,
    Nest,
    Node,
    Operand,
    Part,
    Scatter,
    Store,
    never,
    operands,
    written,
)

_WIDEN = {torch.bfloat16: "from_bf16", torch.float16: "from_f16"}
_FEW = 12  # lines of a body that single loads of elements do not slow down; vectors of them take as long
_ROUND = {torch.bfloat16: "to_bf16", torch.float16: "to_f16"}


class Body:
    """Prints the statements that a nest runs at one index."""

    def __init__(self, writer: Writer, nest: Nest):
        self.writer, self.nest = writer, nest
        self.groups = merging.groups(nest)
        self.names: dict[Operand, str] = {}
        self.outer: dict[Operand, str] = {}  # names that are declared outside the inner loops
        self.checked: dict[tuple[Operand, int], str] = {}  # indices and sizes -> names, declared likewise
        self.depths: dict[Node, int] = {}
        has_indices = any(isinstance(part, Gather | Scatter) for part in nest.body)
        self.wrong = writer.fresh("x") if has_indices else ""  # the name of a flag: an index is out of range
        self.far: dict[torch.dtype, str] = {}  # the names of flags: an argument of this dtype is far
        self.sums: dict[Accumulate, str] = {}
        self.skipped = 0  # leading indices of a step that do not count
        is_written_out = math.prod(nest.shape) <= writer.target.unroll
        self.stored = set() if is_written_out else _only_stored(nest)
        self.has_many_functions = is_written_out and lines(nest.body) > writer.target.inline

    def expand(self, place: Place) -> Place:
        """Return the indices of all axes of the nest from one index per group."""
        found: list[str | int] = [0] * len(self.nest.shape)
        for group, at in zip(self.groups, place, strict=True):
            found[group[-1]] = at
        return found

    def lanes_vary(self) -> bool:
        """Tell whether any value in the nest is a vector of lanes."""
        parts = self.nest.body
        views = (view for part in parts if (view := written(part)) is not None)
        return any(view.varying for view in views) or any(isinstance(part, Node) and part.varying for part in parts)

    def once(self, place: Place) -> None:
        """Print the body at one index."""
        self.names = dict(self.outer)
        self.run(self.nest.body, self.expand(place))

    def run(self, parts: Sequence[Part], place: Place) -> None:
        """Print some parts of the body, with the index of every axis."""
        for part in parts:
            match part:
                case Node():
                    self.node(part, place)
                case Store():
                    self.write(part, place, self.read(part.value, place, part.view.varying))
                case Accumulate():
                    self.accumulate(part, place)
                case Scatter():
                    self.scatter(part, place)
                case _:
                    never(part)

    def node(self, node: Node, place: Place) -> None:
        """Print the declaration of a node, if it is not declared outside."""
        if node not in self.names:
            text = self.gather(node, place) if isinstance(node, Gather) else self.compute(node, place)
            self.names[node] = self.writer.fresh("n")
            self.writer.put(f"const {self.writer.type(node)} {self.names[node]} = {text};")

    def check_indices(self, level: int, place: Place) -> None:
        """Print, before the loop of a level, the checks of the indices that depend on all levels outside it."""
        self.names = self.outer
        for part in self.nest.body:
            if isinstance(part, Scatter) or (isinstance(part, Gather) and not part.is_within):
                for x, size in zip(positions(part), part.view.shape, strict=True):
                    if not isinstance(x, Index) and not x.varying and self.depth(x) == level:
                        self.declare(x, place)
                        self.checked[x, size] = self.writer.fresh("c")
                        text = self.within(x, self.read(x, place), size)
                        self.writer.put(f"const i64 {self.checked[x, size]} = {text};")

    def declare(self, x: Operand, place: Place) -> None:
        """Print the declarations of the nodes that an operand depends on, unless they are printed."""
        if isinstance(x, Node) and x not in self.names:
            for arg in x.args:
                self.declare(arg, place)
            self.node(x, place)

    def depth(self, x: Operand) -> int:
        """Return the level of the innermost loop on which an operand depends, plus one."""
        if isinstance(x, Node):
            if x not in self.depths:
                self.depths[x] = max(map(self.depth, x.args), default=0)
            return self.depths[x]
        levels = enumerate(group[-1] for group in self.groups)
        if isinstance(x, View):
            return max((level + 1 for level, axis in levels if x.strides[axis]), default=0)
        return next((level + 1 for level, axis in levels if axis == x.axis), 0) if isinstance(x, Index) else 0

    def within(self, x: Operand, text: str, size: int) -> str:
        """Return an index in the range of an axis; it may be vectorised if that pays and it comes from memory."""
        if self.nest.sequential:
            return f"within_one({text}, {size}, &{self.wrong})"
        is_loaded = isinstance(x, View) or (
            isinstance(x, Node) and x.op == "where" and isinstance(x.args[1], Const) and isinstance(x.args[2], View)
        )
        name = "within_one" if lines(self.nest.body) <= _FEW else "within"
        return f"{name}({text if is_loaded and name == 'within' else f'hidden({text})'}, {size}, &{self.wrong})"

    def read(self, x: Operand, place: Place, vector: bool = False) -> str:
        """Return an operand as a C expression, as a vector if asked for; each element is loaded once."""
        if isinstance(x, Const):
            text = self.writer.constant(x)
        elif isinstance(x, Index):
            text = f"(i64){place[x.axis]}"
        else:
            if x not in self.names:
                assert isinstance(x, View)
                self.names[x] = self.writer.fresh("l")
                self.writer.put(f"const {self.writer.type(x)} {self.names[x]} = {self.writer.load(x, place)};")
            text = self.names[x]
        return self.writer.splat(text, x.dtype) if vector and not x.varying else text

    def compute(self, node: Node, place: Place) -> str:
        """Return the C expression of a node."""
        op, row = applied(node.op, node.args[-1].dtype, node.varying)
        if row.kind is Kind.INFIX:
            a, b = (self.read(x, place, self.writer.is_mask(x.dtype, node.varying)) for x in node.args)
            return f"{a} {row.symbol} {b}"
        args = [self.read(x, place, node.varying) for x in node.args]
        if row.kind is Kind.COMPARISON:
            return self.writer.compared(f"{args[0]} {row.symbol} {args[1]}", node.varying)
        if row.kind is Kind.SYNTAX:
            return self.syntax(node, args)
        if row.near and node.dtype.is_floating_point:
            return self.near(node, row, args)
        if self.has_many_functions and row.lines > 1:
            return self.writer.outlined(op, self.writer.type(node), *args)
        return self.shift(node, args[0]) or self.writer.call(op, self.writer.type(node), *args)

    def near(self, node: Node, row: Primitive, args: Sequence[str]) -> str:
        """Return a call of a function of near arguments; flag those that are far, or compute theirs, too."""
        kind = self.writer.type(node)
        call = self.writer.outlined if self.has_many_functions else self.writer.call
        far = self.writer.call(row.far, kind, *args)
        near, exact = (call(name, kind, *args) for name in (row.near, node.op))
        if not node.varying and node.dtype in self.far:
            self.writer.put(f"{self.far[node.dtype]} |= {far};")
            return near
        chosen = exact if row.is_whole else f"sel_{kind}({far}, {exact}, {near})"
        return f"{self.writer.call('any', kind, far)} ? {chosen} : {near}" if node.varying else chosen

    def syntax(self, node: Node, args: Sequence[str]) -> str:
        """Return an expression that is neither an infix operator nor a call."""
        kind = self.writer.type(node)
        match node.op:
            case "where":
                mask = f"__builtin_convertvector({args[0]}, mask_{kind})" if node.varying else args[0]
                return f"sel_{kind}({mask}, {args[1]}, {args[2]})"
            case "neg":
                return f"-{args[0]}"
            case "not":
                return ("!" if kind == "b8" else "~") + args[0]
            case "cast":
                return self.cast(node, args[0])
        raise InternalError(f"the C writer has no case for the primitive {node.op}")

    def shift(self, node: Node, text: str) -> str:
        """Return a plain C shift if its amount is a constant that C defines, else a call."""
        if node.op not in ("shl", "shr") or not isinstance(by := node.args[1], Const):
            return ""
        symbol = "<<" if node.op == "shl" else ">>"
        return f"{text} {symbol} {int(by.value)}" if 0 <= by.value < torch.iinfo(node.dtype).bits else ""

    def cast(self, node: Node, text: str) -> str:
        """Return a conversion between dtypes."""
        source, kind = node.args[0], self.writer.type(node)
        if kind in ("b8", "vb8"):
            return self.writer.compared(f"{text} != 0", node.varying)
        if source.dtype in HALVES:
            return self.writer.call(_WIDEN[source.dtype], kind, text)
        if node.dtype in HALVES:
            return self.writer.call(_ROUND[node.dtype], self.writer.type(source), text)
        if node.dtype == torch.float32 and source.dtype == torch.float64 and node not in self.stored:
            return self.writer.call("narrow", kind, text)
        is_short = not node.dtype.is_floating_point and node.dtype.itemsize < 4  # C does not define its high bits
        kinds = [kind.replace(NAMES[node.dtype], "i32")] if is_short and source.dtype.is_floating_point else []
        text = self.writer.unmask(text, source.dtype) if node.varying else text
        for to in (*kinds, kind):
            text = f"__builtin_convertvector({text}, {to})" if node.varying else f"({to}){text}"
        return text

    def accumulate(self, part: Accumulate, place: Place) -> None:
        """Print one step of a reduction."""
        value = self.read(part.value, place, part.view.varying)
        if self.skipped:
            kind = self.writer.type(part.view)
            value = f"sel_{kind}(w >= {self.skipped}, {value}, {self.writer.constant(part.identity)})"
        if part in self.sums:
            self.writer.put(f"{self.sums[part]} = {self.combine(part, self.sums[part], value)};")
        else:
            self.write(part, place, self.combine(part, self.writer.load(self.target(part), place), value))

    def write(self, part: Store | Accumulate, place: Place, text: str) -> None:
        """Print a store to the element of a part."""
        self.writer.store(self.target(part) if isinstance(part, Accumulate) else part.view, place, text)

    def target(self, part: Accumulate) -> View:
        """Return the view in which a reduction without a register is accumulated."""
        return part.view

    def combine(self, part: Accumulate, a: str, b: str) -> str:
        """Return a op b for the operation of a reduction."""
        return combined(self.writer, part.op, part.view, a, b)

    def gather(self, node: Gather, place: Place) -> str:
        """Return a load at computed indices, lane by lane if they vary."""
        buffer, at = node.view.buffer, self.computed(node.view, node.args, place, is_within=node.is_within)
        if not any(x.varying for x in node.args):
            return self.writer.element(buffer, at)
        result, element = self.writer.fresh("g"), self.writer.element(buffer, at)
        lane = f"({element})[i]" if buffer.varying else self.writer.mask(element, buffer.dtype)
        self.writer.put(f"{self.writer.type(node)} {result};")
        self.writer.put(each_lane(f"{result}[i] = {lane};"))
        return result

    def scatter(self, part: Scatter, place: Place) -> None:
        """Print a store at computed indices, lane by lane if they vary."""
        view = part.view
        held, target = (
            self.writer.fresh("h"),
            f"{self.writer.name(view.buffer)}[{self.computed(view, part.indices, place)}]",
        )
        self.writer.put(f"const {self.writer.type(view)} {held} = {self.read(part.value, place, view.varying)};")
        if any(x.varying for x in part.indices):
            self.writer.put(each_lane(self.updated(part, f"{target}[i]", f"{held}[i]", NAMES[view.dtype])))
        else:
            self.writer.put(self.updated(part, target, held, self.writer.type(view)))

    def updated(self, part: Scatter, target: str, value: str, kind: str) -> str:
        """Return the assignment of a scatter to an element of a C type."""
        if part.op is None:
            return f"{target} = {value};"
        op, row = applied(part.op, part.view.dtype, part.view.varying)
        if row.kind is Kind.INFIX:
            return f"{target} {row.symbol}= {value};"
        return f"{target} = {self.writer.call(op, kind, target, value)};"

    def computed(self, view: View, indices: Sequence[Operand], place: Place, *, is_within: bool = False) -> str:
        """Return the position in its buffer of an element at computed indices: that of lane i if any index varies."""
        lanes = any(x.varying for x in indices)
        terms = [self.writer.address(view, [place[x.axis] if isinstance(x, Index) else 0 for x in indices])]
        for x, size, stride in zip(indices, view.shape, view.strides, strict=True):
            if not isinstance(x, Index):
                text = f"{self.read(x, place)}{'[i]' if lanes and x.varying else ''}"
                if not is_within:
                    text = self.checked.get((x, size)) or self.within(x, text, size)
                terms.append(f"{text} * {stride}")
        return " + ".join(terms)


def positions(part: Gather | Scatter) -> tuple[Operand, ...]:
    """Return the indices of a gather or scatter, one per axis of its view."""
    return part.args if isinstance(part, Gather) else part.indices


def combined(writer: Writer, op: str, like: View, a: str, b: str) -> str:
    """Return a op b in the type of a view's elements."""
    op, row = applied(op, like.dtype, like.varying)
    return f"{a} {row.symbol} {b}" if row.kind is Kind.INFIX else writer.call(op, writer.type(like), a, b)


def _only_stored(nest: Nest) -> set[Operand]:
    """Return the values that are stored and not used otherwise."""
    stores = {part.value for part in nest.body if isinstance(part, Store)}
    return stores - {x for part in nest.body if not isinstance(part, Store) for x in operands(part)}
