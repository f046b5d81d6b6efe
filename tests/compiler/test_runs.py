"""Whole training runs equal eager ones on every backend; native runs are the same in every lane, and interruptible.

The backends sum in different orders and so round differently: only native lanes are compared bit for bit.
"""

from itertools import pairwise

import pytest
import torch
from backends import BACKENDS, rows
from programs import GATES, POINTS, logits, train
from stages import text
from torch import Tensor

import funcnet as fn
from funcnet import losses
from funcnet.compiler import jit
from funcnet.compiler.tracing.spec import spec_of
from funcnet.compiler.tracing.trace import trace
from funcnet.control_flow.scan import scan


def weights(sizes: list[int], dtype: torch.dtype, lanes: int | None = None) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    front = () if lanes is None else (lanes,)
    return [
        {
            "w": torch.randn(*front, a, b, generator=generator, dtype=torch.float64).to(dtype),
            "b": torch.randn(*front, b, generator=generator, dtype=torch.float64).to(dtype),
        }
        for a, b in pairwise(sizes)
    ]


def loss(params, x: Tensor, y: Tensor) -> Tensor:
    return losses.sigmoid_binary_cross_entropy(logits(params, x), y).mean()


def run(params, *, length: int = 100, learning_rate: float | Tensor = 1.0):
    dtype = params[0]["w"].dtype
    return train(lambda params: loss(params, POINTS.to(dtype), GATES["xor"].to(dtype)), params, length, learning_rate)


SIZES = ([2, 2, 1], [2, 10, 10, 10, 1])
BOUNDS = {torch.float32: 2e-5, torch.float64: 1e-10}  # 100 steps amplify rounding
FEW = [(SIZES[0], torch.float64), (SIZES[1], torch.float32)]


@pytest.mark.parametrize("sizes, dtype, backend", rows(SIZES, BOUNDS, inductor=FEW))
def test_a_run_equals_the_eager_one(sizes: list[int], dtype: torch.dtype, backend: str) -> None:
    params, bound = weights(sizes, dtype), BOUNDS[dtype]
    f = lambda params: run(params, length=100 if dtype == torch.float64 else 10)  # noqa: E731
    got, want = jit(f, backend=backend)(params), f(params)
    assert fn.tree.structure(got) == fn.tree.structure(want)
    for a, b in zip(fn.tree.leaves(got), fn.tree.leaves(want), strict=True):
        torch.testing.assert_close(a, b, rtol=bound, atol=bound)


@pytest.mark.parametrize("sizes", [SIZES[0], *(pytest.param(sizes, marks=pytest.mark.slow) for sizes in SIZES[1:])])
@pytest.mark.parametrize("dtype, bound", [(torch.float32, 2e-5), (torch.float64, 1e-12)])
def test_a_lane_is_the_same_bit_for_bit_wherever_it_is(sizes: list[int], dtype: torch.dtype, bound: float) -> None:
    params = weights(sizes, dtype, lanes=37)
    f = jit(fn.vmap(run), backend="native")
    every = f(params)
    for chosen in (slice(5, 6), slice(5, 22), slice(36, 37)):
        some = f(fn.tree.map(lambda p, chosen=chosen: p[chosen], params))
        for a, b in zip(fn.tree.leaves(some), fn.tree.leaves(every), strict=True):
            assert torch.equal(a, b[chosen])
    single = jit(run, backend="native")(fn.tree.map(lambda p: p[5], params))
    for a, b in zip(fn.tree.leaves(single), fn.tree.leaves(every), strict=True):
        torch.testing.assert_close(a, b[5], rtol=bound, atol=bound)


