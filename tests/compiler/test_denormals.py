"""Native kernels flush denormals to zeros of the same sign, in every thread, and restore the caller's mode."""

import platform
import subprocess
import sys
import threading

import pytest
import torch
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit

FLOATS = (torch.float32, torch.float64)
LANES = 19  # not a multiple of 4, 8 or 16, the lanes of a block

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64", "aarch64", "arm64"), reason="no flush mode is known here"
)


def bits(x: Tensor) -> Tensor:
    return x.view({torch.float32: torch.int32, torch.float64: torch.int64}[x.dtype])


def same_bits(got: Tensor, want: Tensor) -> bool:
    return torch.equal(bits(got), bits(want))


def keeps_denormals() -> bool:
    """Tell whether this thread's arithmetic keeps denormals, as results and as operands."""
    half = torch.finfo(torch.float32).tiny / 2
    one = torch.ones(())
    return bool((one * half).view(torch.int32) != 0) and bool((half * 2.0 * one) != 0) and _reads_denormals()


def _reads_denormals() -> bool:
    least = torch.tensor(1, dtype=torch.int32).view(torch.float32)
    return bool((least * 2.0**140) != 0)


@pytest.fixture(params=[False, True], ids=["kept", "flushed"])
def caller(request: pytest.FixtureRequest):
    """The floating-point mode of the calling thread: no result may depend on it, and no call may change it."""
    torch.set_flush_denormal(request.param)
    yield request.param
    torch.set_flush_denormal(False)


