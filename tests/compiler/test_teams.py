"""Threads share the long statements of a run; results do not depend on their number."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from backends import rand, use_threads, whole
from interrupts import interrupted
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.native import contractions, workers
from funcnet.compiler.native.contract import Method
from funcnet.compiler.native.target import Target

Results = tuple[Tensor, ...]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share statements of any length."""
    monkeypatch.setattr(Target, "host", lambda host=Target.host: replace(host(), team=1, part=1))


def trained(x: Tensor, y: Tensor) -> Results:
    def step(w: Tensor, _: None) -> tuple[Tensor, Tensor]:
        value, gradient = fn.value_and_grad(lambda w: torch.tanh(x @ w).sub(y).square().mean())(w)
        return w - 0.1 * gradient, value

    return fn.scan(step, torch.ones(x.shape[-1], y.shape[-1], dtype=x.dtype), length=5)


def halved(x: Tensor) -> Tensor:
    return fn.while_loop(lambda x: x.abs().max() > 1, lambda x: x / 2, x)


PROGRAMS: dict[str, Callable[..., Tensor | Results]] = {
    "elementwise": lambda x: (x.exp() + 1, x > 0, x.mT * 2),
    "sums": lambda x: (x.sum(), x.sum(0), x.sum(1), (x * 2).sum(0), x.exp().sum()),
    "extrema": lambda x: (x.max(), x.amax(0), x.argmax(), x.argmin(1), (x > 1).any(0)),
    "products of elements": lambda x: ((1 + x / 1e3).prod(), (1 + x / 1e3).prod(0)),
    "moments": lambda x: (x.var(), x.var(0), x.std(1), torch.logsumexp(x, 0)),
    "rows": lambda x: (torch.softmax(x, -1), torch.nn.functional.layer_norm(x, x.shape[-1:])),
    "product": lambda x: (x @ x.mT, x.mT @ x, x @ x[0], x[:, :1] * x),
    "products": lambda x: torch.stack([x, x + 1, x + 2]) @ x.mT,
    "lines": lambda x: (x.cumsum(0), x.cumsum(1), x.sort(0)[0], x.sort(1)[1], torch.logcumsumexp(x, 0)),
    "indices": lambda x: (x.tril() + torch.arange(x.shape[1]), x[torch.arange(x.shape[0] - 1, -1, -1)], x.flip(1)),
    "chain": lambda x: sum(((x + i).sin() * i for i in range(20)), x),
    "scan": lambda x: trained(x, x.cos()),
    "while": halved,
}
SHAPES = [(40, 70), (37, 129), (2, 300), (300, 2)]


@pytest.mark.usefixtures("short")
@pytest.mark.few(6)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_results_have_the_same_bits_with_any_number_of_threads(name: str, shape: tuple[int, int]) -> None:
    f, x = jit(PROGRAMS[name], backend="native"), rand(*shape)
    assert "in threads for" in f.lower(x).as_text("loops")
    results = []
    for number in (1, 2, 3, 7):
        with use_threads(number):
            results.append(fn.tree.leaves(f(x)))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
    exact = fn.tree.leaves(PROGRAMS[name](x.double()))
    for got, want in zip(results[0], exact, strict=True):
        assert_close(got, want.to(got.dtype), rtol=1e-4, atol=1e-3)


WINDOWS: dict[str, tuple[Callable[..., Tensor], tuple[int, ...]]] = {  # values that overlapping windows add to
    "transposed convolution": (
        lambda x: torch.conv_transpose2d(x, torch.linspace(-1, 1, 100).reshape(1, 1, 10, 10), stride=2),
        (1, 1, 60, 40),
    ),
    "gradient of a strided convolution": (
        fn.grad(lambda x: torch.conv1d(x, torch.linspace(-1, 1, 16).reshape(1, 1, 16), stride=3).sin().sum()),
        (1, 1, 3000),
    ),
    "gradient of means": (fn.grad(lambda x: torch.nn.functional.avg_pool2d(x, 9, 2).sin().sum()), (1, 1, 90, 70)),
}


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("name", WINDOWS)
def test_windows_that_overlap_are_not_shared_by_threads(name: str) -> None:
    f, shape = WINDOWS[name]
    f, x = jit(f, backend="native"), rand(*shape)
    with use_threads(1):
        alone = f(x)
    with use_threads(3):
        assert all(torch.equal(f(x), alone) for _ in range(20))
    assert_close(alone, WINDOWS[name][0](x), rtol=1e-4, atol=1e-4)


def test_threads_have_their_own_memory_for_long_rows() -> None:
    f, x = jit(lambda x: (torch.softmax(x, -1), x.sort(-1)[0]), backend="native"), rand(24, 9000)
    with use_threads(1):
        want = f(x)
    with use_threads(3):
        for _ in range(30):
            assert all(map(torch.equal, f(x), want))


@pytest.mark.parametrize("method", [Method.BLAS, Method.PANELS])
def test_parts_of_large_products_have_the_same_bits(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contractions, "best", lambda product, target: method)
    a, b = whole(70, 300, dtype=torch.float32), whole(300, 1031, dtype=torch.float32)
    f = jit(lambda a, b: (a @ b, b.mT @ a.mT), backend="native")
    assert f.lower(a, b).as_text("loops").count("in threads for") >= 2
    for number in (1, 3):
        with use_threads(number):
            assert torch.equal(f(a, b)[0], a @ b) and torch.equal(f(a, b)[1], (a @ b).mT)


