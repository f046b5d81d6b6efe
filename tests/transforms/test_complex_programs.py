"""Compiled programs of complex numbers agree with eager mode."""

import pytest
import torch
from complex_numbers import T, X, Z

import funcnet as fn


def written(part, value):
    def f(z):
        z = z * 1
        part(z)[1:] = value
        return z, z.abs().sum()

    return f


TURN = lambda t: torch.exp(1j * t)  # noqa: E731
ROTATE = lambda c, x: (c * 1j + x, (c.real, c.conj()))  # noqa: E731
ORIGIN = torch.zeros((), dtype=torch.complex64)
CONJUGATE, NEGATIVE = Z.conj(), Z.conj().imag
PROGRAMS = {
    "gradient": (fn.grad(lambda t: TURN(t).real), T),
    "gradient in float64": (fn.grad(lambda t: torch.exp((0.1 + 1 / 3j) * t).imag), T.double()),
    "gradient through a power": (fn.grad(lambda t: (t ** (0.5 + 1j)).real + ((1 + 2j) ** t).imag), T),
    "gradient of a quotient": (fn.grad(lambda t: ((2 + 1j) / t + t / (2 - 1j)).abs()), T),
    "gradient through fft": (fn.grad(lambda x: torch.fft.irfft(torch.fft.rfft(x) * (2 + 1j)).square().sum()), X),
    "hessian": (fn.hessian(lambda x: (TURN(x) * x).real.sum()), X),
    "jacobian": (fn.jacrev(lambda x: torch.view_as_real(TURN(x))), X),
    "tangent": (lambda t: fn.jvp(TURN, (t,), (t,)), T),
    "remat": (fn.grad(lambda t: fn.remat(lambda t: TURN(t).real)(t)), T),
    "lanes": (fn.vmap(fn.grad(lambda t: TURN(t).real)), X),
    "inner vmap": (lambda x: fn.vmap(TURN)(x) * 1j, X),
    "scan": (lambda x: fn.scan(ROTATE, ORIGIN, x), X),
    "gradient of a scan": (fn.grad(lambda x: fn.scan(ROTATE, ORIGIN, x)[0].abs()), X),
    "gradient with respect to the carry of a scan": (fn.grad(lambda z: fn.scan(ROTATE, z, X)[0].abs()), Z[0]),
    "lanes of a scan": (fn.vmap(lambda x: fn.scan(ROTATE, ORIGIN, x)), torch.stack([X, X.flip(0)])),
    "constants": (lambda z: (torch.tensor(1j) * z, torch.full_like(z, 2j), z.new_full((2,), 1 - 1j), z == 1j), Z),
    "constants in place": (lambda z: (z * 1).fill_(2j).add_(z, alpha=1j).mul_(1 - 2j), Z),
    "constants in choices": (lambda x: torch.where(x > 0, x + 0j, 2j).masked_fill(x > 1, 3j), X),
    "conjugate": (lambda z: (z.conj(), z.conj().imag, z.mH if z.ndim > 1 else z.conj() * z), Z),
    "conjugate argument": (lambda z: (z * 2, z.real, z.imag, torch.view_as_real(z.resolve_conj())), Z.conj()),
    "negative argument": (lambda x: (x * 2, x.exp()), Z.conj().imag),
    "conjugate capture": (lambda x: (x * CONJUGATE, CONJUGATE.imag, x * NEGATIVE), X),
    "write to the real part": (written(torch.real, 3.0), Z),
    "write to the imaginary part": (written(torch.imag, 3.0), Z),
    "write to the imaginary part of the conjugate": (written(lambda z: z.conj().imag, 3.0), Z),
    "write to the conjugate": (written(torch.conj, 1 + 2j), Z),
    "write to pairs": (written(torch.view_as_real, 3.0), Z),
    "write to a complex view of pairs": (lambda x: written(torch.view_as_complex, 1 + 2j)(x.reshape(2, 2)), X),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("backend", ["native", "eager"])
def test_compiled_programs_agree_with_eager_mode(name, backend):
    f, x = PROGRAMS[name]
    compiled = fn.jit(f, backend=backend)
    for given in (x, x * 0.5):
        got, want = compiled(given), f(given)
        assert not any(leaf.is_conj() for leaf in fn.tree.leaves(got))
        assert fn.tree.allclose(got, want, rtol=1e-5, atol=1e-6), fn.tree.difference(got, want, atol=1e-6)


@pytest.mark.parametrize("part", [torch.real, torch.imag, torch.conj, torch.view_as_real])
def test_a_write_through_a_part_is_differentiated_in_eager_mode_only(part):
    f = fn.grad(lambda x: written(part, 3.0)(x + 1j)[1])
    z = X + 1j
    assert torch.allclose(f(X)[0], z[0].real / z[0].abs())
    with pytest.raises(fn.StagingError, match=r"cannot differentiate a write through .* torch\.complex"):
        fn.jit(f)(X)
