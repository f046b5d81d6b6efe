"""Names that fewer programs use: derivatives, compilation, edges and errors, and the remedies for absent names."""

import math
import re
from functools import reduce
from importlib import import_module

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn
from funcnet import numpy as jnp
from funcnet.absent_names import INSTEAD

SPECIAL, STATS, ODEINT = fn.scipy.special, fn.scipy.stats, fn.scipy.integrate.odeint
X = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
A = torch.tensor([0.4, 2.0, 15.0], dtype=torch.float64)


@pytest.mark.parametrize("module", INSTEAD)
def test_an_error_names_what_to_use_instead(module):
    for name, instead in INSTEAD[module].items():
        with pytest.raises(AttributeError, match=re.escape(f"{module} has no {name!r}: {instead}.")):
            getattr(import_module(module), name)


def test_the_names_in_messages_exist():
    roots = {"fn": fn, "jnp": jnp, "lax": fn.lax, "optim": fn.optim, "torch": torch, "linalg": fn.scipy.linalg}
    text = " ".join(instead for table in INSTEAD.values() for instead in table.values())
    for root, path in re.findall(r"\b(fn|jnp|lax|optim|torch|linalg)\.([\w.]*\w)", text):
        reduce(getattr, path.split("."), roots[root])
    with pytest.raises(AttributeError, match="module 'funcnet.numpy' has no attribute 'summ'"):
        jnp.summ  # noqa: B018


@pytest.mark.slow
def test_the_incomplete_beta_function_differentiates_in_all_arguments():
    betainc, one = SPECIAL.betainc, torch.ones_like(X)  # I_x(a, 1) = x^a, I_x(1, b) = 1 - (1 - x)^b
    assert_close(fn.grad(lambda a: betainc(a, one, X).sum())(A), X**A * X.log(), rtol=1e-9, atol=1e-12)
    by_b = -((1 - X) ** A) * torch.log1p(-X)
    assert_close(fn.jvp(lambda b: betainc(one, b, X), (A,), (one,))[1], by_b, rtol=1e-9, atol=1e-12)
    assert_close(fn.jit(fn.grad(lambda x: betainc(A, 2, x).sum()))(X), STATS.beta.pdf(X, A, 2))


def test_forward_mode_through_vmap():
    f = lambda a: SPECIAL.betainc(a, 1.0, 0.5)  # 0.5^a  # noqa: E731
    assert_close(fn.jvp(fn.vmap(f), (A,), (torch.ones_like(A),))[1], 0.5**A * math.log(0.5), rtol=1e-9, atol=0)
    draw = lambda a: fn.random.gamma(fn.random.key(0), a, dtype=a.dtype)  # noqa: E731
    assert_close(fn.jvp(fn.vmap(draw), (A,), (torch.ones_like(A),))[1], torch.stack([fn.grad(draw)(a) for a in A]))


def test_the_incomplete_beta_function_at_its_edges():
    a, b = torch.tensor([0.0, 1, 2, -1, 2, 2, torch.inf, 2]), torch.tensor([1.0, 0, 3, 2, 3, 3, 2, torch.inf])
    x = torch.tensor([0.5, 0.5, 1, 0.5, 0, 1.2, 0.5, 0.5])
    expected = torch.tensor([1, 0, 1, torch.nan, 0, torch.nan, 0, 1])  # JAX's
    assert_close(SPECIAL.betainc(a, b, x), expected, equal_nan=True)
    assert SPECIAL.betainc(1000.0, 2000.0, torch.tensor(1 / 3, dtype=torch.float64)).item() == pytest.approx(
        1 - SPECIAL.betainc(2000.0, 1000.0, torch.tensor(2 / 3, dtype=torch.float64)).item(), abs=1e-12
    )


def test_distributions_built_on_it_are_those_of_sums():
    k = torch.arange(-1, 8, dtype=torch.float64)
    for distribution, shapes in ((STATS.binom, (6, 0.3)), (STATS.nbinom, (3.0, 0.4)), (STATS.geom, (0.4,))):
        assert_close(distribution.cdf(k, *shapes), distribution.pmf(k, *shapes).cumsum(0), rtol=1e-10, atol=1e-12)
    t = torch.tensor([-30.0, -1.0, 0.0, 2.0], dtype=torch.float64)
    assert_close(STATS.t.cdf(t, 1.0), STATS.cauchy.cdf(t), rtol=1e-12, atol=0)
    assert_close(STATS.t.sf(t, 1.0), STATS.cauchy.cdf(-t), rtol=1e-12, atol=0)
    assert_close(fn.grad(lambda t: STATS.t.cdf(t, 3.0).sum())(t), STATS.t.pdf(t, 3.0), rtol=1e-10, atol=0)


