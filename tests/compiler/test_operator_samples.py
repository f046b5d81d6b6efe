"""Regression tests of operators for which samples of torch's own tests found errors, each against eager torch."""

import pytest
import torch
import torch.nn.functional as F
from backends import FLOATS, QUICK, rand, same, whole

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.errors import StagingError


def lanes(f, *args, backend):
    """Compare a jitted vmap with a loop, within a few ulp."""
    want = torch.stack([f(*each) for each in zip(*args, strict=True)])
    same(jit(fn.vmap(f), backend=backend)(*args), want, ["lanes"], 4)


def strided(x):
    """Return the numbers of x with a stride of more than 1."""
    return torch.stack([x, x + 1], -1)[..., 0]


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_a_replayed_embedding_bag_reads_strided_indices(mode):
    table, ids = rand(10, 4), strided(whole(5, 6).long() % 9)
    f = lambda table, ids: F.embedding_bag(ids, table, mode=mode)  # noqa: E731
    same(jit(f)(table, ids), f(table, ids), [mode], 4)
    gradient = fn.grad(lambda table: f(table, ids).square().sum())
    same(jit(gradient)(table), gradient(table), [f"gradient of {mode}"], 4)


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0])
def test_a_replayed_pdist_reads_strided_rows(p):
    x = rand(4, 5).mT
    f = lambda x: F.pdist(x, p)  # noqa: E731
    same(jit(f)(x), f(x), [f"p = {p}"], 4)


@pytest.mark.parametrize("backend", QUICK)
def test_one_row_by_a_0d_index_in_lanes(backend):
    table, index = rand(3, 10, 4), torch.tensor([1, 9, 0])
    lanes(lambda table, i: torch.index_select(table, 0, i), table, index, backend=backend)
    lanes(lambda table, i: F.embedding(i, table), table, index, backend=backend)


@pytest.mark.parametrize("backend", QUICK)
@pytest.mark.parametrize("shape", [(), (3,), (2, 0)])
def test_take_and_put_by_indices_of_any_shape(shape, backend):
    x, index = rand(2, 3), whole(*shape).long() % 6 - 6
    same(jit(torch.take, backend=backend)(x, index), torch.take(x, index), ["take"])
    for accumulate in (False, True) if shape else (False,):
        put = lambda x, i, v, accumulate=accumulate: torch.put(x, i, v, accumulate)  # noqa: E731
        values = x.new_ones(shape)
        same(jit(put, backend=backend)(x, index, values), put(x, index, values), [f"put, {accumulate}"])
    gradient = fn.grad(lambda x: torch.take(x, index).square().sum())
    same(jit(gradient, backend=backend)(x), gradient(x), ["gradient"])


@pytest.mark.parametrize("dtype", [*FLOATS, torch.int64, torch.int32])
def test_addbmm_keeps_its_dtype_in_lanes(dtype):
    x, a, b = whole(3, 2, 4, dtype=dtype), whole(3, 5, 2, 3, dtype=dtype), whole(3, 5, 3, 4, dtype=dtype)
    lanes(torch.addbmm, x, a, b, backend="auto")
    lanes(lambda x, a, b: torch.addbmm(x, a, b, beta=0.5, alpha=2.0), x, a, b, backend="auto")


@pytest.mark.parametrize("beta, alpha", [(0.5, 2.7), (-1.5, 0.9)])
def test_products_of_integers_truncate_their_factors(beta, alpha):
    a, b = whole(2, 3, dtype=torch.int64), whole(3, 4, dtype=torch.int64)
    calls = {
        "addmm": (torch.addmm, whole(2, 4), a, b),
        "addmv": (torch.addmv, whole(2), a, b[:, 0]),
        "addbmm": (torch.addbmm, whole(2, 4), a[None], b[None]),
        "baddbmm": (torch.baddbmm, whole(1, 2, 4), a[None], b[None]),
    }
    for name, (f, x, *factors) in calls.items():
        run = lambda *args, f=f: f(*args, beta=beta, alpha=alpha)  # noqa: E731
        same(jit(run)(x.long(), *factors), run(x.long(), *factors), [name])


def test_addbmm_of_unequal_numbers_of_matrices_is_an_error():
    with pytest.raises(RuntimeError, match="equal numbers of matrices, got 4 and 5"):
        jit(torch.addbmm)(rand(2, 4), rand(4, 2, 3), rand(5, 3, 4))


def test_memory_formats_in_lanes():
    x = rand(3, 2, 3, 4, 5)
    lanes(lambda x: x.to(torch.float64, memory_format=torch.channels_last) + 1, x, backend="eager")


def test_a_copy_by_strides_of_an_argument_is_refused_as_the_view_is():
    f = lambda x: torch.as_strided_copy(x, (2, 2), (1, 2))  # noqa: E731
    with pytest.raises(StagingError, match="as_strided depends on the memory layout"):
        jit(f)(rand(3, 3))
    g = lambda x: torch.as_strided_copy(x + 1, (2, 2), (1, 2), 1)  # noqa: E731
    same(jit(g)(rand(3, 3)), g(rand(3, 3)), ["as_strided_copy"])


def test_an_operation_that_returns_results_and_writes_is_refused_by_name():
    ones, zeros = torch.ones(3), torch.zeros(3)
    f = lambda x: torch.ops.aten._batch_norm_with_update(x, ones, zeros, zeros, ones, 0.1, 1e-5)[0]  # noqa: E731
    with pytest.raises(StagingError, match="_batch_norm_with_update.* has no functional variant"):
        jit(f)(rand(4, 3))
