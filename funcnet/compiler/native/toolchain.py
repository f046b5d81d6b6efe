"""From C text to a loaded function: the C compiler, and kernels that it has built or that the cache holds.

A kernel is built and loaded in a folder of its own and then renamed into the cache. Thus processes that build at once
never see half a file, and a kernel that another process removes from the cache has been loaded before.
"""

import ctypes
import hashlib
import mmap
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from funcnet.compiler.errors import InternalError, NoCompilerError
from funcnet.compiler.native import kernel_cache

_EXACT = (  # undo the flags of $CC by which arithmetic differs from IEEE's
    "-fno-fast-math",
    "-fno-finite-math-only",
    "-fno-unsafe-math-optimizations",
    "-fno-associative-math",
    "-fno-reciprocal-math",
    "-fsigned-zeros",
)
_FLAGS = (
    *_EXACT,
    "-O3",
    "-march=native",
    "-fPIC",
    "-shared",
    "-fvisibility=default",
    "-w",
    "-fwrapv",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-strict-aliasing",
    "-ffp-contract=off",
    "-Werror=implicit-function-declaration",
)
_GCC = (
    "-fvect-cost-model=unlimited",
    "-fno-tree-fre",  # in which gcc 12 takes wrong numbers from a wide write that is read again in parts
    "-fno-tree-pre",  # which carries values around loops, so that they are not vectorised
    "-mtune=generic",  # else constants may come from integer registers instead of memory, which takes 3 to 6 % longer
)
_LEAST = "int kernel(void) { return 0; }\n"
_UNLOADABLE = (OSError, AttributeError, UnicodeError)  # of ctypes: no library, no function, a path that is not UTF-8


class _CompileError(Exception):
    """The C compiler failed; the message is its own."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler: its command, the flags for this machine, the macros that tell it from others, bytes of a vector."""

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
    """Return the C compiler: $CC, gcc, clang or cc, the first that is there.

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
    wanted = f"$CC names {choice!r}, which is not there" if choice else "neither gcc nor clang is on the PATH"
    raise NoCompilerError(
        f"the native backend needs a C compiler: {wanted}. Install gcc or clang (Debian, Ubuntu: apt install gcc; "
        "Fedora: dnf install gcc; macOS: xcode-select --install) or set CC, or choose another backend."
    )


def _probe(command: tuple[str, ...]) -> Compiler:
    """Ask a compiler for its macros, which tell its version and this machine's instructions."""
    try:
        macros = _run([*command, "-march=native", "-dM", "-E", "-x", "c", os.devnull])
    except _CompileError as error:
        raise NoCompilerError(f"the C compiler {shlex.join(command)} does not work. {error}") from error
    clang, wide = "__clang__" in macros, "__AVX512F__" in macros
    flags = (*_FLAGS, *(() if clang else _GCC), *(["-mprefer-vector-width=512"] if wide else []))
    vector = 64 if wide else 32 if "__AVX__" in macros else 16
    return Compiler(command, flags, "\n".join(sorted(macros.splitlines())), vector)


def _run(command: Sequence[str]) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)
    except OSError as error:
        raise _CompileError(f"{shlex.join(command)} cannot be started: {error}") from error
    if done.returncode:
        raise _CompileError(f"{shlex.join(command)} failed with status {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def load(source: str) -> Library:
    """Load the kernel of a C text, from the cache or freshly built.

    Raises:
        NoCompilerError: There is no C compiler, it does not work here, or no folder takes the kernel.
        InternalError: The C compiler refuses the text.
    """
    cc = compiler()
    text = "\0".join((source, *cc.command, *cc.flags, cc.identity))
    key = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
    folder = kernel_cache.folder()
    if folder and (size := kernel_cache.find(folder / f"{key}.so", key)):
        with suppress(*_UNLOADABLE):  # of a folder whose files may not be run
            return _open(folder / f"{key}.so", size, True)
    if os.environ.get("CC") and (fault := _fault(cc)):
        raise NoCompilerError(fault)
    return _built(cc, source, folder, key)


def _built(cc: Compiler, source: str, folder: Path | None, key: str) -> Library:
    """Build a kernel in the cache, or where that is not possible in the temporary directory."""
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
        or f"the native backend can write its kernel nowhere, or not load it from there: "
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
    """Compile a text to a shared library in the folder of the text."""
    text = path.with_suffix(".c")
    text.write_text(source, encoding="utf-8")
    _run([*cc.command, *cc.flags, "-o", str(path), str(text), "-lm"])


def _cause(cc: Compiler, error: _CompileError) -> Exception:
    """Tell a C compiler that does not work, or is killed, from one that refuses a text of ours."""
    if fault := _fault(cc):
        return NoCompilerError(fault)
    if re.search(r"status -\d|[Kk]illed|out of memory|virtual memory exhausted", str(error)):
        return NoCompilerError(f"the C compiler was stopped, perhaps by a lack of memory. {error}")
    return InternalError(f"the C compiler refuses the text of a kernel. {error}")


@lru_cache(maxsize=8)
def _fault(cc: Compiler) -> str:
    """Build the least kernel; say why that cannot be loaded, or nothing where it can."""
    with kernel_cache.scratch(None) as scratch:
        built = scratch / "least.so"
        try:
            _build(cc, _LEAST, built)
            _open(built, 0, False)
        except (_CompileError, *_UNLOADABLE) as error:
            if built.exists() and not _may_run(built):
                return ""  # for which the folder is to blame
            name = f"that $CC names, {shlex.join(cc.command)!r}," if os.environ.get("CC") else shlex.join(cc.command)
            return f"the C compiler {name} makes no shared libraries that can be loaded: {_shortened(error, scratch)}"
    return ""


def _may_run(path: Path) -> bool:
    """Whether the file system lets files be run."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC):
            return True
    except PermissionError:
        return False
    except (OSError, ValueError):  # another fault of the file, which may be empty
        return True


def _shortened(error: Exception, scratch: Path) -> str:
    """The first lines of an error."""
    _, _, text = str(error).replace(f"{scratch}{os.sep}", "").rpartition("status ")
    return " ".join(text.split())[:300]
