"""The text of each stage of a jitted call, by `lower` and by FUNCNET_DUMP."""

import pytest
import torch

import funcnet as fn
from funcnet.compiler.errors import UnsupportedError

X = torch.ones(3, 2)
XS = torch.ones(5, 4, 3)


def step(w, x):
    return w - 0.1 * fn.grad(lambda w: ((x @ w).tanh() ** 2).sum())(w), w.sum()


def run(w, xs):
    return fn.scan(step, w, xs)


@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: fn.vmap(f, in_dims=(0, None))], ids=["alone", "lanes"])
def test_every_stage_as_text(wrap):
    w = X if wrap(run) is run else torch.stack([X, X])
    lowered = fn.jit(wrap(run)).lower(w, XS)
    assert "scan length=5" in lowered.as_text() and "aten.tanh" in lowered.as_text()
    loops = lowered.as_text("loops")
    assert "for s0 < 5:" in loops and " @ " in loops and "tanh(" in loops and "add=" in loops
    assert "void kernel(" in lowered.as_text("c")
    texts = [lowered.as_text(stage) for stage in ("program", "loops", "c")]
    assert texts == [lowered.as_text(stage) for stage in ("program", "loops", "c")]  # unchanged


def test_every_statement_has_a_text():
    def f(x, i):
        y = x[i].sort(descending=True)[0].cumsum(0)
        z = torch.zeros(3).index_add(0, i, y) + torch.arange(3)
        return torch.nn.functional.one_hot(i, 3), z, x.argmax()

    text = fn.jit(f).lower(torch.ones(3), torch.tensor([0, 2])).as_text("loops")
    for part in (" at ", "sort ", "descending", "cumulative add", "add= ", "check "):
        assert part in text, part


def test_lowering_does_not_run_or_compile(monkeypatch, tmp_path):
    monkeypatch.setenv("FUNCNET_CACHE_DIR", str(tmp_path))
    f = fn.jit(lambda x: x * 3 + 1, backend="native")
    lowered = f.lower(X)
    lowered.as_text("c")
    assert not [*tmp_path.iterdir()]
    assert lowered.compile() is f
    assert [path.suffix for path in tmp_path.iterdir()] == [".so"]
    assert lowered.explain() == f.explain(X)
    assert torch.equal(f(X), X * 3 + 1)


def test_numbers_are_traced_as_in_a_call():
    f = fn.jit(lambda x, n, rate: x[:n] * rate)
    assert "float64[]" in f.lower(X, 2, 0.5).as_text()
    f(X, 1, 0.5)
    assert f.lower(X, 2, 0.5).as_text().count("float64[]") >= 1  # n is a constant again, the rate is not


def test_a_jitted_method():
    class Model:
        @fn.jit
        def double(self, x):
            return 2 * x

    assert "aten.mul" in Model().double.lower(X).as_text()


def test_missing_stages():
    lowered = fn.jit(lambda x: x.to(torch.float8_e5m2).float()).lower(X)
    assert "float8_e5m2" in lowered.as_text()
    with pytest.raises(UnsupportedError, match="as_text: this program has no c stage: .*float8_e5m2"):
        lowered.as_text("c")
    with pytest.raises(ValueError, match="expected stage to be 'program', 'loops' or 'c', got 'assembly'"):
        lowered.as_text("assembly")


def test_dump(monkeypatch, tmp_path):
    monkeypatch.setenv("FUNCNET_DUMP", str(tmp_path / "kernels"))
    f = fn.jit(lambda x: x * 5 - 1, backend="native")
    f(X)
    lowered = f.lower(X)
    files = {path.name.split(".", 1)[1]: path.read_text() for path in (tmp_path / "kernels").iterdir()}
    assert sorted(files) == ["c", "loops.txt", "program.txt"]
    assert files["c"] == lowered.as_text("c") and files["loops.txt"] == lowered.as_text("loops")
    assert "aten.mul" in files["program.txt"]
