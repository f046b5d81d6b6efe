"""Which backend runs a program."""

import warnings
from dataclasses import dataclass

from funcnet.compiler.graph import Kernel, NoCompilerError, Program, UnsupportedError, walk

NAMES = ("auto", "native", "inductor", "eager")


@dataclass(frozen=True)
class Choice:
    """A program ready to run, by which backend, and why by this one."""

    kernel: Kernel
    backend: str
    reason: str


def choose(program: Program, backend: str) -> Choice:
    """Prepare a program for the backend asked for; "auto" finds the fastest that can run it."""
    if backend != "auto":
        return Choice(_compile(program, backend), backend, "asked for")
    values = (*program.block.params, *(var for op in walk(program.block) for var in op.outputs))
    others = sorted({str(var.device) for var in values if var.device.type != "cpu"})
    if others:
        return Choice(_compile(program, "inductor"), "inductor", f"there are tensors on {', '.join(others)}")
    try:
        return Choice(_compile(program, "native"), "native", "all tensors are on the CPU")
    except UnsupportedError as error:
        return Choice(_compile(program, "eager"), "eager", str(error))
    except NoCompilerError as error:
        _warn_once(f"jit falls back to the eager backend: {error}")
        return Choice(_compile(program, "eager"), "eager", str(error))


_warned = False


def _warn_once(message: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(message, stacklevel=2)


def _compile(program: Program, backend: str) -> Kernel:
    """Import a backend when it is first used: none of them is needed to import the package."""
    if backend == "native":
        from funcnet.compiler import native

        return native.compile(program)
    if backend == "inductor":
        from funcnet.compiler import inductor

        return inductor.compile(program)
    from funcnet.compiler import eager

    return eager.compile(program)
