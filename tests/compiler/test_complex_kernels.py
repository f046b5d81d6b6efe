"""Native kernels of complex numbers: on their parts, and calls of torch for the other operations."""

import math
import operator

import pytest
import torch
from backends import mostly_slow
from complex_numbers import complex_like

import funcnet as fn
from funcnet.compiler.complex_numbers import fourier
from funcnet.compiler.complex_numbers.rules import RULES

COMPLEX = (torch.complex64, torch.complex128)
BOTH = (pytest.param(torch.complex64, marks=pytest.mark.slow), torch.complex128)  # one of them in the quick suite
SPECIAL = (0.0, -0.0, 1.0, -2.5, 1e-3, math.inf, math.nan)
UNARY = {
    "abs": torch.abs,
    "angle": torch.angle,
    "real": torch.real,
    "imag": torch.imag,
    "conj": torch.conj,
    "conj_physical": torch.conj_physical,
    "neg": torch.neg,
    "reciprocal": torch.reciprocal,
    "square": torch.square,
    "cube": lambda z: z**3,
    "inverse": lambda z: z**-1,
    "power": lambda z: z**1.5,
    "exp": torch.exp,
    "log": torch.log,
    "log2": torch.log2,
    "log10": torch.log10,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "sgn": torch.sgn,
    "isnan": torch.isnan,
    "isfinite": torch.isfinite,
    "not": torch.logical_not,
    "bool": lambda z: z.to(torch.bool),
    "times j": lambda z: 1j * z,
    "plus": lambda z: z + (2 - 1j),
    "scaled": lambda z: torch.add(z, 2, alpha=1 - 1j) / 3,
    "is one": lambda z: z == 1,
    "differs": lambda z: z != 1 + 0j,
    "view_as_real": torch.view_as_real,
    "polar": lambda z: torch.polar(z.real, z.imag),
    "complex": lambda z: torch.complex(z.imag, z.real),
    "double": lambda z: z.to(torch.complex128),
    "single": lambda z: z.to(torch.complex64),
}
BINARY = {
    "add": torch.add,
    "sub": lambda a, b: torch.sub(a, b, alpha=2j),
    "mul": torch.mul,
    "div": torch.div,
    "eq": torch.eq,
    "ne": torch.ne,
    "and": torch.logical_and,
    "xor": torch.logical_xor,
    "addcmul": lambda a, b: torch.addcmul(a, b, a, value=0.5),
    "outer": lambda a, b: a[..., None] * b[..., None, :] if a.ndim else a * b,
    "dot": lambda a, b: (a.conj() * b).sum(),
    "where": lambda a, b: torch.where(a.real > 0, a, b.real),
    "cat": lambda a, b: torch.cat([a.reshape(-1), b.real.reshape(-1)]),
    "stack": lambda a, b: torch.stack([a, b], -1),
}
POINTS = complex_like(5, 4)


def close(got, want, dtype, atol=0.0):
    rtol = 2e-6 if dtype == torch.complex64 else 1e-13
    want = [x.resolve_conj() for x in fn.tree.leaves(want)]
    torch.testing.assert_close([*fn.tree.leaves(got)], want, rtol=rtol, atol=atol, equal_nan=True, check_stride=False)


def native(f, *args, calls=()):
    """Run a native kernel, which calls torch for some operations only."""
    compiled = fn.jit(f, backend="native")
    got = compiled(*args)
    assert {*compiled.explain(*args).calls} == {f"aten.{name}" for name in calls}
    return got


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("shape", [(4,), *(pytest.param(shape, marks=pytest.mark.slow) for shape in ((), (2, 0)))])
def test_functions_of_one_number(dtype, shape):
    table = lambda z: {name: f(z) for name, f in UNARY.items()}  # noqa: E731
    z = complex_like(*shape, dtype=dtype)
    close(native(table, z, calls=("pow.Tensor_Scalar", "tanh.default")), table(z), dtype, 1e-6 * (dtype == COMPLEX[0]))