@pytest.mark.slow
def test_exponential_integrals_and_their_derivatives():
    x = torch.tensor([0.3, 1.0, 2.5, 40.0], dtype=torch.float64)
    slopes = {
        SPECIAL.exp1: lambda x: -torch.exp(-x) / x,
        SPECIAL.expi: lambda x: torch.exp(x) / x,
        SPECIAL.spence: lambda x: -torch.log1p(x - 1) / (x - 1),
        lambda x: SPECIAL.expn(2, x): lambda x: -SPECIAL.exp1(x),
    }
    for f, slope in slopes.items():
        for order in (fn.grad, lambda f: fn.grad(lambda x: fn.grad(f)(x).sum())):
            ours = order(lambda x, f=f: f(x).sum())(x + 0.01)
            own = slope(x + 0.01) if order is fn.grad else fn.grad(lambda x, slope=slope: slope(x).sum())(x + 0.01)
            assert_close(ours, own, rtol=1e-9, atol=1e-30)
    assert fn.grad(fn.grad(SPECIAL.spence))(x[1]) == 0.5  # at 1
    assert_close(SPECIAL.expn(2, x), torch.exp(-x) - x * SPECIAL.exp1(x), rtol=1e-12, atol=1e-30)
    assert SPECIAL.expn(torch.tensor([0, 1, 2, 5]), 0.0).tolist() == [torch.inf, torch.inf, 1, 0.25]
    assert SPECIAL.expi(torch.tensor([0.0, torch.inf])).tolist() == [-torch.inf, torch.inf]
    assert torch.isnan(SPECIAL.exp1(torch.tensor(-1.0)))


def decay(y, t, rate):
    return {"a": -rate * y["a"], "b": y["a"] * torch.cos(t)}


STATE = {"a": torch.tensor([1.0, 2.0], dtype=torch.float64), "b": torch.tensor(0.5, dtype=torch.float64).expand(2)}
TIMES = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)


def test_a_solution_follows_its_equation():
    found = ODEINT(decay, STATE, TIMES, 1.0)
    assert_close(found["a"], STATE["a"] * torch.exp(-TIMES)[:, None], rtol=1e-7, atol=1e-8)
    waves = (torch.exp(-TIMES) * (torch.sin(TIMES) - torch.cos(TIMES)) + 1) / 2
    assert_close(found["b"], STATE["b"] + STATE["a"] * waves[:, None], rtol=1e-7, atol=1e-8)


def test_solutions_differentiate_in_state_times_arguments_and_captured_tensors():
    rate = torch.tensor(0.7, dtype=torch.float64)

    def total(y, t, rate):
        captured = ODEINT(lambda y, t: decay(y, t, rate), y, t)
        given = ODEINT(decay, y, t, rate)
        return sum(torch.sin(x).sum() for x in fn.tree.leaves((captured, given)))

    fn.checking.check_grads(total, (STATE, TIMES, rate), modes=("rev",), atol=1e-5, rtol=1e-5)


@pytest.mark.few(1)
def test_solutions_compile_and_map():
    rates = torch.tensor([0.5, 3.0], dtype=torch.float64)
    f = lambda rate: ODEINT(decay, STATE, TIMES, rate, rtol=1e-6)["a"]  # noqa: E731
    expected = torch.stack([f(rate) for rate in rates])
    assert_close(fn.jit(fn.vmap(f))(rates), expected, rtol=1e-9, atol=1e-10)


