"""The course week: its texts in both languages, its order, the code that it shows, and its exercises."""

import importlib
import inspect
import re
import sys

import lesson
import pytest
import torch
from course import english, find_defect, korean, write_backward
from example_runs import row

import funcnet as fn

NAMES = [step.name for step in lesson.STEPS]
FACT = re.compile(r"[\d.,/e-]*\d|[a-zA-Z]\w*[._(]\w[\w.]*|`.*?`", re.ASCII)


@pytest.fixture
def lessons(monkeypatch, capsys):
    """Run the command line of the lesson in this process; return the exit status, its output and its errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lesson.py", *map(str, arguments)])
        status = 0
        try:
            lesson.main()
        except SystemExit as stopped:
            status = stopped.code or 0
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def facts(text):
    """Return the numbers and the names of code in a text."""
    return sorted(fact.strip(".,") for fact in FACT.findall(text))


def test_both_languages_have_every_step_in_the_order_of_the_lesson():
    assert list(english.TEXTS) == list(korean.TEXTS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_say_the_same(name):
    for field, ours, theirs in zip(english.TEXTS[name]._fields, english.TEXTS[name], korean.TEXTS[name], strict=True):
        assert bool(ours) == bool(theirs) and facts(ours) == facts(theirs), field
        assert not ours or not theirs or re.search("[가-힣]", theirs) or ours == theirs.replace("가설값", "Hypothesis")
        assert not re.search("[가-힣]", ours)


def test_labels_are_in_both_languages():
    for ours, theirs in zip(english.LABELS, korean.LABELS, strict=True):
        assert sorted(re.findall(r"\{\w+\}|`.*?`", str(ours))) == sorted(re.findall(r"\{\w+\}|`.*?`", str(theirs)))
        assert ours != theirs


@pytest.mark.parametrize("step", lesson.STEPS, ids=NAMES)
def test_a_step_shows_some_ten_lines_of_its_own_code(step):
    module = importlib.import_module(step.module)
    shown = [lesson.source(getattr(module, name)) for name in step.shown]
    assert 2 <= sum(len(text.splitlines()) for text in shown) <= 18
    for name, text in zip(step.shown, shown, strict=True):
        assert f"def {name}(" in text and '"""' not in text and getattr(module, name).__doc__ not in text
        assert set(map(str.strip, text.splitlines())) <= set(map(str.strip, inspect.getsource(module).splitlines()))


@pytest.mark.parametrize("language, title", [("en", "Two layers against four"), ("ko", "두 층 대 네 층")])
def test_the_list_is_in_order_and_fits_80_columns(language, title, lessons):
    status, output, _ = lessons("--language", language)
    rows = [line.split() for line in output.splitlines() if re.match(r" *\d+ ", line)]
    assert status == 0 and [(int(line[0]), line[-1]) for line in rows] == list(enumerate(NAMES, 1))
    assert title in output and max(map(len, output.splitlines())) <= 80
    assert (" all --language ko`" in " ".join(output.split())) == (language == "ko")


def test_a_step_asks_shows_and_points_to_the_next(lessons):
    status, output, time = lessons("exp", "--language", "ko", "--seed", 3)
    assert status == 0 and time.startswith("exp.py: takes about")
    places = [output.index(text) for text in ("8", "질문:", "f(-1.446)", "핵심 코드", "수업에서는:", "transposes")]
    assert places == sorted(places) and english.TEXTS["exp"].question not in output
    assert output.strip().endswith("다음: python examples/lesson.py transposes --language ko")


@pytest.mark.parametrize("name", ["perceptron", "devices", "exp", "transposes", "find_defect", "plane"])
def test_a_step_ends_with_its_answer_which_stays_on_the_screen(name, lessons):
    _, output, errors = lessons(name)
    *_, end = output.partition("Answer: ")
    assert 1 <= len(end.split("\n\n")[0].splitlines()) <= 3 and len(end.splitlines()) < 8
    assert " ".join(end.split("\n\n")[0].split()) in " ".join(output.split("The lines that matter")[0].split())
    assert "Warning" not in errors and max(map(len, output.splitlines())) <= 80


def test_long_lines_of_code_are_folded_behind_their_start():
    long = f"    return {' + '.join(['a_long_name'] * 9)}\n\n    x"
    first, second, *rest = lesson.folded(long).splitlines()
    assert len(first) <= 80 and second.startswith(" " * 12) and rest == ["", "    x"]
    assert (first + second).replace(" ", "") == long.split("\n")[0].replace(" ", "")


