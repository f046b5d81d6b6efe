"""The kernel cache: found again, never trusted when damaged or foreign, bounded, and not needed."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from funcnet.compiler import jit
from funcnet.compiler.errors import NoCompilerError
from funcnet.compiler.native import kernel_cache, toolchain

SOURCE = "int kernel(void) { return 42; }\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUNCNET_CACHE_DIR", str(tmp_path / "cache"))
    toolchain._compiler.cache_clear()
    monkeypatch.setattr(kernel_cache, "_warned_of", set())
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
    with pytest.warns(UserWarning, match="belongs to another user"):
        assert not toolchain.load(SOURCE).cached
    toolchain.load(SOURCE.replace("42", "43"))
    assert len(kernels(folder)) == 1


def test_a_folder_that_others_may_write_is_not_used(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.warns(UserWarning, match="others may write it"):
        assert toolchain.load(SOURCE).function() == 42
    assert not list(folder.iterdir())


def test_a_folder_that_cannot_be_written_is_not_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.parent.joinpath("file").write_text("")
    monkeypatch.setenv("FUNCNET_CACHE_DIR", str(folder.parent / "file" / "cache"))
    with pytest.warns(UserWarning, match="FUNCNET_CACHE_DIR=.*takes no kernels: .*Not a directory"):
        assert toolchain.load(SOURCE).function() == 42
    assert toolchain.load(SOURCE).function() == 42  # without a second warning, which would be an error


def test_a_full_disk_falls_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = toolchain._run

    def fail(command: list[str]) -> str:
        if str(folder) in " ".join(command):
            raise toolchain._CompileError("No space left on device")
        return run(command)

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(toolchain, "_run", fail)
    monkeypatch.setattr(toolchain.shutil, "disk_usage", lambda path: usage(1, 1, 0))
    with pytest.warns(UserWarning, match="no space in"):
        assert toolchain.load(SOURCE).function() == 42
    assert not kernels(folder)


def test_a_changed_compiler_builds_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


SIZES = {"1G": 2**30, "2k": 2048, "1.5 MiB": 3 * 2**19, "3GB": 3 * 2**30, "100": 100, "0": 0, "": 2**28}


@pytest.mark.parametrize("text", SIZES)
def test_a_size_may_have_a_unit(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNCNET_CACHE_SIZE", text)
    assert kernel_cache._bound() == SIZES[text]


@pytest.mark.parametrize("text", ["abc", "-1", "1T", "G", "nan", "1e3", "1 000", "٣"])
def test_a_size_that_is_not_one_is_one_warning(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNCNET_CACHE_SIZE", text)
    with pytest.warns(UserWarning, match=f"FUNCNET_CACHE_SIZE.*such as 512M, got {text!r}"):
        assert toolchain.load(SOURCE).function() == 42
    toolchain.load(SOURCE.replace("42", "43"))
    assert len(kernels(folder)) == 2


def test_a_path_need_not_be_utf_8(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNCNET_CACHE_DIR", f"{folder}\udcff\udcfe")
    f = lambda x: x * 1.25  # noqa: E731
    for cached in (False, True):
        call = jit(f, backend="native")
        assert torch.equal(call(torch.ones(2)), torch.full((2,), 1.25))
        assert call.explain(torch.ones(2)).cache_hit == cached


def aged(path: Path) -> Path:
    """Make a file or folder a day old."""
    os.utime(path, (time.time() - 86400,) * 2)
    return path


def test_folders_of_killed_builds_are_swept(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    folder.mkdir(mode=0o700)
    old, new, foreign = [], [], []
    for parent, name in ((folder, "build-"), (tmp_path / "temporary", "funcnet-build-")):
        parent.mkdir(mode=0o700, exist_ok=True)
        for found, end in ((old, "old"), (new, "new"), (foreign, "foreign")):
            place = parent / f"{name}{end}"
            place.mkdir(mode=0o700)
            for file in ("kernel.c", "kernel.so"):
                (place / file).write_text("")
            found.append(place)
    for place in foreign:
        (place / "thesis.tex").write_text("")
    for place in (*old, *foreign):
        aged(place)
    toolchain.load(SOURCE)
    assert not any(place.exists() for place in old) and all(place.exists() for place in new)
    assert all((place / "thesis.tex").exists() for place in foreign)


@pytest.mark.slow
def test_a_killed_process_leaves_nothing_for_long(folder: Path, tmp_path: Path) -> None:
    text = "import os, sys; from funcnet.compiler.native import toolchain; toolchain._run = lambda _: os._exit(9);"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    for place in (folder, Path(os.devnull)):
        environment = {**os.environ, "FUNCNET_CACHE_DIR": str(place), "TMPDIR": str(temporary)}
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            f"{text} toolchain._probe = lambda c: toolchain.Compiler(c, (), '', 16); toolchain.load({SOURCE!r})",
        ]
        assert subprocess.run(command, env=environment, check=False).returncode == 9
    left = [*folder.iterdir(), *temporary.iterdir()]
    assert len(left) == 2
    for place in left:
        aged(place)
    environment = {**os.environ, "TMPDIR": str(temporary)}
    text = f"from funcnet.compiler.native import toolchain; assert toolchain.load({SOURCE!r}).function() == 42"
    subprocess.run([sys.executable, "-W", "ignore", "-c", text], check=True, env=environment)
    assert [path.suffix for path in (*folder.iterdir(), *temporary.iterdir())] == [".so"]


def test_a_kernel_may_be_removed_while_it_is_built(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = toolchain._run

    def build_and_lose(command: list[str]) -> str:
        printed = run(command)
        if str(folder) in " ".join(command):
            for path in folder.glob("*/*.so"):
                path.unlink()
        return printed

    monkeypatch.setattr(toolchain, "_run", build_and_lose)
    with pytest.warns(UserWarning, match="No such file"):
        assert toolchain.load(SOURCE).function() == 42


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


def test_another_process_may_prune_as_well(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolchain.load(SOURCE)
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda path, pattern: [*glob(path, pattern), path / "gone.so"])
    assert toolchain.load(SOURCE.replace("42", "43")).function() == 43


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
