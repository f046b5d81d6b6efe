"""Special functions by series and recurrences: values of SciPy, derivatives, compilation and errors."""

import math

import pytest
import torch
from golden import load
from torch.testing import assert_close

import funcnet as fn

SPECIAL, VQ = fn.scipy.special, fn.scipy.cluster.vq.vq
VALUES = load("special_functions")


def tensor(values):
    """A list of numbers, or a pair of lists for complex ones."""
    if isinstance(values, dict):
        return torch.complex(*(torch.tensor(values[part], dtype=torch.float64) for part in ("real", "imag")))
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("name", VALUES)
def test_values_are_those_of_scipy(name):
    function = getattr(SPECIAL, name)
    for (args, options), expected in VALUES[name]:
        args, expected = [tensor(arg) for arg in args], tensor(expected)
        got = function(*args, **options)
        got = torch.stack(got) if isinstance(got, tuple) else got
        assert_close(got, expected, rtol=2e-12, atol=1e-300, equal_nan=True)
        narrow = [arg.to(torch.complex64 if arg.is_complex() else torch.float32) for arg in args]
        small = function(*narrow, **options)
        small = torch.stack(small) if isinstance(small, tuple) else small
        assert_close(small.to(expected.dtype), expected, rtol=1e-4, atol=1e-35, equal_nan=True)


