"""fit equals a scan of all steps, bit for bit, whatever its chunks are, where its inputs come from, and if it stops."""

import json

import pytest
import torch
from fit_programs import START, STEP, XS, fit, whole
from tables import numbers
from torch.utils.data import DataLoader, TensorDataset

import funcnet as fn
from funcnet.checkpoint import Checkpoints


@pytest.fixture(scope="module")
def want():
    return whole(STEP, START, XS)


@pytest.mark.parametrize("every", [1, 7, None, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3, 19, 20, 50))])
def test_chunks_do_not_change_a_bit(every):
    assert fn.tree.equal(fit(XS, every=every, backend="auto"), whole(STEP, START, XS, "native"))


def test_the_eager_backend(want):
    assert fn.tree.equal(fit(XS, every=6), want)


@pytest.mark.slow
def test_the_inductor_backend():
    step = lambda c, x: (c * x, c.sum())  # noqa: E731
    start, xs = numbers(3), numbers(5, 3, seed=1)
    assert fn.tree.equal(fn.fit(step, start, xs, every=2, backend="inductor"), whole(step, start, xs, "inductor"))


def test_a_chunk_of_one_step_rounds_like_a_long_one():
    """A scan of one step is inlined, and then its sums of rows have another order."""
    model, xs = fn.serial(fn.dense(256), torch.relu, fn.dense(10)), numbers(3, 64, 64, dtype=torch.float32)
    params = model.init(fn.random.key(0), xs[0])

    def step(params, x):
        loss, grads = fn.value_and_grad(lambda p: (model.apply(p, x) - 1).square().mean())(params)
        return fn.sgd_step(params, grads, 0.01), loss

    assert fn.tree.equal(fn.fit(step, params, xs, every=1), fn.fit(step, params, xs, every=3))


