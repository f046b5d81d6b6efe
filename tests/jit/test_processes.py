"""Jitted functions after fork, spawn and forkserver, in workers of a DataLoader, and after an interrupt.

Every case is a script in a process of its own, with a time limit: a failure would wait forever.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = """
import os, sys, threading, time, torch, funcnet as fn
torch.manual_seed(0)


@fn.jit
def chain(x):
    return (x.sin() * 2 + x.exp()).sum(0)


@fn.jit
def product(x):
    return (x @ x) / 1000


loop = fn.jit(lambda x: fn.scan(lambda c, _: (torch.tanh(c @ x * 1e-3) + 1, c.sum()), x, length=3))
gradient = fn.jit(fn.grad(lambda x: ((x @ x) ** 2).mean()))
x = torch.randn(1200, 1200)


def run(backend=None):
    return [chain(x), product(x), *loop(x), gradient(x), chain(x[:7]), product(x[:20, :20])]


def reference():
    y, carry, sums = x.double(), x.double(), []
    for _ in range(3):
        sums.append(carry.sum())
        carry = torch.tanh(carry @ y * 1e-3) + 1
    scale = 4 / y.numel() / 2
    slope = ((y @ y) @ y.T + y.T @ (y @ y)) * scale
    few, small = y[:7], y[:20, :20]
    columns = [(part.sin() * 2 + part.exp()).sum(0) for part in (y, few)]
    return [columns[0], y @ y / 1000, carry, torch.stack(sums), slope, columns[1], small @ small / 1000]


def is_right(results, wanted):
    for got, want in zip(results, wanted, strict=True):
        torch.testing.assert_close(got.double(), want, rtol=1e-3, atol=1e-3)
    return True


def in_child(work):
    # return whether work() succeeds in a forked child
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print("child:", repr(error)[:500], file=sys.stderr, flush=True)
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0
"""


def passes(text: str, tmp_path: Path, limit: float = 60) -> None:
    """Run a script after the programs above, with two threads; it has to succeed within a time limit."""
    path = tmp_path / "script.py"
    path.write_text(PROGRAMS + text)
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "FUNCNET_VERIFY": ""}
    command = [sys.executable, "-W", "ignore", str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit, check=False)
    assert done.returncode == 0, done.stderr


FORK = """
wanted = reference()  # by OpenMP and threaded BLAS
assert is_right(run(), wanted) and torch.get_num_threads() == 2
new = fn.jit(lambda x: (x @ x).relu())


def work():
    assert is_right(run(), wanted) and is_right(run(), wanted)
    assert torch.get_num_threads() == 1
    torch.testing.assert_close(new(x).double(), (x.double() @ x.double()).relu(), rtol=1e-3, atol=1e-3)
    assert in_child(lambda: is_right(run(), wanted))


assert in_child(work)
assert is_right(run(), wanted) and torch.get_num_threads() == 2
"""


@pytest.mark.slow
def test_a_forked_child_runs_what_its_parent_ran(tmp_path: Path) -> None:
    passes(FORK, tmp_path)


BUSY = """
wanted = reference()
run()
ended = False


def keep_busy():
    while not ended:
        run()


thread = threading.Thread(target=keep_busy)
thread.start()
right = []
for _ in range(10):
    time.sleep(0.05)
    right.append(in_child(lambda: is_right(run(), wanted)))
ended = True
thread.join()
assert all(right) and is_right(run(), wanted)
"""


@pytest.mark.slow
def test_a_fork_while_another_thread_runs(tmp_path: Path) -> None:
    passes(BUSY, tmp_path, limit=120)


METHODS = """
import multiprocessing


def work(x):
    return [t.double() for t in run()]


if __name__ == "__main__":
    wanted = reference()
    run()
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        for results in pool.map(work, [x, x]):
            assert is_right(results, wanted)
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        for result in pool.map(product, [x, x]):  # the function itself is sent
            torch.testing.assert_close(result.double(), wanted[1], rtol=1e-3, atol=1e-3)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_processes(method: str, tmp_path: Path) -> None:
    passes(METHODS.format(method=method), tmp_path, limit=120)


LOADER = """
from torch.utils.data import DataLoader, Dataset


class Examples(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        return torch.stack([product(x)[0], chain(x)]) + i


if __name__ == "__main__":
    wanted = reference()
    run()
    for method in {methods}:
        batches = [*DataLoader(Examples(), batch_size=2, num_workers=2, multiprocessing_context=method)]
        got = torch.cat(batches)
        want = torch.stack([torch.stack([wanted[1][0], wanted[0]]) + i for i in range(8)])
        torch.testing.assert_close(got.double(), want, rtol=1e-3, atol=1e-3)
        run()
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_workers_of_a_data_loader(method: str, tmp_path: Path) -> None:
    passes(LOADER.format(methods=[method]), tmp_path, limit=120)


HELD = """
entered, leave = threading.Event(), threading.Event()


class Scaled(torch.nn.Module):
    def forward(self, x):
        if threading.current_thread() is not threading.main_thread():
            entered.set()
            leave.wait()
        return 2 * x


apply, params, state = fn.from_module(Scaled())
thread = threading.Thread(target=lambda: apply(params, state, x))
thread.start()
entered.wait()
doubled = fn.jit(lambda x: apply(params, state, x)[0])
right = in_child(lambda: is_right([doubled(x)], [2 * x.double()]))
leave.set()
thread.join()
assert right
"""


@pytest.mark.slow
def test_a_fork_while_another_thread_runs_a_module(tmp_path: Path) -> None:
    passes(HELD, tmp_path)


REFUSED = """
from funcnet.compiler.native import target

target.wins = lambda: True  # products are calls of BLAS on every processor
compiled = fn.jit(lambda x: (x.sin() @ x).sum(), backend="inductor")
compiled(x)


def refuse(call, *words):
    started = time.monotonic()
    try:
        call()
    except RuntimeError as error:
        assert time.monotonic() - started < 5 and all(word in str(error) for word in words), error
    else:
        raise AssertionError("it ran")


assert in_child(lambda: refuse(lambda: compiled(x), "inductor", "forked", "spawn", "forkserver"))
compiled(x)
product(x)


def without_compiler():
    os.environ["CC"] = "/nonexistent"
    refuse(lambda: product(x), "BLAS", "forked", "/nonexistent", "spawn", "forkserver")
    chain(x)


assert in_child(without_compiler)


class Forked(Exception):
    pass


def fork(done, total):
    if os.getpid() == parent and not children:
        children.append(os.fork())


parent, children = os.getpid(), []
long = fn.jit(lambda x: fn.scan(lambda c, _: (c.sin(), None), x, length=300_000)[0], progress=fork)
try:
    long(x[0])
except RuntimeError as error:
    os._exit(0 if os.getpid() != parent and "progress callback forked" in str(error) else 1)
assert os.getpid() == parent and os.waitpid(children[0], 0)[1] == 0
"""


@pytest.mark.slow
def test_errors_in_a_forked_child_name_a_remedy(tmp_path: Path) -> None:
    passes(REFUSED, tmp_path, limit=120)
