"""Nests that pass large arrays to each other become loops over rows; the results equal eager mode."""

import pytest
import torch
import torch.nn.functional as F
from stages import translated
from tables import numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.native import text
from funcnet.compiler.native.target import Target

LABELS = torch.arange(9) * 5 % 8


def entropy(x):
    return fn.value_and_grad(lambda x: F.cross_entropy(x, LABELS))(x[..., 0])


def shared_mask(x):
    """Every row of the last axes uses the same mask, which is computed in the program."""
    mask = torch.where(x[0] > 0, x[0], 2.0).cos()
    return (x + mask).softmax(-1), mask.sum(0)


def kept(x):
    """The extrema are used after the loop, too."""
    best = x.amax((1, 2), keepdim=True)
    return (x - best).exp().sum(-1), best.flatten().cumsum(0)


def across(x):
    """A reduction over the rows needs all of them; so does the result of the next operation."""
    y = x.softmax(-1)
    return y * y.sum(0), y - y.flip(0)


def interrupted(x):
    """A matrix product depends on the first rows only."""
    best = x.amax(1, keepdim=True)
    y = (x - best).exp()
    return y / y.sum(1, keepdim=True), x[0] @ x[1].t(), y.flatten(1) @ y[0].flatten()


def indexed(x):
    """Rows are read and written at computed indices, and by another row's number."""
    y = x.log_softmax(-1)
    places = (x[..., :1] > 0).long() * 3
    return y.gather(-1, places), torch.zeros_like(y).scatter(-1, places, 1.0) * y, y[torch.tensor([2, 0, 1])] + y[:3]


def in_a_scan(x):
    return fn.scan(lambda c, i: (c.softmax(-1) + x * i, c.amax(-1)), x, torch.arange(3.0))


def reversed_rows(x):
    y = x.exp()
    return y / y.sum(-1, keepdim=True), x.flip(0).cos() + y.flip(-1)


PROGRAMS = [entropy, shared_mask, kept, across, interrupted, indexed, in_a_scan, reversed_rows]


@pytest.fixture
def eager_to_fuse(monkeypatch):
    """Loops over rows of any size."""
    host = Target.host()
    monkeypatch.setattr(Target, "host", lambda: host.__class__(**{**vars(host), "row": 2, "rows": 1}))


def loops(compiled, **machine):
    (entry,) = compiled._programs.values()
    return text.text(translated(entry.program, **machine).loops)


@pytest.mark.usefixtures("eager_to_fuse")
@pytest.mark.parametrize("f", PROGRAMS)
def test_programs_equal_eager_mode(f):
    x = numbers(9, 8, 6, dtype=torch.float32)
    compiled = jit(f, backend="native")
    assert_close(compiled(x), f(x))
    assert "for s0 < " in loops(compiled)


@pytest.mark.slow
@pytest.mark.usefixtures("eager_to_fuse")
@pytest.mark.parametrize("f", PROGRAMS)
def test_lanes_equal_eager_mode(f):
    x = numbers(3, 9, 8, 6, dtype=torch.float32)
    assert_close(jit(fn.vmap(f), backend="native")(x), fn.vmap(f)(x))


def test_large_rows_stay_in_the_cache():
    x = torch.randn(256, 256)
    softmax, small = jit(lambda x: x.softmax(-1), backend="native"), jit(lambda x: x.softmax(-1), backend="native")
    assert_close(softmax(x), x.softmax(-1))
    assert "for s0 < 256:" in loops(softmax) and "t2[0] maximum= in0[i + 256 s0]" in loops(softmax)
    small(x[:8])
    assert "s0" not in loops(small)


def test_progress_counts_the_steps_of_scans_only():
    seen = []
    f = lambda x: (x.softmax(-1), fn.scan(lambda c, _: (c + 1, None), x, length=7)[0])  # noqa: E731
    jit(f, backend="native", progress=lambda done, total: seen.append((done, total)))(torch.randn(256, 256))
    assert seen[-1] == (7, 7)


def test_a_large_reduction_of_rows_is_a_result() -> None:
    """Its memory is that of the result, to which each row is copied."""
    x = torch.randn(50, 200, 100)
    f = lambda x: (*x.max(1), (x - x.amax(1, keepdim=True)).exp().sum(1))  # noqa: E731
    for got, want in zip(jit(f, backend="native")(x), f(x), strict=True):
        assert_close(got, want)
