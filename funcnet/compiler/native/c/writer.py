"""The text of a kernel in C: its lines, the names in it, and its elements as expressions.

A varying element is a vector of lanes (a GNU vector type, which gcc and clang keep in registers), a shared element is a
scalar, and the same text serves both.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from funcnet.compiler.native.buffers import HALVES, Buffer, Counter, View
from funcnet.compiler.native.loop_ir import Const, Operand
from funcnet.compiler.native.target import Target

Place = Sequence[str | int]

NAMES = {
    torch.float32: "f32",
    torch.float64: "f64",
    torch.bfloat16: "bf16",
    torch.float16: "f16",
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


class Writer:
    """Collects the lines of one C function, for a number of lanes per block and a machine."""

    def __init__(self, lanes: int, target: Target):
        self.lanes, self.target = lanes, target
        self.lines: list[str] = []
        self.depth = 1
        self.used: set[tuple[str, str]] = set()  # functions and types that the lines call
        self.kept_out: set[tuple[str, str]] = set()  # those of them that are not inlined
        self.names: dict[Buffer | Counter, str] = {}
        self.numbers = itertools.count()
        self.origins: dict[Buffer, int] = {}  # the element that the name of a buffer points to, if not its first
        self.strides: dict[int, str] = {}  # strides whose value the C compiler must not see -> names

    def function(self) -> "Writer":
        """Return a writer for another function of the same kernel, with names of its own."""
        writer = Writer(self.lanes, self.target)
        writer.used, writer.kept_out = self.used, self.kept_out
        return writer

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

    @contextmanager
    def stretches(self, first: str, size: int, length: int) -> Iterator[tuple[str, str]]:
        """Cut a range from `first` to `size` into stretches, before each of which a run may stop; yield its bounds."""
        if length >= size:
            yield first, str(size)
            return
        p = self.fresh("p")
        self.open(f"for (i64 {p} = {first}; {p} < {size}; {p} += {length})")
        self.stop()
        yield p, f"({p} + {length} < {size} ? {p} + {length} : {size})"
        self.close()

    def stop(self, condition: str = "") -> None:
        """Return from the C function here if a stop has been requested."""
        self.put(f"if ({condition}control[0]) return;")

    def name(self, thing: Buffer | Counter, prefix: str = "v") -> str:
        """Return the C name of a buffer or counter."""
        if thing not in self.names:
            self.names[thing] = f"{prefix}{next(self.numbers)}"
        return self.names[thing]

    def fresh(self, prefix: str) -> str:
        """Return a new C name."""
        return f"{prefix}{next(self.numbers)}"

    def type(self, thing: Buffer | View | Operand) -> str:
        """Return the C type of an element or scalar."""
        return ("v" if thing.varying else "") + NAMES[thing.dtype]

    def call(self, function: str, kind: str, *args: str) -> str:
        """Return a call of a C function, and record that it is used."""
        self.used.add((function, kind))
        return f"{function}_{kind}({', '.join(args)})"

    def outlined(self, function: str, kind: str, *args: str) -> str:
        """Return the same for a function that the C compiler must not inline."""
        self.kept_out.add((function, kind))
        return self.call(function, kind, *args).replace("(", "_call(", 1)

    # Elements

    def address(self, view: View, place: Place) -> str:
        """Return the index of an element in its buffer."""
        offset, terms = view.offset - self.origins.get(view.buffer, 0), list[str]()
        for stride, at in zip(view.strides, place, strict=True):
            if isinstance(at, int):
                offset += stride * at
            elif stride:
                terms.append(at if stride == 1 else f"{at} * {self.strides.get(stride, stride)}")
        terms += [f"{self.name(counter, 't')} * {stride}" for counter, stride in view.steps if stride]
        if offset or not terms:
            terms.append(str(offset))
        return " + ".join(terms)

    def load(self, view: View, place: Place) -> str:
        """Return an element as an expression."""
        return self.element(view.buffer, self.address(view, place))

    def element(self, buffer: Buffer, index: str) -> str:
        """Return the element of a buffer at an index, as an expression to read from."""
        if buffer.kind == "output" and buffer.varying:
            return self.from_memory(buffer, f"{self.name(buffer)} + ({index}) * padded")
        return f"{self.name(buffer)}[{index}]"

    # A bool is 0 or 1 in memory and as a scalar. In a vector of lanes it is a mask: 0 or -1, which selects bits, in
    # integers of the width of the widest float.

    def from_memory(self, buffer: Buffer, pointer: str) -> str:
        """Return the lanes at a pointer."""
        if buffer.dtype == torch.bool:
            return self.mask(f"__builtin_convertvector(*(const vu8 *)({pointer}), vb8)", buffer.dtype)
        return f"*({self.type(buffer)} *)({pointer})"

    def to_memory(self, buffer: Buffer, pointer: str, value: str) -> str:
        """Return a statement that writes lanes to a pointer."""
        if buffer.dtype == torch.bool:
            value = self.unmask(f"({value})", buffer.dtype)
            return f"*(vu8 *)({pointer}) = __builtin_convertvector({value}, vu8);"
        return f"*({self.type(buffer)} *)({pointer}) = {value};"

    def mask(self, text: str, dtype: torch.dtype) -> str:
        """Convert scalars to the representation in lanes."""
        return f"-{text}" if dtype == torch.bool else text

    def unmask(self, text: str, dtype: torch.dtype) -> str:
        """Convert the element of one lane, or of all lanes, to the representation of scalars."""
        return f"-{text}" if dtype == torch.bool else text

    def is_mask(self, dtype: torch.dtype, varying: bool) -> bool:
        """Tell whether an element is represented by a mask."""
        return varying and dtype == torch.bool

    def compared(self, comparison: str, varying: bool) -> str:
        """Return a comparison as a bool."""
        return f"__builtin_convertvector({comparison}, vb8)" if varying else comparison

    def store(self, view: View, place: Place, value: str) -> None:
        """Print a store to an element."""
        index, buffer = self.address(view, place), view.buffer
        if buffer.kind == "output" and buffer.varying:
            self.put(self.to_memory(buffer, f"{self.name(buffer)} + ({index}) * padded", value))
        else:
            self.put(f"{self.name(buffer)}[{index}] = {value};")

    def constant(self, const: Const) -> str:
        """Return a number as a C literal."""
        kind = NAMES[const.dtype]
        if const.dtype in HALVES:
            return str(torch.tensor(const.value, dtype=const.dtype, device="cpu").view(torch.uint16).item())
        if const.dtype.is_floating_point:
            value = const.value
            assert isinstance(value, float)
            if math.isnan(value):
                return f'({kind})__builtin_nan("")'
            return (
                f"({kind}){'-' if value < 0 else ''}__builtin_inf()" if math.isinf(value) else f"({kind}){value.hex()}"
            )
        if kind[0] == "b":
            return str(int(const.value))
        if kind[0] == "u":
            return f"({kind}){const.value}ULL"
        return "(-9223372036854775807LL - 1)" if const.value == -(1 << 63) else f"({kind}){const.value}LL"

    def splat(self, text: str, dtype: torch.dtype) -> str:
        """Return a vector with a scalar in every lane."""
        if dtype == torch.bool:
            return f"(-(mask_t)({text}) - (vb8){{0}})"
        return f"K_v{NAMES[dtype]}({text})"

    def array(self, kind: str, name: str, size: int) -> None:
        """Declare an aligned array on the stack: gcc 12 may use aligned stores without aligning it."""
        self.put(f"_Alignas({self.target.alignment}) {kind} {name}[{size}];")
