"""The method of a product: tiles, vectors of columns, packed columns or BLAS."""

import pytest
import torch
from backends import rand, use_threads
from stages import loops
from torch.testing import assert_close

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.native import buffers, contractions, target
from funcnet.compiler.native.contract import Contract, Method
from funcnet.compiler.native.target import Target
from funcnet.compiler.tracing.spec import spec_of
from funcnet.compiler.tracing.trace import trace


@pytest.mark.parametrize(
    "rows, inner, columns, method",
    [
        (4, 5, 4, Method.TILES),
        (400, 50, 1, Method.TILES),
        (4, 5, 8, Method.WIDE),
        (1000, 200, 300, Method.WIDE),
        (3, 1000, 1000, Method.WIDE),
        (16, 1000, 1000, Method.PANELS),
    ],
)
def test_columns_of_a_large_right_matrix_are_packed_for_many_rows(rows, inner, columns, method) -> None:
    out, left, right = (
        buffers.whole(buffers.Buffer(torch.float32, m * n, varying=False), (m, n))
        for m, n in ((rows, columns), (rows, inner), (inner, columns))
    )
    assert contractions.best(Contract(out, left, right), Target(64)) is method
    wins = Target(64, gemm=frozenset({torch.float32}), gemm_wins=True)
    is_large = rows * inner * columns >= wins.large_product and columns > 1
    assert contractions.best(Contract(out, left, right), wins) is (Method.BLAS if is_large else method)


@pytest.mark.parametrize("size, method", [(20, Method.WIDE), (70, Method.PANELS)])
def test_columns_of_a_transposed_right_matrix_are_packed(size: int, method: Method, monkeypatch) -> None:
    monkeypatch.setattr(target, "wins", lambda: False)
    specs = [spec_of(torch.ones(size, size))] * 2
    found = loops(trace(lambda tensors: [tensors[0] @ tensors[1].T], specs)).statements
    assert [each.method for each in found if isinstance(each, Contract)] == [method]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(2, 100, 300), (17, 40, 70), (32, 33, 32)])
def test_few_rows_by_a_transposed_matrix_are_columns_of_the_transpose(
    size: tuple[int, int, int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "wins", lambda: False)
    rows, inner, columns = size
    a, b = rand(3, rows, inner, dtype=dtype), rand(columns, inner, dtype=dtype)
    f = lambda tensors: [tensors[0][1] @ tensors[1].T, torch.einsum("brk,ck->brc", *tensors)]  # noqa: E731
    found = [each for each in loops(trace(f, [spec_of(a), spec_of(b)])).statements if isinstance(each, Contract)]
    assert found[0].out.shape == (columns, rows)
    exchanged = jit(f, backend="native")([a, b])
    monkeypatch.setattr(contractions, "_is_flat", lambda *_: False)
    assert all(map(torch.equal, exchanged, jit(f, backend="native")([a, b])))
    for got, want in zip(exchanged, f([a.double(), b.double()]), strict=True):
        assert_close(got, want.to(dtype), rtol=0, atol=1e-4 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("shape", [(5, 1000, 64), (40, 300, 70)])
def test_long_sums_of_all_methods_are_equal(shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    rows, inner, columns = shape
    a, b = rand(rows, inner), rand(inner, columns, seed=1)
    found = []
    for method in (Method.WIDE, Method.PANELS):
        monkeypatch.setattr(contractions, "best", lambda *_, method=method: method)
        found.append(jit(torch.mm, backend="native")(a, b))
    assert torch.equal(*found)
    assert_close(found[0], (a.double() @ b.double()).float(), rtol=0, atol=1e-4)


def test_lanes_share_a_large_product(monkeypatch) -> None:
    monkeypatch.setattr(target, "wins", lambda: False)
    a, b, rates = rand(128, 80, dtype=torch.float64), rand(80, 70, dtype=torch.float64), rand(5, dtype=torch.float64)
    f = fn.vmap(lambda rate, a, b: rate * (a @ b), in_dims=(0, None, None))
    assert_close(jit(f, backend="native")(rates, a, b), f(rates, a, b), rtol=1e-12, atol=1e-12)


def test_blas_multiplies_by_a_transposed_matrix_without_a_copy(monkeypatch) -> None:
    monkeypatch.setattr(target, "wins", lambda: True)
    a, b = rand(32, 48, dtype=torch.float64), rand(40, 48, dtype=torch.float64)
    specs = [spec_of(a), spec_of(b)]
    (product, *_) = loops(trace(lambda tensors: [tensors[0] @ tensors[1].T], specs)).statements
    assert isinstance(product, Contract)
    assert product.method is Method.BLAS or torch.float64 not in target.Target.host().gemm
    assert_close(jit(lambda a, b: a @ b.T, backend="native")(a, b), a @ b.T, rtol=1e-12, atol=1e-12)


def test_a_product_by_blas_does_not_depend_on_the_number_of_threads() -> None:
    a, b = rand(65, 3000), rand(3000, 33)  # MKL adds up the terms of each thread on its own
    with use_threads(1):
        alone = fn.jit(torch.matmul, backend="native")(a, b)
    with use_threads(2):
        assert torch.equal(fn.jit(torch.matmul, backend="native")(a, b), alone)


def test_blas_is_used_where_it_is_faster(monkeypatch) -> None:
    monkeypatch.setattr(target, "_on_amd", lambda: True)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert not target.wins()
    monkeypatch.setattr(target, "_on_amd", lambda: False)
    assert target.wins()