X = torch.tensor([-2.5, 0.3, 1.2, 5.0], dtype=torch.float64)
UNIT = torch.tensor([-2.0, 0.3, 0.6, 0.96], dtype=torch.float64)
ONE = torch.tensor(1.5, dtype=torch.float64)
CALLS = {
    "dawsn": (SPECIAL.dawsn, X),
    "fresnel": (lambda x: sum(SPECIAL.fresnel(x)), X),
    "sici": (lambda x: sum(SPECIAL.sici(x)), X),
    "wofz": (lambda x: torch.view_as_real(SPECIAL.wofz(torch.complex(x, x / 2))).sum(-1), X),
    "owens_t": (lambda x: SPECIAL.owens_t(x, 0.4 * x), X),
    "bessel_jn": (lambda x: SPECIAL.bessel_jn(x, v=2).sum(0), X),
    "sph_harm_y": (lambda x: SPECIAL.sph_harm_y(3.0, -2.0, x, 0.5, n_max=3).imag, X),
    "hyp1f1": (lambda x: SPECIAL.hyp1f1(0.5, 2.2, x), X),
    "hyp1f1 in its parameters": (lambda x: SPECIAL.hyp1f1(x, ONE + x.abs(), 0.7), X),
    "hyp2f1": (lambda x: SPECIAL.hyp2f1(0.5, 1.2, 2.2, x), UNIT),
    "hyp2f1 in its parameters": (lambda x: SPECIAL.hyp2f1(x, ONE, ONE + x.square(), 0.3), UNIT),
    "ndtr": (SPECIAL.ndtr, X),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_derivatives_and_compilation(name):
    f, x = CALLS[name]
    fn.checking.check_grads(f, (x,), order=1, modes=("fwd", "rev"), atol=1e-6, rtol=1e-6)
    assert_close(fn.jit(f)(x), f(x), rtol=1e-12, atol=1e-14)
    assert_close(fn.jit(fn.vmap(f))(x), f(x), rtol=1e-12, atol=1e-14)


def test_second_derivatives_of_hypergeometric_functions():
    second = fn.grad(fn.grad(lambda x: SPECIAL.hyp1f1(1.0, 1.0, x)))
    assert_close(second(ONE), ONE.exp())


def test_an_element_does_not_depend_on_the_others():
    together = SPECIAL.hyp2f1(0.5, 1.2, 2.2, UNIT)
    assert torch.equal(together, torch.stack([SPECIAL.hyp2f1(0.5, 1.2, 2.2, x) for x in UNIT]))


def test_the_normal_distribution_in_its_tails():
    x = torch.tensor([-37.0, -9.0], dtype=torch.float64)
    expected = torch.tensor([5.725571222524577e-300, 1.1285884059538408e-19], dtype=torch.float64)  # SciPy's
    for got in (SPECIAL.ndtr(x), fn.scipy.stats.norm.cdf(x), fn.scipy.stats.norm.sf(-x), fn.jit(SPECIAL.ndtr)(x)):
        assert_close(got, expected, rtol=1e-12, atol=0)
    assert SPECIAL.ndtr(torch.tensor(-6.0)).item() == pytest.approx(9.865876e-10, rel=1e-5)


def test_bernoulli_numbers():
    expected = [1, -1 / 2, 1 / 6, 0, -1 / 30, 0, 1 / 42, 0, -1 / 30, 0, 5 / 66]
    assert_close(SPECIAL.bernoulli(10), torch.tensor(expected))
    assert SPECIAL.bernoulli(0).tolist() == [1]


def test_limits():
    assert [x.item() for x in SPECIAL.fresnel(-math.inf)] == [-0.5, -0.5]
    assert [x.item() for x in SPECIAL.sici(math.inf)] == pytest.approx([math.pi / 2, 0])
    assert SPECIAL.hyp2f1(1.0, 2.0, 2.0, torch.tensor([1.0, 2.0])).isfinite().tolist() == [False, False]
    assert SPECIAL.hyp2f1(-2.0, 1.0, 3.0, torch.tensor(2.0)).item() == pytest.approx(1 / 3)  # a polynomial
    assert SPECIAL.hyp2f1(1.0, 1.0, -2.0, torch.tensor([-0.5, 0.0, 0.5])).tolist() == [math.inf, 1, math.inf]
    assert SPECIAL.dawsn(torch.zeros(0)).shape == (0,)
    assert SPECIAL.wofz(torch.zeros(1, dtype=torch.bfloat16)).tolist() == [1]


def test_error_integrals_at_infinity_and_nan():
    x = torch.tensor([math.inf, -math.inf, 1e300, math.nan], dtype=torch.float64)
    half = math.pi / 2
    expected = {
        "dawsn": [[0.0, 0.0, 5e-301]], "fresnel": [[0.5, -0.5, 0.5]] * 2,
        "sici": [[half, -half, half], [0.0, 0.0, -8.17881912115909e-301]],
    }  # fmt: skip
    for name, values in expected.items():
        got = getattr(SPECIAL, name)(x)
        for found, value in zip(got if isinstance(got, tuple) else [got], values, strict=True):
            assert found.tolist() == pytest.approx([*value, math.nan], rel=1e-12, nan_ok=True)


def test_student_at_infinity():
    x = torch.tensor([-math.inf, -1e200, 0.0, 1e200, math.inf], dtype=torch.float64)
    assert fn.scipy.stats.t.cdf(x, 3.5).tolist() == pytest.approx([0, 0, 0.5, 1, 1])
    assert_close(fn.grad(lambda x: fn.scipy.stats.t.cdf(x, 3.5))(x[2]), fn.scipy.stats.t.pdf(x[2], 3.5))


def test_the_nearest_codes():
    points = torch.tensor([[1.1, 2.1, 3.1], [5.9, 4.8, 6.2]])
    book = torch.tensor([[1.0, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 6]])
    codes, distances = VQ(points, book)
    assert codes.tolist() == [0, 3] and codes.dtype == torch.int32
    assert_close(distances, torch.tensor([0.17320499, 1.9209373]))  # JAX's
    assert_close(fn.jit(VQ)(points, book), (codes, distances))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="bernoulli: expected n to be at least 0, got -1"):
        SPECIAL.bernoulli(-1)
    with pytest.raises(ValueError, match="bessel_jn: expected v to be from 0 to n_iter=50, got 60"):
        SPECIAL.bessel_jn(X, v=60)
    with pytest.raises(NotImplementedError, match="sph_harm_y: expected diff_n=None, got 1. Use fn.grad"):
        SPECIAL.sph_harm_y(1, 1, 0.5, 0.5, diff_n=1)
    with pytest.raises(ValueError, match=r"vq: expected obs of shape \(M, N\) .* got \(4, 1\) and \(2, 2\)"):
        VQ(X[:, None], torch.ones(2, 2))