def test_lanes_do_not_depend_on_the_number_of_threads() -> None:
    params = weights([2, 2, 1], torch.float32, lanes=100)
    f = jit(fn.vmap(lambda p: run(p, length=3000)), backend="native")
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(fn.tree.leaves(f(params)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_sweep_over_a_shared_start(backend: str) -> None:
    params, rates = weights([2, 2, 1], torch.float64), torch.tensor([0.1, 1.0, 3.0], dtype=torch.float64)
    f = lambda params, rate: run(params, learning_rate=rate)[1]  # noqa: E731
    got = jit(fn.vmap(f, in_dims=(None, 0)), backend=backend)(params, rates)
    want = torch.stack([f(params, rate) for rate in rates])
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
    got = jit(fn.vmap(f, in_dims=(None, 0), out_dims=1), backend=backend)(params, rates)
    torch.testing.assert_close(got, want.t(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nested_scans_record_every_hundredth_loss(backend: str) -> None:
    def thinned(params):
        def outer(params, _):
            params, values = run(params, length=10)
            return params, values[-1]

        return scan(outer, params, length=12)

    params = weights([2, 2, 1], torch.float64)
    got, want = jit(thinned, backend=backend)(params), run(params, length=120)
    torch.testing.assert_close(got[1], want[1][9::10], rtol=1e-12, atol=1e-12)
    lanes = jit(fn.vmap(thinned), backend=backend)(fn.tree.map(lambda p: torch.stack([p, p]), params))
    torch.testing.assert_close(lanes[1][1], want[1][9::10], rtol=1e-12, atol=1e-12)


CARRIES = {
    "swap": lambda c, x: ((c[1], c[0]), c[0]),
    "rotate": lambda c, x: ((c[1], c[0] + x), c[1] * 1),
    "transpose": lambda c, x: ((c[0].t() + c[1], c[1] * 2), c[0]),
    "itself": lambda c, x: ((c[0], c[1] + 1), c[0] + c[1]),
    "same": lambda c, x: ((c[0] + 1, c[0] + 1), x),
    "constant": lambda c, x: ((torch.ones_like(c[0]), c[0]), c[1]),
    "slice": lambda c, x: ((torch.cat([c[0][1:], x[None]]), c[1] + c[0][:1]), c[0][0]),
    "gather": lambda c, x: ((c[0][torch.tensor([2, 0, 1])] + 1, c[1]), c[0][0]),
    "sum": lambda c, x: ((c[0] + c[0].sum(), c[1] - c[0].mean(0)), c[1].sum()),
    "matrix": lambda c, x: ((c[0] @ c[1] * 0.1, c[1] + c[0]), c[0].sum(1)),
    "shadow": lambda c, x: ((c[1].flip(0), c[0].flip(1) + x), c[0] * c[1]),
}


COMPILED = [("transpose", 5, False), ("matrix", 5, False), ("slice", 5, True), ("swap", 0, False)]


@pytest.mark.few(20)
@pytest.mark.parametrize("name, length, lanes, backend", rows(CARRIES, (0, 1, 5), (False, True), inductor=COMPILED))
def test_carries_that_read_each_other(name: str, length: int, lanes: bool, backend: str) -> None:
    f = lambda a, b, xs: scan(CARRIES[name], (a, b), xs)  # noqa: E731
    generator = torch.Generator().manual_seed(0)
    a, b, xs = (torch.randn(s, generator=generator) for s in ((3, 3), (3, 3), (length, 3)))
    got, want = jit(f, backend=backend)(a, b, xs), f(a, b, xs)
    if lanes:
        shift = lambda x: torch.stack([x, x + 1, x - 2])  # noqa: E731
        got = jit(fn.vmap(f, in_dims=(0, None, None)), backend=backend)(shift(a), b, xs)
        want = fn.tree.map(lambda *r: torch.stack(r), *(f(one, b, xs) for one in shift(a)))
    for x, y in zip(fn.tree.leaves(got), fn.tree.leaves(want), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_carries_that_shift_and_start_as_one_tensor(backend: str) -> None:
    def f(xs: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        return scan(lambda c, x: ((*c[1:], x * 2), c[0] @ c[9]), (torch.zeros(3, 3),) * 9 + (xs[0].t(),), xs)

    xs = torch.arange(108.0).reshape(12, 3, 3)
    assert fn.tree.equal(jit(f, backend=backend)(xs), f(xs))


@pytest.mark.parametrize("unroll", [1, 2, 3, 10**9])
def test_unrolling_does_not_change_a_bit(unroll: int) -> None:
    f = lambda c, xs, unroll=1: scan(lambda c, x: ((c * x).sin(), c), c, xs, unroll=unroll)  # noqa: E731
    c, xs = torch.linspace(-1, 1, 5), torch.linspace(1, 2, 35).reshape(7, 5)
    for got, want in zip(jit(f, backend="native")(c, xs, unroll=unroll), jit(f)(c, xs), strict=True):
        assert torch.equal(got, want)
    program = trace(lambda t: f(*t, unroll=unroll), [spec_of(c), spec_of(xs)])
    assert (f"UNROLL({min(unroll, 1024)})\n" in text(program, vector=64)) == (unroll > 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_lanes_last_in_memory_come_out_in_order(backend: str) -> None:
    x = torch.arange(60.0).reshape(3, 20)
    assert torch.equal(jit(fn.vmap(lambda r: r * 2, in_dims=1), backend=backend)(x), (x * 2).t())
    assert torch.equal(jit(fn.vmap(lambda r: r > 9, in_dims=1, out_dims=1), backend=backend)(x), x > 9)
    assert torch.equal(jit(fn.vmap(lambda r: r * 2), backend=backend)(x.t()[::2]), (x.t() * 2)[::2])


@pytest.mark.parametrize("backend", BACKENDS)
def test_zero_lanes(backend: str) -> None:
    assert jit(fn.vmap(lambda r: r * 2), backend=backend)(torch.zeros(0, 3)).shape == (0, 3)
    assert jit(fn.vmap(lambda r: 2 * r.sum() + r), backend=backend)(torch.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows, more, columns", [(2, 1, 4), (2, 2, 8), (4, 1, 4), (1, 1, 8), (3, 2, 16)])
def test_part_of_a_join_is_read_as_it_was_written(rows, more, columns, dtype):
    """A vector of one store is read as vectors of half its width next to another store, which gcc 12 miscompiled."""

    def f(x, y, w):
        doubled = x * 2
        joined = torch.cat([doubled * ((doubled @ w) @ w.T), y])
        return joined[:rows] @ w, joined[more:] @ w

    x, y, w = (
        fn.random.normal(fn.random.key(1), shape, dtype) for shape in ((rows, columns), (more, columns), (columns, 2))
    )
    assert fn.tree.allclose(fn.jit(f, backend="native")(x, y, w), f(x, y, w), rtol=1e-5, atol=1e-5)
