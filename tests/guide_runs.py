"""Run a chapter of the guide statement by statement, and compare the output of each with the comments below it.

A new chapter touches these files, in order:
    1. examples/guide/NAME.py, in percent format, with `# ->` comments for the output and a link to the next chapter.
    2. examples/guide/README.md: a row of its table. tests/guide/test_chapters.py runs all files.
"""

import ast
import contextlib
import io
import re
from pathlib import Path

GUIDE = Path(__file__).parent.parent / "examples/guide"
CHAPTERS = sorted(GUIDE.glob("*.py"))
MARK = "# ->"


def statements(text):
    """Yield each statement with the output that the comments below it document."""
    lines = text.splitlines()
    for node in ast.parse(text).body:
        after = lines[node.end_lineno :]
        count = next((i for i, line in enumerate(after) if not line.startswith(MARK)), len(after))
        yield node, [line[len(MARK) :].strip() for line in after[:count]]


def play(path, text=None):
    """Run a chapter; raise AssertionError with the line of the first statement whose output differs."""
    text = path.read_text() if text is None else text
    names = {"__name__": path.stem, "__file__": str(path)}
    for node, expected in statements(text):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(ast.Module([node], []), str(path), "exec"), names)
        found = [line.strip() for line in printed.getvalue().splitlines()]
        assert found == expected, f"{path.name}, line {node.lineno}: expected {expected}, got {found}"


def cells(text):
    """Return the cells of a text in percent format, as pairs of kind and lines."""
    parts = re.split(r"^# %%(.*)$", text, flags=re.MULTILINE)
    assert not parts[0].strip(), "a chapter begins with a cell"
    return [(kind.strip(), body.strip("\n").splitlines()) for kind, body in zip(parts[1::2], parts[2::2], strict=True)]
