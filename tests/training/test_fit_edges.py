"""Runs at the edges: carries, batches and metrics of every kind, functions that are not compiled, and odd ends."""

import threading
from typing import Any, NamedTuple

import pytest
import torch
from fit_programs import START, STEP, XS, fit, whole
from tables import numbers
from torch.utils.data import DataLoader, IterableDataset

import funcnet as fn


def sums(total, batch):
    """Add the sums of the leaves of a batch."""
    found = sum(leaf.sum() for leaf in fn.tree.leaves(batch))
    return total + found, found


class Halves(IterableDataset):
    """The numbers to 7, divided between the workers."""

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(torch.arange(first, 7, step))


NESTED = [{"a": {"x": torch.full((2,), float(i)), "n": i}, "b": [float(i)]} for i in range(7)]
BATCHES = {
    "nested dicts": lambda: DataLoader(NESTED, batch_size=3),
    "nested dicts, the rest dropped": lambda: DataLoader(NESTED[:6], batch_size=3, drop_last=True),
    "two workers": lambda: DataLoader(NESTED, batch_size=3, num_workers=2),
    "an iterable dataset with two workers": lambda: DataLoader(Halves(), batch_size=2, num_workers=2),
    "a generator of tuples": lambda: ((x, (x, 1)) for x in numbers(5, 2)),
    "a range": lambda: range(5),
}


@pytest.mark.parametrize("every", [1, 2, 100])
@pytest.mark.parametrize(
    "name", [n if "workers" not in n else pytest.param(n, marks=pytest.mark.slow) for n in BATCHES]
)
def test_every_batch_is_used_once(name, every):
    total, want = 0.0, [sum(float(torch.as_tensor(x).sum()) for x in fn.tree.leaves(b)) for b in BATCHES[name]()]
    total, found = fn.fit(sums, torch.tensor(0.0, dtype=torch.float64), BATCHES[name](), every=every, backend="eager")
    torch.testing.assert_close(found.double(), torch.tensor(want, dtype=torch.float64))
    torch.testing.assert_close(total.item(), sum(want))


def test_metrics_that_differ_in_shape_are_an_error():
    loader = DataLoader(torch.arange(5.0), batch_size=2)
    with pytest.raises(ValueError, match=r"float32 tensor of shape \(2,\).*then.*shape \(1,\).*return means"):
        fn.fit(lambda c, x: (c, {"each": x}), 0, loader, backend="eager")


CARRIES = {
    "integers, keys and None": (
        {"n": 3, "none": None, "key": fn.random.key(0), "on": True},
        lambda c: {**c, "n": c["n"] + 1, "key": fn.random.fold_in(c["key"], c["n"])},
    ),
    "a string": ({"x": torch.ones(2), "name": "adam"}, lambda c: {**c, "x": c["x"] * 2}),
    "float64": (numbers(3), lambda c: c.sin()),
    "complex": (numbers(3) * 1j, lambda c: c * 1j),
    "half": (numbers(3).half(), lambda c: c + 1),
    "empty": (torch.zeros(0, 3), lambda c: c + 1),
    "one number": (1.5, lambda c: c * 2),
    "nothing": (None, lambda c: c),
}


@pytest.mark.parametrize("name", CARRIES)
def test_carries_of_every_kind_go_on(name, tmp_path):
    carry, next_ = CARRIES[name]
    step = lambda c, _: (next_(c), None)  # noqa: E731
    want, history = fn.fit(step, carry, steps=5, backend="eager")
    for steps in (2, 4, 5, 5):
        found = fn.fit(step, carry, steps=steps, every=2, backend="eager", checkpoints=tmp_path)
    assert fn.tree.equal(found, (want, history)) and history is None


METRICS = {
    "vectors": lambda x: {"x": x, "n": x.int(), "on": x > 0, "z": x * 1j},
    "one number": lambda x: x.sum(),
    "a tuple with None": lambda x: (x.sum(), None),
    "names with dots": lambda x: {"a.b": x[0], "a": {"b": x[1]}},
}


@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_every_kind(name, tmp_path, capsys):
    step = lambda x, _: (x + 1, METRICS[name](x))  # noqa: E731
    want = whole(step, numbers(3), torch.zeros(7))
    calls = lambda: [fn.callbacks.JsonLines(tmp_path / "log"), fn.callbacks.NanGuard()]  # noqa: E731
    for steps in (4, 7):
        run = fn.fit(
            step, numbers(3), steps=steps, every=3, backend="eager", checkpoints=tmp_path / "c", on_chunk=calls()
        )
    assert fn.tree.equal(run, want) and len((tmp_path / "log").read_text().splitlines()) == 4
    assert capsys.readouterr().err == ""


def test_a_jitted_step_and_a_run_without_jit():
    want = fit(XS)
    assert fn.tree.equal(fn.fit(fn.jit(STEP, backend="eager"), START, XS, every=7, backend="eager"), want)
    with fn.disable_jit():
        torch.testing.assert_close(fn.fit(STEP, START, XS, every=7), want)


def test_a_step_that_native_refuses_falls_back():
    step = lambda x, _: (x + torch.special.zeta(x.abs() + 2, torch.tensor(1.0)), x.sum())  # noqa: E731
    found = fn.fit(step, torch.ones(3), steps=5, every=2)
    torch.testing.assert_close(found, whole(step, torch.ones(3), torch.zeros(5)))


