"""Linear algebra under vmap: derivatives of a batch equal those of a loop, at every nesting and in compiled programs.

torch's batching rule for lu_solve, which funcnet.transforms.linear_systems replaces, mixes up the matrices of a batch.
"""

import pytest
import torch
from torch import linalg

import funcnet as fn

pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
N = 3
SYMMETRIC = lambda a: a + a.mT  # noqa: E731
POSITIVE = lambda a: a @ a.mT + torch.eye(N, dtype=a.dtype)  # noqa: E731
RHS = torch.arange(1.0, 1 + N)

SOLVERS = {
    "slogdet": lambda a: linalg.slogdet(a)[1],
    "det": linalg.det,
    "logdet": lambda a: torch.logdet(POSITIVE(a)),
    "inv": lambda a: linalg.inv(a).sin().sum(),
    "inv_ex": lambda a: linalg.inv_ex(a)[0].sin().sum(),
    "solve vector": lambda a: linalg.solve(a, a[0].cos()).sin().sum(),
    "solve constant vector": lambda a: linalg.solve(a, RHS.to(a.dtype)).sin().sum(),
    "solve matrix": lambda a: linalg.solve(a, a[:, :2].cos()).sin().sum(),
    "solve square": lambda a: linalg.solve(a, a.T).sin().sum(),
    "solve from the right": lambda a: linalg.solve(a, a[:2].cos(), left=False).sin().sum(),
    "solve a batch": lambda a: linalg.solve(a, torch.stack([a, a.T])).sin().sum(),
    "solve one for a batch": lambda a: linalg.solve(torch.stack([a, a.T]), a).sin().sum(),
    "solve one vector for a batch": lambda a: linalg.solve(torch.stack([a, a.T]), a[0].cos()).sin().sum(),
    "solve a batch of vectors": lambda a: linalg.solve(torch.stack([a, a.T]), a[:2].cos()).sin().sum(),
    "solve_ex": lambda a: linalg.solve_ex(a, a[:, :2].cos())[0].sin().sum(),
    "tensorsolve": lambda a: linalg.tensorsolve(a, a[0].cos()).sin().sum(),
    "matrix_power": lambda a: linalg.matrix_power(a, -2).sin().sum(),
    "lu_solve": lambda a: linalg.lu_solve(*linalg.lu_factor(a), a[:, :2].cos()).sin().sum(),
    "lu_solve adjoint": lambda a: linalg.lu_solve(*linalg.lu_factor(a), a[:, :2], adjoint=True).sin().sum(),
    "lu_solve from the right": lambda a: linalg.lu_solve(*linalg.lu_factor(a), a[:2].cos(), left=False).sin().sum(),
}
OTHERS = {
    "cholesky": lambda a: linalg.cholesky(POSITIVE(a)).sin().sum(),
    "cholesky_solve": lambda a: torch.cholesky_solve(a[:, :2], linalg.cholesky(POSITIVE(a))).sin().sum(),
    "cholesky_inverse": lambda a: torch.cholesky_inverse(linalg.cholesky(POSITIVE(a))).sin().sum(),
    "cholesky_solve a batch": lambda a: (
        torch.cholesky_solve(torch.stack([a, a.T]), linalg.cholesky(POSITIVE(a))).sin().sum()
    ),
    "solve_triangular a batch": lambda a: (
        linalg.solve_triangular(a, torch.stack([a, a.T]).cos(), upper=True).sin().sum()
    ),
    "solve_triangular one for a batch": lambda a: (
        linalg.solve_triangular(torch.stack([a, a.T]), a[:, :2].cos(), upper=False).sin().sum()
    ),
    "lstsq a batch": lambda a: linalg.lstsq(torch.stack([a, a.T])[..., :2], torch.stack([a, a])).solution.sin().sum(),
    "cross": lambda a: linalg.cross(a, a[:1].sin()).sin().sum(),
    "solve_triangular": lambda a: linalg.solve_triangular(POSITIVE(a).triu(), a, upper=True).sin().sum(),
    "matrix_exp": lambda a: linalg.matrix_exp(a / 5).sin().sum(),
    "eigvalsh": lambda a: linalg.eigvalsh(SYMMETRIC(a)).sin().sum(),
    "eigh": lambda a: (linalg.eigh(SYMMETRIC(a))[1].square() @ RHS.to(a.dtype)).sin().sum(),
    "eigvals": lambda a: linalg.eigvals(a).abs().sum(),
    "pinv": lambda a: linalg.pinv(a[:, :2]).sin().sum(),
    "lstsq": lambda a: linalg.lstsq(a[:, :2], a[:, 2:]).solution.sin().sum(),
    "qr": lambda a: linalg.qr(a)[1].square().sin().sum(),
    "svdvals": lambda a: linalg.svdvals(a).sin().sum(),
    "svd": lambda a: (lambda u, s, v: ((u * s.sin()) @ v).cos().sum())(*linalg.svd(a)),
    "lu": lambda a: linalg.lu(a)[2].sin().sum(),
    "nuclear norm": lambda a: linalg.norm(a, "nuc"),
    "spectral norm": lambda a: linalg.matrix_norm(a, 2),
    "cond": linalg.cond,
    "multi_dot": lambda a: linalg.multi_dot([a, a.T, a]).sin().sum(),
    "householder_product": lambda a: linalg.householder_product(a / 5, a[0]).sin().sum(),
}
ALL = SOLVERS | OTHERS
TRANSFORMS = {
    "value": lambda f: f,
    "grad": fn.grad,
    "jacfwd": fn.jacfwd,
    "jacrev": fn.jacrev,
    "hvp": lambda f: lambda a: fn.hvp(f, a, a.cos()),
    "hessian": fn.hessian,
    "jacrev of jacrev": lambda f: fn.jacrev(fn.jacrev(f)),
    "jacfwd of jacfwd": lambda f: fn.jacfwd(fn.jacfwd(f)),
    "jacrev of jacfwd": lambda f: fn.jacrev(fn.jacfwd(f)),
}
QUICK = ("slogdet", "solve vector", "solve a batch", "cholesky_inverse")
SECOND = ("hessian", "jacrev of jacrev", "jacfwd of jacfwd", "jacrev of jacfwd")
EXACT = SOLVERS | {name: OTHERS[name] for name in ("cholesky_inverse", "householder_product", "pinv", "matrix_exp")}


