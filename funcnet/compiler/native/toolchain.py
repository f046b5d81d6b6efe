"""From C text to a loaded function: the C compiler, and kernels that are built or cached.

A kernel is built and loaded in a folder of its own and then renamed into the cache. So concurrent processes
never see half a file, and a kernel may be removed from the cache by another process as soon as it is built.
"""

import ctypes
import hashlib
import mmap
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch

from funcnet.compiler.errors import InternalError, NoCompilerError
from funcnet.compiler.native import kernel_cache

_EXACT = (  # undo flags of $CC that change IEEE arithmetic
    "-fno-fast-math",
    "-fno-finite-math-only",
    "-fno-unsafe-math-optimizations",
    "-fno-associative-math",
    "-fno-reciprocal-math",
    "-fsigned-zeros",
)
PORTABLE = (  # with any machine and compiler
    "-O3",
    "-fwrapv",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-strict-aliasing",
    "-ffp-contract=off",
)
GCC = (
    "-fvect-cost-model=unlimited",
    "-fno-tree-fre",  # gcc 12 miscompiles reads of parts of a wider write
    "-fno-tree-pre",  # it carries values from step to step of a loop, which is then not vectorised
    "--param=max-completely-peel-times=4",  # longer loops, such as those of products, take long and gain nothing
    "-mtune=generic",  # otherwise constants may be moved from integer registers, which is 3 to 6 % slower
)
_FLAGS = (
    *_EXACT,
    *PORTABLE,
    "-march=native",
    "-fPIC",
    "-fvisibility=default",
    "-w",
    "-Werror=implicit-function-declaration",
)
LEAST = "int kernel(void) { return 0; }\n"
_UNLOADABLE = (OSError, AttributeError, UnicodeError)  # from ctypes: no library, no function, a path that is not UTF-8


class _CompileError(Exception):
    """The C compiler failed; the message is the compiler's."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler: command, flags for this machine, macros that identify it, and bytes of a vector."""

    command: tuple[str, ...]
    flags: tuple[str, ...]
    identity: str
    vector: int


@dataclass(frozen=True)
class Library:
    """A loaded kernel: its handle and function, the bytes of its file, and whether the file was in the cache."""

    handle: ctypes.CDLL
    function: "ctypes._NamedFuncPointer"
    size: int
    cached: bool


def compiler() -> Compiler:
    """Return the C compiler: the first of $CC, gcc, clang, cc and the one in the Python package ziglang that exists.

    Raises:
        NoCompilerError: There is none; the message names what to install.
    """
    return _compiler(os.environ.get("CC"), os.environ.get("PATH"))


@lru_cache(maxsize=8)
def _compiler(choice: str | None, path: str | None) -> Compiler:
    for name in [choice] if choice else ["gcc", "clang", "cc"]:
        command = tuple(shlex.split(name))
        if command and shutil.which(command[0], path=path):
            return _probe(command)
    if not choice and find_spec("ziglang"):
        return _probe((sys.executable, "-m", "ziglang", "cc"))
    wanted = f"$CC names {choice!r}, which does not exist" if choice else "neither gcc nor clang is on the PATH"
    raise NoCompilerError(
        f"the native backend needs a C compiler: {wanted}. Install one by pip install 'funcnet[cc]', or gcc or clang "
        "(Debian, Ubuntu: apt install gcc; Fedora: dnf install gcc; macOS: xcode-select --install), or set CC, or "
        "choose another backend."
    )


def _probe(command: tuple[str, ...]) -> Compiler:
    """Read a compiler's predefined macros, which give its version and this machine's instructions."""
    try:
        macros = _run([*command, "-march=native", "-dM", "-E", "-x", "c", os.devnull])
    except _CompileError as error:
        raise NoCompilerError(f"the C compiler {shlex.join(command)} does not work. {error}") from error
    clang, wide = "__clang__" in macros, "__AVX512F__" in macros
    flags = (*_FLAGS, *(() if clang else GCC), *(["-mprefer-vector-width=512"] if wide else []))
    vector = 64 if wide else 32 if "__AVX__" in macros else 16
    return Compiler(command, flags, "\n".join(sorted(macros.splitlines())), vector)


def _run(*commands: Sequence[str]) -> str:
    """Run commands at the same time; return what they print. An error or an interrupt ends all of them."""
    with ExitStack() as stack:
        started = [stack.enter_context(_running(command)) for command in commands]
        return "".join(map(_printed, commands, started))


@contextmanager
def _running(command: Sequence[str]) -> Iterator["subprocess.Popen[str]"]:
    """Start a command in a process group of its own; at the end, kill what still runs of the group."""
    environment, pipe = {**os.environ, "LC_ALL": "C"}, subprocess.PIPE
    try:
        process = subprocess.Popen(
            command, stdout=pipe, stderr=pipe, text=True, errors="replace", env=environment, start_new_session=True
        )
    except OSError as error:
        raise _CompileError(f"{shlex.join(command)} cannot be started: {error}") from error
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _printed(command: Sequence[str], process: "subprocess.Popen[str]") -> str:
    """Wait for the process of a command; return what it prints."""
    printed, errors = process.communicate()
    if process.returncode:
        raise _CompileError(f"{shlex.join(command)} failed with status {process.returncode}:\n{errors[-2000:]}")
    return printed


