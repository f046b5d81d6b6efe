"""Which backend runs a program."""

import warnings
from dataclasses import dataclass

from funcnet.compiler.program import Kernel, NoCompilerError, Program, UnsupportedError, walk
from funcnet.compiler.progress import Progress

NAMES = ("auto", "native", "inductor", "eager")


@dataclass(frozen=True)
class Choice:
    """A program ready to run, by which backend, and why by this one."""

    kernel: Kernel
    backend: str
    reason: str


def choose(program: Program, backend: str, progress: Progress | None = None) -> Choice:
    """Prepare a program for the backend asked for; "auto" finds the fastest that can run it."""
    if backend != "auto":
        return Choice(_compile(program, backend, progress), backend, "asked for")
    values = (*program.block.params, *(var for op in walk(program.block) for var in op.outputs))
    others = sorted({str(var.device) for var in values if var.device.type != "cpu"})
    if others:
        return Choice(_compile(program, "inductor", progress), "inductor", f"there are tensors on {', '.join(others)}")
    try:
        return Choice(_compile(program, "native", progress), "native", "all tensors are on the CPU")
    except UnsupportedError as error:
        return Choice(_compile(program, "eager", progress), "eager", str(error))
    except NoCompilerError as error:
        _warn_once(f"jit falls back to the eager backend: {error}")
        return Choice(_compile(program, "eager", progress), "eager", str(error))
    except Exception as error:  # a fault of ours: said aloud, and an error in the tests, but the program runs
        warnings.warn(
            f"jit falls back to the eager backend: the native one fails, by a fault of its own, with {error!r};"
            ' backend="native" shows where.',
            stacklevel=2,
        )
        return Choice(_compile(program, "eager", progress), "eager", repr(error))


_warned = set[str]()


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, stacklevel=2)


def _compile(program: Program, backend: str, progress: Progress | None) -> Kernel:
    """Import a backend when it is first used: none of them is needed to import the package."""
    if backend == "native":
        from funcnet.compiler.native import backend as native

        return native.compile(program, progress)
    if backend == "inductor":
        from funcnet.compiler import inductor

        return inductor.compile(program, progress)
    from funcnet.compiler import replay

    return replay.compile(program, progress)
