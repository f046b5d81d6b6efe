"""The kernel cache on disk: where it is, which of its files are trusted, and what is removed from it.

A cached file is a shared object followed by a digest of it and of its key. It is loaded only from a folder and a file
that belong to this user and that nobody else may write, and only when the digest holds.
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

_SIZE = 256 * 2**20  # bytes that the cache may hold, overridable by FUNCNET_CACHE_SIZE
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30}  # powers of two
_DIGEST = hashlib.sha256().digest_size
_BUILD, _PRIVATE = "build-", "funcnet-build-"  # prefixes of the folders of builds, in the cache and outside of it
_HOUR = 3600  # seconds after which a build has been killed


def folder() -> Path | None:
    """Return the cache folder, made if need be; None, with a warning if one is named, where none is safe."""
    named = os.environ.get("FUNCNET_CACHE_DIR")
    try:
        place = Path(named or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "funcnet"))
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _own(place, stat.S_ISDIR):
            return place
        unusable("it is a link, belongs to another user, or others may write it")
    except (OSError, RuntimeError, ValueError) as error:
        unusable(str(error))
    return None


def unusable(reason: str) -> None:
    """Warn, once, that the folder that FUNCNET_CACHE_DIR names takes no kernels; a default one is not missed."""
    if named := os.environ.get("FUNCNET_CACHE_DIR"):
        _warn_of(named, f"jit: FUNCNET_CACHE_DIR={named!r} takes no kernels: {reason}. Each process compiles its own.")


_warned_of = set[str]()


def _warn_of(value: str, message: str) -> None:
    """Warn once of each value of an environment variable."""
    if value not in _warned_of:
        _warned_of.add(value)
        warnings.warn(message, stacklevel=2)


@contextmanager
def scratch(place: Path | None) -> Iterator[Path]:
    """Make a folder to build in, in the cache or, where that is None, in the temporary directory; it is removed."""
    prefix = _PRIVATE if place is None else _BUILD
    outside = Path(tempfile.gettempdir())
    sweep(outside if place is None else place)
    with tempfile.TemporaryDirectory(dir=place or outside, prefix=prefix) as name:
        yield Path(name)


def sweep(place: Path) -> None:
    """Remove the folders of builds that were killed."""
    for prefix, parent in ((_BUILD, place), (_PRIVATE, Path(tempfile.gettempdir()))):
        for path in parent.glob(f"{prefix}*"):
            with suppress(OSError):  # one that another process removes, or that is not a build's
                if _own(path, stat.S_ISDIR) and path.stat().st_mtime < time.time() - _HOUR:
                    _remove(path)


def _remove(path: Path) -> None:
    """Remove the files that builds write, then their folder, which other files keep."""
    for file in path.glob("*.[cos]*"):
        file.unlink()
    path.rmdir()


def seal(path: Path, key: str) -> int:
    """Append the digest to a shared object that has been built; return the size without it."""
    content = path.read_bytes()
    with path.open("ab") as file:
        file.write(_digest(content, key))
    path.chmod(0o700)
    return len(content)


def _digest(content: bytes, key: str) -> bytes:
    return hashlib.sha256(content + key.encode()).digest()


def find(path: Path, key: str) -> int:
    """Return the size of a kernel in the cache that is whole and this user's own, or 0."""
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


def prune(place: Path, keep: str) -> None:
    """Remove the kernels that were used longest ago until the cache fits its bound."""
    kernels = sorted(_kernels(place))
    excess = sum(size for _, size, _ in kernels) - _bound()
    for _, size, path in kernels:
        if excess > 0 and path.stem != keep:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            excess -= size


def _kernels(place: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield the time, size and path of each kernel that no other process removes meanwhile."""
    for path in place.glob("*.so"):
        with suppress(OSError):
            status = path.stat()
            yield status.st_mtime, status.st_size, path


def _bound() -> int:
    """Return the bytes that the cache may hold."""
    text = os.environ.get("FUNCNET_CACHE_SIZE") or str(_SIZE)
    if found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]?)(?:i?B)?\s*", text, re.ASCII | re.IGNORECASE):
        return int(float(found[1]) * 2 ** _UNITS[found[2].upper()])
    _warn_of(
        text,
        f"jit: expected FUNCNET_CACHE_SIZE to be a number of bytes, or one with K, M or G, such as 512M, got {text!r}."
        " The kernel cache keeps its default size of 256M.",
    )
    return _SIZE
