"""The native backend: a program as one C function, run over blocks of lanes on torch's number of threads."""

import ctypes
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet.compiler import forks, passes
from funcnet.compiler.errors import InternalError, NoCompilerError
from funcnet.compiler.native import blas, contractions, fission, memory, toolchain
from funcnet.compiler.native.c.kernel import FAILED, emit
from funcnet.compiler.native.cost import work
from funcnet.compiler.native.loop_ir import Loop
from funcnet.compiler.native.lowering.lower import lower
from funcnet.compiler.native.lowering.table import RULES
from funcnet.compiler.native.target import Target
from funcnet.compiler.native.translation import Translation
from funcnet.compiler.native.verification import checked
from funcnet.compiler.program import Program
from funcnet.compiler.progress import INTERVAL, Progress


@dataclass(eq=False)
class NativeKernel:
    """A compiled program: call it with the tensors of its parameters, captures included."""

    traced: Program
    program: Program  # the same after all passes
    target: Target
    library: toolchain.Library
    lanes: int
    arena: int
    work: int
    progress: Progress | None = None
    steps: int = 0  # of the outermost loops, counted for progress
    messages: Sequence[str] = ()  # of the checks in the program
    arenas: list[Tensor] = field(default_factory=list)  # of threads that have ended, for the next ones
    is_linked: bool = False  # to torch's BLAS
    unlinked: "NativeKernel | None" = None  # in a forked process, the same without BLAS
    templates: list[Tensor] = field(init=False)  # one per result, of one number that is repeated
    pointers: tuple[Any, Any] = field(init=False)  # the types of arrays of pointers to arguments and to results

    def __post_init__(self) -> None:
        params, results = self.program.block.params, self.program.block.results
        self.templates = [torch.empty((), dtype=like.dtype, device="cpu").expand(like.shape) for like in results]
        self.pointers = ctypes.c_void_p * len(params), ctypes.c_void_p * len(results)
        self.library.function.argtypes = [ctypes.c_void_p] * 5 + [ctypes.c_int64] * 4

    @property
    def size(self) -> int:
        """Bytes of the compiled library."""
        return self.library.size

    @property
    def cached(self) -> bool:
        """Whether the library came from the disk."""
        return self.library.cached

    def __call__(self, tensors: Sequence[Tensor], lanes: int | None = None) -> list[Tensor]:
        """Run the program.

        Args:
            tensors: One a parameter, on the CPU, of its shape (with the lane axis where in_dims says) and dtype.
            lanes: Size of the lane axis; None without an outermost vmap.
        Returns:
            The results. With lanes the lane axis is innermost in memory.
        Raises:
            IndexError: An index of a gather or scatter was out of range.
            RuntimeError: A check in the program failed, or an integer was divided by zero.
        """
        if lanes == 0 and None in (self.program.out_dims or ()):
            return self._of_no_lanes(tensors)
        return self.run(tensors, 1 if lanes is None else lanes)

    def run(self, tensors: Sequence[Tensor], count: int, *, checked: bool = True) -> list[Tensor]:
        """Run the program for a number of lanes, and raise the errors that it met unless they are not to be checked."""
        if self.is_linked and forks.is_child:
            return self._without_blas().run(tensors, count, checked=checked)
        held = self._arguments(tensors)
        padded = -(-count // self.lanes) * self.lanes
        outputs = self._outputs(padded)
        call = _Call(self, held, self._strides(held), outputs, count, padded)
        call.run(padded // self.lanes)
        if checked:
            call.check()
        if self.progress is not None:
            self.progress(call.total, call.total)
        return self._deliver(outputs, count)

    def _without_blas(self) -> "NativeKernel":
        """Compile the program again, for a process whose BLAS may wait for threads and locks of its parent."""
        try:
            self.unlinked = self.unlinked or prepare(self.traced, self.progress)
        except (NoCompilerError, InternalError) as error:
            raise RuntimeError(
                "jit: BLAS, which this program calls, does not run in a forked process, and it cannot be compiled"
                f" without: {error} {forks.REMEDY}"
            ) from error
        return self.unlinked

    def _of_no_lanes(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Run a made-up lane, which computes what all lanes share."""
        dims, out_dims = self.program.in_dims or (), self.program.out_dims or ()
        shapes = [[1 if axis == d else n for axis, n in enumerate(t.shape)] for t, d in zip(tensors, dims, strict=True)]
        lane = [t if d is None else t.new_zeros(shape) for t, d, shape in zip(tensors, dims, shapes, strict=True)]
        return [
            t if d is None else t.narrow(d, 0, 0)
            for t, d in zip(self.run(lane, 1, checked=False), out_dims, strict=True)
        ]

    def take_arena(self) -> Tensor:
        """Working memory for one thread; fresh pages would cost a large net a third of its step."""
        try:
            return self.arenas.pop()
        except IndexError:
            return torch.empty(self.arena + self.target.arena_alignment, dtype=torch.uint8, device="cpu")

    def _arguments(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Shared arguments row by row, lane axes last."""
        dims = self.program.in_dims
        if dims is None and not any(map(Tensor.is_neg, tensors)) and all(map(Tensor.is_contiguous, tensors)):
            return tensors  # which is quick where there are hundreds of small ones
        resolved = [(t.resolve_neg(), d) for t, d in zip(tensors, dims or (None,) * len(tensors), strict=True)]
        return [t.contiguous() if d is None else t.movedim(d, -1) for t, d in resolved]

    def _strides(self, held: Sequence[Tensor]) -> list[int]:
        varying = (t for t, d in zip(held, self.program.in_dims or (), strict=False) if d is not None)
        return [stride for t in varying for stride in t.stride()]

    def _outputs(self, padded: int) -> list[Tensor]:
        """Fresh memory for the results."""
        dims = self.program.out_dims
        if dims is None:
            return [*map(_fresh, self.templates)]
        return [
            _fresh(like) if d is None else torch.empty((*like.shape, padded), dtype=like.dtype, device="cpu")
            for like, d in zip(self.templates, dims, strict=True)
        ]

    def _deliver(self, outputs: list[Tensor], count: int) -> list[Tensor]:
        """The results without what fills the last block, lane axes where out_dims says."""
        dims = self.program.out_dims
        if dims is None:
            return outputs
        return [out if d is None else _lanes(out, count, d) for out, d in zip(outputs, dims, strict=True)]


def _lanes(out: Tensor, count: int, axis: int) -> Tensor:
    """View the first lanes of a result, with the lane axis at its place."""
    out = out if out.shape[-1] == count else out.narrow(-1, 0, count)
    return out if axis == out.ndim - 1 else out.movedim(-1, axis)


class _Call:
    """One run: pointers for C, the threads that share the blocks, and for each what it hears and says meanwhile."""

    def __init__(
        self,
        kernel: NativeKernel,
        held: Sequence[Tensor],
        strides: list[int],
        outputs: list[Tensor],
        count: int,
        padded: int,
    ):
        self.kernel, self.held, self.outputs = kernel, held, outputs
        self.count, self.padded = count, padded
        inputs, results = kernel.pointers
        self.inputs = inputs(*map(Tensor.data_ptr, held))
        self.results = results(*map(Tensor.data_ptr, outputs))
        self.strides = (ctypes.c_int64 * len(strides))(*strides) if strides else None
        self.total = kernel.steps * (padded // kernel.lanes)

    def run(self, blocks: int) -> None:
        """Run all blocks; a long run leaves the calling thread free to hear Ctrl-C, which then stops the others."""
        workers = max(1, min(torch.get_num_threads(), blocks))
        self.controls = [_Control() for _ in range(workers)]
        spread = workers > 1 or self.kernel.progress is not None
        target = self.kernel.target
        if self.kernel.work * blocks < (target.short_run if spread else target.long_run):
            self.part(self.controls[0], self.kernel.take_arena(), 0, blocks)
        else:
            self.spread([blocks * i // workers for i in range(workers + 1)])

    def check(self) -> None:
        """Raise the error that a thread met; of several the one of a check, which comes before what it guards."""
        if not any(control.flags for control in self.controls):
            return
        met = [control.flags for control in self.controls]
        codes, flags = zip(*(divmod(each, FAILED) for each in met), strict=True)
        if any(codes):
            raise RuntimeError(self.kernel.messages[max(codes) - 1])
        if any(f & 1 for f in flags):
            raise IndexError("jit: an index of a gather or scatter is out of the range of its axis")
        if any(f & 2 for f in flags):
            raise RuntimeError("ZeroDivisionError: jit: an integer division by zero")

    def spread(self, bounds: Sequence[int]) -> None:
        """One thread for each range of blocks."""
        arenas = [self.kernel.take_arena() for _ in self.controls]  # here, where a lack of memory is an error
        parts = zip(self.controls, arenas, bounds, bounds[1:], strict=False)
        threads = [threading.Thread(target=self.part, args=part, daemon=True) for part in parts]
        for thread in threads:
            thread.start()
        process = os.getpid()
        try:
            for thread in threads:
                while thread.is_alive():  # a join without a time limit can sleep through an interrupt
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
        """The blocks from first to last; C runs without the interpreter's lock."""
        torch.get_num_threads()  # gives this thread's OpenMP, which BLAS uses, the number of threads that torch has
        alignment = self.kernel.target.arena_alignment
        start = -(-arena.data_ptr() // alignment) * alignment
        self.kernel.library.function(
            self.inputs, self.strides, self.results, start, ctypes.byref(control), first, last, self.count, self.padded
        )
        self.kernel.arenas.append(arena)


class _Control(ctypes.Structure):
    """What one thread's part hears and says: a request to stop, errors met, steps done; a cache line of its own."""

    _fields_ = (("stop", ctypes.c_int), ("flags", ctypes.c_int), ("done", ctypes.c_int64), ("_", ctypes.c_char * 112))


_fresh = partial(torch.empty_like, memory_format=torch.contiguous_format)  # half the time of torch.empty of a shape


def translate(program: Program, target: Target, *, counted: bool = False) -> Translation:
    """Translate a traced program to C: every stage, in order.

    Args:
        program: What to translate.
        target: The machine that will run it.
        counted: Whether the kernel says how many steps it has done.
    Raises:
        UnsupportedError: An operation has no rule here, or a tensor is not on the CPU.
    """
    program = passes.run(program)
    loops = checked(lower(program, RULES, target))
    loops = checked(contractions.choose(loops, target))
    loops = checked(fission.separate(loops, target))
    plan = memory.plan(loops, target)
    return Translation(program, loops, plan, emit(loops, plan, target, counted=counted))


def prepare(program: Program, progress: Progress | None = None) -> NativeKernel:
    """Compile a program to a native kernel, which counts its steps if a callback wants to know.

    Raises:
        UnsupportedError: An operation has no rule here, or a tensor is not on the CPU.
        NoCompilerError: There is no C compiler that works here.
        InternalError: The C compiler refuses what this one writes.
    """
    target = Target.host()
    found = translate(program, target, counted=progress is not None)
    found.dump()
    library = toolchain.load(found.text)
    is_linked = blas.link(library.handle, found.text)
    statements, plan = found.loops.statements, found.plan
    steps = sum(part.counter.length for part in statements if isinstance(part, Loop))
    total, messages = work(statements, target), found.loops.messages
    kernel = NativeKernel(
        program, found.program, target, library, plan.lanes, plan.size, total, progress, steps, messages
    )
    kernel.is_linked = is_linked
    return kernel
