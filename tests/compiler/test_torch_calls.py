"""Operations without a native rule: a kernel calls torch for them, in loops and branches, too."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from backends import rand
from interrupts import interrupted
from programs_with_calls import PROGRAMS, factorised, in_a_scan, likelihood, positive

import funcnet as fn
from funcnet import bridge
from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native import torch_calls
from funcnet.compiler.native.lowering import convolution, matrices
from funcnet.compiler.native.lowering.table import RULES

FLOATS = (torch.float32, torch.float64)


@pytest.fixture(autouse=True)
def without_rules_for_linear_algebra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch compute matrix factors and convolutions, whose errors and values are known."""
    for name in (*matrices.RULES, *convolution.RULES):
        monkeypatch.delitem(RULES, name)


QUICK = {
    ("in_a_scan", torch.float32),
    *((name, torch.float64) for name in PROGRAMS if name not in ("several_results", "in_a_training_run")),
}
ROWS = [
    pytest.param(name, dtype, marks=() if (name, dtype) in QUICK else pytest.mark.slow)
    for name in PROGRAMS
    for dtype in FLOATS
]


@pytest.mark.parametrize("name, dtype", ROWS)
def test_a_kernel_with_calls_equals_torch_and_a_replay(name: str, dtype: torch.dtype) -> None:
    f, args = PROGRAMS[name], (positive(13, dtype), rand(13, dtype=dtype))
    jitted = fn.jit(f)
    explanation = jitted.explain(*args)
    assert explanation.backend == "native" and explanation.calls
    for other in (f, fn.jit(f, backend="eager")):
        pairs = zip(fn.tree.leaves(jitted(*args)), fn.tree.leaves(other(*args)), strict=True)
        for got, want in pairs:
            torch.testing.assert_close(got, want, rtol=1e-4 if dtype == torch.float32 else 1e-10, atol=1e-5)


def test_explain_lists_the_calls():
    explanation = fn.jit(factorised).explain(positive(3))
    calls = {"aten.linalg_cholesky_ex.default": 1, "aten._linalg_check_errors.default": 1}
    assert explanation.backend == "native" and explanation.calls == calls
    assert "torch computes aten._linalg_check_errors.default, aten.linalg_cholesky_ex.default" in explanation.reason
    assert fn.jit(torch.sin).explain(positive(3)).calls == {}


def test_a_program_of_calls_is_replayed():
    """A replay makes calls sooner, so that a kernel needs other operations to be faster."""
    for f in (torch.linalg.cholesky, lambda a: torch.linalg.cholesky(a).T, lambda a: torch.linalg.ldl_factor(a)[0] + 1):
        explanation = fn.jit(f).explain(positive(3))
        assert explanation.backend == "eager" and explanation.calls == {}
        assert "the native backend has no rule for it, and few other operations" in explanation.reason
    assert fn.jit(torch.linalg.cholesky, backend="native").explain(positive(3)).backend == "native"
    assert fn.jit(factorised).explain(positive(3)).backend == "native"


@pytest.mark.parametrize("length", [1, 10**8])
def test_an_error_of_torch_ends_the_run(length: int) -> None:
    jitted = fn.jit(lambda a: factorised(a, length=length))
    with pytest.raises(torch.linalg.LinAlgError, match=r"linalg.cholesky: .* \(the leading minor of order 2 is not"):
        jitted(torch.diag(torch.tensor([3.0, -1.0, 2.0])))


def test_a_kernel_works_after_an_error():
    jitted, bad = fn.jit(factorised), -positive(3)
    for _ in range(2):
        with pytest.raises(torch.linalg.LinAlgError):
            jitted(bad)
        torch.testing.assert_close(jitted(positive(3)), factorised(positive(3)))


def test_an_error_within_a_section_ends_the_run():
    """A large kernel is divided into C functions."""

    def f(a):
        def step(c, _):
            for i in range(40):
                c = torch.cat([c[1:], c[:1] * i]).cumsum(0).sin()
            return c + torch.linalg.cholesky(a + c.abs().sum() - c[0])[0], c.sum()

        return fn.scan(step, a[0], length=10**8)

    with pytest.raises(torch.linalg.LinAlgError):
        fn.jit(f)(-(10**6) * positive(3))


def test_an_index_out_of_range_before_a_failed_call_is_the_error():
    def f(a, i):
        return (torch.linalg.cholesky(a[i] - 10 * torch.eye(3, dtype=a.dtype)).sin().cos() + 1).exp()

    a = torch.stack([positive(3)] * 2) - 100
    with pytest.raises(IndexError):
        fn.jit(f)(a, torch.tensor(2))
    with pytest.raises(torch.linalg.LinAlgError):
        fn.jit(f)(a, torch.tensor(1))


def test_two_threads_share_a_kernel():
    jitted = fn.jit(factorised)
    matrices = [positive(4) + i for i in range(8)]
    with ThreadPoolExecutor(2) as pool:
        results = [*pool.map(lambda a: [jitted(a) for _ in range(20)], matrices)]
        failed = [pool.submit(jitted, -matrices[0]) for _ in range(4)]
    for a, found in zip(matrices, results, strict=True):
        for result in found:
            torch.testing.assert_close(result, factorised(a))
    assert all(isinstance(each.exception(), torch.linalg.LinAlgError) for each in failed)


def test_arguments_at_other_addresses_are_read():
    jitted = fn.jit(lambda a: (torch.linalg.cholesky(a).sin() + 1).exp() * 2)
    for i in range(5):
        a = positive(40) + i
        torch.testing.assert_close(jitted(a), (torch.linalg.cholesky(a).sin() + 1).exp() * 2)


