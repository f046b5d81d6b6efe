"""Factorisations and linear systems in native kernels, without and with lanes: values, errors, derivatives, sizes.

References are torch's in float64; the native kernels have the backward errors of LAPACK.
"""

import pytest
import torch
from torch import Tensor, linalg

import funcnet as fn
from funcnet.compiler import jit

UPPER, UNIT = {"upper": True}, {"upper": False, "unitriangular": True}
FACTORS = {
    "cholesky": lambda p, a, b: linalg.cholesky_ex(p).L,
    "cholesky upper": lambda p, a, b: linalg.cholesky_ex(p, upper=True).L,
    "cholesky_inverse": lambda p, a, b: torch.cholesky_inverse(linalg.cholesky(p)),
    "lu_factor": lambda p, a, b: linalg.lu_factor(a).LU,
    "pivots": lambda p, a, b: linalg.lu_factor(a).pivots,
    "lu": lambda p, a, b: torch.cat([x.flatten() for x in linalg.lu(b)]),
    "det": lambda p, a, b: linalg.det(a / 4),
    "slogdet": lambda p, a, b: torch.stack(linalg.slogdet(a)),
}
SYSTEMS = {
    "solve": lambda p, a, b: linalg.solve(a, b),
    "solve a vector": lambda p, a, b: linalg.solve(a, b[:, 0]),
    "solve from the right": lambda p, a, b: linalg.solve(a, b.mT, left=False),
    "inv": lambda p, a, b: linalg.inv(a),
    "lu_solve": lambda p, a, b: linalg.lu_solve(*linalg.lu_factor(a), b, adjoint=True),
    "lu_solve from the right": lambda p, a, b: linalg.lu_solve(*linalg.lu_factor(a), b.mT, adjoint=True, left=False),
    "cholesky_solve": lambda p, a, b: torch.cholesky_solve(b, linalg.cholesky(p)),
    "cholesky_solve upper": lambda p, a, b: torch.cholesky_solve(b[:, :1], linalg.cholesky(p, upper=True), upper=True),
    "solve_triangular": lambda p, a, b: linalg.solve_triangular(p, b, upper=False),
    "solve_triangular upper": lambda p, a, b: linalg.solve_triangular(p, b, **UPPER),
    "solve_triangular of a vector": lambda p, a, b: linalg.solve_triangular(p, b[:, :1], upper=False),
    "solve_triangular of a vector, upper": lambda p, a, b: linalg.solve_triangular(p.mT, b[:, :1], **UPPER),
    "solve_triangular from the right": lambda p, a, b: linalg.solve_triangular(p, b.mT, left=False, **UPPER),
    "solve_triangular unit": lambda p, a, b: linalg.solve_triangular(a / 40, b, **UNIT),
    "triangular_solve": lambda p, a, b: torch.triangular_solve(b, p, upper=False, transpose=True)[0],
}
ALL = FACTORS | SYSTEMS
LANES = 5
pytestmark = pytest.mark.filterwarnings("ignore:torch.triangular_solve is deprecated:UserWarning")


