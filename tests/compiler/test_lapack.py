"""LAPACK in native kernels: results have the bits of torch's, in batches, loops and lanes; errors and derivatives."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from backends import use_threads
from torch import Tensor, linalg

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.native import lapack
from funcnet.compiler.native.target import Target

VECTORS = {
    "eigh": lambda x: linalg.eigh(square(x)),
    "eigh of the upper triangle": lambda x: linalg.eigh(square(x), "U"),
    "svd": linalg.svd,
    "svd of rank": lambda x: linalg.svd(x, full_matrices=False),
    "qr": linalg.qr,
    "complete qr": lambda x: linalg.qr(x, "complete"),
    "geqrf": torch.geqrf,
    "householder_product": lambda x: (linalg.householder_product(tall(x), 1 / (2 + tall(x)[..., 0, :].square())),),
}
ALONE = {  # in programs of their own: next to the vectors, these results are those of the same operation
    "eigvalsh": lambda x: (linalg.eigvalsh(square(x)),),
    "svdvals": lambda x: (linalg.svdvals(x),),
    "triangle of qr": lambda x: (linalg.qr(x)[1],),
}
SHAPES = [(3, 3), (5, 1, 1), (3, 4, 2), (2, 3, 2, 5)]
pytestmark = pytest.mark.skipif(not lapack.has(torch.float32), reason="torch's LAPACK has other names here")


def square(x: Tensor) -> Tensor:
    n = min(x.shape[-2:])
    return x[..., :n, :n]


def tall(x: Tensor) -> Tensor:
    return x if x.shape[-2] >= x.shape[-1] else x.mT


def numbers(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def check(x: Tensor, functions: dict[str, Callable[[Tensor], tuple[Tensor, ...]]]) -> None:
    def every(x: Tensor) -> list[Tensor]:
        return [result for f in functions.values() for result in f(x)]

    compiled, want = jit(every, backend="native"), every(x)
    assert not compiled.explain(x).calls
    assert all(map(torch.equal, compiled(x), want))
    if x.ndim == 3:
        assert all(map(torch.equal, jit(fn.vmap(every), backend="native")(x), want))


def test_results_have_the_bits_of_torch() -> None:
    check(numbers(3, 4, 2), VECTORS)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [*SHAPES, (20, 20), (9, 40, 23), (3, 70, 70)])
def test_results_of_all_shapes_have_the_bits_of_torch(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    with use_threads(1):  # which torch uses more of for large matrices, with other bits
        check(numbers(*shape, dtype=dtype), VECTORS)
        check(numbers(*shape, dtype=dtype), ALONE)


def test_a_loop_calls_lapack_directly() -> None:
    def power(x: Tensor) -> Tensor:
        return fn.scan(lambda x, _: (linalg.qr(x @ x)[0] + x.mT, None), x, length=5)[0]

    x = numbers(3, 3)
    compiled = jit(power, backend="native")
    want = x
    for _ in range(5):
        want = linalg.qr(want @ want)[0] + want.mT
    torch.testing.assert_close(compiled(x), want)
    assert not compiled.explain(x).calls


def test_denormal_numbers_are_not_flushed() -> None:
    x = numbers(3, 3) * 1e-39
    assert all(map(torch.equal, jit(linalg.svd, backend="native")(x), linalg.svd(x)))


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3)])
def test_a_failure_raises_the_error_of_torch(shape: tuple[int, ...]) -> None:
    x = numbers(*shape)
    x[..., -1, -1] = torch.nan
    with pytest.raises(RuntimeError) as want:
        linalg.svd(x)
    with pytest.raises(type(want.value)) as got:
        jit(linalg.svd, backend="native")(x)
    assert str(got.value) == str(want.value)


def test_a_driver_is_the_error_of_torch() -> None:
    with pytest.raises(RuntimeError, match="driver"):
        jit(lambda x: linalg.svdvals(x, driver="gesvd"), backend="native")(numbers(3, 3))


def test_a_failure_in_a_lane_leaves_the_others() -> None:
    x = numbers(5, 3, 3)
    x[2, 0, 0] = torch.nan
    got, want = jit(fn.vmap(linalg.svdvals), backend="native")(x), linalg.svdvals(x[[0, 1, 3, 4]])
    assert torch.equal(got[[0, 1, 3, 4]], want) and got[2].isnan().all()


def loss(x: Tensor) -> Tensor:
    values, vectors = linalg.eigh(x @ x.mT + torch.diag(torch.arange(3, dtype=x.dtype)))
    q, r = linalg.qr(x)
    u, s, v = linalg.svd(x)
    return (values.sin() @ vectors.square()).sum() + (q.square() @ r).sin().sum() + ((u * s.sin()) @ v).cos().sum()


@pytest.mark.slow
def test_gradients_without_and_with_lanes() -> None:
    x = numbers(5, 3, 3, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    (want,) = torch.autograd.grad(sum(map(loss, leaf)), leaf)
    torch.testing.assert_close(jit(fn.grad(loss), backend="native")(x[0]), want[0])
    torch.testing.assert_close(jit(fn.vmap(fn.grad(loss)), backend="native")(x), want)


@pytest.mark.parametrize("change", [{"lapack": frozenset()}, {"lapack_size": 2}])
def test_torch_factors_large_matrices_and_those_without_lapack(
    change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = replace(Target.host(), **change)
    monkeypatch.setattr(Target, "host", lambda: target)
    x, compiled = numbers(3, 3), jit(lambda x: linalg.qr(x)[1] * 2, backend="native")
    assert torch.equal(compiled(x), linalg.qr(x)[1] * 2)
    assert [*compiled.explain(x).calls] == ["aten.linalg_qr.default"]


@pytest.mark.parametrize("f", [linalg.eigvals, lambda x: linalg.eig(x)[0]])
def test_eigenvalues_alone_need_no_eigenvectors(f: Callable[[Tensor], Tensor]) -> None:
    x, compiled = numbers(2, 4, 4), jit(f, backend="native")
    assert torch.equal(compiled(x), linalg.eigvals(x))
    assert [*compiled.explain(x).calls] == ["aten.linalg_eigvals.default"]


def test_empty_matrices() -> None:
    x = torch.zeros(2, 0, 3)
    q, r = jit(linalg.qr, backend="native")(x)
    assert (q.shape, r.shape) == ((2, 0, 0), (2, 0, 3))


INVERSES = {
    "default": lambda x: linalg.pinv(x),
    "relative tolerance": lambda x: linalg.pinv(x, rtol=0.5),
    "absolute tolerance": lambda x: linalg.pinv(x, atol=1.0),
    "both tolerances": lambda x: linalg.pinv(x, atol=torch.tensor(0.5), rtol=torch.tensor(0.1)),
    "symmetric": lambda x: linalg.pinv(x @ x.mT - 1, hermitian=True),
    "of low rank": lambda x: linalg.pinv(x[:, :2] @ x[:2]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", INVERSES)
def test_pseudo_inverses(name: str) -> None:
    f, x = INVERSES[name], numbers(4, 3, dtype=torch.float64)
    compiled = jit(f, backend="native")
    torch.testing.assert_close(compiled(x), f(x), rtol=1e-12, atol=1e-12)
    assert not compiled.explain(x).calls
    lanes = torch.stack([x, 2 * x])
    torch.testing.assert_close(jit(fn.vmap(f), backend="native")(lanes), torch.stack([f(x), f(2 * x)]))


def least(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    solution, _, rank, _ = linalg.lstsq(a, b)
    return solution, rank


SYSTEMS = [
    ((4, 3), (4, 2)),
    ((3, 4), (3, 2)),
    ((4, 4), (4,)),
    ((2, 5, 3), (2, 5, 1)),
    ((2, 5, 3), (2, 5)),
    ((1, 1), (1, 1)),
]


@pytest.mark.parametrize("shapes", [SYSTEMS[0], *(pytest.param(pair, marks=pytest.mark.slow) for pair in SYSTEMS[1:])])
def test_least_squares(shapes: tuple[tuple[int, ...], ...]) -> None:
    a, b = (numbers(*shape, dtype=torch.float64) for shape in shapes)
    if shapes == SYSTEMS[2]:
        a[3] = a[2]
    compiled, slopes = (jit(f, backend="native") for f in (least, fn.grad(lambda *args: least(*args)[0].sin().sum())))
    assert not compiled.explain(a, b).calls
    torch.testing.assert_close(compiled(a, b), least(a, b))
    if shapes != SYSTEMS[2]:
        leaf = a.clone().requires_grad_()
        torch.testing.assert_close(slopes(a, b), *torch.autograd.grad(least(leaf, b)[0].sin().sum(), leaf))


@pytest.mark.slow
def test_least_squares_in_lanes_and_of_nothing() -> None:
    a, b = numbers(5, 4, 3), numbers(5, 4, 2)
    torch.testing.assert_close(jit(fn.vmap(least), backend="native")(a, b), least(a, b))
    shared = jit(fn.vmap(lambda b: least(a[0], b)), backend="native")(b)
    torch.testing.assert_close(shared, tuple(map(torch.stack, zip(*(least(a[0], row) for row in b), strict=True))))
    assert jit(least)(a[:, :0], b[:, :0])[0].shape == (5, 3, 2)


def test_least_squares_of_nan() -> None:
    """torch raises an internal error."""
    a, b = numbers(4, 3), numbers(4, 2)
    compiled = jit(fn.vmap(least), backend="native")
    solutions, ranks = compiled(torch.stack([a, torch.nan * a, a]), torch.stack([b, b, torch.nan * b]))
    torch.testing.assert_close(solutions[0], least(a, b)[0])
    assert solutions[1:].isnan().all() and ranks.tolist() == [3, 0, 0]


@pytest.mark.slow
def test_least_squares_with_options() -> None:
    a, b = numbers(4, 3), numbers(4, 2)
    solve = jit(lambda a, b: [*linalg.lstsq(a, b, driver="gelsy")], backend="native")
    torch.testing.assert_close(solve(a, b), [*linalg.lstsq(a, b)])
    assert not solve.explain(a, b).calls
    assert jit(lambda a, b: linalg.lstsq(a, b, rcond=torch.inf)[2], backend="native")(a, b) == 1


@pytest.mark.parametrize("dtype", [torch.float64, pytest.param(torch.float32, marks=pytest.mark.slow)])
def test_exponentials_of_matrices(dtype: torch.dtype) -> None:
    sizes = (
        {1: (0.1, 9.0), 3: (1e-9, 0.3), 4: (1.0, 30.0), 20: (0.3, 10.0)} if dtype == torch.float64 else {5: (1.0, 9.0)}
    )
    x = [scale * numbers(n, n, dtype=dtype) / n**0.5 for n, scales in sizes.items() for scale in scales]
    compiled = jit(lambda x: [*map(linalg.matrix_exp, x)], backend="native")
    assert not compiled.explain(x).calls
    for got, matrix in zip(compiled(x), x, strict=True):
        want = linalg.matrix_exp(matrix.double())
        bound = 256 * torch.finfo(dtype).eps * max(1, matrix.norm().item())
        torch.testing.assert_close(got.double(), want, rtol=0, atol=bound * want.norm().item())


@pytest.mark.slow
def test_exponentials_in_lanes_and_their_gradients() -> None:
    f = fn.grad(lambda x: linalg.matrix_exp(x).sin().sum())
    x = numbers(5, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(jit(fn.vmap(f), backend="native")(x), torch.stack([*map(f, x)]))
    for special in (torch.zeros(2, 3, 3), -1e4 * torch.eye(2), torch.full((2, 2), torch.nan), torch.zeros(0, 0)):
        torch.testing.assert_close(jit(linalg.matrix_exp)(special), linalg.matrix_exp(special), equal_nan=True)
