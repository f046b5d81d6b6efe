"""The kernel cache: it loads only complete files of this user, and a folder that cannot be used is not needed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kernel_builds import SOURCE, kernels

from funcnet.compiler import jit
from funcnet.compiler.native import kernel_cache, toolchain

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize("damage", ["truncated", "emptied", "changed", "foreign", "writable", "link"])
def test_a_damaged_or_foreign_file_is_rebuilt(folder: Path, damage: str) -> None:
    toolchain.load(SOURCE)
    (path,) = kernels(folder)
    content = path.read_bytes()
    path.unlink()
    if damage == "link":
        (folder / "other").write_bytes(content)
        path.symlink_to(folder / "other")
    else:
        flipped = bytes([content[100] ^ 1])
        path.write_bytes(
            {
                "truncated": content[: len(content) // 2],
                "emptied": b"",
                "changed": content[:100] + flipped + content[101:],
                "foreign": b"\x7fELF" + os.urandom(5000),
                "writable": content,
            }[damage]
        )
        path.chmod(0o722 if damage == "writable" else 0o700)
    again = toolchain.load(SOURCE)
    assert not again.cached and again.function() == 42
    assert not path.is_symlink() and path.stat().st_mode & 0o022 == 0
    assert toolchain.load(SOURCE).cached


@pytest.mark.slow
def test_a_file_of_another_kernel_is_not_loaded(folder: Path) -> None:
    in_another_process(SOURCE, 42)  # a library that this process has loaded would come from its memory
    (path,) = kernels(folder)
    in_another_process(SOURCE.replace("42", "43"), 43)
    (other,) = set(kernels(folder)) - {path}
    path.unlink()
    shutil.copy(other, path)
    assert toolchain.load(SOURCE).function() == 42


def in_another_process(source: str, result: int) -> None:
    text = f"from funcnet.compiler.native import toolchain; assert toolchain.load({source!r}).function() == {result}"
    subprocess.run([sys.executable, "-W", "ignore", "-c", text], check=True)


def test_a_folder_and_files_of_another_user_are_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolchain.load(SOURCE)
    mine = os.geteuid()
    monkeypatch.setattr(toolchain.os, "geteuid", lambda: mine + 1)
    with pytest.warns(UserWarning, match="belongs to another user"):
        assert not toolchain.load(SOURCE).cached
    toolchain.load(SOURCE.replace("42", "43"))
    assert len(kernels(folder)) == 1


def test_a_folder_that_others_may_write_is_not_used(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.warns(UserWarning, match="others may write to it"):
        assert toolchain.load(SOURCE).function() == 42
    assert not list(folder.iterdir())


def test_without_a_writable_folder_kernels_are_built_each_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.parent.joinpath("file").write_text("")
    monkeypatch.setenv("FUNCNET_CACHE_DIR", str(folder.parent / "file" / "cache"))
    with pytest.warns(UserWarning, match="FUNCNET_CACHE_DIR=.*cannot be used: .*Not a directory"):
        assert toolchain.load(SOURCE).function() == 42
    assert toolchain.load(SOURCE).function() == 42  # without a second warning, which would be an error


def test_a_path_need_not_be_utf_8(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNCNET_CACHE_DIR", f"{folder}\udcff\udcfe")
    f = lambda x: x * 1.25  # noqa: E731
    for cached in (False, True):
        call = jit(f, backend="native")
        assert torch.equal(call(torch.ones(2)), torch.full((2,), 1.25))
        assert call.explain(torch.ones(2)).cache_hit == cached


def test_a_kernel_may_be_removed_before_it_is_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolchain.load(SOURCE)
    find = kernel_cache.find

    def find_and_lose(path: Path, key: str) -> int:
        size = find(path, key)
        path.unlink(missing_ok=True)
        return size

    monkeypatch.setattr(kernel_cache, "find", find_and_lose)
    again = toolchain.load(SOURCE)
    assert not again.cached and again.function() == 42


def test_kernels_in_a_read_only_folder_are_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolchain.load(SOURCE)
    scratch = kernel_cache.tempfile.TemporaryDirectory

    def refuse(*args: object, dir: Path, **options: object) -> object:
        if Path(dir) == folder:
            raise PermissionError(13, "Read-only file system", str(folder))
        return scratch(*args, dir=dir, **options)

    def refuse_time(path: Path) -> None:
        raise PermissionError(30, "Read-only file system", str(path))

    monkeypatch.setattr(kernel_cache.tempfile, "TemporaryDirectory", refuse)
    monkeypatch.setattr(toolchain.os, "utime", refuse_time)
    assert toolchain.load(SOURCE).cached
    with pytest.warns(UserWarning, match="Read-only file system"):
        other = toolchain.load(SOURCE.replace("42", "43"))
    assert not other.cached and other.function() == 43
    assert len(kernels(folder)) == 1
