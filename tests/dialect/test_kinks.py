"""Derivatives where functions have kinks, dtypes of products and conversions, cosine transforms and spectra.

The values are those of JAX.
"""

import re

import pytest
import torch
from jax_expressions import Table
from torch.testing import assert_close

import funcnet as fn
from funcnet import lax
from funcnet import numpy as jnp
from funcnet.scipy import fft, interpolate, signal

TABLE = Table("kinks_and_signals")
NOT_TRACED = re.compile(r"unique|delete\(.*b\b|setxor1d\(t, v\)|setdiff1d.*unique=True")  # shapes from values


def test_values_are_those_of_jax():
    for text in TABLE.expected:
        TABLE.check(text, TABLE.evaluate(text))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["eager", "native"])
def test_jit_gives_the_same(backend):
    texts = [text for text in TABLE.expected if not NOT_TRACED.search(text)]
    jitted = fn.jit(lambda given: [TABLE.evaluate(text, given) for text in texts], backend=backend)
    for text, result in zip(texts, jitted(TABLE.inputs), strict=True):
        TABLE.check(text, result, rtol=5e-6)


KINKS = [
    jnp.abs,
    jnp.cbrt,
    lambda x: jnp.fmax(x, 0.0),
    lambda x: jnp.hypot(x, 0 * x),
    lambda x: lax.clamp(-1.0, x, 1.0),
]


@pytest.mark.parametrize("f", KINKS)
def test_kinks_have_one_derivative_in_every_mode(f):
    points = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    slopes = torch.stack([fn.grad(f)(x) for x in points])
    assert_close(fn.vmap(fn.grad(f))(points), slopes)
    assert_close(fn.jit(fn.vmap(fn.grad(f)))(points), slopes)
    assert_close(fn.jvp(f, (points,), (torch.ones_like(points),))[1], slopes)
    scanned = lambda x: fn.scan(lambda carry, _: (f(carry), None), x, length=1)[0]  # noqa: E731
    assert_close(fn.vmap(fn.grad(scanned))(points), slopes)


NUMBERS = torch.tensor([-0.0, 0.0, 1.0, -2.0, torch.inf, -torch.inf, torch.nan])
PAIRS = [NUMBERS.repeat(7), NUMBERS.repeat_interleave(7)]
QUICK = {
    "abs": (jnp.abs, PAIRS[:1]),
    "cbrt": (jnp.cbrt, PAIRS[:1]),
    **{name: (getattr(jnp, name), PAIRS) for name in ("fmax", "fmin", "hypot", "copysign")},
    "clamp": (lax.clamp, [PAIRS[0], PAIRS[1], PAIRS[1].flip(0)]),
    **{
        f"astype {dtype}": (lambda x, dtype=dtype: jnp.astype(3e9 * x, dtype).double(), PAIRS[:1])
        for dtype in (torch.int32, torch.uint8)
    },
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", QUICK)
def test_plain_calls_have_the_bits_of_differentiated_ones(name, dtype):
    f, operands = QUICK[name][0], [x.to(dtype) for x in QUICK[name][1]]
    plain, differentiated = f(*operands), fn.vmap(f)(*operands)
    assert torch.equal(plain.signbit() & ~plain.isnan(), differentiated.signbit() & ~differentiated.isnan())
    assert_close(plain, differentiated, rtol=0, atol=0, equal_nan=True)


def test_transforms_and_spectra_have_inverses_and_derivatives():
    x = torch.randn(3, 21, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for norm in (None, "ortho"):
        assert_close(fft.idctn(fft.dctn(x, norm=norm), norm=norm), x)
        fn.checking.check_grads(lambda x, norm=norm: fft.dct(x, norm=norm), (x,), order=1)
    _, _, spectrum = signal.stft(x, nperseg=6)
    assert_close(signal.istft(spectrum)[1][:, :21], x)
    assert_close(fn.vmap(lambda row: signal.welch(row, nperseg=6)[1])(x), signal.welch(x, nperseg=6)[1])
    assert fft.dct(x[:, :0]).shape == (3, 0) and fft.dct(x[:1, :1]).item() == pytest.approx(2 * x[0, 0].item())


def test_lines_through_one_or_two_points_leave_nothing():
    for x in (torch.tensor([3.0]), torch.tensor([1.0, 4.0])):
        assert_close(signal.detrend(x), torch.zeros_like(x))


def test_an_interpolator_is_an_argument_of_jit_and_differentiates():
    grid = [torch.tensor([0.0, 1.0, 3.0]), torch.tensor([0.0, 2.0])]
    f = interpolate.RegularGridInterpolator(grid, torch.tensor([[0.0, 4.0], [1.0, 5.0], [3.0, 7.0]]))  # x + 2 y
    point = torch.tensor([2.0, 0.5])
    assert_close(fn.grad(lambda x: f(x)[0])(point), torch.tensor([1.0, 2.0]))
    assert_close(fn.jit(lambda f, x: f(x))(f, point), torch.tensor([3.0]))
    assert_close(fn.jit(fn.vmap(f))(torch.stack([point, 0 * point])), torch.tensor([[3.0], [0.0]]))


ONE = torch.ones(4)
ERRORS = [
    (lambda: fft.dct(ONE, type=3), NotImplementedError, "dct: expected type=2, got 3"),
    (lambda: fft.idctn(ONE, norm="forward"), ValueError, "idctn: expected real numbers and norm None or 'ortho'"),
    (lambda: signal.stft(ONE, window="no"), ValueError, "stft: expected window to be an array or one of .* got 'no'"),
    (
        lambda: signal.stft(ONE, nperseg=2, noverlap=2),
        ValueError,
        "expected noverlap < nperseg <= nfft, got 2, 2 and 2",
    ),
    (lambda: signal.welch(ONE, scaling="no"), ValueError, "csd: expected 'density' or 'spectrum'"),
    (lambda: signal.detrend(ONE, type="no"), ValueError, "detrend: expected type to be 'linear' or 'constant'"),
    (lambda: jnp.gradient(ONE, ONE[:2]), ValueError, "gradient: expected 4 coordinates along axis 0, got 2"),
    (lambda: jnp.delete(ONE, ONE[:2] > 0), ValueError, "delete: expected 4 bools, one per slice, got 2"),
    (lambda: jnp.einsum(ONE, ONE), TypeError, "einsum: expected a string and arrays, or arrays and lists"),
    (lambda: lax.mulhi(ONE, ONE), TypeError, "mulhi: expected integers of up to 32 bits, got torch.float32"),
    (
        lambda: interpolate.RegularGridInterpolator([ONE], ONE[:2]),
        ValueError,
        r"RegularGridInterpolator: expected at least two points per axis .* got \(4,\) points and .* \(2,\)",
    ),
    (
        lambda: interpolate.RegularGridInterpolator([ONE], ONE)(torch.ones(2, 3)),
        ValueError,
        r"expected points of 1 coordinates, got shape \(2, 3\)",
    ),
]


@pytest.mark.parametrize("call, error, message", ERRORS)
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