class Squares(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter(XS)


SOURCES = {
    "iterator": lambda: iter(XS),
    "generator": lambda: (x for x in XS),
    "a DataLoader": lambda: DataLoader(XS, batch_size=None),
    "a DataLoader with a worker": lambda: DataLoader(XS, batch_size=None, num_workers=1),
    "an iterable dataset": lambda: Squares(),
    "a function of the step": lambda: lambda start: iter(XS[start:]),
    "numpy arrays": lambda: pytest.importorskip("numpy") and XS.numpy(),
    "an iterator of numpy arrays": lambda: pytest.importorskip("numpy") and iter(XS.numpy()),
}


@pytest.mark.parametrize("name", SOURCES)
def test_inputs_from_anywhere(name, want):
    assert fn.tree.equal(fit(SOURCES[name](), every=7), want)


def test_no_inputs():
    carry, history = fn.fit(lambda n, x: (n + 1, None if x is None else n), 0, steps=1000)
    assert carry == 1000 and history is None


def test_numbers_become_tensors():
    step = lambda c, x: ({"n": c["n"] + x[0], "m": c["m"]}, x[1])  # noqa: E731
    carry, history = fn.fit(step, {"n": 0, "m": 2.5}, iter([[1, 3.0], [2, 4.0]]))
    assert carry == {"n": 3, "m": 2.5} and history.tolist() == [3, 4]


def order(xs, **options):
    return fn.fit(lambda n, x: (n + 1, x), torch.tensor(0), xs, **options)[1].tolist()


@pytest.mark.parametrize("every", [1, 3, 4, 10, 100])
def test_inputs_begin_again_after_the_last(every):
    assert order(torch.arange(4), steps=10, every=every) == [0, 1, 2, 3] * 2 + [0, 1]
    loader = DataLoader(torch.arange(4), batch_size=None)
    assert order(loader, steps=10, every=every) == [0, 1, 2, 3] * 2 + [0, 1]
    assert order(loader, every=every) == [0, 1, 2, 3]


def test_an_iterator_that_ends_early_ends_the_run():
    assert order(iter(torch.arange(4)), every=3) == [0, 1, 2, 3]
    with pytest.warns(UserWarning, match="the iterator of batches has ended after 4 of 9 steps"):
        assert order(iter(torch.arange(4)), steps=9, every=3) == [0, 1, 2, 3]


def test_a_last_batch_of_another_size():
    loader = DataLoader(TensorDataset(torch.arange(7.0), torch.arange(7)), batch_size=3)
    step = lambda c, x: (c + x[0].sum() + x[1].sum(), x[1].sum())  # noqa: E731
    carry, sums = fn.fit(step, torch.tensor(0.0), loader, steps=6, every=4)
    assert carry == 84 and sums.tolist() == [3, 12, 6, 3, 12, 6]


def test_callbacks_get_the_step_the_carry_and_the_metrics_of_a_chunk(want):
    heard = []
    fit(XS, every=7, on_chunk=[lambda *args: heard.append(args)])
    assert [step for step, _, _ in heard] == [7, 14, 20]
    assert fn.tree.equal(heard[-1][1], want[0])
    assert fn.tree.equal(fn.tree.map(lambda *rows: torch.cat(rows), *(m for _, _, m in heard)), want[1])


def test_a_callback_stops_the_run(capsys):
    calls = []
    stop = lambda step, carry, metrics: fn.STOP if step >= 8 else None  # noqa: E731
    assert order(torch.arange(20), every=4, on_chunk=[stop, lambda *args: calls.append(args)]) == [*range(8)]
    assert len(calls) == 2 and capsys.readouterr() == ("", "")


def sinking(x, noise):
    """Fall to 1 in five steps, then rise."""
    x = x + 1
    return x, {"loss": (x - 5).abs() + noise}


def test_early_stopping_returns_the_best_carry(capsys):
    stopping = fn.callbacks.EarlyStopping("loss", patience=3)
    carry, history = fn.fit(sinking, 0.0, torch.zeros(50), every=1, on_chunk=[stopping])
    assert (carry, len(history["loss"]), stopping.best, stopping.best_step) == (5, 8, 0, 5)
    assert "stopped after 8 of 50 steps: loss has not improved since step 5, where it was 0." in capsys.readouterr().err
    stopping = fn.callbacks.EarlyStopping(lambda c, m: -c, patience=2, highest=True, restore_best=False, min_delta=0.5)
    assert fn.fit(sinking, 0.0, torch.zeros(50), every=2, on_chunk=[stopping])[0] == 6


@pytest.mark.parametrize("where", ["metrics", "carry"])
def test_the_guard_returns_the_last_carry_without_nan(where, capsys):
    step = lambda x, _: (x - 1 if where == "metrics" else (x - 1).sqrt() ** 2, {"root": x.sqrt()})  # noqa: E731
    guard = fn.callbacks.NanGuard()
    carry, _ = fn.fit(step, torch.tensor(5.0), steps=20, every=3, on_chunk=[guard])
    assert carry == -1.0 if where == "metrics" else torch.allclose(carry, torch.tensor(2.0))
    assert "NaN in the" in capsys.readouterr().err
    assert fn.fit(step, torch.tensor(-1.0), steps=2, on_chunk=[guard])[0] == -1.0  # the first carry


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("each_step", [False, True])
def test_metrics_as_lines_of_json(tmp_path, each_step, want):
    path = tmp_path / "new" / "metrics.jsonl"
    for _ in range(2):  # a new run replaces the file
        fit(XS, every=8, on_chunk=[fn.callbacks.JsonLines(path, each_step=each_step)])
    losses = want[1]["loss"]
    found = lines(path)
    assert [row["step"] for row in found] == ([*range(1, 21)] if each_step else [8, 16, 20])
    wanted = losses if each_step else torch.stack([part.mean() for part in losses.split(8)])
    torch.testing.assert_close(torch.tensor([row["loss"] for row in found], dtype=losses.dtype), wanted)


def interrupted(source, folder, at, error=None, **options):
    """Run until a callback raises, as an interrupt of the main thread does."""

    def stop(step, carry, metrics):
        if step >= at:
            raise error or KeyboardInterrupt

    return fit(source, checkpoints=Checkpoints(folder, every=3), on_chunk=[stop], **options)


@pytest.mark.parametrize("name", ["tensors", "a DataLoader", "a function of the step"])
@pytest.mark.parametrize("at", [5, 20])
def test_a_run_that_goes_on_ends_with_the_same_bits(name, at, tmp_path, want, capsys):
    source = (lambda: XS) if name == "tensors" else SOURCES[name]
    _, history = interrupted(source(), tmp_path, at, every=3)
    done = len(history["loss"])
    assert fn.tree.equal(history, fn.tree.map(lambda x: x[:done], want[1])) if done < 20 else at == 20
    assert f"; saved in {tmp_path}. To go on, start the same run again." in capsys.readouterr().err
    assert fn.tree.equal(fit(source(), checkpoints=tmp_path, every=4), want)
    assert fn.tree.equal(fit(source(), checkpoints=tmp_path), want)
