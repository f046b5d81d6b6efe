"""The kernel cache: found again, never trusted when damaged or foreign, bounded, and not needed."""

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from funcnet.compiler import jit
from funcnet.compiler.errors import NoCompilerError
from funcnet.compiler.native import toolchain

SOURCE = "int kernel(void) { return 42; }\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUNCNET_CACHE_DIR", str(tmp_path / "cache"))
    toolchain._compiler.cache_clear()
    return tmp_path / "cache"


def kernels(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.so"))


def test_a_kernel_is_built_once(folder: Path) -> None:
    first, second = toolchain.load(SOURCE), toolchain.load(SOURCE)
    assert (first.cached, second.cached) == (False, True)
    assert first.size == second.size > 0
    assert first.function() == second.function() == 42
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == [kernels(folder)[0].name]


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


def test_a_file_of_another_kernel_is_not_taken_for_this_one(folder: Path) -> None:
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


def test_what_belongs_to_another_user_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolchain.load(SOURCE)
    mine = os.geteuid()
    monkeypatch.setattr(toolchain.os, "geteuid", lambda: mine + 1)
    assert not toolchain.load(SOURCE).cached
    toolchain.load(SOURCE.replace("42", "43"))
    assert len(kernels(folder)) == 1


def test_a_folder_that_others_may_write_is_not_used(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    assert toolchain.load(SOURCE).function() == 42
    assert not list(folder.iterdir())


def test_a_folder_that_cannot_be_written_is_not_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.parent.joinpath("file").write_text("")
    monkeypatch.setenv("FUNCNET_CACHE_DIR", str(folder.parent / "file" / "cache"))
    assert toolchain.load(SOURCE).function() == 42


def test_a_full_disk_falls_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = toolchain._run

    def fail(command: list[str]) -> str:
        if str(folder) in " ".join(command):
            raise toolchain._CompileError("No space left on device")
        return run(command)

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(toolchain, "_run", fail)
    monkeypatch.setattr(toolchain.shutil, "disk_usage", lambda path: usage(1, 1, 0))
    assert toolchain.load(SOURCE).function() == 42
    assert not kernels(folder)


def test_a_changed_compiler_builds_anew(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolchain.load(SOURCE)
    wrapper = tmp_path / "othercc"
    wrapper.write_text(f'#!/bin/sh\nexec {toolchain.compiler().command[0]} -DOTHER=1 "$@"\n')
    wrapper.chmod(0o700)
    monkeypatch.setenv("CC", str(wrapper))
    assert not toolchain.load(SOURCE).cached
    assert len(kernels(folder)) == 2


def test_the_cache_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = toolchain.load(SOURCE).size
    monkeypatch.setenv("FUNCNET_CACHE_SIZE", str(3 * size + 1000))
    for number in range(6):
        assert toolchain.load(f"int kernel(void) {{ return {number}; }}\n").function() == number
    assert 1 <= len(kernels(folder)) <= 3


def test_threads_and_processes_at_once(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: toolchain.load(SOURCE).function() == 42, range(16)))
    other = SOURCE.replace("42", "7")
    text = f"from funcnet.compiler.native import toolchain; assert toolchain.load({other!r}).function() == 7"
    processes = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", text]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(kernels(folder)) == 2


def test_no_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(NoCompilerError, match="Install gcc or clang"):
        jit(lambda x: x + 1, backend="native")(torch.ones(2))
    f = jit(lambda x: x + 1)
    with pytest.warns(UserWarning, match="Install gcc or clang"):
        assert torch.equal(f(torch.ones(2)), torch.full((2,), 2.0))
    monkeypatch.setenv("CC", "nowhere-cc")
    with pytest.raises(NoCompilerError, match="nowhere-cc"):
        toolchain.compiler()


def test_a_folder_to_be_read_only_serves_what_it_holds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolchain.load(SOURCE)
    scratch = toolchain.tempfile.TemporaryDirectory

    def refuse(*args: object, dir: Path, **options: object) -> object:
        if Path(dir) == folder:
            raise PermissionError(13, "Read-only file system", str(folder))
        return scratch(*args, dir=dir, **options)

    def refuse_time(path: Path) -> None:
        raise PermissionError(30, "Read-only file system", str(path))

    monkeypatch.setattr(toolchain.tempfile, "TemporaryDirectory", refuse)
    monkeypatch.setattr(toolchain.os, "utime", refuse_time)
    assert toolchain.load(SOURCE).cached
    other = toolchain.load(SOURCE.replace("42", "43"))
    assert not other.cached and other.function() == 43
    assert len(kernels(folder)) == 1


NO_COMPILER = """
import warnings, torch, funcnet as fn
x = torch.ones(2)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for f in (torch.sin, torch.cos):
        jitted = fn.jit(f)
        assert torch.equal(jitted(x), f(x)) and jitted.explain(x).backend == "eager"
        assert "/nonexistent" in jitted.explain(x).reason
    (warning,) = [w for w in caught if "jit" in str(w.message)]
    assert "falls back to the eager backend" in str(warning.message), warning.message
    assert "Install gcc or clang" in str(warning.message), warning.message
try:
    fn.jit(torch.sin, backend="native")(x)
except Exception as error:
    assert type(error).__name__ == "NoCompilerError" and "Install gcc or clang" in str(error), error
else:
    raise AssertionError("native ran")
"""


def test_a_process_without_a_compiler_warns_once() -> None:
    environment = {**os.environ, "CC": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NO_COMPILER],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
