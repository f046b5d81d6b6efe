"""Runs that are interrupted or killed and started again end with the same bits; threads end in every case."""

import _thread
import os
import signal
import subprocess
import sys
import threading
import time

import fit_programs
import pytest
import torch
from fit_programs import START, STEP, XS, fit, killed, training, whole
from tables import OPTIMIZERS

import funcnet as fn
from funcnet.checkpoint import Checkpoints

optim = fn.optim
SCHEDULES = {
    "constant_schedule": optim.constant_schedule(0.1),
    "cosine_decay_schedule": optim.cosine_decay_schedule(0.1, 8),
    "cosine_onecycle_schedule": optim.cosine_onecycle_schedule(12, 0.1),
    "exponential_decay": optim.exponential_decay(0.1, 3, 0.9, transition_begin=2),
    "join_schedules": optim.join_schedules([optim.constant_schedule(0.1), optim.linear_schedule(0.1, 0.0, 5)], [4]),
    "linear_onecycle_schedule": optim.linear_onecycle_schedule(12, 0.1),
    "linear_schedule": optim.linear_schedule(0.1, 0.0, 9),
    "piecewise_constant_schedule": optim.piecewise_constant_schedule(0.1, {4: 0.5, 7: 0.5}),
    "piecewise_interpolate_schedule": optim.piecewise_interpolate_schedule("cosine", 0.1, {4: 0.5, 7: 0.5}),
    "polynomial_schedule": optim.polynomial_schedule(0.1, 0.01, 2, 9),
    "sgdr_schedule": optim.sgdr_schedule(
        [{"init_value": 0.0, "peak_value": 0.1, "warmup_steps": 2, "decay_steps": 5, "end_value": 0.0}] * 2
    ),
    "warmup_constant_schedule": optim.warmup_constant_schedule(0.0, 0.1, 5),
    "warmup_cosine_decay_schedule": optim.warmup_cosine_decay_schedule(0.0, 0.1, 5, 10),
    "warmup_exponential_decay_schedule": optim.warmup_exponential_decay_schedule(0.0, 0.1, 5, 3, 0.9),
}
WRAPPERS = {
    "polyak_sgd": lambda: optim.polyak_sgd(max_learning_rate=0.1),
    "backtracking line search": lambda: optim.chain(optim.sgd(0.1), optim.scale_by_backtracking_linesearch(8)),
    "zoom line search": lambda: optim.chain(optim.sgd(0.1), optim.scale_by_zoom_linesearch(8)),
    "sam": lambda: optim.sam(optim.sgd(0.1), optim.sgd(0.05), sync_period=3),
    "schedule_free": lambda: optim.schedule_free(optim.adam(0.1), 0.1),
    "skips not finite": lambda: optim.MultiSteps(optim.adam(0.1), 3, should_skip_update_fn=optim.skip_not_finite),
    "inject_hyperparams of a schedule": lambda: optim.inject_hyperparams(optim.adam)(
        optim.linear_schedule(0.1, 0.0, 9)
    ),
    "add_noise": lambda: optim.chain(optim.sgd(0.1), optim.add_noise(0.1, 0.5, 1)),
    "adam in bfloat16": lambda: optim.adam(0.1, mu_dtype=torch.bfloat16),
}
MAKERS = {**OPTIMIZERS, **{f"sgd by {name}": lambda f=f: optim.sgd(f) for name, f in SCHEDULES.items()}, **WRAPPERS}


def test_the_table_has_every_schedule():
    public = {name for name in optim.schedules.__all__ if name.endswith(("schedule", "schedules", "decay"))}
    assert public == {*SCHEDULES}


@pytest.mark.few(8)
@pytest.mark.parametrize("name", MAKERS)
def test_every_optimizer_goes_on_exactly(name, tmp_path):
    step, start = training(MAKERS[name]())
    options = {"every": 2, "checkpoints": Checkpoints(tmp_path, every=2), "backend": "eager"}
    fn.fit(step, start, XS, steps=5, **options)
    assert fn.tree.equal(fn.fit(step, start, XS[:11], **options), whole(step, start, XS[:11]))


def test_lookahead_goes_on_exactly(tmp_path):
    """Its parameters are a pair, of which the gradient is taken at the fast ones."""
    optimizer = optim.lookahead(optim.adam(0.1), 3, 0.5)

    def step(carry, x):
        params, state = carry
        value, grads = fn.value_and_grad(lambda w: ((x @ w - 1) ** 2).mean())(params.fast)
        updates, state = optimizer.update(grads, state, params)
        return (optim.apply_updates(params, updates), state), value

    params = optim.LookaheadParams.init_synced(torch.ones(3, dtype=XS.dtype))
    start, options = (params, optimizer.init(params)), {"every": 2, "checkpoints": tmp_path, "backend": "eager"}
    fn.fit(step, start, XS, steps=5, **options)
    assert fn.tree.equal(fn.fit(step, start, XS[:11], **options), whole(step, start, XS[:11]))


class BrokenError(Exception):
    pass


def broken(batches, count):
    yield from batches[:count]
    raise BrokenError


def failing(step, carry, metrics):
    if step >= 10:
        raise BrokenError