@pytest.mark.parametrize("lanes", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_result_below_the_least_normal_number_is_a_zero_of_its_sign(
    dtype: torch.dtype, lanes: bool, caller: bool
) -> None:
    tiny = torch.finfo(dtype).tiny
    x = torch.tensor([tiny, -tiny, tiny, 2 * tiny], dtype=dtype)
    want = torch.tensor([0.0, -0.0, 0.0, tiny], dtype=dtype)
    f = lambda x: x * 0.5  # noqa: E731
    if lanes:
        x, want, f = x.expand(LANES, 4), want.expand(LANES, 4).contiguous(), fn.vmap(f)
    assert same_bits(jit(f, backend="native")(x).contiguous(), want)


@pytest.mark.parametrize("lanes", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_denormal_operand_is_a_zero(dtype: torch.dtype, lanes: bool, caller: bool) -> None:
    kinds = {torch.float32: (torch.int32, 2.0**100), torch.float64: (torch.int64, 2.0**1000)}
    whole, large = kinds[dtype]
    x = torch.tensor([1, 1000, 1 << 20], dtype=whole).view(dtype)
    x = torch.cat([x, -x])
    f = lambda x: (x * large, x == 0, x > 0)  # noqa: E731
    call = jit(fn.vmap(f) if lanes else f, backend="native")
    product, is_zero, is_positive = call(x.expand(LANES, 6) if lanes else x)
    want = torch.tensor([0.0] * 3 + [-0.0] * 3, dtype=dtype).expand(product.shape)
    assert same_bits(product.contiguous(), want.contiguous())
    assert is_zero.all() and not is_positive.any()


UNARY = """exp expm1 exp2 log log1p log2 log10 sqrt rsqrt reciprocal sigmoid tanh sin cos tan asin acos atan sinh cosh
asinh acosh atanh erf erfc lgamma floor ceil round sign relu"""
COMPOSED = {
    "times_infinity": lambda x: x * torch.inf,
    "power": lambda x: x.abs() ** 0.7,
    "negative_power": lambda x: x.abs() ** -1.5,
    "exponent": lambda x: 1.5**x,
    "hypot": lambda x: torch.hypot(x, x + 1),
    "atan2": lambda x: torch.atan2(x, x + 1),
    "remainder": lambda x: torch.remainder(x + 1, x),
}
FUNCTIONS = {**{name: getattr(torch, name) for name in UNARY.split()}, **COMPOSED}


@pytest.mark.parametrize("dtype", FLOATS)
def test_functions_of_a_denormal_are_those_of_zero(dtype: torch.dtype) -> None:
    """The results may differ by the least normal number: some functions return such an argument unchanged."""
    tiny = torch.finfo(dtype).tiny
    x, zeros = torch.tensor([tiny / 1000, -tiny / 1000], dtype=dtype), torch.tensor([0.0, -0.0], dtype=dtype)
    got = jit(lambda x: {name: f(x) for name, f in FUNCTIONS.items()}, backend="native")(x)
    for name, f in FUNCTIONS.items():
        torch.testing.assert_close(got[name], f(zeros), rtol=0, atol=tiny, equal_nan=True, msg=name)


def test_moves_keep_the_bits_of_denormals() -> None:
    x = torch.tensor([1, -5], dtype=torch.int32).view(torch.float32)
    flipped, chosen = jit(lambda x: (x.flip(0), torch.where(x > -1, x, 0.0)), backend="native")(x)
    assert same_bits(flipped, x.flip(0).contiguous()) and same_bits(chosen[:1], x[:1])


def test_a_decayed_momentum_becomes_zero() -> None:
    def step(m: Tensor, _: None) -> tuple[Tensor, None]:
        return 0.9 * m, None

    decay = lambda m: fn.scan(step, m, length=2_000)[0]  # noqa: E731
    start = torch.tensor([1.0, -1.0, 1e-30])
    assert same_bits(jit(decay, backend="native")(start), torch.tensor([0.0, -0.0, 0.0]))
    assert (jit(decay, backend="eager")(start) != 0).all()  # 0.9 times the least number rounds to itself


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_the_mode_of_the_caller_is_restored(backend: str, caller: bool) -> None:
    x = torch.ones(3)
    jit(lambda x: x * 2, backend=backend)(x)
    assert keeps_denormals() is not caller


def test_the_mode_of_the_caller_is_restored_after_an_error(caller: bool) -> None:
    with pytest.raises(IndexError):
        jit(lambda x, i: x[i], backend="native")(torch.zeros(3), torch.tensor([3]))
    assert keeps_denormals() is not caller


class StopError(Exception):
    pass


def test_the_mode_of_the_caller_is_restored_after_an_interrupt(caller: bool) -> None:
    def stop(done: int, total: int) -> None:
        raise StopError

    run = jit(lambda x: fn.scan(lambda c, _: (c * 0.999, None), x, length=10**9)[0], backend="native", progress=stop)
    with pytest.raises(StopError):
        run(torch.ones(3))
    assert keeps_denormals() is not caller


def test_the_eager_backend_follows_the_caller(caller: bool) -> None:
    tiny = torch.finfo(torch.float32).tiny
    assert bool(jit(lambda x: x * 0.5, backend="eager")(torch.tensor([tiny])) == 0) is caller


def test_every_thread_of_a_long_run_flushes(caller: bool) -> None:
    """The run is long enough for worker threads, which inherit the caller's mode from the system."""

    def run(x: Tensor) -> Tensor:
        return fn.scan(lambda c, _: (c * 0.9, None), x, length=20_000)[0]

    before, x = torch.get_num_threads(), torch.full((64, 64), 1e-30)
    torch.set_num_threads(2)
    try:
        assert (jit(fn.vmap(run), backend="native")(x) == 0).all()
    finally:
        torch.set_num_threads(before)
    assert keeps_denormals() is not caller


def test_a_thread_of_the_user_is_flushed_and_keeps_its_mode() -> None:
    seen = []

    def work() -> None:
        torch.set_flush_denormal(False)
        seen.append(jit(lambda x: x * 0.25, backend="native")(torch.tensor([2e-38])).item())
        seen.append(keeps_denormals())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [0.0, True]


BLAS = """
import torch, funcnet as fn
torch.set_num_threads(2)
fn.jit(lambda x: x.expand(500, 500) @ x.expand(500, 500), backend="native")(torch.ones(1))  # the first parallel work
least = torch.tensor([1e-40]).expand(4_000_000)
assert (least * 1.0 != 0).all()
"""


def test_threads_of_blas_keep_the_mode_of_the_caller() -> None:
    """They start inside a kernel, outlive it, and run torch's operations later."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", BLAS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
