"""Every statement of the guide runs and prints its documented output, and its files are notebooks."""

import ast
import re

import pytest
from guide_runs import CHAPTERS, GUIDE, cells, play

LONG = {"ensembles_and_sweeps", "training_loops"}  # their runs take seconds to compile
ROWS = [pytest.param(path, marks=pytest.mark.slow if path.stem in LONG else (), id=path.stem) for path in CHAPTERS]
WIDTH = 98  # characters of code that an exported notebook shows in a window of 900 pixels


@pytest.mark.parametrize("path", ROWS)
def test_chapter(path):
    play(path)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_is_a_notebook(path):
    """In percent format, a cell of text is all comments, and a cell of code is complete Python."""
    for kind, lines in cells(path.read_text()):
        if kind == "[markdown]":
            assert all(line == "#" or line.startswith("# ") for line in lines if line), lines
        else:
            assert kind == "" and ast.parse("\n".join(lines)).body
            assert max(map(len, lines)) <= WIDTH, [line for line in lines if len(line) > WIDTH]


def test_the_guide_lists_its_chapters_and_links_to_files():
    listed = re.findall(r"\]\((\w+\.py)\)", (GUIDE / "README.md").read_text())
    assert sorted(listed) == [path.name for path in CHAPTERS]
    for path in (*CHAPTERS, GUIDE / "README.md"):
        for target in re.findall(r"\]\(([\w./]+)\)", path.read_text()):
            assert (GUIDE / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("wrong", ["print(2)\n# -> 3", "print(2)", "x = 2\n# -> 2"])
def test_wrong_output_is_found(wrong):
    with pytest.raises(AssertionError, match="line 1: expected"):
        play(CHAPTERS[0], wrong)
