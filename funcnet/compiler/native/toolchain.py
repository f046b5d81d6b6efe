"""From C text to a loaded function: the C compiler and the kernel cache on disk.

A cached file is a shared object followed by a digest of it and of its key. It is loaded only from a folder and a file
that belong to this user and that nobody else may write, and only when the digest holds; else it is built anew. A kernel
is built under a temporary name and renamed into place, so that processes that build at once never see half a file.
"""

import atexit
import ctypes
import hashlib
import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from funcnet.compiler.errors import InternalError, NoCompilerError

_FLAGS = (
    "-O3",
    "-march=native",
    "-fPIC",
    "-shared",
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
_SIZE = 256 * 2**20  # bytes that the cache may hold, overridable by FUNCNET_CACHE_SIZE
_DIGEST = hashlib.sha256().digest_size


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
    key = hashlib.sha256("\0".join((source, *cc.command, *cc.flags, cc.identity)).encode()).hexdigest()
    folder = _folder()
    found = folder and _cached(folder / f"{key}.so", key)
    if folder and found:
        with suppress(OSError):  # of a folder whose files may not be run
            return _open(folder / f"{key}.so", found, True)
    failures: list[str] = []
    for private in (False, True):
        try:
            if (place := _private() if private else folder) is not None:
                return _open(place / f"{key}.so", _install(cc, source, place, key), False)
        except OSError as error:
            failures.append(str(error))
    raise NoCompilerError(
        f"the native backend can write its kernel nowhere, or not load it from there: {'; '.join(failures)}."
        " Set FUNCNET_CACHE_DIR or TMPDIR to a folder with space, whose files may be run."
    )


def _open(path: Path, size: int, cached: bool) -> Library:
    handle = ctypes.CDLL(str(path))
    return Library(handle, handle.kernel, size, cached)


def _install(cc: Compiler, source: str, folder: Path, key: str) -> int:
    """Build a kernel beside its place in the cache and rename it there."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="build-") as scratch:
        text, built = Path(scratch, "kernel.c"), Path(scratch, "kernel.so")
        text.write_text(source)
        try:
            _run([*cc.command, *cc.flags, "-o", str(built), str(text), "-lm"])
        except _CompileError as error:
            if shutil.disk_usage(folder).free < 2**20:
                raise OSError(f"no space in {folder}") from None
            raise _cause(cc, Path(scratch), error) from error
        content = built.read_bytes()
        built.write_bytes(content + _digest(content, key))
        built.chmod(0o700)
        built.replace(folder / f"{key}.so")
    _prune(folder, key)
    return len(content)


def _cause(cc: Compiler, folder: Path, error: _CompileError) -> Exception:
    """Tell a C compiler that does not work, or is killed, from one that refuses a text of ours."""
    text = folder / "least.c"
    text.write_text("int kernel(void) { return 0; }\n")
    try:
        _run([*cc.command, *cc.flags, "-o", str(folder / "least.so"), str(text), "-lm"])
    except _CompileError as least:
        return NoCompilerError(f"the C compiler {shlex.join(cc.command)} does not work. {least}")
    if re.search(r"status -\d|[Kk]illed|out of memory|virtual memory exhausted", str(error)):
        return NoCompilerError(f"the C compiler was stopped, perhaps by a lack of memory. {error}")
    return InternalError(f"the C compiler refuses the text of a kernel. {error}")


def _digest(content: bytes, key: str) -> bytes:
    return hashlib.sha256(content + key.encode()).digest()


def _cached(path: Path, key: str) -> int:
    """The size of a kernel in the cache that is whole and this user's own, or 0."""
    try:
        if not _own(path, stat.S_ISREG):
            return 0
        content = path.read_bytes()
        whole = content[-_DIGEST:] == _digest(content[:-_DIGEST], key)
        if whole:
            with suppress(OSError):  # a folder to be read only
                os.utime(path)
    except OSError:
        return 0
    return len(content) - _DIGEST if whole else 0


def _own(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether a path is of a kind, no link, belongs to this user, and nobody else may write it."""
    status = path.lstat()
    return kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _folder() -> Path | None:
    """The cache folder, made if need be; None where there is no safe one."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("FUNCNET_CACHE_DIR") or Path(base, "funcnet"))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder if _own(folder, stat.S_ISDIR) else None
    except (OSError, RuntimeError):
        return None


@lru_cache(maxsize=1)
def _private() -> Path:
    """A folder of this process, gone at its end."""
    folder = tempfile.mkdtemp(prefix="funcnet-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _prune(folder: Path, keep: str) -> None:
    """Remove the kernels that were used longest ago until the cache fits its bound."""
    bound = int(os.environ.get("FUNCNET_CACHE_SIZE") or _SIZE)
    kernels = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in folder.glob("*.so"))
    excess = sum(size for _, size, _ in kernels) - bound
    for _, size, path in kernels:
        if excess > 0 and path.stem != keep:
            path.unlink(missing_ok=True)
            excess -= size
