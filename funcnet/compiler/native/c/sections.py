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
from funcnet.compiler.native.target import Target

RUN = """typedef struct {
  char *const *inputs, *const *outputs;
  char *arena;
  volatile int *control;
  i64 lane, padded;
  char *scratch;  // memory of this thread
  i64 threads;
} Run;
typedef void (*Part)(const Run *run, const i64 *at, const i64 *steps, i64 first, i64 last);
"""
ALONE = """static inline void share(Part part, const Run *run, const i64 *at, const i64 *steps, i64 count) {
  part(run, at, steps, 0, count);
}
"""
# Each thread of a team begins with parts of its own, which it also had at the previous section of the same length, and
# then takes those that others have not begun.
TEAM = """EXTERN void (*workers_)(void (*)(void *, i64), void *, i64);  // set at the loading, if there are threads
enum { PARTS_ = 256 };
typedef struct {
  Part part;
  const Run *run;
  const i64 *at, *steps;
  i64 count, parts;
  u64 mode;
  int flags;
  char begun[PARTS_];
} Team;
static void work_(void *data, i64 thread) {
  Team *const team = data;
  Run run = *team->run;
  const i64 parts = team->parts;
  const u64 before = mode();
  const int flags = flags_;
  flags_ = 0;
  mode_ = team->mode;
  set_mode(mode_ | FLUSHED);
  run.scratch += thread * {PRIVATE};
  for (i64 i = 0; i < parts; ++i) {
    const i64 p = (thread * parts / run.threads + i) % parts;
    if (!__atomic_exchange_n(&team->begun[p], 1, __ATOMIC_RELAXED))
      team->part(&run, team->at, team->steps, team->count * p / parts, team->count * (p + 1) / parts);
  }
  set_mode(before);
  __atomic_fetch_or(&team->flags, flags_, __ATOMIC_RELAXED);
  flags_ = flags;
}
static void share(Part part, const Run *run, const i64 *at, const i64 *steps, i64 count) {
  if (run->threads < 2 || !workers_) {
    part(run, at, steps, 0, count);
    return;
  }
  const i64 most = 4 * run->threads < PARTS_ ? 4 * run->threads : PARTS_;
  Team team = {part, run, at, steps, count, count < most ? count : most, mode_};
  workers_(work_, &team, run->threads);
  flags_ |= team.flags;
}
"""


class Sections:
    """Collects functions, of which those with the same text are one, and the table."""

    def __init__(self, plan: Plan, target: Target):
        self.plan, self.target = plan, target
        self.names: dict[str, str] = {}  # text of a function -> its name
        self.table: list[int] = []
        self.are_called = self.are_shared = False

    def name(self, prefix: str, text: str) -> str:
        """Return the name of the function with this text, in which it is written as `NAME`."""
        return self.names.setdefault(text, f"{prefix}{len(self.names)}")

    def functions(self) -> list[str]:
        """Return the functions."""
        return [text.replace("NAME", name) for text, name in self.names.items()]

    def heading(self) -> str:
        """Return the types of the functions, and the table."""
        if not self.are_called:
            return ""
        table = f"static const i64 table[] = {{{', '.join(map(str, self.table or [0]))}}};\n"
        return f"{RUN}{self._team()}{table}"

    def _team(self) -> str:
        """Return the function that shares the values of a counter between threads."""
        if not self.are_shared:
            return ""
        return TEAM.replace("{PRIVATE}", str(self.plan.private_size)) if self.target.threads else ALONE

    def call(self, body: Writer, free: Sequence[Buffer | Counter], caller: Writer, shared: Counter | None) -> str:
        """Return a call of the function with this body, which uses some buffers and counters of its caller.

        The values from `first` to `last` of a shared counter are those of one thread.
        """
        counters = [thing for thing in free if isinstance(thing, Counter)]
        row: list[int] = []
        definition = self._definition(
            body, counters, [thing for thing in free if isinstance(thing, Buffer)], row, is_shared=shared is not None
        )
        name, at = self.name("section", definition), f"table + {len(self.table)}"
        steps = [caller.name(counter, "t") for counter in counters]
        self.table += row
        self.are_called = True
        if shared is None:
            return f"{name}({', '.join(['&run', at, *steps])});"
        self.are_shared = True
        return f"share({name}, &run, {at}, (const i64[]){{{', '.join(steps or ['0'])}}}, {shared.length});"

    def _definition(
        self, body: Writer, counters: Sequence[Counter], buffers: Sequence[Buffer], row: list[int], *, is_shared: bool
    ) -> str:
        """Return a function with a parameter per buffer, and the function that calls it with a row of the table."""
        steps, names = "".join(f", i64 {body.name(counter)}" for counter in counters), [*map(body.name, counters)]
        given, values = steps, names
        if is_shared:
            given, values = ", const i64 *steps, i64 first, i64 last", [f"steps[{i}]" for i in range(len(counters))]
            steps, values = f"{steps}, i64 first, i64 last", [*values, "first", "last"]
        parameters = "".join(f", {pointer(body, buffer)}restrict {body.name(buffer)}" for buffer in buffers)
        addresses = [self._address(body, buffer, row) for buffer in buffers]
        arguments = ", ".join(["run->control", "run->padded", *values, *addresses])
        lines = "\n".join(body.lines)
        return f"""
static inline void NAME_(volatile int *control, i64 padded{steps}{parameters}) {{
{lines}
}}
SHARED OUTLINED void NAME(const Run *run, const i64 *at{given}) {{
  NAME_({arguments});
  WRITTEN
}}
"""

    def _address(self, body: Writer, buffer: Buffer, row: list[int]) -> str:
        """Append the address of a buffer to a row; return the expression that reads it."""
        origin, at = body.origins.get(buffer, 0), f"at[{len(row)}]"
        for offsets, memory in ((self.plan.arena, "arena"), (self.plan.private, "scratch")):
            if buffer not in offsets:
                continue
            row.append(offsets[buffer] + origin * self.plan.width(buffer))
            start = f"(void *)(run->{memory} + {at})"
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