def load(source: str) -> Library:
    """Load the kernel of a C text from the cache; build it if it is not there.

    Raises:
        NoCompilerError: There is no working C compiler, or no folder to write the kernel to.
        InternalError: The C compiler refuses the text.
    """
    cc = compiler()
    text = "\0".join((source, *cc.command, *cc.flags, cc.identity))
    key = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
    folder = kernel_cache.folder()
    if folder and (size := kernel_cache.find(folder / f"{key}.so", key)):
        with suppress(*_UNLOADABLE):  # files in the folder may not be executable
            return _open(folder / f"{key}.so", size, True)
    if os.environ.get("CC") and (fault := _fault(cc)):
        raise NoCompilerError(fault)
    return _built(cc, source, folder, key)


def _built(cc: Compiler, source: str, folder: Path | None, key: str) -> Library:
    """Build a kernel in the cache or, if that is not possible, in the temporary directory."""
    failures: list[str] = []
    for place in [folder, None] if folder else [None]:
        try:
            library = _install(cc, source, place, key)
        except _UNLOADABLE as error:
            failures.append(str(error))
        else:
            for reason in failures:
                kernel_cache.unusable(reason)
            return library
    raise NoCompilerError(
        _fault(cc)
        or f"the native backend cannot write its kernel to any folder, or cannot load it from there: "
        f"{'; '.join(failures)}. Set FUNCNET_CACHE_DIR or TMPDIR to a folder with space, whose files may be run."
    )


def _open(path: Path, size: int, cached: bool) -> Library:
    handle = ctypes.CDLL(str(path))
    return Library(handle, handle.kernel, size, cached)


def _install(cc: Compiler, source: str, folder: Path | None, key: str) -> Library:
    """Build a kernel and load it; then rename it to its place in the cache, if there is one, or remove it."""
    with kernel_cache.scratch(folder) as scratch:
        built = scratch / "kernel.so"
        try:
            _build(cc, source, built)
        except _CompileError as error:
            if shutil.disk_usage(scratch).free < 2**20:
                raise OSError(f"no space in {scratch.parent}") from None
            raise _cause(cc, error) from error
        library = _open(built, kernel_cache.seal(built, key), False)
        if folder is not None:
            built.replace(folder / f"{key}.so")
    if folder is not None:
        kernel_cache.prune(folder, key)
    return library


def _build(cc: Compiler, source: str, path: Path) -> None:
    """Compile a text to a shared library in the folder of the text; a large one in several units at once."""
    text, count = path.with_suffix(".c"), _units(source)
    text.write_text(source, encoding="utf-8")
    files = [str(text)]
    if count > 1:
        files = [str(path.with_suffix(f".{unit}.o")) for unit in range(count)]
        compile_unit = [*cc.command, *cc.flags, "-c", str(text), f"-DUNITS={count}"]
        _run(*([*compile_unit, f"-DUNIT={unit}", "-o", file] for unit, file in enumerate(files)))
    _run([*cc.command, *cc.flags, "-shared", "-o", str(path), *files, "-lm"])


def _units(source: str) -> int:
    """Return the number of translation units of a text: it divides that of its groups; at most as many as threads."""
    groups = re.search(r"^#define GROUPS (\d+)$", source, re.M)
    most = min(int(groups[1]), torch.get_num_threads()) if groups else 1
    return 1 << (most.bit_length() - 1)


def _cause(cc: Compiler, error: _CompileError) -> Exception:
    """Return the error for a failure: the C compiler does not work or was killed, or it refuses our text."""
    if fault := _fault(cc):
        return NoCompilerError(fault)
    if re.search(r"status -\d|[Kk]illed|out of memory|virtual memory exhausted", str(error)):
        return NoCompilerError(f"the C compiler was stopped, perhaps by a lack of memory. {error}")
    return InternalError(f"the C compiler refuses the text of a kernel. {error}")


@lru_cache(maxsize=8)
def _fault(cc: Compiler) -> str:
    """Build a minimal kernel; describe why it cannot be loaded, or return ""."""
    with kernel_cache.scratch(None) as scratch:
        built = scratch / "least.so"
        try:
            _build(cc, LEAST, built)
            _open(built, 0, False)
        except (_CompileError, *_UNLOADABLE) as error:
            if built.exists() and not _may_run(built):
                return ""  # the folder is the cause
            name = f"that $CC names, {shlex.join(cc.command)!r}," if os.environ.get("CC") else shlex.join(cc.command)
            return f"the C compiler {name} builds no shared libraries that can be loaded: {_shortened(error, scratch)}"
    return ""


def _may_run(path: Path) -> bool:
    """Tell whether files in a folder may be executed."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC):
            return True
    except PermissionError:
        return False
    except (OSError, ValueError):  # another error, as the file may be empty
        return True


def _shortened(error: Exception, scratch: Path) -> str:
    """Return the first lines of an error."""
    _, _, text = str(error).replace(f"{scratch}{os.sep}", "").rpartition("status ")
    return " ".join(text.split())[:300]