def matrices(n: int, dtype: torch.dtype, columns: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Return lanes of symmetric positive definite matrices, of general ones, and of right-hand sides."""
    draw = torch.Generator().manual_seed(n)
    a, b = (torch.randn(LANES, n, m, generator=draw, dtype=torch.float64) for m in (n, columns))
    p = a @ a.mT / max(n, 1) + torch.eye(n)
    return p.to(dtype), (a + 2 * n**0.5 * torch.eye(n).roll(1, 0)).to(dtype), b.to(dtype)


def assert_near(got: Tensor, want: Tensor, n: int) -> None:
    """Compare with a reference of float64."""
    bound = 40 * n * torch.finfo(got.dtype).eps if got.is_floating_point() else 0
    torch.testing.assert_close(got.to(want.dtype), want, rtol=bound, atol=bound * max(1, want.abs().max().item()))


def check(n: int, dtype: torch.dtype, names: tuple[str, ...]) -> None:
    def every(p: Tensor, a: Tensor, b: Tensor) -> list[Tensor]:
        return [ALL[name](p, a, b) for name in names]

    given = matrices(n, dtype)
    exact = [every(*(x[i].double() for x in given)) for i in range(LANES)]
    for got, want in zip(jit(every, backend="native")(*(x[0] for x in given)), exact[0], strict=True):
        assert_near(got, want, n)
    for got, *want in zip(jit(fn.vmap(every), backend="native")(*given), *exact, strict=True):
        assert_near(got, torch.stack(want), n)


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)])
def test_values_without_and_with_lanes(dtype: torch.dtype) -> None:
    check(3, dtype, ("cholesky_inverse", "slogdet", "lu_solve", "solve_triangular upper"))


@pytest.mark.slow
@pytest.mark.parametrize("n, dtype", [(1, 64), (2, 32), (5, 64), (17, 32)])
def test_values_of_all_functions(n: int, dtype: int) -> None:
    check(n, getattr(torch, f"float{dtype}"), (*ALL,))


def residuals(p: Tensor, a: Tensor, b: Tensor) -> dict[str, Tensor]:
    """Return relative backward errors, computed in float64."""
    f = jit(lambda p, a, b: {name: f(p, a, b) for name, f in SELECTED.items()}, backend="native")
    got = {name: x.double() for name, x in f(p, a, b).items()}
    pivots = jit(lambda a: linalg.lu_factor(a).pivots, backend="native")(a)
    p, a, b = p.double(), a.double(), b.double()
    lower, lu = got["cholesky"], torch.lu_unpack(got["lu_factor"], pivots)
    return {
        "cholesky": relative(lower @ lower.mT - p, p),
        "lu": relative(lu[0].double() @ lu[1] @ lu[2] - a, a),
        "solve": relative(a @ got["solve"] - b, a, got["solve"]),
        "inv": relative(a @ got["inv"] - torch.eye(len(a)), a, got["inv"]),
        **{
            name: relative(p.tril() @ got[name] - b[:, : got[name].shape[-1]], p, got[name])
            for name in ("solve_triangular", "solve_triangular of a vector")
        },
    }


SELECTED = {
    name: ALL[name]
    for name in ("cholesky", "lu_factor", "solve", "inv", "solve_triangular", "solve_triangular of a vector")
}


def relative(error: Tensor, *factors: Tensor) -> Tensor:
    return error.norm() / torch.stack([x.norm() for x in factors]).prod()


@pytest.mark.parametrize(
    "n, dtype",
    [
        (70, torch.float64),
        *(
            pytest.param(n, dtype, marks=pytest.mark.slow)
            for n, dtype in ((70, torch.float32), (33, torch.float32), (300, torch.float32), (300, torch.float64))
        ),
    ],
)
def test_backward_errors_of_blocked_code(n: int, dtype: torch.dtype) -> None:
    p, a, b = (x[0] for x in matrices(n, dtype, n // 2))
    for name, error in residuals(p, a, b).items():
        assert error < 4 * n**0.5 * torch.finfo(dtype).eps, name


def test_one_triangle_for_all_lanes_and_one_right_hand_side_for_all_lanes() -> None:
    p, a, b = matrices(5, torch.float64)

    def f(p: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return linalg.solve_triangular(p, b, upper=True) + linalg.lu_solve(*linalg.lu_factor(a), b)

    for in_dims in ((None, None, 0), (0, 0, None), (None, 0, 0)):
        given = [x[1] if dim is None else x for x, dim in zip((p, a, b), in_dims, strict=True)]
        got = jit(fn.vmap(f, in_dims), backend="native")(*given)
        want = [f(*(x[1 if dim is None else i] for x, dim in zip((p, a, b), in_dims, strict=True))) for i in range(5)]
        torch.testing.assert_close(got, torch.stack(want), rtol=1e-12, atol=1e-12)


def test_batches_broadcast_and_may_be_empty() -> None:
    p, a, b = matrices(5, torch.float64)

    def f(p: Tensor, a: Tensor, b: Tensor) -> list[Tensor]:
        shared = b[:, None].expand(-1, 2, -1, -1)
        return [
            linalg.cholesky(p),
            linalg.solve(a, b[0]),
            linalg.solve_triangular(p[0], shared, upper=False),
            torch.cholesky_solve(b[0], linalg.cholesky(p)),
            linalg.slogdet(a)[1],
            linalg.inv(a[:0]),
            linalg.solve(a[0, :0, :0], b[0, :0]),
            linalg.det(a[:, :0, :0]),
            linalg.inv(a[0, :0, :0]),
            linalg.solve(a, b[..., :0]),
            *linalg.lu(torch.cat([b, b], 1)),
            *linalg.lu(b.mT),
        ]

    for got, want in zip(jit(f, backend="native")(p, a, b), f(p, a, b), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


def likelihood(scale: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the negative log likelihood of a Gaussian process."""
    lower = linalg.cholesky(torch.exp(-scale * (x[:, None] - x).square()) + 0.1 * torch.eye(len(x), dtype=x.dtype))
    return 0.5 * y @ torch.cholesky_solve(y[:, None], lower)[:, 0] + lower.diagonal().log().sum()


def kalman(scale: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the log likelihood of a linear state space model."""
    move, read = torch.eye(2, dtype=x.dtype) + scale * torch.ones(2, 2, dtype=x.dtype) / 4, x[:4].reshape(2, 2)

    def step(carry: tuple[Tensor, Tensor], y: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        mean, cov = move @ carry[0], move @ carry[1] @ move.mT + torch.eye(2, dtype=x.dtype)
        spread = read @ cov @ read.mT + torch.eye(2, dtype=x.dtype)
        gain, error = linalg.solve(spread, read @ cov).mT, y - read @ mean
        value = error @ linalg.solve(spread, error) + linalg.slogdet(spread)[1]
        return (mean + gain @ error, cov - gain @ read @ cov), value

    start = torch.zeros(2, dtype=x.dtype), torch.eye(2, dtype=x.dtype)
    return fn.scan(step, start, y[:6].reshape(3, 2))[1].sum()


@pytest.mark.parametrize("f", [likelihood, pytest.param(kalman, marks=pytest.mark.slow)])
def test_likelihoods_with_gradients_are_one_kernel(f) -> None:
    x, y = torch.linspace(0, 1, 12, dtype=torch.float64), torch.linspace(0, 9, 12, dtype=torch.float64).sin()
    both, scales = fn.value_and_grad(f), torch.tensor([0.5, 2.0], dtype=torch.float64)
    alone, lanes = jit(both), jit(fn.vmap(both, (0, None, None)))
    assert alone.explain(scales[0], x, y).backend == lanes.explain(scales, x, y).backend == "native"
    eps = 1e-6
    for i, (value, slope) in enumerate(zip(*lanes(scales, x, y), strict=True)):
        torch.testing.assert_close((value, slope), alone(scales[i], x, y), rtol=1e-10, atol=1e-10)
        assert abs(value - f(scales[i], x, y)) < 1e-10
        ends = f(scales[i] + eps, x, y), f(scales[i] - eps, x, y)
        assert abs(slope - (ends[0] - ends[1]) / (2 * eps)) < 1e-6


DERIVATIVES = {
    name: ALL[name] for name in ("cholesky", "cholesky_inverse", "lu_factor", "slogdet", "solve", "inv", "lu_solve")
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*DERIVATIVES, "det"])
def test_derivatives_are_native_and_equal_eager_ones(name: str) -> None:
    p, a, b = (x[0] for x in matrices(4, torch.float64))
    f = ALL[name]
    for transform in (fn.grad, fn.jacfwd):
        g = transform(lambda x, f=f: f(p + x, a + x, b).sin().sum())
        compiled = jit(g)
        torch.testing.assert_close(compiled(p / 9), g(p / 9), rtol=1e-9, atol=1e-9)
        if (name, transform) != ("det", fn.grad):  # torch's derivative uses singular values
            assert compiled.explain(p / 9).backend == "native"


def test_the_error_in_a_batch_names_the_first_matrix_and_step_that_fail() -> None:
    p, _, _ = matrices(3, torch.float64)
    p[2, 1, 1] = p[3, 0, 0] = -1.0
    f = jit(lambda x: linalg.cholesky(x.reshape(5, 1, 3, 3)), backend="native")
    with pytest.raises(linalg.LinAlgError, match=r"\(Batch element 2\).*order 2"):
        f(p)
    torch.testing.assert_close(f(p[[0, 1, 4, 0, 1]])[2, 0], linalg.cholesky(p[4]))
