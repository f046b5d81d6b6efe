"""The C functions of a kernel besides that of a block: its sections, and the packing of its arguments.

A section is called with the position of its row in a table. The row holds the addresses of its buffers: the positions
of arguments and results, and the offsets of temporaries in the arena. So the code of a call is short, and a section
can tell the C compiler that its buffers do not overlap.
"""

from collections.abc import Sequence

from funcnet.compiler.native.buffers import Buffer, Counter
from funcnet.compiler.native.c.writer import NAMES, Writer
from funcnet.compiler.native.loop_ir import Section, reads, scratch, writes
from funcnet.compiler.native.memory import Plan

RUN = """typedef struct {
  char *const *inputs, *const *outputs;
  char *arena;
  volatile int *control;
  i64 lane, padded;
} Run;
"""


class Sections:
    """Collects functions, of which those with the same text are one, and the table."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.names: dict[str, str] = {}  # text of a function -> its name
        self.table: list[int] = []
        self.are_called = False

    def name(self, prefix: str, text: str) -> str:
        """Return the name of the function with this text, in which it is written as `NAME`."""
        return self.names.setdefault(text, f"{prefix}{len(self.names)}")

    def text(self) -> str:
        """Return the table and the functions."""
        functions = "".join(text.replace("NAME", name) for text, name in self.names.items())
        if not self.are_called:
            return functions
        return f"{RUN}static const i64 table[] = {{{', '.join(map(str, self.table or [0]))}}};\n{functions}"

    def call(self, body: Writer, free: Sequence[Buffer | Counter], caller: Writer) -> str:
        """Return a call of the function with this body, which uses some buffers and counters of its caller."""
        counters = [thing for thing in free if isinstance(thing, Counter)]
        row: list[int] = []
        definition = self._definition(body, counters, [thing for thing in free if isinstance(thing, Buffer)], row)
        arguments = ["&run", f"table + {len(self.table)}", *(caller.name(counter, "t") for counter in counters)]
        self.table += row
        self.are_called = True
        return f"{self.name('section', definition)}({', '.join(arguments)});"

    def _definition(self, body: Writer, counters: Sequence[Counter], buffers: Sequence[Buffer], row: list[int]) -> str:
        """Return a function with a parameter per buffer, and the function that calls it with a row of the table."""
        steps = "".join(f", i64 {body.name(counter)}" for counter in counters)
        parameters = "".join(f", {pointer(body, buffer)}restrict {body.name(buffer)}" for buffer in buffers)
        addresses = [self._address(body, buffer, row) for buffer in buffers]
        arguments = ", ".join(["run->control", "run->padded", *map(body.name, counters), *addresses])
        lines = "\n".join(body.lines)
        return f"""
static inline void NAME_(volatile int *control, i64 padded{steps}{parameters}) {{
{lines}
}}
static __attribute__((noinline)) void NAME(const Run *run, const i64 *at{steps}) {{
  NAME_({arguments});
}}
"""

    def _address(self, body: Writer, buffer: Buffer, row: list[int]) -> str:
        """Append the address of a buffer to a row; return the expression that reads it."""
        origin, at = body.origins.get(buffer, 0), f"at[{len(row)}]"
        if buffer in self.plan.arena:
            row.append(self.plan.arena[buffer] + origin * self.plan.width(buffer))
            start = f"(void *)(run->arena + {at})"
            return start if origin else f"__builtin_assume_aligned({start}, {body.target.arena_alignment})"
        stride = " * run->padded" if buffer.varying else ""
        row += [buffer.position, origin] if origin else [buffer.position]
        start = f"({pointer(body, buffer)})run->{buffer.kind}s[{at}]{' + run->lane' if buffer.varying else ''}"
        return f"{start} + at[{len(row) - 1}]{stride}" if origin else start


def origins(section: Section) -> dict[Buffer, int]:
    """Return the least offset of the views of each buffer of a section that is not 0, so that their texts are equal.

    A buffer that a statement fills or uses as scratch has a view of offset 0.
    """
    found: dict[Buffer, int] = {}
    for view in (*reads(section), *writes(section), *scratch(section)):
        found[view.buffer] = min(found.get(view.buffer, view.offset), view.offset)
    return {buffer: offset for buffer, offset in found.items() if offset}


def pointer(writer: Writer, buffer: Buffer) -> str:
    """Return the C type of the address of a buffer's elements; a result holds scalars, also in lanes."""
    if buffer.kind == "output":
        return f"{NAMES[buffer.dtype]} *"
    return f"{'const ' if buffer.kind == 'input' and not buffer.varying else ''}{writer.type(buffer)} *"
