"""The size of the kernel cache: its limit, and the removal of kernels and of the folders of killed builds."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from kernel_builds import SOURCE, kernels

from funcnet.compiler.native import kernel_cache, toolchain

pytestmark = pytest.mark.usefixtures("folder")


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
    assert kernel_cache._limit() == SIZES[text]


@pytest.mark.parametrize("text", ["abc", "-1", "1T", "G", "nan", "1e3", "1 000", "٣"])
def test_an_invalid_size_gives_one_warning(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNCNET_CACHE_SIZE", text)
    with pytest.warns(UserWarning, match=f"FUNCNET_CACHE_SIZE.*such as 512M, got {text!r}"):
        assert toolchain.load(SOURCE).function() == 42
    toolchain.load(SOURCE.replace("42", "43"))
    assert len(kernels(folder)) == 2


def aged(path: Path) -> Path:
    """Make a file or folder a day old."""
    os.utime(path, (time.time() - 86400,) * 2)
    return path


def test_folders_of_killed_builds_are_swept(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    folder.mkdir(mode=0o700)
    old, new, foreign = [], [], []
    for parent in (folder, tmp_path / "temporary"):
        parent.mkdir(mode=0o700, exist_ok=True)
        for found, end in ((old, "old"), (new, "new"), (foreign, "foreign")):
            place = parent / f"funcnet-build-{end}"
            place.mkdir(mode=0o700)
            for file in ("kernel.c", "kernel.0.o", "kernel.so"):
                (place / file).write_text("")
            found.append(place)
    for place in foreign:
        (place / "thesis.tex").write_text("")
    for place in (*old, *foreign):
        aged(place)
    toolchain.load(SOURCE)
    assert not any(place.exists() for place in old) and all(place.exists() for place in new)
    assert all((place / "thesis.tex").exists() for place in foreign)


def test_files_that_are_not_of_the_cache_are_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("FUNCNET_CACHE_SIZE", "1")
    mine = []
    for parent in (folder, tmp_path / "temporary"):
        for name in ("build-linux", "funcnet-build-mine"):
            (parent / name).mkdir(mode=0o700, parents=True)
            mine += [parent / name / file for file in ("main.c", "main.so", "setup.sh", "data.csv")]
        parent.chmod(0o700)
        mine.append(parent / "libmine.so")
    for path in mine:
        path.write_text("mine")
        aged(path)
        aged(path.parent)
    with toolchain.kernel_cache.scratch(None), toolchain.kernel_cache.scratch(folder):
        pass
    toolchain.load(SOURCE)
    assert all(path.read_text() == "mine" for path in mine)


@pytest.mark.slow
def test_a_later_build_removes_the_folder_of_a_killed_one(folder: Path, tmp_path: Path) -> None:
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


def test_a_kernel_that_another_process_has_removed_is_skipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolchain.load(SOURCE)
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda path, pattern: [*glob(path, pattern), path / "gone.so"])
    assert toolchain.load(SOURCE.replace("42", "43")).function() == 43