@pytest.mark.parametrize("rows, parts", [(256, 4), (1024, 16)])
def test_a_part_that_packs_columns_has_many_rows(rows: int, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contractions, "best", lambda product, target: Method.PANELS)
    f = jit(torch.mm, backend="native")
    text = f.lower(torch.ones(rows, 2048), torch.ones(2048, 64)).as_text("loops")
    assert f"in threads for s0 < {parts}:" in text and f"panels, [{rows // parts}, 2048]" in text


@pytest.mark.usefixtures("short")
def test_lanes_that_are_fewer_than_threads_share_them() -> None:
    f, x = fn.vmap(lambda x: ((x * 2).exp().sum(0), x @ x.mT)), rand(5, 40, 70)
    with use_threads(1):
        alone = jit(f, backend="native")(x)
    with use_threads(3):
        shared = jit(f, backend="native")(x)
    assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))
    assert_close(alone, f(x))


@pytest.mark.usefixtures("short")
def test_an_error_in_a_part_is_raised() -> None:
    f, x, i = jit(lambda x, i: x[i] * 2, backend="native"), rand(50, 7), torch.arange(40)
    with use_threads(3):
        assert torch.equal(f(x, i), x[:40] * 2)
        for place in (0, 20, 39):
            with pytest.raises(IndexError, match="out of the range"):
                f(x, i.index_fill(0, torch.tensor([place]), 50))
        assert torch.equal(f(x, i), x[:40] * 2)


@pytest.mark.usefixtures("short")
def test_denormals_are_zero_in_every_thread() -> None:
    x = torch.full((64, 64), 1e-30)
    with use_threads(3):
        assert not jit(lambda x: x * 1e-10, backend="native")(x).any()
        assert (x * 1e-10).all()


@pytest.mark.usefixtures("short")
def test_several_python_threads_run_at_once() -> None:
    f, x = jit(lambda x: (x.exp().sum(0), x @ x.mT), backend="native"), rand(60, 70)
    want, wrong = f(x), []

    def work() -> None:
        for _ in range(200):
            wrong.extend(i for i, (a, b) in enumerate(zip(f(x), want, strict=True)) if not torch.equal(a, b))

    with use_threads(3):
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


@pytest.mark.usefixtures("short")
def test_a_platform_without_posix_threads_uses_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x = rand(60, 70)
    shared = jit(lambda x: x.exp().sum(1), backend="native")(x)
    monkeypatch.setattr(workers, "_address", lambda: None)
    assert torch.equal(jit(lambda x: x.exp().sum(1), backend="native")(x), shared)


def test_short_statements_are_not_shared() -> None:
    x = rand(30, 30)
    assert "in threads for" not in jit(lambda x: ((x @ x).exp().sum(), x.sort()[0])).lower(x).as_text("loops")


SCRIPT = """
import os, pathlib, sys, torch
import funcnet as fn

def threads():
    return len(list(pathlib.Path("/proc/self/task").iterdir()))

torch.set_num_threads(1)
x = torch.linspace(-1, 1, 1_000_000)
f = fn.jit(lambda x: (x.exp().sum(), x.sin()), backend="native")
alone, before = f(x), threads()
f(x)
assert threads() == before, "one thread starts others"
torch.set_num_threads(3)
shared = f(x)
assert threads() == before + 2, (threads(), before)
assert all(map(torch.equal, alone, shared))
child = os.fork()
if not child:
    assert all(map(torch.equal, alone, f(x)))
    torch.set_num_threads(3)
    shared, count = f(x), threads()
    torch.set_num_threads(1)  # torch's own operations would wait for the threads of the parent
    assert count == 1 and all(map(torch.equal, alone, shared))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0, "a child fails"
assert all(map(torch.equal, alone, f(x)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_a_process_has_as_many_workers_as_it_needs_and_a_forked_one_none(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_an_interrupt_ends_the_work_of_all_threads() -> None:
    x = rand(1000, 1000)
    f = jit(lambda x: fn.scan(lambda c, _: (c.sin().cos(), None), x, length=1_000_000)[0], backend="native")
    assert "in threads for" in f.lower(x).as_text("loops")
    f.explain(x)  # built before the timer starts
    with use_threads(3):
        with interrupted(0.3), pytest.raises(KeyboardInterrupt):
            f(x)
        before = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - before < 0.05
        small = jit(lambda x: x.sin(), backend="native")
        assert_close(small(x), x.sin())


def test_a_long_sum_of_parts_is_exact() -> None:
    x = torch.ones(20_000_003)
    x[7] = 2.0
    with use_threads(2):
        assert jit(lambda x: x.sum(), backend="native")(x) == 20_000_004
    assert jit(lambda x: x.sum(1), backend="native")(whole(3, 70_001)).tolist() == whole(3, 70_001).sum(1).tolist()


def test_gelu_is_inlined_into_the_parts_and_the_rest():
    """Otherwise gcc calls it, as there are two loops, and vectorises neither: 12 times as slow."""
    text = jit(functional.gelu).lower(torch.ones(100_000)).as_text("c")
    assert text.count("= gelu_f32(") == 2 and "static INLINED f32 gelu_f32(" in text
