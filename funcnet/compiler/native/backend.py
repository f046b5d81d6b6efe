"""The native backend: a program as a C kernel, run over blocks of lanes by as many threads as torch uses."""

import ctypes
import os
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from funcnet.compiler import forks
from funcnet.compiler.errors import InternalError, NoCompilerError
from funcnet.compiler.native import blas, contractions, ensembles, fission, memory, outlining, rows, toolchain
from funcnet.compiler.native.c.kernel import FAILED, emit
from funcnet.compiler.native.cost import work
from funcnet.compiler.native.layout import Layout
from funcnet.compiler.native.lowering.lower import lower
from funcnet.compiler.native.lowering.table import RULES
from funcnet.compiler.native.outlining import outermost
from funcnet.compiler.native.target import Target
from funcnet.compiler.native.translation import Translation
from funcnet.compiler.native.verification import checked
from funcnet.compiler.program import Program
from funcnet.compiler.progress import INTERVAL, Progress


@dataclass(eq=False)
class NativeKernel:
    """A compiled program, called with the tensors of its parameters, captures included."""

    program: Program
    target: Target
    library: toolchain.Library
    lanes: int
    arena: int
    work: int
    progress: Progress | None = None
    steps: int = 0  # of the outermost loops, for progress
    messages: Sequence[str] = ()  # one per check in the program
    arenas: list[Tensor] = field(default_factory=list)  # arenas that no thread uses now
    is_linked: bool = False  # to torch's BLAS
    unlinked: "NativeKernel | None" = None  # in a forked process, the same kernel without BLAS
    layout: Layout = field(init=False)
    pointers: tuple[Any, Any] = field(init=False)  # ctypes arrays of pointers: to arguments, to results

    def __post_init__(self) -> None:
        self.layout = Layout(self.program, self.lanes)
        params, results = self.program.block.params, self.program.block.results
        self.pointers = ctypes.c_void_p * len(params), ctypes.c_void_p * len(results)
        self.library.function.argtypes = [ctypes.c_void_p] * 5 + [ctypes.c_int64] * 4

    @property
    def size(self) -> int:
        """Bytes of the compiled library."""
        return self.library.size

    @property
    def cached(self) -> bool:
        """Whether the library came from the disk cache."""
        return self.library.cached

    def __call__(self, tensors: Sequence[Tensor], lanes: int | None = None) -> list[Tensor]:
        """Run the program.

        Args:
            tensors: One per parameter, on the CPU, of its dtype and shape, with a lane axis at the place in in_dims.
            lanes: Size of the lane axis; None without an outermost vmap.
        Returns:
            The results. The lane axis is innermost in memory, or outermost if the kernel runs once per lane.
        Raises:
            IndexError: An index of a gather or scatter was out of range.
            RuntimeError: A check in the program failed, or an integer was divided by zero.
        """
        if lanes == 0 and None in (self.program.out_dims or ()):
            return self._of_no_lanes(tensors)
        return self.run(tensors, 1 if lanes is None else lanes)

    def run(self, tensors: Sequence[Tensor], count: int, *, checked: bool = True) -> list[Tensor]:
        """Run the program for a number of lanes; raise the errors of the run if checked."""
        if self.is_linked and forks.is_child:
            return self._without_blas().run(tensors, count, checked=checked)
        held, blocks = self.layout.arguments(tensors), -(-count // self.lanes)
        outputs = self.layout.results(blocks * self.lanes)
        call = _Call(self, held, outputs, count, blocks)
        call.run(blocks)
        if checked:
            call.check()
        if self.progress is not None:
            self.progress(call.total, call.total)
        return self.layout.delivered(outputs, count)

    def _without_blas(self) -> "NativeKernel":
        """Compile the program without BLAS, which may wait for threads and locks of the parent process."""
        try:
            self.unlinked = self.unlinked or build(self.program, self.progress, self.lanes)
        except (NoCompilerError, InternalError) as error:
            raise RuntimeError(
                "jit: BLAS, which this program calls, does not run in a forked process, and it cannot be compiled"
                f" without: {error} {forks.REMEDY}"
            ) from error
        return self.unlinked

    def _of_no_lanes(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return results for an axis of no lanes: a lane of zeros is run to compute the shared results."""
        dims, out_dims = self.program.in_dims or (), self.program.out_dims or ()
        shapes = [[1 if axis == d else n for axis, n in enumerate(t.shape)] for t, d in zip(tensors, dims, strict=True)]
        lane = [t if d is None else t.new_zeros(shape) for t, d, shape in zip(tensors, dims, shapes, strict=True)]
        return [
            t if d is None else t.narrow(d, 0, 0)
            for t, d in zip(self.run(lane, 1, checked=False), out_dims, strict=True)
        ]

    def take_arena(self) -> Tensor:
        """Return working memory for one thread; it is reused, as new pages take a third of the step of a large net."""
        try:
            return self.arenas.pop()
        except IndexError:
            return torch.empty(self.arena + self.target.arena_alignment, dtype=torch.uint8, device="cpu")


class _Call:
    """One run: the pointers for C, the threads that share the blocks, and the control block of each thread."""

    def __init__(
        self,
        kernel: NativeKernel,
        held: Sequence[Tensor],
        outputs: list[Tensor],
        count: int,
        blocks: int,
    ):
        self.kernel, self.held, self.outputs = kernel, held, outputs
        self.count, self.padded = count, blocks * kernel.lanes
        inputs, results = kernel.pointers
        self.inputs = inputs(*map(Tensor.data_ptr, held))
        self.results = results(*map(Tensor.data_ptr, outputs))
        self.strides = kernel.layout.strides(held)
        self.total = kernel.steps * blocks

    def run(self, blocks: int) -> None:
        """Run all blocks. In a long run the calling thread only waits, so that Ctrl-C can stop the others."""
        workers = max(1, min(torch.get_num_threads(), blocks))
        self.controls = [_Control() for _ in range(workers)]
        spread = workers > 1 or self.kernel.progress is not None
        target = self.kernel.target
        if self.kernel.work * blocks < (target.short_run if spread else target.long_run):
            self.part(self.controls[0], self.kernel.take_arena(), 0, blocks)
        else:
            self.spread([blocks * i // workers for i in range(workers + 1)])

    def check(self) -> None:
        """Raise the error of the run, if any. A failed check takes precedence: it guards against the other errors."""
        met = [control.flags for control in self.controls]
        if not any(met):
            return
        codes, flags = zip(*(divmod(each, FAILED) for each in met), strict=True)
        if any(codes):
            raise RuntimeError(self.kernel.messages[max(codes) - 1])
        if any(f & 1 for f in flags):
            raise IndexError("jit: an index of a gather or scatter is out of the range of its axis")
        if any(f & 2 for f in flags):
            raise RuntimeError("ZeroDivisionError: jit: an integer division by zero")

    def spread(self, bounds: Sequence[int]) -> None:
        """Run each range of blocks in a thread of its own."""
        arenas = [self.kernel.take_arena() for _ in self.controls]  # here, so that a lack of memory raises
        parts = zip(self.controls, arenas, bounds, bounds[1:], strict=False)
        threads = [threading.Thread(target=self.part, args=part, daemon=True) for part in parts]
        for thread in threads:
            thread.start()
        process = os.getpid()
        try:
            for thread in threads:
                while thread.is_alive():  # a join without a timeout may miss an interrupt
                    thread.join(INTERVAL)
                    if self.kernel.progress is not None and thread.is_alive():
                        self.kernel.progress(sum(control.done for control in self.controls), self.total)
        except BaseException:
            for control in self.controls:
                control.stop = 1
            for thread in threads:
                thread.join()
            raise
        if os.getpid() != process:
            raise RuntimeError(f"jit: the progress callback forked: its child has no part of the run. {forks.REMEDY}")

    def part(self, control: "_Control", arena: Tensor, first: int, last: int) -> None:
        """Run the blocks from first to last. C runs without the interpreter's lock."""
        torch.get_num_threads()  # sets the number of OpenMP threads, which BLAS uses, in this thread
        alignment = self.kernel.target.arena_alignment
        start = -(-arena.data_ptr() // alignment) * alignment
        with blas.single_threaded() if self.kernel.is_linked and self.padded > self.kernel.lanes else nullcontext():
            self.kernel.library.function(
                self.inputs,
                self.strides,
                self.results,
                start,
                ctypes.byref(control),
                first,
                last,
                self.count,
                self.padded,
            )
        self.kernel.arenas.append(arena)


class _Control(ctypes.Structure):
    """The control block of a worker thread, on a cache line of its own: stop request, error flags, steps done."""

    _fields_ = (("stop", ctypes.c_int), ("flags", ctypes.c_int), ("done", ctypes.c_int64), ("_", ctypes.c_char * 112))


@dataclass(eq=False)
class EnsembleKernel:
    """The kernels of a program under an outermost vmap, for different lanes per block, each compiled at first use."""

    program: Program
    progress: Progress | None = None
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

    def __call__(self, tensors: Sequence[Tensor], lanes: int) -> list[Tensor]:
        """Run the program; see `NativeKernel`."""
        return self.kernel(lanes)(tensors, lanes)

    def kernel(self, lanes: int) -> NativeKernel:
        """Return the kernel for a number of lanes."""
        if lanes not in self.widths:
            target = Target.host()
            loops = lower(self.program, RULES, target)
            self.widths[lanes] = ensembles.lanes_per_block(loops, lanes, memory.widest(loops), target)
        width = self.widths[lanes]
        if width not in self.kernels:
            self.kernels[width] = build(self.program, self.progress, width)
        return self.kernels[width]


def translate(program: Program, target: Target, *, counted: bool = False, lanes: int | None = None) -> Translation:
    """Translate a program to C: every stage, in order.

    Args:
        program: A traced program after `passes.run`.
        target: The machine that will run it.
        counted: Whether the kernel counts its finished steps, for a progress callback.
        lanes: Lanes per block of an outermost vmap, 1 for a kernel of one lane; None for those of a whole vector.
    Raises:
        UnsupportedError: An operation has no rule here, or a tensor is not on the CPU.
    """
    loops = checked(lower(ensembles.single(program) if lanes == 1 else program, RULES, target))
    loops = checked(contractions.choose(loops, target))
    loops = checked(fission.separate(loops, target))
    loops = checked(rows.fuse(loops, target))
    loops = checked(outlining.outline(loops, target))
    plan = memory.plan(loops, target, lanes)
    return Translation(program, loops, plan, emit(loops, plan, target, counted=counted))


def prepare(
    program: Program, progress: Progress | None = None, lanes: int | None = None
) -> NativeKernel | EnsembleKernel:
    """Compile a program to a native kernel for a number of lanes, if it is under an outermost vmap.

    Raises:
        UnsupportedError: An operation has no rule here, or a tensor is not on the CPU.
        NoCompilerError: There is no working C compiler.
        InternalError: The C compiler refuses the text.
    """
    if lanes is None:
        return build(program, progress)
    found = EnsembleKernel(program, progress)
    found.kernel(lanes)
    return found


def build(program: Program, progress: Progress | None = None, lanes: int | None = None) -> NativeKernel:
    """Compile a program to a kernel, which counts its steps if there is a progress callback; see `translate`."""
    target = Target.host()
    found = translate(program, target, counted=progress is not None, lanes=lanes)
    found.dump()
    library = toolchain.load(found.text)
    is_linked = blas.link(library.handle, found.text)
    statements, plan = found.loops.statements, found.plan
    steps = sum(loop.counter.length for loop in outermost(statements))
    total, messages = work(statements, target), found.loops.messages
    kernel = NativeKernel(program, target, library, plan.lanes, plan.size, total, progress, steps, messages)
    kernel.is_linked = is_linked
    return kernel