def test_help_of_a_step_is_that_of_its_example(lessons):
    status, output, _ = lessons("depth", "--help")
    assert status == 0 and "usage: depth.py" in output and "--steps" in output
    assert "usage: lesson.py" in lessons("--help")[1]


@pytest.mark.parametrize(
    "arguments", [("--steps=3",), ("all", "--svg", "x.svg"), ("nosuchstep",), ("depth", "--steps=0")]
)
def test_wrong_arguments_are_errors_before_the_work(arguments, lessons):
    status, output, error = lessons(*arguments)
    assert status == 2 and "error: " in error and "cost" not in output.split("Question")[0]


RIGHT = write_backward.TEMPLATE.replace("    return", "    d_l2 = (p - y) / len(x)\n    {}\n    return").replace(
    '"w1": ..., "b1": ..., "w2": ..., "b2": ...',
    '"w1": x.T @ d_l1, "b1": d_l1.sum(0), "w2": a1.T @ d_l2, "b2": d_l2.sum(0)',
)
RIGHT = RIGHT.replace("{}", 'd_l1 = d_l2 @ params["w2"].T * a1 * (1 - a1)')


def test_the_exercise_writes_its_template_and_checks_an_answer(lessons, tmp_path):
    path = tmp_path / "answer.py"
    assert "written to" in " ".join(lessons("write_backward", "--answer", path)[1].split())
    assert path.read_text() == write_backward.TEMPLATE
    status, output, _ = lessons("write_backward", "--answer", path)
    assert status == 1 and "0 of 4 are right" in output and "to do" in row(output, "w1")[0]
    path.write_text("def backwards(params, x, y): ...")
    assert "expected a function backward(params, x, y)" in lessons("write_backward", "--answer", path)[0]
    path.write_text("def backward(params, x, y): ...")
    assert "expected a dict with the keys w1, b1, w2, b2, got None" in lessons("write_backward", "--answer", path)[0]
    path.write_text(RIGHT)
    status, output, _ = lessons("write_backward", "--answer", path)
    assert status == 0 and "4 of 4 are right" in output and "find_defect" in output


@pytest.mark.parametrize(
    "right, wrong, leaf, words",
    [
        (" / len(x)", "", "b1", "4 times the gradient"),
        ("a1.T @ d_l2", "a1 * d_l2", "w2", "wrong shape (4, 2), expected (2, 1)"),
        ("a1 * (1 - a1)", "a1", "w1", "wrong direction"),
        ('"b2": d_l2.sum(0)', '"b2": d_l2.mean(0)', "b2", "0.25 times the gradient"),
    ],
)
def test_the_exercise_says_how_an_answer_is_wrong(right, wrong, leaf, words):
    names = {}
    exec(RIGHT.replace(right, wrong), names)
    verdicts = dict(write_backward.check(names["backward"], fn.random.key(0)))
    assert words in verdicts[leaf] and RIGHT.count(right) == 1


def weights():
    return {name: torch.full(shape, 0.3).double() for name, shape in find_defect.SHAPES.items()}


@pytest.mark.parametrize("defect", find_defect.DEFECTS, ids=lambda defect: defect.text)
def test_every_defect_can_be_seen_and_its_line_is_the_only_answer(defect):
    exact = [*find_defect.gradients(find_defect.CODE, weights()).values()]
    assert fn.tree.allclose(exact, [*fn.grad(write_backward.cost)(weights()).values()])
    lines = find_defect.planted(defect)
    assert [n for n, (a, b) in enumerate(zip(lines, find_defect.CODE, strict=True), 1) if a != b] == [defect.line]
    seen = find_defect.evidence(lines, fn.random.key(0))
    assert any(line[1:] != ["1.0000", "+1.0000"] for line in seen)
    assert all(line[1:] == ["1.0000", "+1.0000"] for line in find_defect.evidence(find_defect.CODE, fn.random.key(0)))


def test_the_answer_to_the_planted_defect_is_checked(lessons):
    results = [lessons("find_defect", "--line", line) for line in range(1, 10)]
    assert [status for status, *_ in results].count(0) == 1
    (right,) = [output for status, output, _ in results if status == 0]
    assert "is right" in right and all("It is not line" in output for status, output, _ in results if status)
    assert len({lessons("find_defect", "--seed", seed)[1].split("gradient  ")[0] for seed in range(8)}) > 2
