"""Running sums, products and extrema in C: several lines at once, because each element waits for the one before."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.c.body import combined
from funcnet.compiler.native.c.writer import Writer
from funcnet.compiler.native.loop_ir import Const, Cumulate

WIDENED = ("add", "mul")  # computed in float64, because rounding errors accumulate along an axis

_BEYOND = {"maximum": ">", "minimum": "<"}
_IN_VECTORS = {"maximum": "running_maximum", "minimum": "running_minimum"}
_COMPARED = (torch.float32, torch.float64, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)  # in vectors
_NEIGHBOURS = [" + w"]
_LINES, _COLUMNS = 4, 64  # lines of floats in registers, or neighbouring columns in vectors


def cumulate(writer: Writer, statement: Cumulate) -> None:
    """Print a running sum, product or extremum along one axis."""
    out, axis = statement.out, statement.axis
    if not math.prod(out.shape):
        return
    *outer, last = [a for a in range(len(out.shape)) if a != axis] or [-1]
    if last < 0:
        _lines(writer, statement, ["i0"], [""])
        return
    lines = math.prod(out.shape[a] for a in (*outer, last)[1:])
    length = max(1, writer.target.poll // (lines * out.shape[axis]))
    with writer.stretches("0", out.shape[(*outer, last)[0]], length) as (first, end):
        for a in outer:
            bounds = (first, end) if a == outer[0] else (0, out.shape[a])
            writer.open(f"for (i64 i{a} = {bounds[0]}; i{a} < {bounds[1]}; ++i{a})")
        _groups(writer, statement, last, *(("0", str(out.shape[last])) if outer else (first, end)))
        for _ in outer:
            writer.close()


def _groups(writer: Writer, statement: Cumulate, last: int, first: str, end: str) -> None:
    """Print a loop over groups of the lines along an axis, then one over the lines that are left."""
    place, i = [f"i{a}" for a in range(len(statement.out.shape))], f"i{last}"
    are_columns = {view.strides[last] for view in (statement.out, statement.source)} == {1}
    is_alone = statement.out.varying or not (are_columns or statement.out.dtype.is_floating_point)
    is_alone = is_alone or _width(writer, statement) > 0
    size = 1 if is_alone else _COLUMNS if are_columns else _LINES
    writer.open("")
    writer.put(f"i64 {i} = {first};")
    if 1 < size <= statement.out.shape[last]:
        writer.open(f"for (; {i} + {size} <= {end}; {i} += {size})")
        offsets = _NEIGHBOURS if are_columns else [f" + {n}" if n else "" for n in range(size)]
        _lines(writer, statement, place, offsets, last)
        writer.close()
    writer.open(f"for (; {i} < {end}; ++{i})")
    _lines(writer, statement, place, [""])
    writer.close()
    writer.close()


def _lines(writer: Writer, statement: Cumulate, place: list[str], offsets: list[str], last: int = -1) -> None:
    """Print lines that run at once, at some offsets along an axis."""
    kind, axis, are_columns = _kind(statement), statement.axis, offsets == _NEIGHBOURS
    places = [[f"(i{a}{offset})" if a == last else at for a, at in enumerate(place)] for offset in offsets]
    lines = [kind(writer, statement, are_columns=are_columns) for _ in places]
    for line, at in zip(lines, places, strict=True):
        line.declare()
        with _columns(writer, are_columns):
            line.begin(["0" if a == axis else i for a, i in enumerate(at)])
    with writer.stretches(kind.first, statement.out.shape[axis], writer.target.poll) as (start, end):
        if width := _width(writer, statement):
            start = lines[0].vectors(width, axis, place, start, end)
        writer.open(f"for (i64 i{axis} = {start}; i{axis} < {end}; ++i{axis})")
        for line, at in zip(lines, places, strict=True):
            with _columns(writer, are_columns):
                line.step(at)
        writer.close()


@contextmanager
def _columns(writer: Writer, are_columns: bool) -> Iterator[None]:
    """Print a loop over the columns of a group, if its lines are columns."""
    if are_columns:
        writer.put("VECTORISE")
        writer.open(f"for (int w = 0; w < {_COLUMNS}; ++w)")
    yield
    if are_columns:
        writer.close()


def _width(writer: Writer, statement: Cumulate) -> int:
    """Return the elements of a vector for a running extremum of neighbours, in any order; 0 for other statements."""
    out, source, axis = statement.out, statement.source, statement.axis
    is_extremum = statement.op in _BEYOND and out.dtype == source.dtype and out.dtype in _COMPARED
    if not is_extremum or out.varying or {view.strides[axis] for view in (out, source)} != {1}:
        return 0
    width = writer.target.vector // out.dtype.itemsize
    return width if out.shape[axis] >= 2 * width else 0


class _Line:
    """Prints one line, or neighbouring ones, whose values so far are elements of arrays."""

    first = "0"  # the first index of the loop

    def __init__(self, writer: Writer, statement: Cumulate, *, are_columns: bool):
        self.writer, self.out, self.source, self.op = writer, statement.out, statement.source, statement.op
        self.size, self.at = (f"[{_COLUMNS}]", "[w]") if are_columns else ("", "")
        self.total = f"{writer.fresh('a')}{self.at}"

    def variable(self, kind: str, name: str) -> None:
        """Declare a variable, or an array for the columns of a group."""
        self.writer.put(f"{kind} {name.removesuffix(self.at)}{self.size};")

    def declare(self) -> None:
        """Declare the values so far."""
        self.variable(self.writer.type(self.out), self.total)

    def begin(self, place: list[str]) -> None:
        """Print the assignments before the loop."""
        raise NotImplementedError

    def step(self, place: list[str]) -> None:
        """Print the assignments at one index."""
        raise NotImplementedError

    def last(self) -> str:
        """Return the result at the last index."""
        return self.total

    def vectors(self, width: int, axis: int, place: list[str], start: str, end: str) -> str:
        """Print a loop over vectors of a line of extrema; return the first index after it."""
        j, last = self.writer.fresh("j"), self.writer.fresh("v")
        kind, at = f"w{width}{self.writer.type(self.out)}", [j if a == axis else i for a, i in enumerate(place)]
        source, out = (f"*({kind} *)&{self.writer.load(view, at)}" for view in (self.source, self.out))
        self.writer.put(f"i64 {j} = {start};")
        self.writer.put(f"{kind} {last} = {self.last()} - ({kind}){{0}};")
        self.writer.open(f"for (; {j} + {width} <= {end}; {j} += {width})")
        self.writer.put(f"{last} = {self.writer.call(_IN_VECTORS[self.op], kind, source, last)};")
        self.writer.put(f"{out} = {last};")
        self.writer.close()
        self.writer.put(f"{self.total} = {last}[{width - 1}];")
        return j


class _Running(_Line):
    """A running reduction; sums and products of float32 are in float64, as in ATen."""

    first = "1"

    def declare(self) -> None:
        self.like = _widened(self.out) if self.op in WIDENED else self.out
        self.variable(self.writer.type(self.like), self.total)

    def begin(self, place: list[str]) -> None:
        self.keep(place, self.element(place))

    def step(self, place: list[str]) -> None:
        self.keep(place, combined(self.writer, self.op, self.like, self.total, self.element(place)))

    def element(self, place: list[str]) -> str:
        return _convert(self.writer, self.writer.load(self.source, place), self.source, self.like)

    def keep(self, place: list[str], text: str) -> None:
        self.writer.put(f"{self.total} = {text};")
        self.writer.store(self.out, place, _convert(self.writer, self.total, self.like, self.out))


class _Extrema(_Line):
    """A running extremum of floats: a flag remembers a NaN, which one instruction for an extremum loses.

    The last of equal numbers counts, as in ATen: zeros may differ in sign.
    """

    def declare(self) -> None:
        super().declare()
        self.flag = f"{self.writer.fresh('n')}{self.at}"
        self.variable("int", self.flag)

    def begin(self, place: list[str]) -> None:
        self.writer.put(f"{self.total} = {self.writer.load(self.source, place)};")
        self.writer.put(f"{self.flag} = 0;")

    def step(self, place: list[str]) -> None:
        step = self.writer.fresh("x")
        self.writer.put(f"const {self.writer.type(self.out)} {step} = {self.writer.load(self.source, place)};")
        self.writer.put(f"{self.flag} |= {step} != {step};")
        self.writer.put(f"{self.total} = {self.total} {_BEYOND[self.op]} {step} ? {self.total} : {step};")
        self.writer.store(self.out, place, self.last())

    def last(self) -> str:
        return f"({self.flag} ? {self.writer.constant(Const(math.nan, self.out.dtype))} : {self.total})"

    def vectors(self, width: int, axis: int, place: list[str], start: str, end: str) -> str:
        j = super().vectors(width, axis, place, start, end)
        self.writer.put(f"{self.flag} |= {self.total} != {self.total};")
        return j


class _LogSums(_Line):
    """log(exp(x[0]) + … + exp(x[i])), from the running maximum m and the sum of exp(x - m)."""

    def declare(self) -> None:
        super().declare()
        self.sum = f"{self.writer.fresh('a')}{self.at}"
        self.variable(self.writer.type(self.out), self.sum)

    def begin(self, place: list[str]) -> None:
        for name, start in ((self.total, -math.inf), (self.sum, 0)):
            value = self.writer.constant(Const(start, self.out.dtype))
            self.writer.put(f"{name} = {self.writer.splat(value, self.out.dtype) if self.out.varying else value};")

    def step(self, place: list[str]) -> None:
        element, kind = self.writer.load(self.source, place), self.writer.type(self.out)
        self.writer.store(self.out, place, self.writer.call("logsum", kind, element, f"&{self.total}", f"&{self.sum}"))


def _kind(statement: Cumulate) -> type[_Line]:
    """Return the class that prints the lines of a statement."""
    if statement.op == "logaddexp":
        return _LogSums
    is_extremum = statement.op in _BEYOND and statement.out.dtype.is_floating_point and not statement.out.varying
    return _Extrema if is_extremum else _Running


def _widened(view: View) -> View:
    """Return a view with float64 in place of float32."""
    wide = replace(view.buffer, dtype=torch.float64)
    return replace(view, buffer=wide) if view.dtype == torch.float32 else view


def _convert(writer: Writer, text: str, source: View, to: View) -> str:
    """Convert an element of one floating dtype to that of another view."""
    if source.dtype == to.dtype:
        return text
    return f"__builtin_convertvector({text}, {writer.type(to)})" if to.varying else f"({writer.type(to)}){text}"
