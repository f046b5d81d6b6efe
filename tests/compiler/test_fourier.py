"""Fourier transforms in native kernels, against torch's."""

import math

import pytest
import torch
from complex_numbers import complex_like

import funcnet as fn

NORMS = ("backward", "ortho", "forward")
SIZES = (1, 2, 5, 9, 16, 34, 128)  # one to three factors, odd, and with the prime 17
ROWS = {
    "fft": torch.fft.fft,
    "ifft": torch.fft.ifft,
    "fft of real": lambda z, **options: torch.fft.fft(z.real, **options),
    "rfft": lambda z, **options: torch.fft.rfft(z.real, **options),
    "irfft": lambda z, **options: torch.fft.irfft(z, n=z.shape[0], **options),
    "irfft of a half": lambda z, **options: torch.fft.irfft(z[: len(z) // 2 + 1], n=len(z), **options),
    "hfft": lambda z, **options: torch.fft.hfft(z, n=z.shape[0], **options),
    "ihfft": lambda z, **options: torch.fft.ihfft(z.real, **options),
}
ARRAYS = {
    "an axis": lambda z: torch.fft.fft(z, dim=1),
    "all": torch.fft.fftn,
    "all back": torch.fft.ifftn,
    "two": lambda z: torch.fft.rfft2(z.imag),
    "two of another order": lambda z: torch.fft.rfftn(z.real, dim=(2, 0)),
    "two back": lambda z: torch.fft.irfft2(z, s=(5, 7), norm="ortho"),
    "three back": lambda z: torch.fft.irfftn(z, s=(3, 4, 9), norm="forward"),
    "padded": lambda z: torch.fft.fft(z, n=8),
    "transposed": lambda z: torch.fft.rfft(z.real.mT),
    "shifted": lambda z: torch.fft.fftshift(torch.fft.fft2(z.conj())).abs(),
    "gradient": fn.grad(lambda z: torch.fft.irfft2(torch.fft.rfft2(z.real) * (2 + 1j) + z[..., :3]).square().sum()),
}


def check(f, *args, tolerance=1e-14):
    """Compare a kernel without calls to torch; the tolerance is relative to the largest element."""
    jitted = fn.jit(f, backend="native")
    results, wanted = fn.tree.leaves(jitted(*args)), fn.tree.leaves(f(*args))
    assert not jitted.explain(*args).calls
    for got, want in zip(results, wanted, strict=True):
        want = want.resolve_conj()
        torch.testing.assert_close(got, want, rtol=0, atol=tolerance * want.abs().max().item(), check_stride=False)


@pytest.mark.parametrize(
    "sizes, dtype, tolerance",
    [
        ((1, 2, 9, 34), torch.complex128, 1e-14),
        pytest.param(SIZES, torch.complex128, 1e-14, marks=pytest.mark.slow),
        pytest.param(SIZES, torch.complex64, 2e-6, marks=pytest.mark.slow),
    ],
)
def test_transforms_of_vectors(sizes, dtype, tolerance):
    vectors = [complex_like(n, dtype=dtype) for n in sizes]
    check(lambda vectors: [f(z) for z in vectors for f in ROWS.values()], vectors, tolerance=tolerance)


@pytest.mark.slow
def test_norms():
    vectors = [complex_like(n) for n in (6, 9)]
    check(lambda vectors: [f(z, norm=norm) for z in vectors for f in ROWS.values() for norm in NORMS], vectors)


def test_transforms_of_arrays():
    check(lambda z: [f(z) for f in ARRAYS.values()], complex_like(3, 4, 5))


def test_lanes():
    f = lambda z: (torch.fft.irfft(torch.fft.rfft(z.real) * z[:6], n=10), torch.fft.fft(z))  # noqa: E731
    check(fn.vmap(f), complex_like(19, 10))
    check(fn.vmap(f, in_dims=1), complex_like(10, 3))


def test_a_training_run_has_no_calls():
    """The convolution theorem: a filter is learnt in the domain of frequencies."""
    x, w = complex_like(6, 24).real, complex_like(24, seed=1).real
    filtered = lambda w: torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(w), n=24)  # noqa: E731

    def run(start):
        loss = lambda v: (filtered(v) - filtered(w)).square().mean()  # noqa: E731
        return fn.scan(lambda v, _: (v - 0.2 * fn.grad(loss)(v), loss(v)), start, length=30)

    check(run, torch.zeros(24, dtype=torch.float64), tolerance=1e-12)
    losses = fn.jit(run)(torch.zeros(24, dtype=torch.float64))[1]
    assert losses[-1] < losses[0] / 4


@pytest.mark.parametrize("shape, call", [((1 << 21,), True), ((4096,), False), ((64, 64), False)])
def test_torch_transforms_very_large_arrays(shape, call):
    f = lambda z: torch.fft.fft(z).abs().sin().cos() + 1  # noqa: E731
    jitted, z = fn.jit(f, backend="native"), complex_like(*shape)
    torch.testing.assert_close(jitted(z), f(z))
    assert jitted.explain(z).calls == ({"aten._fft_c2c.default": 1} if call else {})


@pytest.mark.parametrize("shape, dim", [((1000,), 0), ((3, 77), 1), ((75, 13), 0), ((5, 13), 0), ((50, 4), 1)])
def test_vectors_with_remainders(shape, dim):
    """Neither the columns of an array nor those of the matrix of an axis fill the vectors."""
    check(lambda z: torch.fft.fft(z, dim=dim), complex_like(*shape))


@pytest.mark.parametrize("shape, dim", [((61,), 0), ((67,), 0), ((3, 134), 1), ((71, 5), 0)])
def test_large_prime_factors(shape, dim):
    """One of up to 61 is a radix; a larger one needs a convolution."""
    check(lambda z: (torch.fft.fft(z, dim=dim), torch.fft.ifft(z, dim=dim)), complex_like(*shape))


@pytest.mark.parametrize("n", [61, 67])
def test_lanes_of_large_prime_factors(n):
    """A kernel that needs a convolution computes all lanes at once, along a batch axis."""
    check(fn.vmap(torch.fft.fft), complex_like(5, n))


def test_an_element_is_independent_of_its_neighbours():
    """The rows of an array, and the lanes of an ensemble, have the bits of single vectors."""
    z = complex_like(40, 48)
    alone = torch.stack([fn.jit(torch.fft.fft)(row) for row in z[:3]])
    assert torch.equal(fn.jit(torch.fft.fft)(z)[:3], alone)
    assert torch.equal(fn.jit(fn.vmap(torch.fft.fft))(z)[:3], alone)


def test_known_coefficients():
    """A cosine of three periods has two coefficients, n / 2 each."""
    n = 40
    x = torch.cos(2 * math.pi * 3 * torch.arange(n, dtype=torch.float64) / n)
    found = fn.jit(torch.fft.fft, backend="native")(x)
    expected = torch.zeros(n, dtype=torch.complex128)
    expected[3] = expected[-3] = n / 2
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