def each(names):
    """Parametrise by name; most of the tests are slow."""
    return pytest.mark.parametrize(
        "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]
    )


def matrices(*batch, dtype=torch.float64):
    """Return random matrices whose LU factorisations have different row permutations."""
    a = torch.randn(*batch, N, N, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(batch)))
    return (a + 2 * torch.eye(N).roll(1, 0)).to(dtype)


def assert_equal(got, want, tolerance=1e-8):
    assert torch.isfinite(want).all()
    torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance * max(1.0, float(want.abs().max())))


@each(ALL)
def test_derivatives_of_a_batch_equal_those_of_a_loop(name):
    a = matrices(N)  # the batch has the size of the matrices, so that mixed-up axes would not raise an error
    for kind, transform in TRANSFORMS.items():
        f = transform(ALL[name])
        if (name, kind) != ("eigh", "jacrev of jacfwd"):  # NaN in torch, in the loop as well
            assert_equal(fn.vmap(f)(a), torch.stack([f(one) for one in a]))


@each(EXACT)
def test_hessians_equal_finite_differences(name):
    a, eps = matrices(4), 1e-5
    gradient = fn.vmap(fn.grad(EXACT[name]))
    columns = [(gradient(a + step) - gradient(a - step)) / (2 * eps) for step in eps * torch.eye(9).reshape(9, 3, 3)]
    want = torch.stack(columns, -1).reshape(4, N, N, N, N)
    for kind in SECOND:
        assert_equal(fn.vmap(TRANSFORMS[kind](EXACT[name]))(a), want, 1e-5)


@each(SOLVERS)
def test_nested_vmaps_and_vmaps_inside_a_gradient(name):
    f, a = SOLVERS[name], matrices(2, N)
    flat = a.flatten(0, 1)
    for transform in (fn.grad, fn.jacfwd, fn.hessian):
        want = torch.stack([transform(f)(one) for one in flat]).unflatten(0, (2, N))
        assert_equal(fn.vmap(fn.vmap(transform(f)))(a), want)
        assert_equal(fn.vmap(fn.vmap(transform(f), 1, 1), 0, 0)(a.movedim(1, 2)), want.movedim(1, 2))
    total = fn.grad(lambda a: fn.vmap(fn.vmap(f))(a).sum())(a)
    assert_equal(total, torch.stack([fn.grad(f)(one) for one in flat]).reshape(a.shape))
    twice = fn.grad(lambda a: fn.vmap(fn.jacfwd(f))(a).square().sum())(flat)
    assert_equal(twice, torch.stack([fn.grad(lambda a: fn.grad(f)(a).square().sum())(one) for one in flat]))


@pytest.mark.few(3)
@each(["slogdet", "inv", "solve from the right", "lu_solve adjoint"])
@pytest.mark.parametrize("dtype", [pytest.param(torch.float32, marks=pytest.mark.slow), torch.float64])
def test_compiled_batches(name, dtype):
    f, a = SOLVERS[name], matrices(N, dtype=dtype)
    tolerance = 1e-8 if dtype == torch.float64 else 2e-3
    for transform in (fn.jacfwd, fn.hessian):
        want = torch.stack([transform(f)(one.double()) for one in a]).to(dtype)
        assert_equal(fn.jit(fn.vmap(transform(f)))(a), want, tolerance)
        assert_equal(fn.jit(lambda a, t=transform: fn.vmap(t(f))(a) * 1)(a), want, tolerance)


def test_one_matrix_for_many_right_hand_sides_and_many_for_one():
    a, b = matrices(4), matrices(5)
    solve = lambda a, b: linalg.lu_solve(*linalg.lu_factor(a), b)  # noqa: E731
    want = torch.stack([torch.stack([linalg.solve(x, y) for y in b]) for x in a])
    for f in (solve, linalg.solve):
        assert_equal(fn.vmap(fn.vmap(f, (None, 0)), (0, None))(a, b), want)
        assert_equal(fn.vmap(fn.vmap(f, (0, None)), (None, 0), 1)(a, b), want)
    lu, pivots = linalg.lu_factor(a)
    over_batches = fn.vmap(lambda lu, pivots, b: linalg.lu_solve(lu, pivots, b[None]), (None, None, 0), 1)
    assert_equal(over_batches(lu, pivots, b), want)
    stacked = fn.vmap(lambda b: linalg.lu_solve(lu.expand(2, 4, N, N), pivots.expand(2, 4, N), b))
    assert_equal(stacked(b)[:, 1], want.movedim(1, 0))


def test_gradients_of_examples():
    a, x = matrices(N), matrices(5)[:, 0]
    loss = lambda w, x: linalg.solve(w, x).sin().sum() + linalg.slogdet(w)[1]  # noqa: E731
    got = fn.per_example_grads(loss)(a[0], x)
    assert_equal(got, torch.stack([fn.grad(loss)(a[0], one) for one in x]))
