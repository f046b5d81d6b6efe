"""Files that appear whole or not at all, also if the process or the machine stops at any moment."""

import glob
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

SUFFIX = ".writing"


def write(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name, and give it its name when its bytes are on the disk.

    Of a symbolic link, the file that it points to is written.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_partial(path.parent, path.name)
    partial = path.with_name(f".{path.name}.{os.getpid()}{SUFFIX}")
    try:
        with partial.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system can: Windows cannot open folders."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_partial(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files that killed processes have left in a folder, of one file or of all."""
    pattern = "*" if name is None else glob.escape(name)
    for path in folder.glob(f".{pattern}.*{SUFFIX}"):
        process = path.name.removesuffix(SUFFIX).rpartition(".")[2]
        if not (process.isdecimal() and _is_another(int(process))):
            with suppress(OSError):
                path.unlink()


def _is_another(process: int) -> bool:
    """Tell whether another process runs under a number. Windows refuses to remove its files anyway."""
    if process == os.getpid() or os.name != "posix":
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
