"""The statements of a C function, loops and calls of sections included."""

from collections.abc import Collection, Sequence

from funcnet.compiler.native.buffers import Buffer, Counter
from funcnet.compiler.native.c.cumulate import cumulate
from funcnet.compiler.native.c.fourier import fourier
from funcnet.compiler.native.c.functions.lanes import each_lane
from funcnet.compiler.native.c.matmul import contract
from funcnet.compiler.native.c.nest import NestWriter
from funcnet.compiler.native.c.routines import routine
from funcnet.compiler.native.c.sections import Sections, origins
from funcnet.compiler.native.c.sort import sort
from funcnet.compiler.native.c.transpose import transpose
from funcnet.compiler.native.c.writer import Writer
from funcnet.compiler.native.contract import Contract
from funcnet.compiler.native.control import Break, Case, Check, Repeat, TorchCall
from funcnet.compiler.native.cost import work
from funcnet.compiler.native.loop_ir import Cumulate, Loop, Nest, Section, Sort, Statement, never
from funcnet.compiler.native.memory import Holder
from funcnet.compiler.native.routines import Routine


class Statements:
    """Prints the statements of one function; the steps of the loops in `counted` are published for progress."""

    def __init__(self, writer: Writer, sections: Sections, counted: Collection[Loop] = ()):
        self.writer, self.sections, self.counted = writer, sections, counted
        self.declared: set[Buffer | Counter] = set()

    def print(self, statement: Statement) -> None:
        """Print one statement."""
        match statement:
            case Nest():
                if not transpose(self.writer, statement):
                    NestWriter(self.writer, statement).print()
            case Contract():
                contract(self.writer, statement)
            case Cumulate():
                cumulate(self.writer, statement)
            case Sort():
                sort(self.writer, statement)
            case TorchCall():
                self.torch_call(statement)
            case Routine("fourier"):
                fourier(self.writer, statement)
            case Routine():
                routine(self.writer, statement)
            case Check():
                self.check(statement)
            case Break():
                self.leave(statement)
            case Loop():
                self.loop(statement)
            case Repeat():
                self.repeat(statement)
            case Case():
                self.case(statement)
            case Section():
                self.section(statement)
            case _:
                never(statement)

    def torch_call(self, call: TorchCall) -> None:
        """Print a call of torch; the C function ends if it fails, or if a stop has been requested."""
        views = (*call.inputs, *call.outputs)
        pointers = ", ".join(f"(void *)&{self.writer.load(view, [0] * len(view.shape))}" for view in views)
        self.writer.put(f"if (!torch_call(control, {call.position}, (void *[]){{{pointers or 0}}})) return;")

    def check(self, check: Check) -> None:
        """Print a check: set an error code if a condition is false and no earlier check failed."""
        value = self.writer.load(check.view, [0] * len(check.view.shape))
        if check.count:
            failed = f"{value} < {check.count} && flags_ < FAILED"
            self.writer.put(f"if ({failed}) flags_ += ({check.code} + (int){value}) * FAILED;")
            return
        varying = check.view.varying
        line = f"if (!{f'({value})[i]' if varying else value} && flags_ < FAILED) flags_ += {check.code} * FAILED;"
        self.writer.put(each_lane(line) if varying else line)

    def leave(self, condition: Break) -> None:
        """Print the end of a loop whose condition is false, in lanes: false in all of them."""
        value = self.writer.load(condition.view, [0] * len(condition.view.shape))
        if condition.view.varying:
            name = self.writer.fresh("c")
            self.writer.put(f"i64 {name} = 0;")
            self.writer.put(each_lane(f"{name} |= ({value})[i];"))
            value = name
        self.writer.put(f"if (!{value}) break;")

    def repeat(self, loop: Repeat) -> None:
        """Print a loop that a Break ends; the stop flag or an interrupt ends it between two steps."""
        target = self.writer.target
        self.writer.open("for (;;)")
        self.writer.put(f"if (!goes_on(control, {max(1, min(work(loop.body, target), target.poll))})) return;")
        self.block(loop, loop.body)
        self.writer.close()

    def case(self, case: Case) -> None:
        """Print statements that run for one value of an element."""
        value = self.writer.load(case.view, [0] * len(case.view.shape))
        self.writer.open(f"if ({value} == {case.value})")
        self.block(case, case.body)
        self.writer.close()

    def loop(self, loop: Loop) -> None:
        """Print the loop of a scan; the stop flag ends it between two steps."""
        t = self.writer.name(loop.counter, "t")
        self.declared.add(loop.counter)
        if loop.unroll > 1:
            self.writer.put(f"UNROLL({min(loop.unroll, self.writer.target.unroll_most)})")
        self.writer.open(f"for (i64 {t} = 0; {t} < {loop.counter.length}; ++{t})")
        self.writer.stop()
        self.block(loop, loop.body)
        if loop in self.counted:
            self.writer.put("++*(volatile i64 *)(control + 2);")
        self.writer.close()

    def section(self, section: Section) -> None:
        """Print a call of the function of a section; the caller ends, too, if a call of torch ended that function."""
        inner = Statements(self.writer.function(), self.sections, self.counted)
        inner.writer.origins = origins(section)
        if section.counter is None:
            inner.block(section, section.body)
        else:
            inner.shared(section, section.counter)
        self.writer.put(self.sections.call(inner.writer, inner.free(), self.writer, section.counter))
        if _has_calls(section.body):
            self.writer.stop()

    def shared(self, section: Section, counter: Counter) -> None:
        """Print the loop over the values of a counter that one thread runs."""
        self.declared.add(counter)
        t = self.writer.name(counter, "t")
        self.writer.open(f"for (i64 {t} = first; {t} < last; ++{t})")
        self.writer.stop()
        self.block(section, section.body)
        self.writer.close()

    def free(self) -> list[Buffer | Counter]:
        """Return the buffers and counters that the statements use and do not declare, in the order of their use."""
        return [thing for thing in self.writer.names if thing not in self.declared]

    def block(self, home: Holder | None, body: Sequence[Statement]) -> None:
        """Declare the temporaries of a loop body or of the function, then print the statements."""
        self.declare(home)
        self.run(body)

    def run(self, body: Sequence[Statement]) -> None:
        """Print statements; before each long one the stop flag is read."""
        for statement in body:
            if work([statement], self.writer.target) > self.writer.target.poll_between:
                self.writer.stop()
            self.print(statement)

    def declare(self, home: Holder | None) -> None:
        """Declare the temporaries of a loop, of a section, or of the function of a block."""
        plan = self.sections.plan
        for buffer in plan.locals.get(home, ()):
            self.writer.array(self.writer.type(buffer), self.writer.name(buffer), plan.room(buffer))
            self.declared.add(buffer)


def _has_calls(body: Sequence[Statement]) -> bool:
    """Tell whether there is a call of torch among statements."""
    return any(
        isinstance(each, TorchCall) or (isinstance(each, Loop | Repeat | Case) and _has_calls(each.body))
        for each in body
    )
