"""An interrupt ends a native run soon, and no element is lost where a run may stop."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from interrupts import interrupted

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.native.interrupts import Interrupts
from funcnet.compiler.native.target import Target
from funcnet.control_flow.scan import scan


def test_interrupt_stops_a_long_run_within_a_second() -> None:
    forever = lambda p: scan(lambda c, _: (torch.sin(c), None), p, length=1_000_000_000)[0]  # noqa: E731
    f = jit(forever, backend="native")
    assert f.explain(torch.ones(64)).backend == "native"  # built before the timer starts
    with interrupted(0.5) as since, pytest.raises(KeyboardInterrupt):
        f(torch.ones(64))
    assert since() < 1.0


def newton(x: torch.Tensor) -> torch.Tensor:
    """Repeat steps until a condition that never holds: an estimate of the work says nothing about it."""
    return fn.while_loop(lambda y: (y < 1e30).all(), lambda y: (y + x / y) / 2, x)


ENDLESS = {
    "alone": newton,
    "in lanes": fn.vmap(newton),
    "in a scan": lambda x: fn.scan(lambda c, _: (newton(c), None), x, length=3)[0],
    "with a call of torch": lambda x: newton(torch.linalg.eigvals(x[:1] * torch.eye(2)).real),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_interrupt_ends_a_loop_without_a_known_number_of_steps(name: str) -> None:
    call, x = jit(ENDLESS[name], backend="native"), torch.ones(3)
    call.explain(x)
    for _ in range(2):
        with interrupted(0.2), pytest.raises(KeyboardInterrupt):
            call(x)


def test_a_kernel_runs_after_an_interrupt() -> None:
    steps = lambda x, most: fn.while_loop(lambda c: c[0] < most, lambda c: (c[0] + 1, c[1] * 0.5 + 1), (most * 0, x))  # noqa: E731
    call = jit(steps, backend="native")
    x, few = torch.ones(()), torch.tensor(5)
    want = call(x, few)
    with interrupted(0.2), pytest.raises(KeyboardInterrupt):
        call(x, torch.tensor(2**62))
    assert fn.tree.difference(call(x, few), want, rtol=0, atol=0) is None
    assert fn.tree.difference(call(x, few), steps(x, few), rtol=0, atol=0) is None


def slow_chain(x: torch.Tensor) -> torch.Tensor:
    for _ in range(10):
        x = torch.lgamma(x + 1.5).sin().exp()
    return x


def sorted_often(x: torch.Tensor) -> torch.Tensor:
    for _ in range(10):
        x = -x.sort(1)[0]
    return x


LONG = {  # each takes a second or more, ten times as long as the time before the interrupt
    "chain": (slow_chain, (40_000_000,)),
    "sum": (lambda x: slow_chain(x).sum(), (40_000_000,)),
    "sums of rows": (lambda x: slow_chain(x).sum(1), (1000, 40_000)),
    "sums of columns": (lambda x: slow_chain(x).sum(0), (1000, 40_000)),
    "greatest": (lambda x: slow_chain(x).amax(), (40_000_000,)),
    "sort": (lambda x: x.sort()[1], (30_000_000,)),
    "sort of rows": (sorted_often, (60, 500_000)),
    "product": (lambda x: x @ x @ x, (6000, 6000)),
    "running sum": (lambda x: slow_chain(x).cumsum(0), (40_000_000,)),
    "lanes": (fn.vmap(lambda x: slow_chain(x).sort()[0]), (8, 5_000_000)),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == "chain" else pytest.mark.slow) for n in LONG])
def test_an_interrupt_ends_the_threads_of_long_statements(name: str) -> None:
    f, shape = LONG[name]
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    call = jit(f, backend="native")
    call.explain(x)  # built before the clock starts
    with interrupted(0.1), pytest.raises(KeyboardInterrupt):
        call(x)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1  # the call returned after its threads had ended


SPLIT = [(2**12 + 37,), (3, 2**11 + 5), (2**11 + 5, 3), (150, 140), (5, 7, 2**8 + 1)]


@pytest.mark.parametrize("shape", [SPLIT[0], *(pytest.param(s, marks=pytest.mark.slow) for s in SPLIT[1:])])
def test_no_element_is_lost_where_a_run_may_stop(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Target, "host", lambda host=Target.host: replace(host(), poll=2**12, poll_between=2**8))
    x = torch.randint(-4, 5, shape, generator=torch.Generator().manual_seed(0)).double()
    for axis in range(len(shape)):
        f = lambda x, axis=axis: (  # noqa: E731
            x * 2 + 1,
            x.sum(axis),
            x.amax(axis),
            (x > 0).sum(axis),
            x.cumsum(axis),
            (x * x).sum(),
            x.sort(dim=axis, stable=True)[1],
            x.float().logcumsumexp(axis),
        )
        assert jit(f, backend="native").lower(x).as_text("c").count("control[0]) return;") > 3
        for got, want in zip(jit(f, backend="native")(x), f(x), strict=True):
            if want.dtype == torch.float32:
                torch.testing.assert_close(got, want)
            else:
                assert torch.equal(got, want)


@pytest.mark.parametrize("rows, inner, columns", [(2100, 700, 1030), (513, 900, 2000)])
def test_a_product_in_several_calls_equals_one(
    rows: int, inner: int, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {"team": 10**12}  # not in parts for threads
    monkeypatch.setattr(
        Target, "host", lambda host=Target.host: replace(host(), **whole, poll_product=2**32, gemm_wins=True)
    )
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(-3, 4, s, generator=generator).double() for s in ((rows, inner), (columns, inner)))
    call = jit(lambda a, b: a @ b.t(), backend="native")
    assert call.lower(a, b).as_text("c").count("for (i64 p") >= 1
    assert torch.equal(call(a, b), a @ b.t())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_second_interrupt_during_the_first_one_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the generator that C calls, whose further results are arbitrary."""

    def ended(_: Interrupts) -> Iterator[int]:
        yield (yield 0)

    run = fn.jit(lambda x, end: fn.while_loop(lambda x: x < end, lambda x: x + 1, x))
    with monkeypatch.context() as patch:
        patch.setattr(Interrupts, "_calls", ended)
        with pytest.raises(KeyboardInterrupt):
            run(torch.tensor(0), torch.tensor(10**9))
    assert run(torch.tensor(0), torch.tensor(3)) == 3
