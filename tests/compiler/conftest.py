"""Fixtures for the tests of the compiler."""

from pathlib import Path

import pytest

from funcnet.compiler import reuse
from funcnet.compiler.native import ensembles, kernel_cache, toolchain


@pytest.fixture(autouse=True)
def side_by_side(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run lanes in whole vectors, also where another way is faster; test_ensembles tests the choice."""
    if request.node.path.name != "test_ensembles.py":
        monkeypatch.setattr(ensembles, "lanes_per_block", lambda program, lanes, word, target: target.vector // word)


@pytest.fixture(autouse=True)
def compile_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile each function, also if an equal one was compiled before."""
    monkeypatch.setattr(reuse, "_MOST", 0)
    reuse._programs.clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache folder of the test's own; no warning of the cache has been given yet."""
    monkeypatch.setenv("FUNCNET_CACHE_DIR", str(tmp_path / "cache"))
    toolchain._compiler.cache_clear()
    monkeypatch.setattr(kernel_cache, "_warned_of", set())
    return tmp_path / "cache"