TAILS = {  # of SciPy
    "norm.logsf": (80.0, -3205.3011213568907), "norm.isf": (1e-12, 7.034483825301131),
    "expon.logsf": (800.0, -800.0), "laplace.sf": (80.0, 9.024256939227075e-36),
    "cauchy.sf": (1e9, 3.1830988618379066e-10), "cauchy.ppf": (1e-12, -318309886183.7907),
    "cauchy.isf": (1e-12, 318309886183.7907), "logistic.isf": (1e-12, 27.63102111592755),
    "gumbel_r.sf": (80.0, 1.804851387845415e-35), "gumbel_l.sf": (3.7, 2.7161822609294545e-18),
    "gumbel_l.logsf": (-80.0, -1.804851387845415e-35),
}  # fmt: skip


@pytest.mark.parametrize("name", TAILS)
def test_distributions_in_their_tails(name):
    distribution, method = name.split(".")
    x, expected = TAILS[name]
    got = getattr(getattr(fn.scipy.stats, distribution), method)(torch.tensor(x, dtype=torch.float64))
    assert got.item() == pytest.approx(expected, rel=1e-12)


def test_the_entropy_of_a_poisson_distribution_is_the_sum_of_its_terms():
    poisson, counts = fn.scipy.stats.poisson, torch.arange(600, dtype=torch.float64)
    means = torch.tensor([0.0, 0.3, 10.0, 99.0, 101.0, 250.0], dtype=torch.float64)
    terms = torch.special.entr(poisson.pmf(counts, means[:, None])).sum(-1)
    assert_close(poisson.entropy(means), terms, rtol=1e-9, atol=0)
    assert torch.isnan(poisson.entropy(-1.0))
    fn.checking.check_grads(poisson.entropy, (means[1:],), order=1, atol=1e-7, rtol=1e-6)


def test_quantiles_of_a_bernoulli_distribution():
    q = torch.tensor([0.0, 0.7, 0.71, 1.0, 1.2, -0.1])
    assert_close(fn.scipy.stats.bernoulli.ppf(q, 0.3), torch.tensor([0, 0, 1, 1, math.nan, math.nan]), equal_nan=True)
    with pytest.raises(NotImplementedError, match="binom: expected logpmf or pmf, got ppf, which is not available"):
        fn.scipy.stats.binom.ppf(q, 3, 0.3)


def test_arguments_have_the_names_of_jax():
    x = torch.tensor(0.5)
    assert_close(SPECIAL.gammainc(a=1.0, x=x), 1 - torch.exp(-x))
    assert_close(SPECIAL.beta(a=x, b=x), torch.tensor(math.pi))
    assert_close(SPECIAL.boxcox(x, lmbda=2.0), torch.tensor(-0.375))
    assert_close(SPECIAL.kl_div(p=x, q=x) + SPECIAL.rel_entr(p=x, q=x) + SPECIAL.ndtri(p=x), torch.tensor(0.0))
    assert_close(SPECIAL.zeta(2.0, q=torch.tensor(1.0)), torch.tensor(math.pi**2 / 6))
    assert_close(fn.lax.igammac(a=1.0, x=x), torch.exp(-x))


def test_polygamma_to_the_last_digits():
    x = torch.tensor([0.3, 1.0, 10.0], dtype=torch.float64)
    expected = torch.tensor([12.245364546107735, math.pi**2 / 6, 0.10516633568168575], dtype=torch.float64)  # SciPy's
    assert_close(SPECIAL.polygamma(1, x), expected, rtol=1e-13, atol=0)
    fn.checking.check_grads(lambda x: SPECIAL.polygamma(1, x), (x,), order=2, atol=1e-5, rtol=1e-6)
    assert_close(fn.jit(fn.grad(lambda x: SPECIAL.polygamma(1, x).sum()))(x), SPECIAL.polygamma(2, x))
    assert_close(SPECIAL.polygamma(1, -x[:1]), torch.polygamma(1, -x[:1]))