@pytest.mark.parametrize("where", ["source", "callback"])
def test_an_error_saves_what_was_reached(where, tmp_path):
    want = whole(STEP, START, XS)
    source, calls = (broken(XS, 10), []) if where == "source" else (iter(XS), [failing])
    with pytest.raises(BrokenError):
        fit(source, every=2, checkpoints=Checkpoints(tmp_path, every=1000), on_chunk=calls)
    assert Checkpoints(tmp_path).steps() == [8 if where == "callback" else 10]
    assert fn.tree.equal(fit(XS, every=2, checkpoints=tmp_path), want)


def test_the_last_intact_checkpoint_is_taken(tmp_path):
    want = fit(XS, every=2, checkpoints=Checkpoints(tmp_path, every=2))
    last = Checkpoints(tmp_path).latest()
    last.write_bytes(last.read_bytes()[:-8])
    with pytest.warns(UserWarning, match="not an intact checkpoint"):
        assert fn.tree.equal(fit(XS, every=2, checkpoints=tmp_path), want)


def test_a_run_that_was_stopped_returns_the_same_again(tmp_path, capsys):
    rising = lambda x, _: (x + 1, {"loss": (x - 4).abs()})  # noqa: E731
    runs, asked = [], []
    for _ in range(2):
        stopping = fn.callbacks.EarlyStopping("loss", patience=2)
        calls = [stopping, lambda *args: asked.append(args)]
        runs.append(fn.fit(rising, 0.0, steps=30, every=1, on_chunk=calls, checkpoints=tmp_path, backend="eager"))
    assert fn.tree.equal(*runs) and runs[0][0] == 5 and len(asked) == 7 and stopping.best_step == 5
    assert capsys.readouterr().err.count("stopped after 7 of 30 steps: loss has not improved") == 2


def running():
    """List the threads that load and do not end within ten seconds: on a busy machine, they end after the run."""
    found = [thread for thread in threading.enumerate() if thread.name == "funcnet prefetch"]
    for thread in found:
        thread.join(10)
    return [thread for thread in found if thread.is_alive()]


@pytest.mark.parametrize("end", ["end", "stop", "error in a callback", "error in the step", "error in the source"])
def test_the_thread_that_loads_ends_in_every_case(end):
    def endless():
        while True:
            yield XS[0]

    source = {"end": XS, "error in the source": broken(XS, 7)}.get(end, endless())
    calls = {"stop": [lambda *_: fn.STOP], "error in a callback": [failing]}.get(end, [])
    step = (lambda c, x: 1 / 0) if end == "error in the step" else STEP
    try:
        fn.fit(step, START, iter(source), every=2, on_chunk=calls, backend="eager")
    except (BrokenError, ZeroDivisionError):
        assert "error" in end
    assert not running()


def test_a_source_that_hangs_does_not_hold_an_interrupt_up():
    gate = threading.Event()

    def hanging():
        yield from XS[:4]
        gate.wait(20)

    timer = threading.Timer(1.0, _thread.interrupt_main)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer.start()
    try:
        start = time.monotonic()
        _, history = fit(hanging(), every=2)
        assert len(history["loss"]) == 4 and time.monotonic() - start < 10
    finally:
        signal.signal(signal.SIGINT, before)
        gate.set()
    assert not running()


@pytest.fixture
def interruptible():
    """Let SIGINT raise KeyboardInterrupt, although a process in the background of a shell ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_of_a_kernel_returns_what_there_is(tmp_path, capsys):
    step, sent = (lambda c, _: (torch.sin(c), None)), []

    def interrupt():
        sent.append(time.process_time())
        os.kill(os.getpid(), signal.SIGINT)

    timer, every = threading.Timer(0.05, interrupt), 1 << 20
    after_one = lambda *_: None if timer.is_alive() or sent else timer.start()  # noqa: E731
    carry, _ = fn.fit(step, torch.ones(64), steps=1 << 40, every=every, checkpoints=tmp_path, on_chunk=[after_one])
    assert time.process_time() - sent[0] < 2.0
    done = Checkpoints(tmp_path).steps()[-1]
    assert f"interrupted after {done:,} of" in capsys.readouterr().err and done % every == 0
    assert torch.equal(carry, fn.fit(step, torch.ones(64), steps=done, every=every)[0])


def kill_and_go_on(folder, kills):
    """Kill a run at random moments after it has started, again and again; return its result, and how often it ran."""
    folder.mkdir()
    moments = fn.random.uniform(fn.random.key(kills), (kills,), maxval=3.0 / kills).tolist()
    command = [sys.executable, fit_programs.__file__, str(folder)]
    environment, found_running = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, 0
    for moment in [*moments, None]:
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout.readline() == b"started\n"
            if moment is not None:
                time.sleep(moment)
                found_running += process.poll() is None
                process.kill()
        assert moment is not None or process.returncode == 0
    return fn.checkpoint.load(folder / "result").tree, found_running


@pytest.mark.slow
def test_a_run_that_is_killed_ends_with_the_same_bits(tmp_path):
    kills = 12
    (tmp_path / "whole").mkdir()
    result, stopping = killed(tmp_path / "whole", pause=0.0)
    found, found_running = kill_and_go_on(tmp_path / "killed", kills)
    assert fn.tree.equal(found, (*result, stopping.best_carry, stopping.best)) and found_running > kills / 2
    logs = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "killed")]
    assert logs[0] == logs[1] and len(logs[0].splitlines()) == 100
