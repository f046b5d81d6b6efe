"""The kernel cache on disk: its folder, the checks of its files, and its size.

A cached file is a shared object followed by a digest of it and of its key. It is loaded only if this user owns the
file and the folder, nobody else may write to them, and the digest matches.
"""

import hashlib
import os
import re
import stat
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SIZE = 256 * 2**20  # default of FUNCNET_CACHE_SIZE: largest size of the cache, in bytes
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30}  # powers of two
_DIGEST = hashlib.sha256().digest_size
_BUILD = "funcnet-build-"  # prefix of build folders, in the cache and in the temporary directory
_KERNELS = "[0-9a-f]" * 2 * _DIGEST + ".so"  # a named folder may hold other libraries
_HOUR = 3600  # seconds after which a build is considered killed


def folder() -> Path | None:
    """Return the cache folder, created if necessary; None if it is unsafe, with a warning if it was named."""
    named = os.environ.get("FUNCNET_CACHE_DIR")
    try:
        place = Path(named or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "funcnet"))
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _own(place, stat.S_ISDIR):
            return place
        unusable("it is a link, belongs to another user, or others may write to it")
    except (OSError, RuntimeError, ValueError) as error:
        unusable(str(error))
    return None


def unusable(reason: str) -> None:
    """Warn once that the folder in FUNCNET_CACHE_DIR cannot be used; there is no warning for the default folder."""
    if named := os.environ.get("FUNCNET_CACHE_DIR"):
        _warn_of(named, f"jit: FUNCNET_CACHE_DIR={named!r} cannot be used: {reason}. Each process compiles its own.")


_warned_of = set[str]()


def _warn_of(value: str, message: str) -> None:
    """Warn once per value of an environment variable."""
    if value not in _warned_of:
        _warned_of.add(value)
        warnings.warn(message, stacklevel=2)


@contextmanager
def scratch(place: Path | None) -> Iterator[Path]:
    """Create a build folder in the cache or, without one, in the temporary directory; remove it at the end."""
    outside = Path(tempfile.gettempdir())
    for parent in {outside, place or outside}:
        sweep(parent)
    with tempfile.TemporaryDirectory(dir=place or outside, prefix=_BUILD) as name:
        yield Path(name)


def sweep(place: Path) -> None:
    """Remove the folders of builds that were killed."""
    for path in place.glob(f"{_BUILD}*"):
        with suppress(OSError):  # another process removes it, or it contains files that are not of a build
            if _own(path, stat.S_ISDIR) and path.stat().st_mtime < time.time() - _HOUR:
                _remove(path)


def _remove(path: Path) -> None:
    """Remove the files of a build, then its folder unless it contains other files."""
    for name in ("kernel.c", "kernel.so", "kernel.*.o", "least.c", "least.so"):
        for file in path.glob(name):
            file.unlink(missing_ok=True)
    path.rmdir()


def seal(path: Path, key: str) -> int:
    """Append the digest to a built shared object; return the size without it."""
    content = path.read_bytes()
    with path.open("ab") as file:
        file.write(_digest(content, key))
    path.chmod(0o700)
    return len(content)


def _digest(content: bytes, key: str) -> bytes:
    return hashlib.sha256(content + key.encode()).digest()


def find(path: Path, key: str) -> int:
    """Return the size of a cached kernel; 0 unless it is complete and only this user can write to it."""
    try:
        if not _own(path, stat.S_ISREG):
            return 0
        content = path.read_bytes()
        whole = content[-_DIGEST:] == _digest(content[:-_DIGEST], key)
        if whole:
            with suppress(OSError):  # the folder may be read-only
                os.utime(path)
    except OSError:
        return 0
    return len(content) - _DIGEST if whole else 0


def _own(path: Path, kind: Callable[[int], bool]) -> bool:
    """Tell whether a path is of this kind, not a link, owned by this user and writable by nobody else."""
    status = path.lstat()
    return kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022


def prune(place: Path, keep: str) -> None:
    """Remove the least recently used kernels until the cache fits its limit."""
    kernels = sorted(_kernels(place))
    excess = sum(size for _, size, _ in kernels) - _limit()
    for _, size, path in kernels:
        if excess > 0 and path.stem != keep:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            excess -= size


def _kernels(place: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield the time, size and path of each kernel, except those that another process removes."""
    for path in place.glob(_KERNELS):
        with suppress(OSError):
            status = path.stat()
            yield status.st_mtime, status.st_size, path


def _limit() -> int:
    """Return the largest size of the cache, in bytes."""
    text = os.environ.get("FUNCNET_CACHE_SIZE") or str(_SIZE)
    if found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]?)(?:i?B)?\s*", text, re.ASCII | re.IGNORECASE):
        return int(float(found[1]) * 2 ** _UNITS[found[2].upper()])
    _warn_of(
        text,
        f"jit: expected FUNCNET_CACHE_SIZE to be a number of bytes, or one with K, M or G, such as 512M, got {text!r}."
        " The kernel cache keeps its default size of 256M.",
    )
    return _SIZE