def test_minima_compile_and_map():
    def rosenbrock(x, scale):
        return scale * (x[1:] - x[:-1] ** 2).square().sum() + (1 - x[:-1]).square().sum()

    scales, start = torch.tensor([1.0, 100.0], dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    solve = fn.jit(fn.vmap(lambda scale: fn.scipy.optimize.minimize(rosenbrock, start, (scale,), tol=1e-8)))
    result = solve(scales)
    assert result.success.all() and (result.status == 0).all() and (result.nfev >= result.nit).all()
    assert_close(result.x, torch.ones(2, 3, dtype=torch.float64), rtol=1e-6, atol=1e-6)
    limited = fn.scipy.optimize.minimize(rosenbrock, start, (100.0,), options={"maxiter": 2})
    assert not limited.success and limited.status == 1 and limited.nit == 2


def test_a_density_of_samples_is_an_argument_of_jit_and_draws():
    kde = STATS.gaussian_kde(torch.tensor([0.0, 1.0, 3.0]))
    assert_close(fn.jit(lambda kde, x: kde.logpdf(x).exp())(kde, X), kde(X))
    assert kde.resample(fn.random.key(0), (5, 2)).shape == (1, 5, 2)
    assert STATS.gaussian_kde(torch.stack([X, A])).resample(fn.random.key(0), (4,)).shape == (2, 4)
    assert_close(kde.integrate_box_1d(-50.0, 50.0), torch.tensor(1.0))


def test_functions_of_matrices_are_inverse_to_each_other():
    matrix = torch.tensor([[4.0, 1.0, 0.5], [0.0, 3.0, -1.0], [1.0, 0.5, 2.0]], dtype=torch.float64)
    root = fn.scipy.linalg.sqrtm(matrix)
    assert_close(root @ root, matrix.to(torch.complex128))
    negative = fn.scipy.linalg.sqrtm(torch.tensor([[-4.0, 1.0], [0.0, 9.0]]))  # the root of -4 is 2i, not -2i
    assert_close(negative.diagonal(), torch.tensor([2j, 3]))
    assert_close(fn.scipy.linalg.expm(fn.scipy.linalg.funm(matrix, torch.log)), matrix.to(torch.complex128))
    a, b = fn.scipy.linalg.polar(matrix, "left")
    assert_close((a.mT @ a, b @ a), (torch.eye(3, dtype=torch.float64), matrix))


def test_hessenberg_forms_are_those_of_jax():
    a = torch.tensor([[4, 1, 2, 3], [1, 3, 0, -1], [2, 5, 1, 2], [-1, 2, 2, 6]], dtype=torch.float64)
    h, q = fn.jit(lambda a: fn.scipy.linalg.hessenberg(a, calc_q=True))(a)
    assert_close(h[:3, 1], torch.tensor([-0.8164965809277263, 2.333333333333335, -1.17851130197758]).double())
    assert_close(q @ h @ q.mH, a)
    c = torch.complex(a, a.flip(0))
    h, q = fn.scipy.linalg.hessenberg(c, calc_q=True)
    assert_close(h[2, 1:3], torch.tensor([-4.437649126148195, 2.3064198218837406 + 4.300723403816189j], dtype=c.dtype))
    assert_close(q @ h @ q.mH, c)
    assert fn.scipy.linalg.hessenberg(a[:0, :0]).shape == (0, 0)
    with pytest.raises(ValueError, match=r"hessenberg: expected square matrices, got shape \(2, 4\)"):
        fn.scipy.linalg.hessenberg(a[:2])


def test_complex_numbers_compare_by_their_real_parts_first():
    z, w = torch.tensor([1 + 2j, 1 + 2j, -1 + 9j]), torch.tensor([1 + 3j, 1 + 2j, 0j])
    assert jnp.less(z, w).tolist() == [True, False, True]
    assert jnp.less_equal(z, w).tolist() == [True, True, True]
    assert jnp.maximum(z, w).tolist() == w.tolist()
    assert jnp.sort(z, descending=True).tolist() == [1 + 2j, 1 + 2j, -1 + 9j]


def test_dtypes_by_name():
    assert jnp.dtype("int32") is jnp.dtype(int) is torch.int32 and isinstance(jnp.float32, jnp.dtype)
    assert jnp.bool is torch.bool


def test_precision_is_reduced_as_by_a_conversion():
    x = torch.randn(200, generator=torch.Generator().manual_seed(0)) * 10
    assert torch.equal(fn.lax.reduce_precision(x, 8, 7), x.bfloat16().float())
    assert torch.equal(fn.lax.reduce_precision(x, 5, 10), x.half().float())
    assert fn.grad(lambda x: fn.lax.reduce_precision(3 * x, 8, 7))(torch.tensor(1.3)) == 3


def test_trees_of_numbers_become_tensors_on_a_device():
    put = fn.device_put({"x": 1.5, "n": [2, torch.ones(1)]}, "cpu")
    assert put["x"].dtype == torch.float32 and put["n"][0].dtype == torch.int32
    assert fn.block_until_ready(put) is put and fn.device_get(put)["x"] == 1.5
    assert fn.Array is torch.Tensor


ONE = torch.ones(3)
ERRORS = [
    (lambda: ODEINT(decay, STATE, [0, 1]), TypeError, "odeint: expected t to be an array of floating-point numbers"),
    (lambda: ODEINT(lambda y, t: y[:1], ONE, [0.0, 1.0]), ValueError, "odeint: expected func to return a tree like y"),
    (lambda: fn.scipy.optimize.minimize(torch.sum, ONE, 3), TypeError, "minimize: expected args to be a tuple, got 3"),
    (lambda: fn.scipy.optimize.minimize(torch.sum, ONE, method="CG"), ValueError, "expected method='BFGS', got 'CG'"),
    (lambda: fn.scipy.optimize.minimize(torch.sum, ONE, options={"x": 1}), ValueError, r"among .* got \['x'\]"),
    (
        lambda: STATS.rankdata(ONE, "first"),
        ValueError,
        "rankdata: expected method to be one of average, .* got 'first'",
    ),
    (lambda: STATS.mode(ONE, nan_policy="omit"), ValueError, "mode: expected nan_policy='propagate', got 'omit'"),
    (lambda: STATS.gaussian_kde(ONE[:1]), ValueError, "gaussian_kde: expected samples of shape"),
    (lambda: jnp.unpackbits(ONE), TypeError, "unpackbits: expected an array of uint8, got torch.float32"),
    (lambda: jnp.packbits(ONE), TypeError, "packbits: expected integers or bools, got torch.float32"),
    (lambda: jnp.put(ONE, 0, 1.0), ValueError, "put: expected inplace=False"),
    (lambda: jnp.var(ONE, ddof=1, correction=1), ValueError, "var: expected ddof or correction"),
    (lambda: fn.scipy.linalg.hadamard(3), ValueError, "hadamard: expected n to be a power of 2, got 3"),
    (lambda: fn.scipy.linalg.dft(3, "x"), ValueError, "dft: expected scale to be None, 'sqrtn' or 'n', got 'x'"),
]


@pytest.mark.parametrize("call, error, message", ERRORS)
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
