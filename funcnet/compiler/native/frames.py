"""The argument of a kernel as C takes it, in memory that later runs use again."""

import ctypes
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch

from funcnet.compiler.native.interrupts import Interrupts
from funcnet.compiler.native.torch_calls import CALLBACK, Caller
from funcnet.compiler.program import Apply


class Control(ctypes.Structure):
    """The control block of a thread, on a cache line of its own: stop request, error flags, steps, work."""

    _fields_ = (("stop", ctypes.c_int), ("flags", ctypes.c_int), ("done", ctypes.c_int64), ("_", ctypes.c_char * 112))


class Call(ctypes.Structure):
    """The argument of a kernel, as c/kernel.py declares it."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("inputs", "strides", "outputs", "arena", "control")),
        *((name, ctypes.c_int64) for name in ("first", "last", "lanes", "padded", "threads")),
        ("torch_call", ctypes.c_void_p),
        ("goes_on", ctypes.c_void_p),
    )


class Layout(NamedTuple):
    """The part of the argument that is the same for all tensors of the same shapes and strides."""

    strides: "ctypes.Array[ctypes.c_int64] | None"  # of the tensors with a lane axis, or from one lane to the next
    first: int  # block
    last: int  # the block after the last one
    lanes: int
    padded: int  # lanes in whole blocks

    def shared(self, threads: int) -> list["Layout"]:
        """Share the blocks between threads."""
        bounds = [self.last * i // threads for i in range(threads + 1)]
        return [self._replace(first=first, last=last) for first, last in pairwise(bounds)]


class Result(NamedTuple):
    """A tensor on the CPU, to be allocated for a result."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def row_major(cls, shape: tuple[int, ...], dtype: torch.dtype) -> "Result":
        """Return one with the strides of a new tensor of torch, where an empty axis counts as one of size 1."""
        strides = (math.prod(max(n, 1) for n in shape[axis + 1 :]) for axis in range(len(shape)))
        return cls(shape, tuple(strides), dtype)


class Frame:
    """Memory of one run: the argument of the kernel, and the arena, which ends with memory of each thread.

    It is kept for later runs, because new pages take a third of the step of a large net.
    """

    __slots__ = (
        "address", "arena", "call", "callback", "caller", "control", "interrupts", "layout", "pointers", "team",
        "threads",
    )  # fmt: skip

    def __init__(
        self,
        inputs: int,
        outputs: int,
        arena: int,
        private: int,
        threads: int,
        alignment: int,
        calls: Sequence[Apply],
        repeats: bool,
    ) -> None:
        self.threads = threads
        self.pointers, self.control = (ctypes.c_void_p * (inputs + outputs))(), (control := Control())
        self.arena = torch.empty(arena + threads * private + alignment, dtype=torch.uint8, device="cpu")
        self.caller = Caller(calls, lambda: bool(control.stop)) if calls else None
        self.callback = CALLBACK() if self.caller is None else CALLBACK(self.caller)
        self.interrupts = Interrupts() if repeats else None
        self.call = Call(
            inputs=ctypes.addressof(self.pointers),
            outputs=ctypes.addressof(self.pointers) + inputs * ctypes.sizeof(ctypes.c_void_p),
            arena=-(-self.arena.data_ptr() // alignment) * alignment,
            control=ctypes.addressof(self.control),
            torch_call=ctypes.cast(self.callback, ctypes.c_void_p),
            goes_on=None if self.interrupts is None else ctypes.cast(self.interrupts.callback, ctypes.c_void_p),
        )
        self.address = ctypes.addressof(self.call)
        self.layout: Layout | None = None
        self.team = 0  # the number of threads in the argument

    def set(self, layout: Layout) -> None:
        """Write the layout into the argument; the frame keeps its strides alive."""
        call, self.layout = self.call, layout
        call.strides = None if layout.strides is None else ctypes.addressof(layout.strides)
        call.first, call.last, call.lanes, call.padded = layout[1:]

    def take_error(self) -> BaseException | None:
        """Return the error of a call that ended the run, if any, and clear it."""
        if not self.control.stop:
            return None
        self.control.stop = 0
        interrupt = self.interrupts.error if self.interrupts is not None else None
        if interrupt is None and self.caller is not None:
            return self.caller.take_error()
        return KeyboardInterrupt() if interrupt is None else interrupt

    def flags(self) -> int:
        """Return the error flags of the run, and clear them."""
        flags: int = self.control.flags
        if flags:
            self.control.flags = 0
        return flags


def strides(values: Sequence[int]) -> "ctypes.Array[ctypes.c_int64]":
    """Return strides as an array of C."""
    return (ctypes.c_int64 * len(values))(*values)
