"""Builds of kernels: one per source and compiler, from several threads and processes, and without a compiler."""

import os
import subprocess
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from kernel_builds import SOURCE, kernels

from funcnet.compiler import jit
from funcnet.compiler.errors import NoCompilerError
from funcnet.compiler.native import toolchain

pytestmark = pytest.mark.usefixtures("folder")


def test_a_kernel_is_built_once(folder: Path) -> None:
    first, second = toolchain.load(SOURCE), toolchain.load(SOURCE)
    assert (first.cached, second.cached) == (False, True)
    assert first.size == second.size > 0
    assert first.function() == second.function() == 42
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == [kernels(folder)[0].name]


def test_a_changed_compiler_builds_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolchain.load(SOURCE)
    wrapper = tmp_path / "othercc"
    wrapper.write_text(f'#!/bin/sh\nexec {toolchain.compiler().command[0]} -DOTHER=1 "$@"\n')
    wrapper.chmod(0o700)
    monkeypatch.setenv("CC", str(wrapper))
    assert not toolchain.load(SOURCE).cached
    assert len(kernels(folder)) == 2


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


def test_on_a_full_disk_kernels_are_built_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.slow
def test_threads_and_processes_at_once(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: toolchain.load(SOURCE).function() == 42, range(16)))
    other = SOURCE.replace("42", "7")
    text = f"from funcnet.compiler.native import toolchain; assert toolchain.load({other!r}).function() == 7"
    processes = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", text]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(kernels(folder)) == 2


def test_the_error_without_a_compiler_names_packages_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(NoCompilerError, match="Install one by pip install .funcnet.cc.., or gcc or clang"):
        jit(lambda x: x + 1, backend="native")(torch.ones(2))
    f = jit(lambda x: x + 1)
    with pytest.warns(UserWarning, match="Install one by pip install .funcnet.cc.., or gcc or clang"):
        assert torch.equal(f(torch.ones(2)), torch.full((2,), 2.0))
    monkeypatch.setenv("CC", "nowhere-cc")
    with pytest.raises(NoCompilerError, match="nowhere-cc"):
        toolchain.compiler()


ZIGLANG = """
import os, subprocess, sys
os.environ["PATH"] = {path!r}
assert sys.argv[1] == "cc"
sys.exit(subprocess.call([*{command!r}, *sys.argv[2:]]))
"""


def test_the_compiler_of_a_python_package_is_found_last(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    (package := tmp_path / "ziglang").mkdir()
    main = ZIGLANG.format(path=os.environ["PATH"], command=toolchain.compiler().command)
    (package / "__main__.py").write_text(main)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "ziglang" not in toolchain.compiler().command
    monkeypatch.setenv("PATH", "")
    assert toolchain.compiler().command == (sys.executable, "-m", "ziglang", "cc")
    assert toolchain.load(SOURCE).function() == 42


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
    assert "pip install 'funcnet[cc]', or gcc or clang" in str(warning.message), warning.message
try:
    fn.jit(torch.sin, backend="native")(x)
except Exception as error:
    assert type(error).__name__ == "NoCompilerError" and "pip install 'funcnet[cc]', or gcc" in str(error), error
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
