"""Large matrix products, by panels of packed columns and by torch's BLAS, equal ATen's."""

import pytest
import torch
from tables import numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet.compiler import blas

LAYOUTS = {
    "plain": lambda a, b: a @ b,
    "left transposed": lambda a, b: a.T.contiguous().T @ b,
    "right transposed": lambda a, b: a @ b.T.contiguous().T,
    "both transposed": lambda a, b: (b.T @ a.T).T,
    "of every other row and column": lambda a, b: a.repeat_interleave(2, 0)[::2] @ b.repeat_interleave(2, 1)[:, ::2],
    "of overlapping rows": lambda a, b: a.reshape(-1).unfold(0, a.shape[1], 1)[: a.shape[0]] @ b,
    "one right for all": lambda a, b: torch.stack([a, -a]) @ b,
    "one by one": lambda a, b: torch.stack([a, -a]) @ torch.stack([b, b + 1]),
    "used twice": lambda a, b: (c := a @ b, c @ (a @ b + 1).T),
    "in a loop": lambda a, b: fn.scan(lambda c, _: (c + a @ (b * c[0]), c[0, 0]), a @ b, length=3),
}
SHAPES = [(128, 64, 65), (17, 300, 128), (131, 150, 33), (40, 1, 14_000), (16, 5_000, 7), (160, 97, 47)]


@pytest.mark.parametrize("wins", [False, True], ids=["panels", "BLAS"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("rows, inner, columns", SHAPES)
def test_products_of_any_layout(rows, inner, columns, dtype, wins, monkeypatch):
    monkeypatch.setattr(blas, "wins", lambda: wins)
    a, b = numbers(rows, inner, dtype=dtype), numbers(inner, columns, dtype=dtype, seed=1) / inner
    f = lambda a, b: {name: product(a, b) for name, product in LAYOUTS.items()}  # noqa: E731
    got, want = fn.jit(f, backend="native")(a, b), f(a, b)
    for name in LAYOUTS:
        for x, y in zip(fn.tree.leaves(got[name]), fn.tree.leaves(want[name]), strict=True):
            eps = torch.finfo(dtype).eps
            assert_close(x, y, rtol=64 * eps, atol=64 * eps * max(1.0, y.abs().max().item()), msg=name)


def test_lanes_share_a_large_product(monkeypatch):
    monkeypatch.setattr(blas, "wins", lambda: False)
    a, b, rates = numbers(128, 80), numbers(80, 70, seed=1), numbers(5, seed=2)
    f = fn.vmap(lambda rate, a, b: rate * (a @ b), in_dims=(0, None, None))
    assert_close(fn.jit(f, backend="native")(rates, a, b), f(rates, a, b), rtol=1e-12, atol=1e-12)


def test_an_infinite_column_stays_in_its_place(monkeypatch):
    """Vectors that reach past the last column must not bring in what lies there."""
    monkeypatch.setattr(blas, "wins", lambda: False)
    a, b = numbers(128, 90), numbers(90, 50, seed=1)
    b[3, 49] = torch.inf
    got, want = fn.jit(torch.mm, backend="native")(a, b), a @ b
    assert_close(got[:, :49], want[:, :49], rtol=1e-12, atol=1e-12)
    assert torch.equal(got[:, 49].isfinite(), want[:, 49].isfinite())


def test_blas_is_taken_where_it_wins(monkeypatch):
    monkeypatch.setattr(blas, "_on_amd", lambda: True)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    ways = {}
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        ways[threads] = blas.wins()
    assert ways == {1: False, 2: False, 3: True}
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(blas, "_on_amd", lambda: False)
    assert blas.wins()
