"""fit in a real terminal, piped, and in a notebook: bars, messages, and Ctrl-C as it is pressed."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import funcnet as fn

pytestmark = pytest.mark.slow

PROGRAM = """
import sys, time, torch, funcnet as fn
step = lambda x, _: (x.sin(), {"loss": x.sum()})
slow = lambda *_: time.sleep(0.05)
carry, history = fn.fit(
    step, torch.ones(3), steps=int(sys.argv[1]), every=2, on_chunk=[slow], checkpoints=sys.argv[2], backend="eager"
)
print("returned", len(history["loss"]), flush=True)
"""
ENVIRONMENT = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"} | {"PYTHONPATH": os.pathsep.join(sys.path)}


def in_terminal(*arguments, press=None):
    """Run the program in a terminal, press keys once its bar has metrics, and return the plain text."""
    process, terminal = pty.fork()
    if not process:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a process in the background of a shell ignores it
        os.execve(sys.executable, [sys.executable, "-c", PROGRAM, *arguments], ENVIRONMENT)
    data, end = b"", time.monotonic() + 120
    while time.monotonic() < end:
        if press and b"loss" in data:
            os.write(terminal, press)
            press = None
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                data += os.read(terminal, 1 << 16)
            except OSError:  # the program has ended
                break
    else:
        os.kill(process, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, data
    os.close(terminal)
    assert data.count(b"\x1b[?25l") == data.count(b"\x1b[?25h")  # the cursor is shown again
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data.decode())


def test_a_bar_in_a_terminal(tmp_path):
    text = in_terminal("20", str(tmp_path))
    assert "training" in text and "loss" in text and "steps/s" in text and "100%" in text and "returned 20" in text


def test_ctrl_c_in_a_terminal(tmp_path):
    text = in_terminal("100000", str(tmp_path), press=b"\x03")
    (found,) = re.findall(r"fit: interrupted after (\d+) of 100,000 steps; saved in", text)
    assert f"returned {found}" in text and "Traceback" not in text
    assert fn.checkpoint.Checkpoints(tmp_path).steps()[-1] == int(found)


def test_no_bar_in_a_pipe(tmp_path):
    command = [sys.executable, "-c", PROGRAM, "20", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert (done.stdout, done.stderr) == ("returned 20\n", "")


def test_one_bar_in_a_notebook(tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    cell = f"import sys; sys.argv = ['', '20', {str(tmp_path)!r}]\n{PROGRAM}"
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    environment = {**ENVIRONMENT, "PYTHONPATH": str(Path(fn.__file__).parent.parent)}
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3").execute(env=environment)
    bar, said = book.cells[0].outputs
    assert "training" in str(bar.data) and "loss" in str(bar.data) and said.text == "returned 20\n"