@pytest.mark.parametrize("dtype", BOTH)
@pytest.mark.parametrize("shapes", [((4,), (4,)), ((), (3,)), ((2, 1), (1,)), ((0,), (0,))])
def test_functions_of_two_numbers(dtype, shapes):
    table = lambda a, b: {name: f(a, b) for name, f in BINARY.items() if a.shape == b.shape or name in MIXED}  # noqa: E731
    a, b = (complex_like(*shape, dtype=dtype) for shape in shapes)
    close(native(table, a, b), table(a, b), dtype, 1e-6 * (dtype == COMPLEX[0]))


MIXED = ("add", "sub", "mul", "div", "eq", "ne")


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.int64, torch.bool])
def test_a_complex_and_a_real_tensor(kind):
    z, x = complex_like(3, dtype=torch.complex64), torch.tensor([1, 0, 3]).to(kind)
    table = lambda z, x: [z + x, z * x + 1, x * z, x / z, z / (x + 1), z == x, x.to(z.dtype), x[0] * z, z[0] * x]  # noqa: E731
    close(native(table, z, x), table(z, x), torch.complex64, 1e-6)


def test_special_values_are_those_of_eager_mode():
    table = {
        "add": lambda z: z + (1 + 0j),
        "a real times a number": lambda z: z.real * (1 + 0j),
        "conj": torch.conj,
        "angle": torch.angle,
        "view_as_real": torch.view_as_real,
        "where": lambda z: torch.where(z.real > 0, z, z.conj()),
    }
    f = lambda z: {name: formula(z).resolve_conj() for name, formula in table.items()}  # noqa: E731
    z = torch.complex(*torch.meshgrid(*[torch.tensor(SPECIAL, dtype=torch.float64)] * 2, indexing="ij"))
    got, want = (fn.tree.view_as_real(each) for each in (native(f, z), f(z)))
    close(got, want, torch.complex128)
    for name in table:
        known = ~want[name].isnan()
        assert torch.equal(got[name].signbit()[known], want[name].signbit()[known]), name


def test_functions_that_overflow():
    """An infinite part leaves the other one finite, as in eager mode."""
    table = lambda z: [z.exp(), z.sinh(), z.cosh(), (1j * z).sin(), (1j * z).cos(), 1 / z.exp(), z.exp().rsqrt()]  # noqa: E731
    z = torch.tensor([1000 + 0j, complex(math.inf, 0), complex(1000, -0.0)], dtype=torch.complex128)
    close(native(table, z), table(z), torch.complex128)
    quotients = lambda z: [(2 - 1j) / z, z.sqrt(), z.reciprocal()]  # noqa: E731
    z = torch.tensor([complex(math.inf, 2), complex(1, -math.inf), complex(-math.inf, 0)], dtype=torch.complex128)
    close(native(quotients, z), quotients(z), torch.complex128)


def test_numbers_whose_squares_overflow():
    z = torch.tensor([3e200 + 4e200j, 1e-200 - 1e-200j, 2e300 + 1j, -1e300 + 0j], dtype=torch.complex128)
    table = lambda z: [z.abs(), z / z, 1 / z, z.sqrt(), z.log()]  # noqa: E731
    close(native(table, z), table(z), torch.complex128)


def rotated(z, angle):
    return z * torch.exp(1j * angle)