class Count:
    """A callback that changes its state in place."""

    def __init__(self, error_at):
        self.state, self.error_at = {"n": torch.zeros(()), "list": []}, error_at

    def __call__(self, step, carry, metrics):
        self.state["n"] += 1
        self.state["list"].append(step)
        if step == self.error_at:
            raise KeyboardInterrupt


def test_a_state_is_saved_as_it_was_after_the_chunk(tmp_path):
    interrupted, count = Count(6), Count(0)
    fit(XS[:8], every=2, checkpoints=fn.checkpoint.Checkpoints(tmp_path, every=100), on_chunk=[interrupted])
    assert interrupted.state["n"] == 3  # the callback was called after the third chunk, which is lost
    fit(XS[:8], every=2, checkpoints=tmp_path, on_chunk=[count])
    assert count.state["n"] == 4 and count.state["list"] == [2, 4, 6, 8]


def test_a_carry_in_a_state_is_not_copied():
    states = []

    class Best:
        state: Any = None

        def __call__(self, step, carry, metrics):
            self.state = carry if step <= 4 else self.state

    from funcnet.training.hooks import Hooks

    best, carries = Best(), [torch.ones(2) * i for i in range(4)]
    hooks = Hooks([best])
    for step, carry in enumerate(carries, 3):
        hooks.call(step, carry, None)
        states.append(hooks.states(carry)[0][1])
    assert states[0] is carries[0] and all(state is carries[1] for state in states[1:])
    carries[1] += 1
    hooks.call(8, carries[3], None)
    changed = hooks.states(carries[3])[0][1]
    assert changed is not carries[1] and torch.equal(changed, carries[1])


def with_local_classes():
    class Metrics(NamedTuple):
        loss: Any
        grad: Any

    class Carry(NamedTuple):
        x: Any

    return lambda c, _: (Carry(c.x / 2), Metrics(c.x.sum(), c.x)), Carry(torch.ones(3))


class Last:
    """A callback whose state is a carry."""

    state: Any = None

    def start(self, step, carry):
        assert step == 0 or type(self.state) is type(carry)

    def __call__(self, step, carry, metrics):
        self.state = carry


def test_classes_of_a_function_go_on(tmp_path):
    runs = []
    for steps in (4, 8):
        step, start = with_local_classes()
        stopping = fn.callbacks.EarlyStopping("loss", 9)
        runs = [fn.fit(step, start, steps=8, every=2, backend="eager"), *runs]
        with pytest.warns(UserWarning, match="read as a dict") if steps == 8 else fn.disable_jit():
            carry, history = fn.fit(
                step, start, steps=steps, every=2, checkpoints=tmp_path, on_chunk=[stopping, Last()], backend="eager"
            )
    assert type(carry) is type(start) and type(stopping.best_carry) is type(start) and history._fields[0] == "loss"
    assert torch.equal(carry.x, runs[0][0].x) and torch.equal(history.grad, runs[0][1].grad)


CHANGED = {
    "another name": lambda x: {"cost": x},
    "one more": lambda x: {"loss": x, "norm": x},
    "another dtype": lambda x: {"loss": x.double()},
    "another shape": lambda x: {"loss": x[None]},
    "none": lambda x: None,
}


@pytest.mark.parametrize("name", CHANGED)
def test_other_metrics_than_before_are_an_error(name, tmp_path):
    options = {"every": 2, "checkpoints": tmp_path, "backend": "eager"}
    fn.fit(lambda x, _: (x, {"loss": x}), torch.tensor(1.0), steps=4, **options)
    with pytest.raises(ValueError, match=r"same paths, shapes and dtypes, got \{'loss'.* then .*another folder"):
        fn.fit(lambda x, _: (x, CHANGED[name](x)), torch.tensor(1.0), steps=8, **options)
    assert fn.checkpoint.Checkpoints(tmp_path).steps()[-1] == 4


def test_a_metric_that_is_always_nan_stops_early(capsys):
    stopping = fn.callbacks.EarlyStopping("loss", patience=3)
    carry, history = fn.fit(
        lambda x, _: (x + 1, {"loss": x * torch.nan}), 0.0, steps=9, every=1, on_chunk=[stopping], backend="eager"
    )
    assert carry == 3 and len(history["loss"]) == 3
    assert "loss has been NaN from the start" in capsys.readouterr().err


def test_the_first_of_several_callbacks_that_stop_decides(tmp_path, capsys):
    stops = [fn.callbacks.Stop("first", carry=torch.tensor(7.0)), fn.callbacks.Stop("second"), fn.STOP]
    calls = [lambda *_: None, *(lambda *_, stop=stop: stop for stop in stops)]
    for _ in range(2):
        step = lambda x, _: (x + 1, None)  # noqa: E731
        found = fn.fit(step, 0.0, steps=9, every=2, on_chunk=calls, checkpoints=tmp_path, backend="eager")
        assert found == (7.0, None)
    assert capsys.readouterr().err.count("stopped after 2 of 9 steps: first.") == 2


def test_a_run_in_another_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(fit(iter(XS), every=7)))
    thread.start()
    thread.join()
    assert fn.tree.equal(found[0], fit(XS))


def test_a_best_carry_goes_where_the_carry_is(monkeypatch):
    stopping, carry = fn.callbacks.EarlyStopping("loss", 9), {"w": torch.ones(2, device="meta")}
    stopping.state = {**stopping.state, "best_carry": {"w": torch.ones(2)}, "best_step": 2, "best": 1.0}
    stopping.start(2, carry)
    assert stopping.best_carry["w"].is_meta
