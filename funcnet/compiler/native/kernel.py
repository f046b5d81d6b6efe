"""A compiled program: a C function, run over blocks of lanes by as many threads as torch uses."""

import ctypes
import math
import struct
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch
from funcnet.compiler import forks
from funcnet.compiler.errors import InternalError, NoCompilerError
from funcnet.compiler.native import blas, control, toolchain
from funcnet.compiler.native.c.kernel import FAILED
from funcnet.compiler.native.frames import Frame, Layout, Result, strides
from funcnet.compiler.native.target import Target
from funcnet.compiler.native.threads import spread
from funcnet.compiler.program import Apply, Program
from funcnet.compiler.progress import Progress


@dataclass(eq=False)
class NativeKernel:
    """A compiled program, called with the tensors of its parameters, captures included."""

    program: Program
    target: Target
    library: toolchain.Library
    lanes: int
    arena: tuple[int, int]  # bytes for a run, and for each of its threads
    work: int
    prepare: Callable[[], "NativeKernel"]  # compiles the program again, in a forked process without BLAS
    progress: Progress | None = None
    steps: int = 0  # of the outermost loops, for progress
    messages: Sequence[str | control.Failure] = ()  # one per check in the program
    is_linked: bool = False  # to torch's BLAS
    is_shared: bool = False  # by worker threads, inside one run
    calls: Sequence[Apply] = ()  # operations that torch computes
    repeats: bool = False  # whether there is a loop with a condition, which an interrupt must end
    unlinked: "NativeKernel | None" = None  # in a forked process, the same kernel without BLAS
    frames: list[Frame] = field(default_factory=list)  # those that no thread uses now
    layouts: tuple[int, list[Result]] = (-1, [])  # a number of lanes, and the results in memory

    def __post_init__(self) -> None:
        self.function = self.library.function
        self.function.argtypes, self.function.restype = [ctypes.c_void_p], None
        block = self.program.block
        self.pack = struct.Struct(f"{len(block.params) + len(block.results)}P").pack_into

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
            Exception: An operation that torch computes raised it.
        """
        return self.specialised(tensors, lanes)(tensors)

    def specialised(self, tensors: Sequence[Tensor], lanes: int | None) -> Callable[[Sequence[Tensor]], list[Tensor]]:
        """Return a function that runs the program on tensors with the shapes, strides and neg bits of these."""
        if lanes == 0 and None in (self.program.out_dims or ()):
            return self._of_no_lanes
        runner = Runner(self, tensors, 1 if lanes is None else lanes)
        return runner.quick if runner.is_quick else runner

    def _of_no_lanes(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return results for an axis of no lanes: a lane of zeros is run, unchecked, to compute the shared results."""
        dims, out_dims = self.program.in_dims or (), self.program.out_dims or ()
        shapes = [[1 if axis == d else n for axis, n in enumerate(t.shape)] for t, d in zip(tensors, dims, strict=True)]
        lane = [t if d is None else t.new_zeros(shape) for t, d, shape in zip(tensors, dims, shapes, strict=True)]
        runner = Runner(self, lane, 1)
        results = runner.viewed(runner.run(lane)[0])
        return [t if d is None else t.narrow(d, 0, 0) for t, d in zip(results, out_dims, strict=True)]

    def memory(self, lanes: int | None) -> int:
        """Return the bytes of a run besides its arguments: of the results, and of the work of each thread."""
        blocks = 1 if lanes is None else -(-lanes // self.lanes)
        results = sum(math.prod(t.shape) * t.dtype.itemsize for t in self.results(blocks * self.lanes))
        (work, private), threads = self.arena, torch.get_num_threads()
        return results + max(1, min(threads, blocks)) * work + threads * private

    def without_blas(self) -> "NativeKernel":
        """Compile the program without BLAS, which may wait for threads and locks of the parent process."""
        try:
            self.unlinked = self.unlinked or self.prepare()
        except (NoCompilerError, InternalError) as error:
            raise RuntimeError(
                "jit: BLAS, which this program calls, does not run in a forked process, and it cannot be compiled"
                f" without: {error} {forks.REMEDY}"
            ) from error
        return self.unlinked

    def take_frame(self, layout: Layout, threads: int) -> Frame:
        """Return memory for a run by some threads, with its argument except for the pointers."""
        try:
            frame = self.frames.pop()
        except IndexError:
            frame = self.new_frame(threads)
        if frame.threads < threads:
            frame = self.new_frame(threads)
        if frame.team != threads:
            frame.team = frame.call.threads = threads
        if frame.layout is not layout:
            frame.set(layout)
        return frame

    def new_frame(self, threads: int) -> Frame:
        """Allocate memory for runs by up to some threads."""
        block, (size, private) = self.program.block, self.arena
        counts = len(block.params), len(block.results)
        return Frame(*counts, size, private, threads, self.target.arena_alignment, self.calls, self.repeats)

    def execute(self, frame: Frame) -> None:
        """Run the blocks of a frame. C runs without the interpreter's lock. Each call of BLAS uses one thread."""
        with blas.single_threaded() if self.is_linked and torch.get_num_threads() > 1 else nullcontext():
            self.function(frame.address)

    def results(self, padded: int) -> list[Result]:
        """Return the results in memory, for a number of lanes in whole blocks."""
        lanes, layouts = self.layouts
        if lanes != padded:
            results = self.program.block.results
            dims = self.program.out_dims or (None,) * len(results)
            shapes = [r.shape if d is None else self.shape(r.shape, padded) for r, d in zip(results, dims, strict=True)]
            layouts = [Result.row_major(shape, r.dtype) for r, shape in zip(results, shapes, strict=True)]
            self.layouts = padded, layouts
        return layouts

    def shape(self, shape: tuple[int, ...], padded: int) -> tuple[int, ...]:
        """Return the shape of a result in memory."""
        return (padded, *shape) if self.lanes == 1 else (*shape, padded)

    def error(self, codes: Sequence[int]) -> Exception:
        """Return the error for the flags of threads. A failed check takes precedence: it guards against the others."""
        failed, flags = zip(*(divmod(each, FAILED) for each in codes), strict=True)
        if any(failed):
            return control.error(self.messages, max(failed))
        if any(each & 1 for each in flags):
            return IndexError("jit: an index of a gather or scatter is out of the range of its axis")
        return RuntimeError("ZeroDivisionError: jit: an integer division by zero")


class Runner:
    """Runs a kernel on tensors of given shapes and strides: all that depends only on these is prepared."""

    def __init__(self, kernel: NativeKernel, tensors: Sequence[Tensor], count: int) -> None:
        self.kernel, self.count, self.blocks = kernel, count, -(-count // kernel.lanes)
        self.dims = kernel.program.in_dims or (None,) * len(tensors)
        self.is_copied = any(self.moved(t, d) is not t for t, d in zip(tensors, self.dims, strict=True))
        self.layout = self.layout_of(tensors)
        self.results = kernel.results(self.layout.padded)
        self.memory: tuple[tuple[Any, ...], ...] = tuple(zip(*self.results, strict=True)) or ((), (), ())
        self.views = self.views_of(kernel.program.out_dims or ())
        self.total, work = kernel.steps * self.blocks, kernel.work * self.blocks
        self.is_short, self.is_long = work < kernel.target.short_run, work >= kernel.target.long_run
        has_more = self.is_copied or kernel.is_linked or kernel.is_shared or kernel.calls or kernel.progress is not None
        self.is_quick = self.is_short and not has_more

    def __call__(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Run the program and raise its errors."""
        kernel = self.kernel
        if kernel.is_linked and forks.is_child:
            return Runner(kernel.without_blas(), tensors, self.count)(tensors)
        outputs, flags, error = self.run(tensors)
        if any(flags) and (error is None or isinstance(error, Exception)):  # that of a call may follow from the flags
            raise kernel.error(flags)
        if error is not None:
            raise error
        if kernel.progress is not None:
            kernel.progress(self.total, self.total)
        return self.viewed(outputs)

    def quick(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Do the same for a run that `is_quick`: a short one, with nothing to do besides."""
        kernel, outputs = self.kernel, [*map(_torch.empty_strided, *self.memory)]
        frame = kernel.take_frame(self.layout, 1)
        kernel.pack(frame.pointers, 0, *map(Tensor.data_ptr, tensors), *map(Tensor.data_ptr, outputs))
        kernel.function(frame.address)
        flags, error = frame.flags(), frame.take_error() if kernel.repeats else None
        if error is not None:
            raise error
        kernel.frames.append(frame)
        if flags:
            raise kernel.error([flags])
        return self.viewed(outputs) if self.views else outputs

    def run(self, tensors: Sequence[Tensor]) -> tuple[list[Tensor], list[int], BaseException | None]:
        """Run the program; return results for whole blocks, the error flags of each thread, and the error of a call."""
        layout, outputs = self.layout, [*map(_torch.empty_strided, *self.memory)]
        if self.is_copied:
            tensors = [*map(self.moved, tensors, self.dims)]
            layout = self.layout_of(tensors)
        pointers = *map(Tensor.data_ptr, tensors), *map(Tensor.data_ptr, outputs)
        count = self.workers()
        threads = self.team() if count < 2 else 1
        parts = layout.shared(count) if count else [layout]
        frames = [self.kernel.take_frame(part, threads) for part in parts]
        for frame in frames:
            self.kernel.pack(frame.pointers, 0, *pointers)
        if count:
            self.in_threads(frames, (tensors, outputs))
        else:
            self.kernel.execute(frames[0])
        errors = [error for frame in frames if (error := frame.take_error()) is not None]
        flags = [frame.flags() for frame in frames]
        self.kernel.frames += [] if errors else frames  # the interrupts of a stopped one may have ended
        return outputs, flags, errors[0] if errors else None

    def workers(self) -> int:
        """Return the number of threads for the blocks; 0 for the calling thread."""
        if self.is_short and self.kernel.progress is None:
            return 0
        most = torch.get_num_threads()
        count = min(most, self.blocks) if most < 2 * self.blocks or not self.kernel.is_shared else 1
        return count if self.is_long or count > 1 or self.kernel.progress is not None else 0

    def team(self) -> int:
        """Return the number of threads that share statements; a child process has no others."""
        return torch.get_num_threads() if self.kernel.is_shared and not forks.is_child else 1

    def in_threads(self, frames: Sequence[Frame], held: object) -> None:
        """Run each frame in a thread of its own, which holds the memory in use: it may outlive an interrupted call."""

        def run(frame: Frame, _: object = held) -> None:
            self.kernel.execute(frame)

        progress = self.kernel.progress
        spread(run, frames, None if progress is None else lambda done: progress(done, self.total))

    def layout_of(self, tensors: Sequence[Tensor]) -> Layout:
        """Return the part of the argument that depends on the strides of the tensors with a lane axis."""
        found = None if self.kernel.program.in_dims is None else strides(self.strides_of(tensors))
        return Layout(found, 0, self.blocks, self.count, self.blocks * self.kernel.lanes)

    def strides_of(self, tensors: Sequence[Tensor]) -> list[int]:
        """Return the strides of the tensors with a lane axis; for lanes one by one, the bytes of a lane of each value.

        The latter are those of all arguments and results, and 0 if the lanes share the value.
        """
        program = self.kernel.program
        if self.kernel.lanes > 1:
            return [
                *chain(*(_lanes_last(t, d).stride() for t, d in zip(tensors, self.dims, strict=True) if d is not None))
            ]
        values = (*program.block.params, *program.block.results)
        dims = (*self.dims, *(program.out_dims or ()))
        return [
            0 if d is None else math.prod(var.shape) * var.dtype.itemsize for var, d in zip(values, dims, strict=True)
        ]

    def moved(self, tensor: Tensor, axis: int | None) -> Tensor:
        """Return the tensor that the kernel reads: row-major if shared or for lanes one by one, without the neg bit."""
        tensor = tensor.resolve_neg() if tensor.is_neg() else tensor
        if axis is not None and self.kernel.lanes > 1:
            return tensor
        placed = tensor.movedim(axis, 0) if axis else tensor
        return placed if placed.is_contiguous() else placed.contiguous()

    def views_of(self, dims: Sequence[int | None]) -> list[tuple[int, int]]:
        """Return (position, lane axis) of the results with padding, or with a lane axis elsewhere than in memory."""
        axes = [(i, d, self.lanes_at(self.results[i].shape)) for i, d in enumerate(dims) if d is not None]
        return [(i, axis) for i, axis, at in axes if axis != at or self.layout.padded != self.count]

    def viewed(self, outputs: list[Tensor]) -> list[Tensor]:
        """View the lanes of the results without padding, with the lane axis at its position."""
        for i, axis in self.views:
            out, at = outputs[i], self.lanes_at(outputs[i].shape)
            out = out if out.shape[at] == self.count else out.narrow(at, 0, self.count)
            outputs[i] = out if axis == at else out.movedim(at, axis)
        return outputs

    def lanes_at(self, shape: Sequence[int]) -> int:
        """Return the lane axis of a result in memory."""
        return 0 if self.kernel.lanes == 1 else len(shape) - 1


def _lanes_last(tensor: Tensor, axis: int) -> Tensor:
    return tensor if axis == tensor.ndim - 1 else tensor.movedim(axis, -1)