PROGRAMS = {
    "scan": lambda z: fn.scan(lambda c, x: (rotated(c, x.abs()) + x, (c.abs(), c.conj())), z[0], z),
    "scan of two dtypes": lambda z: fn.scan(lambda c, x: ((c[0] + x, c[1] * x.abs()), c[0] / 2), (z[0], z.real[0]), z),
    "scan without steps": lambda z: fn.scan(lambda c, x: (c + x, c * 2), z[0], z[:0]),
    "while": lambda z: fn.while_loop(lambda c: c.abs() < 50, lambda c: c * (1.2 + 0.3j) + 0.1, z[0]),
    "branches": lambda z: fn.cond(z[0].real > 0, lambda z: z * 1j, lambda z: z.conj() + z.real, z),
    "gradient": fn.grad(lambda z: (rotated(z, z.abs()) / (z * z + 2)).abs().sum() + z.angle().sum()),
    "gradient of a scan": fn.grad(lambda z: fn.scan(lambda c, x: (c * x.exp(), c), z[0], z)[1].abs().sum()),
    "views": lambda z: [z[::2], z[None].expand(2, -1).mT, z.flip(0), z.conj().imag[1:], z.reshape(2, 2).mH, z.diag()],
    "indices": lambda z: [z[torch.tensor([3, 0])], z.clone().index_put((torch.tensor([1]),), z[:1]), z.roll(1)],
    "sums": lambda z: [z.sum(), z.mean(), z.cumsum(0), z.norm(), torch.linalg.vector_norm(z, 3), z.sum(0, True)],
    "products": lambda z: [torch.outer(z, z.conj()) @ z, z.reshape(2, 2) @ z.reshape(2, 2), torch.vdot(z, z * 1j)],
    "writes": lambda z: [(z * 1).real.mul_(2), (z * 1).conj().mul_(2j), (z * 1)[1:].add_(1j)],
    "padding": lambda z: [torch.nn.functional.pad(z, (1, 2)), torch.tril(z.reshape(2, 2))],
    "another result": lambda z: [torch.view_as_complex(torch.stack([z.imag, z.real], -1)), z, z.real, z.new_zeros(3)],
}
CALLS = {
    "fft": lambda x: torch.fft.ifft(torch.fft.fft(x) * 2j),
    "rfft": lambda x: torch.fft.irfft(torch.fft.rfft(x.real) * (1 + 1j), n=x.shape[-1]),
    "fft2": lambda x: torch.fft.fftn(torch.outer(x, x.conj())).abs().sqrt(),
    "gradient of fft": fn.grad(lambda x: torch.fft.fft(x * x).abs().square().sum().sqrt()),
    "fft in a scan": lambda x: fn.scan(lambda c, y: (torch.fft.fft(c).mul(y / 2), c.abs()), x, x),
    "fft in a while": lambda x: fn.while_loop(lambda c: c.abs().sum() < 99, lambda c: torch.fft.ifft(c) * 9j, x),
    "fft in a branch": lambda x: fn.cond(
        x[0].real > 0, lambda: torch.fft.fft(x).sin(), lambda: torch.fft.ifft(x).cos()
    ),
    "of conjugates": lambda x: [torch.fft.fft(x.conj()) + x, torch.fft.fft(x.real).conj().imag, x.conj().prod() * 2],
    "eig": lambda x: torch.linalg.eigvals(torch.diag(x) + 1).abs().sort()[0] * 2 + 1,
    "solve": lambda x: torch.linalg.solve(torch.outer(x, x) + torch.eye(len(x)), x * 2).exp(),
    "svd": lambda x: torch.linalg.svdvals(torch.outer(x, x.conj()) + torch.eye(len(x)))[:2].sin(),
}
QUICK_PROGRAMS = ("scan", "while", "branches", "gradient", "views", "another result")
QUICK_CALLS = ("rfft", "fft in a scan", "fft in a branch", "of conjugates")


@pytest.mark.parametrize("dtype", BOTH)
@pytest.mark.parametrize("name", mostly_slow(PROGRAMS, QUICK_PROGRAMS))
def test_programs_run_natively_without_calls(name, dtype):
    f, z = PROGRAMS[name], complex_like(4, dtype=dtype)
    for given in (z, z * 0.5 - 0.1):
        close(native(f, given), f(given), dtype, 1e-5 * (dtype == COMPLEX[0]) + 1e-13)


@pytest.mark.parametrize("dtype", BOTH)
@pytest.mark.parametrize("name", mostly_slow(PROGRAMS, QUICK_PROGRAMS[:3]))
def test_lanes_run_natively_without_calls(name, dtype):
    f, z = PROGRAMS[name], complex_like(19, 4, dtype=dtype)
    one_by_one = [f(each) for each in z]
    want = fn.tree.stack([fn.tree.map(torch.Tensor.resolve_conj, each) for each in one_by_one])
    close(native(fn.vmap(f), z), want, dtype, 1e-5 * (dtype == COMPLEX[0]) + 1e-12)


@pytest.fixture
def without_fourier_rules(monkeypatch):
    """Let torch compute short Fourier transforms as well."""
    for name in fourier.RULES:
        monkeypatch.delitem(RULES, name)


