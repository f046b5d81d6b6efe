"""Helpers that run an example as a user does, and read the tables that it prints.

A new example touches these files, in order:
    1. examples/NAME.py: a docstring that states the result, and `main` with the options --seed and --svg FILE.
    2. tests/examples/: a test that runs it and compares the numbers that it prints.
    3. README.md: a row of the table of examples, with its output.
"""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name, *arguments):
    """Run an example and return its output to a pipe."""
    command = [sys.executable, "-W", "ignore", EXAMPLES / f"{name}.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout and max(map(len, done.stdout.splitlines())) <= 80
    return done.stdout


def row(output, *starts):
    """Return the cells after the given first cells of a table row."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in output.splitlines()]
    (cells,) = [
        cells[len(starts) :] for cells in rows if cells[: len(starts)] == list(starts) and len(cells) > len(starts)
    ]
    return cells
