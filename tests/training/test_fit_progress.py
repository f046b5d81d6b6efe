"""Progress bars of fit and of jit in a terminal; interrupted runs that do not use fit say how to use it."""

import re
import sys
import traceback

import pytest
import torch
from interrupts import interrupted
from printed_reports import Terminal

import funcnet as fn
from funcnet.compiler import progress


def in_terminal(monkeypatch):
    """Make standard output a terminal; return a function that reads its text."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    output = Terminal()
    monkeypatch.setattr(sys, "stdout", output)
    return lambda: re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output.getvalue())


COUNT = lambda n, x: (n + 1, {"loss": n.float()})  # noqa: E731


def test_fit_shows_a_bar_with_its_metrics(monkeypatch):
    text = in_terminal(monkeypatch)
    fn.fit(COUNT, 0, steps=40, every=10, backend="eager")
    assert "training" in text() and "100%" in text() and "loss 34.5" in text() and "steps/s" in text()


def test_no_bar_if_not_wanted_or_outside_a_terminal(monkeypatch, capsys):
    with monkeypatch.context() as patch:
        text = in_terminal(patch)
        fn.fit(COUNT, 0, steps=40, every=10, backend="eager", progress=False)
        assert text() == ""
    fn.fit(COUNT, 0, steps=40, every=10, backend="eager")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("backend", ["native", "eager"])
@pytest.mark.parametrize("patience", [0.0, 60.0])
def test_jit_shows_a_bar_for_long_runs(backend, patience, monkeypatch):
    text = in_terminal(monkeypatch)
    monkeypatch.setattr(progress, "PATIENCE", patience)
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    monkeypatch.setattr("funcnet.compiler.native.threads.INTERVAL", 1e-3)
    work = lambda x, _: (torch.mm(x, x).tanh(), None)  # noqa: E731
    run = fn.jit(lambda x: fn.scan(work, x, length=60)[0], backend=backend, progress=True)
    for _ in range(2):
        run(torch.eye(300))
    assert ("running" in text() and "100%" in text()) == (patience == 0.0)


def test_an_error_ends_the_bar(monkeypatch):
    text = in_terminal(monkeypatch)
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    rows = torch.tensor([0] * 9 + [7])
    run = fn.jit(lambda x: fn.scan(lambda c, i: (c + x[i], None), x[0], rows)[0], backend="eager", progress=True)
    with pytest.raises(IndexError):
        run(torch.arange(3.0))
    assert "running" in text() and run.progress.show is None and sys.stdout.isatty()


def test_an_interrupted_run_says_how_to_keep_its_results():
    forever = lambda x: fn.scan(lambda c, _: (torch.sin(c), None), x, length=1 << 40)[0]  # noqa: E731
    run = fn.jit(forever, backend="native")
    run.explain(torch.ones(64))
    with interrupted(0.3), pytest.raises(KeyboardInterrupt) as caught:
        run(torch.ones(64))
    text = "".join(traceback.format_exception(caught.value))
    assert text.count("fn.fit(step, carry, xs, checkpoints=folder)") == 1


def test_an_interrupt_without_a_loop_is_left_alone():
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        fn.jit(torch.sin, backend="native", progress=stop)(torch.ones(3))
    assert "fn.fit" not in "".join(traceback.format_exception(caught.value))
