"""Choose the backend that runs a program."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

from torch import Tensor

from funcnet.compiler import inductor, replay
from funcnet.compiler.errors import BatchingError, NoCompilerError, UnsupportedError
from funcnet.compiler.program import Apply, Program, walk
from funcnet.compiler.progress import Progress

NAMES = ("auto", "native", "inductor", "eager")


class Kernel(Protocol):
    """A program that a backend has prepared: called with the tensors of its parameters and the number of lanes."""

    @property
    def size(self) -> int:
        """Bytes of compiled code; 0 for backends without any."""

    @property
    def cached(self) -> bool:
        """Whether the compiled code came from the disk cache."""

    @property
    def calls(self) -> Sequence[Apply]:
        """The operations that compiled code lets torch compute."""

    def memory(self, lanes: int | None) -> int:
        """Estimate the bytes of a run besides its arguments."""

    def __call__(self, tensors: Sequence[Tensor], lanes: int | None = None) -> list[Tensor]: ...

    def specialised(self, tensors: Sequence[Tensor], lanes: int | None) -> Callable[[Sequence[Tensor]], list[Tensor]]:
        """Return a function that runs the program on tensors with the shapes, strides and neg bits of these."""


@dataclass(frozen=True)
class Choice:
    """A program that is ready to run, the backend that runs it, and the reason for this backend."""

    kernel: Kernel
    backend: str
    reason: str


def choose(program: Program, backend: str, progress: Progress | None = None, lanes: int | None = None) -> Choice:
    """Prepare a program for the requested backend; "auto" takes the fastest one that can run it.

    `lanes` is the number of lanes of the first call, None without an outermost vmap.
    """
    if backend != "auto":
        kernel = _prepare(program, backend, progress, lanes)
        return Choice(kernel, backend, f"requested{_described(kernel.calls)}")
    values = (*program.block.params, *(var for op in walk(program.block) for var in op.outputs))
    others = sorted({str(var.device) for var in values if var.device.type != "cpu"})
    if others == ["meta"]:
        return Choice(_prepare(program, "eager", progress, lanes), "eager", "tensors on meta have no values")
    if others:
        return Choice(
            _prepare(program, "inductor", progress, lanes), "inductor", f"there are tensors on {', '.join(others)}"
        )
    try:
        kernel = _prepare(program, "native", progress, lanes, only_if_faster=True)
        return Choice(kernel, "native", f"all tensors are on the CPU{_described(kernel.calls)}")
    except UnsupportedError as error:
        return Choice(_prepare(program, "eager", progress, lanes), "eager", str(error))
    except NoCompilerError as error:
        _warn_once(f"jit falls back to the eager backend: {error}")
        return Choice(_prepare(program, "eager", progress, lanes), "eager", str(error))
    except BatchingError:
        raise
    except Exception as error:  # a bug in the compiler: a warning here and an error in the tests
        warnings.warn(
            f"jit falls back to the eager backend: a bug in the native backend raised {error!r};"
            ' backend="native" shows where.',
            stacklevel=2,
        )
        return Choice(_prepare(program, "eager", progress, lanes), "eager", repr(error))


def _described(calls: Sequence[Apply]) -> str:
    """Return the part of a reason that names the operations without a native rule."""
    names = ", ".join(sorted({str(op.target) for op in calls}))
    return f"; torch computes {names}, for which the native backend has no rule" if names else ""


_warned = set[str]()


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, stacklevel=2)


def _prepare(program: Program, name: str, progress: Progress | None, lanes: int | None, **options: bool) -> Kernel:
    return _backend(name).prepare(program, progress, lanes, **options)


def _backend(name: str) -> ModuleType:
    """Return the module of a backend. The native one takes long to import, so that this is left to the first use."""
    if name != "native":
        return {"inductor": inductor, "eager": replay}[name]
    from funcnet.compiler import batches

    return batches
