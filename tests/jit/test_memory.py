"""The memory of a run, as `explain` estimates it."""

import pytest
import torch

import funcnet as fn


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def f(x):
    return (x * 2).sin().sum()


def test_values_that_are_alive_at_once():
    x = torch.zeros(1_000_000)
    assert fn.jit(f, backend="eager").explain(x).memory == 8_000_000  # 2 x and its sine
    assert fn.jit(lambda x: x * 2, backend="eager").explain(x).memory == 4_000_000
    assert fn.jit(f, backend="native").explain(x).memory < 100_000  # one loop without temporaries


def test_blocks_of_branches_and_loops():
    x = torch.zeros(1000)
    loop = fn.jit(lambda x: fn.scan(lambda c, _: (c.sin().exp() + 1, c.sum()), x, length=5), backend="eager")
    assert loop.explain(x).memory == 4000 + 5 * 4 + 2 * 4000  # the results, and two values of a step


def test_an_ensemble_needs_memory_for_results_and_one_block():
    train = lambda w: fn.scan(lambda w, _: (w - 0.1 * torch.tanh(w @ w.T) @ w, None), w, length=3)[0]  # noqa: E731
    jitted, sizes = fn.jit(fn.vmap(train), backend="native"), (256, 4096)
    small, large = (jitted.explain(torch.zeros(n, 5, 5)).memory for n in sizes)
    assert large - small == (4096 - 256) * 25 * 4 and small < 256 * 25 * 4 + 100_000


def test_chunks_need_memory_for_one_chunk():
    x = torch.zeros(64, 1000)
    whole, chunks = (fn.jit(fn.vmap(f, chunk_size=n), backend="eager").explain(x).memory for n in (None, 8))
    assert whole == 64 * 8000 and chunks == 8 * 8000 + (64 - 8) * 4
    assert torch.equal(fn.jit(fn.vmap(f, chunk_size=8))(x), fn.jit(fn.vmap(f))(x))
