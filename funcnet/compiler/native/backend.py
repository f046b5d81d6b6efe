"""The native backend: from a program to a kernel in C, stage by stage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from funcnet.compiler import passes
from funcnet.compiler.native import (
    blas,
    contractions,
    ensembles,
    fission,
    lapack,
    memory,
    outlining,
    rows,
    teams,
    tiles,
    toolchain,
    unread,
    workers,
)
from funcnet.compiler.native.c.kernel import emit
from funcnet.compiler.native.call_costs import check_calls_pay
from funcnet.compiler.native.complex_edges import ComplexEdges, has_edges, with_edges
from funcnet.compiler.native.cost import work
from funcnet.compiler.native.kernel import NativeKernel
from funcnet.compiler.native.lowering.lower import lower
from funcnet.compiler.native.lowering.table import RULES
from funcnet.compiler.native.outlining import outermost
from funcnet.compiler.native.target import Target
from funcnet.compiler.native.translation import Translation
from funcnet.compiler.native.verification import checked
from funcnet.compiler.program import Apply, Program
from funcnet.compiler.progress import Progress


@dataclass(eq=False)
class EnsembleKernel:
    """The kernels of a program under an outermost vmap, for different lanes per block, each compiled at first use."""

    program: Program
    progress: Progress | None = None
    only_if_faster: bool = False
    kernels: dict[int, NativeKernel] = field(default_factory=dict)  # by lanes per block
    widths: dict[int, int] = field(default_factory=dict)  # number of lanes -> lanes per block

    @property
    def size(self) -> int:
        """Bytes of the compiled libraries."""
        return sum(kernel.size for kernel in self.kernels.values())

    @property
    def cached(self) -> bool:
        """Whether all libraries came from the disk cache."""
        return all(kernel.cached for kernel in self.kernels.values())

    @property
    def calls(self) -> Sequence[Apply]:
        """The operations that torch computes, the same for all lanes."""
        return next(iter(self.kernels.values())).calls

    def __call__(self, tensors: Sequence[Tensor], lanes: int) -> list[Tensor]:
        """Run the program; see `NativeKernel`."""
        return self.kernel(lanes)(tensors, lanes)

    def memory(self, lanes: int) -> int:
        """Return the bytes of a run besides its arguments."""
        return self.kernel(lanes).memory(lanes)

    def specialised(self, tensors: Sequence[Tensor], lanes: int) -> Callable[[Sequence[Tensor]], list[Tensor]]:
        """Return a function that runs the program on tensors like these; see `NativeKernel`."""
        return self.kernel(lanes).specialised(tensors, lanes)

    def kernel(self, lanes: int) -> NativeKernel:
        """Return the kernel for a number of lanes, or for the number of those of which they are a part."""
        lanes = self.program.whole_size or lanes
        if lanes not in self.widths:
            target = Target.host()
            loops = lower(self.program, RULES, target)
            self.widths[lanes] = ensembles.lanes_per_block(loops, lanes, memory.widest(loops), target)
        width = self.widths[lanes]
        if width not in self.kernels:
            self.kernels[width] = _built(self.program, self.progress, width, only_if_faster=self.only_if_faster)
        return self.kernels[width]


def translate(program: Program, target: Target, *, counted: bool = False, lanes: int | None = None) -> Translation:
    """Translate a program to C: every stage, in order.

    Args:
        program: A traced program after `passes.run`.
        target: The machine that will run it.
        counted: Whether the kernel counts its finished steps, for a progress callback.
        lanes: Lanes per block of an outermost vmap, 1 for a kernel of one lane; None for those of a whole vector.
    Raises:
        UnsupportedError: An operation cannot be computed in a kernel, or a tensor is not on the CPU.
    """
    program = passes.real(program)
    loops = checked(lower(ensembles.single(program) if lanes == 1 else program, RULES, target))
    loops = checked(unread.remove(loops))
    loops = checked(contractions.choose(loops, target))
    loops = checked(tiles.choose(loops))
    loops = checked(fission.separate(loops, target))
    loops = checked(rows.fuse(loops, target))
    loops = checked(teams.share(loops, target))
    loops = checked(outlining.outline(loops, target))
    plan = memory.plan(loops, target, lanes)
    return Translation(program, loops, plan, emit(loops, plan, target, counted=counted))


def prepare(
    program: Program, progress: Progress | None = None, lanes: int | None = None, *, only_if_faster: bool = False
) -> NativeKernel | EnsembleKernel | ComplexEdges[int] | ComplexEdges[int | None]:
    """Compile a program to a native kernel for a number of lanes, if it is under an outermost vmap.

    Raises:
        UnsupportedError: An operation cannot be computed in a kernel, or a tensor is not on the CPU; or, with
            only_if_faster, torch would compute most of the operations, and a replay is faster.
        NoCompilerError: There is no working C compiler.
        InternalError: The C compiler refuses the text.
    """
    if lanes is None:
        return build(program, progress, only_if_faster=only_if_faster)
    found = EnsembleKernel(passes.real(program), progress, only_if_faster)
    found.kernel(lanes)
    return with_edges(found, program) if has_edges(program) else found


def build(
    program: Program, progress: Progress | None = None, *, only_if_faster: bool = False
) -> NativeKernel | ComplexEdges[int | None]:
    """Compile a program without lanes to a kernel; see `prepare`."""
    found = _built(program, progress, only_if_faster=only_if_faster)
    return with_edges(found, program) if has_edges(program) else found


def _built(
    program: Program, progress: Progress | None = None, lanes: int | None = None, *, only_if_faster: bool = False
) -> NativeKernel:
    """Compile a program to a kernel of real numbers, which counts its steps if there is a progress callback."""
    target = Target.host()
    found = translate(program, target, counted=progress is not None, lanes=lanes)
    if only_if_faster:
        check_calls_pay(program, found.loops.calls, target)
    found.dump()
    library = toolchain.load(found.text)
    is_linked = [link(library.handle, found.text) for link in (blas.link, lapack.link)]
    linked = any(is_linked), workers.link(library.handle, found.text)
    statements, plan = found.loops.statements, found.plan
    steps = sum(loop.counter.length for loop in outermost(statements))
    total, messages, calls = work(statements, target), found.loops.messages, found.loops.calls
    again, memory = partial(_built, found.program, progress, lanes), (plan.size, plan.private_size)
    return NativeKernel(
        found.program,
        target,
        library,
        plan.lanes,
        memory,
        total,
        again,
        progress,
        steps,
        messages,
        *linked,
        calls,
        found.loops.repeats,
    )