@pytest.mark.usefixtures("without_fourier_rules")
@pytest.mark.parametrize("dtype", BOTH)
@pytest.mark.parametrize("name", mostly_slow(CALLS, QUICK_CALLS))
def test_other_operations_are_calls(name, dtype):
    f, z = CALLS[name], complex_like(4, dtype=dtype)
    compiled = fn.jit(f, backend="native")
    for given in (z, z * 0.5 - 0.1):
        close(compiled(given), f(given), dtype, 1e-5 * (dtype == COMPLEX[0]) + 1e-13)
    assert compiled.explain(z).calls


@pytest.mark.usefixtures("without_fourier_rules")
@pytest.mark.parametrize("name", mostly_slow(CALLS, ("rfft",)))
def test_calls_for_all_lanes(name):
    f, z = CALLS[name], complex_like(5, 4)
    want = fn.tree.stack([f(each) for each in z])
    close(fn.jit(fn.vmap(f), backend="native")(z), want, torch.complex128, 1e-12)


def test_lanes_that_share_a_complex_argument_and_lie_along_another_axis():
    f = fn.vmap(lambda a, b: (a * b, a.conj(), b.real), in_dims=(1, None), out_dims=(-1, 0, None))
    a, b = complex_like(3, 7), complex_like(3)
    close(native(f, a, b), f(a, b), torch.complex128)
    close(native(f, a.conj()[:, ::2], b), f(a.conj()[:, ::2], b), torch.complex128)


@pytest.mark.parametrize("shape", [(0,), (0, 3)])
def test_no_lanes(shape):
    f, z = fn.vmap(lambda z: z.exp() * 1j), complex_like(*shape)
    close(native(f, z), f(z), torch.complex128)


@pytest.mark.usefixtures("without_fourier_rules")
@pytest.mark.parametrize("given", ["conjugate", "transposed", "expanded"])
def test_arguments_of_any_layout(given):
    z = complex_like(3, 4)
    z = {
        "conjugate": z.conj(),
        "transposed": z.T,
        "expanded": z[:1].expand(2, -1),
    }[given]
    f = lambda z: (z * 2, z.conj().imag, torch.fft.fft(z))  # noqa: E731
    got = native(f, z, calls=("_fft_c2c.default",))
    assert all(leaf.is_contiguous() and not leaf.is_conj() for leaf in got)
    close(got, f(z), torch.complex128)


def test_a_training_run_of_complex_parameters_is_one_kernel():
    x, y = complex_like(8, 3), complex_like(8, 2, seed=1)

    def run(w):
        loss = lambda w: (x @ w - y).abs().square().mean()  # noqa: E731
        return fn.scan(lambda w, _: (w - 0.1 * fn.grad(loss)(w), loss(w)), w, length=20)

    got, losses = native(run, complex_like(3, 2))
    close((got, losses), run(complex_like(3, 2)), torch.complex128, 1e-12)
    assert losses[-1] < losses[0]


@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_half_precision_is_replayed():
    f = lambda x: (x.to(torch.complex32).real + 1, x * 2)  # noqa: E731
    compiled = fn.jit(f)
    assert torch.equal(compiled(torch.ones(2))[0], f(torch.ones(2))[0])
    assert "complex32" in compiled.explain(torch.ones(2)).reason


@pytest.mark.parametrize("size, calls", [(4, ()), (40, ("mm.default",))])
def test_blas_multiplies_large_matrices(size, calls):
    a, b = complex_like(size, size), complex_like(size, size, seed=1)
    close(native(lambda a, b: (a @ b.mH).exp(), a / 9, b, calls=calls), (a / 9 @ b.mH).exp(), torch.complex128, 1e-12)


def test_the_order_of_operators_with_numbers():
    z = complex_like(3)
    for op in (operator.add, operator.sub, operator.mul, operator.truediv):
        table = lambda z, op=op: [op(z, 2 - 1j), op(2 - 1j, z), op(2.0, z), op(3, z.real) + 0j]  # noqa: E731
        close(native(table, z), table(z), torch.complex128, 1e-15)