def test_calls_in_inference_mode_and_outside():
    jitted, a = fn.jit(factorised), positive(3)
    with torch.inference_mode():
        inside = jitted(a)
    torch.testing.assert_close(jitted(a), inside)


def test_progress_counts_the_steps():
    seen = []
    jitted = fn.jit(lambda a: factorised(a, length=20_000), progress=lambda done, total: seen.append((done, total)))
    jitted(positive(3))
    assert seen[-1] == (20_000, 20_000) and seen == sorted(seen)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
@pytest.mark.parametrize("length", [200, 10**6])
def test_an_interrupt_stops_a_run_with_calls(length: int) -> None:
    """A short run is in the calling thread, a long one in a thread of its own."""
    a = positive(3)
    jitted = fn.jit(lambda a: factorised(a, length=length))
    jitted.lower(a).compile()
    with interrupted(0.5) as since, pytest.raises(KeyboardInterrupt):
        while True:
            jitted(a)
    assert since() < 1.0
    assert jitted.explain(a).calls
    torch.testing.assert_close(fn.jit(factorised)(a), factorised(a))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
def test_a_call_that_waits_sees_an_interrupt() -> None:
    """A long run is in a thread of its own, in which Python raises no KeyboardInterrupt."""

    def wait(x: torch.Tensor) -> torch.Tensor:
        end = time.monotonic() + 60
        while not torch_calls.is_stopped() and time.monotonic() < end:
            time.sleep(0.01)
        stopped.append(torch_calls.is_stopped())
        return x

    stopped: list[bool] = []
    step = lambda c, _: (fn.pure_callback(wait, c, c).sin(), c.cos().exp())  # noqa: E731
    jitted, x = fn.jit(lambda x: fn.scan(step, x, length=10**6)[1].sum()), torch.tensor(1.0)
    jitted.lower(x).compile()
    with interrupted(0.5), pytest.raises(KeyboardInterrupt):
        jitted(x)
    assert stopped == [True] and not torch_calls.is_stopped()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_makes_calls():
    jitted, a = fn.jit(factorised), positive(3)
    want = jitted(a)
    child = os.fork()
    if not child:
        same = False
        try:
            same = all(map(torch.equal, jitted(a), want))
        finally:
            os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_calls_run_in_the_floating_point_mode_of_the_caller():
    """The native backend flushes denormals, torch does not."""
    eye, tiny = torch.eye(2), torch.full((2, 1), 1e-40)

    def f(eye, tiny):
        kept = torch.linalg.solve_triangular(eye, tiny, upper=False)
        return kept, (kept * 2).exp() + eye.sin().cos().sum()

    assert fn.jit(f).explain(eye, tiny).backend == "native"
    assert torch.equal(fn.jit(f)(eye, tiny)[0], tiny)


LANES = {
    "both": (lambda a, x: (a @ x).exp() + torch.linalg.cholesky(a).sum(1).sin() * x.cos(), (0, 0)),
    "one": (lambda a, x: (torch.linalg.cholesky(a) @ x).exp().sin() + x.cos().cumsum(0), (None, 0)),
    "an output axis": (lambda a, x: in_a_scan(a, x)[1], (2, 1)),
    "a gradient": (lambda a, x: fn.grad(likelihood, 2)(a, x, x[0]).sin().cos().exp() + x, (0, 0)),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == "both" else pytest.mark.slow) for n in LANES])
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_one_call_computes_all_lanes(name: str, chunk_size: int | None) -> None:
    f, dims = LANES[name]
    a, x = torch.stack([positive(3) + i for i in range(5)]), rand(5, 3, dtype=torch.float64)
    args = [t[0] if d is None else t.movedim(0, d) for t, d in zip((a, x), dims, strict=True)]
    out = 1 if name == "an output axis" else 0
    jitted = fn.jit(fn.vmap(f, in_dims=dims, out_dims=out, chunk_size=chunk_size))
    explanation = jitted.explain(*args)
    assert explanation.backend == "native" and explanation.kernel_size and sum(explanation.calls.values()) < 7
    for count in (5, 3):
        some = [t if d is None else t.narrow(d, 0, count) for t, d in zip(args, dims, strict=True)]
        want = torch.stack([f(a[i if dims[0] is not None else 0], x[i]) for i in range(count)], out)
        torch.testing.assert_close(jitted(*some), want)


def test_a_failed_lane_is_nan_and_the_others_continue():
    f = lambda a: torch.linalg.cholesky(a).sum().sin().cos().exp() * a.sum()  # noqa: E731
    a = torch.stack([positive(3), -positive(3), positive(3) + 1])
    jitted = fn.jit(fn.vmap(f))
    result = jitted(a)
    assert jitted.explain(a).calls and result[1].isnan()
    torch.testing.assert_close(result[::2], torch.stack([f(a[0]), f(a[2])]))


def test_lanes_of_mostly_calls_are_replayed():
    explanation = fn.jit(fn.vmap(lambda a: torch.special.zeta(a, a))).explain(torch.stack([positive(3)] * 2))
    assert explanation.backend == "eager" and "few other operations" in explanation.reason


def test_export_c_refuses_calls(tmp_path):
    with pytest.raises(UnsupportedError, match=r"export_c: .* aten.linalg_cholesky_ex.default: .* calls torch"):
        bridge.export_c(factorised, positive(3), path=tmp_path / "program")
