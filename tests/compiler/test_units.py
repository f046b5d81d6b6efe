"""Large kernels are compiled in several translation units at the same time; neither text nor results depend on that."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from deep_networks import deep, layers
from interrupts import interrupted
from tables import numbers
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.errors import InternalError
from funcnet.compiler.native import toolchain
from funcnet.compiler.native.c import units
from funcnet.compiler.native.target import Target

pytestmark = pytest.mark.usefixtures("folder")
HOST = Target.host()


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Return a function that sets torch's number of threads, until the test ends."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def every_statement_is_in_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = replace(HOST, inline=0, section=1)
    monkeypatch.setattr(Target, "host", lambda: machine)
    monkeypatch.setattr(units, "_SIZE", 1)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[list[str]]]:
    """Return the commands of the C compiler so far, those that ran at the same time in one list."""
    run, ran = toolchain._run, list[list[list[str]]]()

    def record(*together: list[str]) -> str:
        ran.append([*together])
        return run(*together)

    monkeypatch.setattr(toolchain, "_run", record)
    return ran


def mixed(x: Tensor) -> list[Tensor]:
    """Use what units share: flags, the floating-point mode, BLAS, LAPACK, calls of torch and of Python."""
    large = x.sum() + torch.ones(150, 150, dtype=x.dtype) @ torch.ones(150, 150, dtype=x.dtype)
    roots = fn.while_loop(lambda y: (y - x.abs()).abs().sum() > 9, lambda y: (y + x.abs()) / 2, x * 100)
    ordered, places = x.sort(-1)
    values, vectors = torch.linalg.eigh(x @ x.mT)
    general = torch.linalg.eigvals(x).abs()
    rows = fn.scan(lambda c, row: (c + row.cumsum(0), c.sum()), x[0], x)
    return [large, roots, ordered, places, values, vectors, general, *rows, x[places[0]] / 3, (x * 1e-310).exp()]


PROGRAMS = {
    "layers": (deep, layers(3)),
    "lanes": (fn.vmap(deep), layers(3, 5)),
    "every kind": (mixed, numbers(8, 8)),
    "lanes of every kind": (fn.vmap(mixed), numbers(3, 8, 8)),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "layers")) for name in PROGRAMS]
)
@pytest.mark.usefixtures("every_statement_is_in_a_unit")
def test_results_have_the_same_bits(name: str, threads, commands, tmp_path, monkeypatch) -> None:
    (f, x), got, cached = PROGRAMS[name], [], []
    for count in (1, 2):
        threads(count)
        place = tmp_path / str(count)
        monkeypatch.setenv("FUNCNET_CACHE_DIR", str(place))
        commands.clear()
        got.append(jit(f, backend="native")(x))
        assert count in map(len, commands)
        cached.append({path.name for path in place.iterdir()})
    assert fn.tree.difference(*got, rtol=0, atol=0) is None
    assert cached[0] & cached[1]  # the key of the kernel does not depend on the number of units
    assert all(name.endswith(".so") for name in cached[1])


@pytest.mark.usefixtures("every_statement_is_in_a_unit")
def test_errors_in_any_unit_are_raised(threads, commands) -> None:
    threads(4)

    def f(x: Tensor, i: Tensor) -> list[Tensor]:
        return [x[(i + k).cumsum(0)].cumsum(0) * k for k in range(6)]

    call, x = jit(f, backend="native"), torch.arange(100.0)
    assert torch.equal(call(x, torch.tensor([1, 4]))[2], f(x, torch.tensor([1, 4]))[2])
    assert 4 in map(len, commands)
    with pytest.raises(IndexError, match="out of the range"):
        call(x, torch.tensor([1, 93]))


def test_a_large_text_has_groups_of_about_equal_size() -> None:
    functions = [f"\nSHARED OUTLINED void section{i}(int at) {{\n{'x' * (500 + 77 * i)}}}\n" for i in range(60)]
    text = units.divided("heading\n", functions, "entry" * 1000)
    assert "#define GROUPS 8\n" in text
    sizes = [sum(len(f) for i, f in enumerate(functions) if f"#if HERE({g}){f}" in text) for g in range(8)]
    assert sum(sizes) == sum(map(len, functions))
    sizes[0] += 5000
    assert max(sizes) < 1.2 * min(sizes)
    assert "GROUPS" not in units.divided("", functions[:10], "entry")
    assert "GROUPS" not in units.divided("", functions, "entry" * 100_000)  # the entry point takes longest, in any unit
    assert units.divided("", [], "entry") == "entry"


TWO_UNITS = "#define GROUPS 2\n#if UNIT == 0\nint kernel(void) { return 42; }\n#else\nERROR\n#endif\n"


def test_the_error_of_one_unit_is_reported(threads) -> None:
    threads(2)
    with pytest.raises(InternalError, match="-DUNIT=1 .*failed with status 1(.|\n)*ERROR"):
        toolchain.load(TWO_UNITS)
    assert toolchain.load(TWO_UNITS.replace("ERROR", "")).function() == 42


SLEEPING = """#!/bin/sh
case "$*" in *-DUNIT=*) sleep 600.25 & echo $! >> {folder}/children; wait;; *) exec {command} "$@";; esac
"""


def test_an_interrupt_ends_all_compilers(threads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads(2)
    wrapper, children = tmp_path / "sleepcc", tmp_path / "children"
    wrapper.write_text(SLEEPING.format(folder=tmp_path, command=toolchain.compiler().command[0]))
    wrapper.chmod(0o700)
    monkeypatch.setenv("CC", str(wrapper))
    toolchain.load("int kernel(void) { return 1; }\n")  # tests the compiler, before the timer starts
    with interrupted(1.0), pytest.raises(KeyboardInterrupt):
        toolchain.load(TWO_UNITS.replace("ERROR", ""))
    started = [int(line) for line in children.read_text().split()]
    assert len(started) == 2
    assert not any(map(is_running, started))


def is_running(process: int) -> bool:
    """Tell whether a process that was killed still runs after a moment."""
    for _ in range(50):
        listed = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
        if listed.stdout.strip()[:1] in ("", "Z"):
            return False
        time.sleep(0.02)
    with suppress(OSError):
        os.kill(process, signal.SIGKILL)
    return True
