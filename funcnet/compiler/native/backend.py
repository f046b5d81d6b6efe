"""The native backend: from a program to a kernel in C, stage by stage."""

from functools import partial

from funcnet.compiler.native import blas, contractions, fission, memory, outlining, toolchain
from funcnet.compiler.native.c.kernel import emit
from funcnet.compiler.native.cost import work
from funcnet.compiler.native.kernel import NativeKernel
from funcnet.compiler.native.lowering.lower import lower
from funcnet.compiler.native.lowering.table import RULES
from funcnet.compiler.native.outlining import outermost
from funcnet.compiler.native.target import Target
from funcnet.compiler.native.translation import Translation
from funcnet.compiler.native.verification import checked
from funcnet.compiler.program import Program
from funcnet.compiler.progress import Progress


def translate(program: Program, target: Target, *, counted: bool = False) -> Translation:
    """Translate a program to C: every stage, in order.

    Args:
        program: A traced program after `passes.run`.
        target: The machine that will run it.
        counted: Whether the kernel counts its finished steps, for a progress callback.
    Raises:
        UnsupportedError: An operation has no rule here, or a tensor is not on the CPU.
    """
    loops = checked(lower(program, RULES, target))
    loops = checked(contractions.choose(loops, target))
    loops = checked(fission.separate(loops, target))
    loops = checked(outlining.outline(loops, target))
    plan = memory.plan(loops, target)
    return Translation(program, loops, plan, emit(loops, plan, target, counted=counted))


def prepare(program: Program, progress: Progress | None = None) -> NativeKernel:
    """Compile a program to a native kernel, which counts its steps if there is a progress callback.

    Raises:
        UnsupportedError: An operation has no rule here, or a tensor is not on the CPU.
        NoCompilerError: There is no working C compiler.
        InternalError: The C compiler refuses the text.
    """
    target = Target.host()
    found = translate(program, target, counted=progress is not None)
    found.dump()
    library = toolchain.load(found.text)
    is_linked = blas.link(library.handle, found.text)
    statements, plan = found.loops.statements, found.plan
    steps = sum(loop.counter.length for loop in outermost(statements))
    total, messages = work(statements, target), found.loops.messages
    again = partial(prepare, program, progress)
    return NativeKernel(
        program, target, library, plan.lanes, plan.size, total, again, progress, steps, messages, is_linked
    )
