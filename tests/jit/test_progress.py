"""Progress of jitted runs: the calls of the callback on each backend; an exception from it stops the run."""

import time

import pytest
import torch
from stages import text
from torch import Tensor

import funcnet as fn
from funcnet.compiler.native import toolchain
from funcnet.compiler.tracing.spec import spec_of
from funcnet.compiler.tracing.trace import trace

Heard = list[tuple[int, int]]


def run(x: Tensor, length: int = 40, inner: int = 10) -> Tensor:
    """Run two scans, the first of which contains another one."""
    step = lambda c, _: (torch.sin(c) + 1, None)  # noqa: E731
    x, _ = fn.scan(lambda c, _: fn.scan(step, c, length=inner), x, length=length)
    return fn.scan(step, x, length=2)[0]


def listener(heard: Heard):
    return lambda done, total: heard.append((done, total))


def long_run(x: Tensor) -> Tensor:
    return run(x, 400, 5_000)


@pytest.mark.parametrize("backend", ["native", "eager"])
def test_a_short_run_reports_its_end(backend: str) -> None:
    heard: Heard = []
    f = fn.jit(run, backend=backend, progress=listener(heard))
    for times in (1, 2):
        torch.testing.assert_close(f(torch.ones(3)), run(torch.ones(3)))
        assert heard[-1] == (42, 42) and len(heard) >= times


def test_a_program_without_a_scan_has_no_steps() -> None:
    heard: Heard = []
    fn.jit(torch.sin, backend="native", progress=listener(heard))(torch.ones(2))
    assert heard == [(0, 0)]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_long_native_run_counts_the_outermost_steps_of_all_blocks(threads: int) -> None:
    heard: Heard = []
    x, before = torch.linspace(0, 1, 40), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        f = fn.jit(fn.vmap(long_run), backend="native", progress=listener(heard))
        f.explain(x)
        start = time.monotonic()
        got = f(x)
        taken = time.monotonic() - start
    finally:
        torch.set_num_threads(before)
    lanes = toolchain.compiler().vector // 4
    total = 402 * -(-40 // lanes)
    assert heard[-1] == (total, total) and {t for _, t in heard} == {total}
    assert heard == sorted(heard)
    middle = [done for done, _ in heard if 0 < done < total]
    assert taken < 0.25 or middle, "nothing was heard meanwhile"
    assert len(heard) <= 2 + threads + taken / 0.1
    assert torch.equal(got, fn.jit(fn.vmap(long_run), backend="native")(x))


def test_the_eager_loop_reports_while_it_runs() -> None:
    heard: Heard = []
    slow = lambda c, _: (torch.mm(c, c).tanh(), None)  # noqa: E731
    f = fn.jit(lambda x: fn.scan(slow, x, length=40)[0], backend="eager", progress=listener(heard))
    start = time.monotonic()
    f(torch.eye(600))
    assert heard[-1] == (40, 40) and heard == sorted(heard)
    assert time.monotonic() - start < 0.3 or len(heard) > 1


def test_chunks_of_an_eager_ensemble_count_together() -> None:
    heard: Heard = []
    f = fn.jit(fn.vmap(run, chunk_size=2), backend="eager", progress=listener(heard))
    torch.testing.assert_close(f(torch.linspace(0, 1, 5)), run(torch.linspace(0, 1, 5)))
    assert heard[-1] == (3 * 42, 3 * 42)


class EnoughError(Exception):
    pass


@pytest.mark.parametrize("backend", ["native", "eager"])
def test_an_exception_from_the_callback_stops_the_run(backend: str) -> None:
    def stop(done: int, total: int) -> None:
        if done < total:
            raise EnoughError

    forever = lambda x: fn.scan(lambda c, _: (torch.sin(c), None), x, length=100_000_000)[0]  # noqa: E731
    f = fn.jit(fn.vmap(forever), backend=backend, progress=stop)
    f.explain(torch.ones(40))
    for _ in range(2):
        start = time.process_time()
        with pytest.raises(EnoughError):
            f(torch.ones(40))
        assert time.process_time() - start < 2.0


@pytest.mark.parametrize("backend", ["native", "eager"])
def test_the_callback_may_run_the_same_function(backend: str) -> None:
    heard: dict[bool, Heard] = {True: [], False: []}
    inside = False

    def again(done: int, total: int) -> None:
        nonlocal inside
        heard[inside].append((done, total))
        if not inside:
            inside = True
            f(torch.full((600, 600), 0.5))
            inside = False

    slow = lambda c, _: (torch.mm(c, c).tanh() if backend == "eager" else torch.sin(c), None)  # noqa: E731
    f = fn.jit(lambda x: fn.scan(slow, x, length=60)[0], backend=backend, progress=again)
    torch.testing.assert_close(f(torch.eye(600)), f.f(torch.eye(600)), rtol=1e-4, atol=1e-5)
    assert heard[False][-1] == (60, 60) and heard[True].count((60, 60)) >= len(heard[False])
    assert heard[False] == sorted(heard[False]) and all(done <= 60 for done, _ in heard[False] + heard[True])


def test_a_kernel_without_a_callback_counts_nothing() -> None:
    program = trace(lambda tensors: [run(tensors[0])], [spec_of(torch.ones(3))])
    plain, counted = (text(program, vector=32, counted=c) for c in (False, True))
    added = set(counted.splitlines()) - set(plain.splitlines())
    assert added == {"    ++*(volatile i64 *)(control + 2);"}
    assert len(counted.splitlines()) == len(plain.splitlines()) + 2


def test_inside_another_transformation_nothing_is_reported() -> None:
    heard: Heard = []
    inner = fn.jit(run, progress=listener(heard))
    fn.jit(lambda x: inner(x) + 1)(torch.ones(2))
    assert heard == []
