"""Output of reports to a terminal, a pipe or a picture; and progress bars."""

import io
import os
import re
import sys
import xml.etree.ElementTree as ET

import pytest
import torch
from printed_reports import XOR, Terminal

from funcnet import report
from funcnet.report import figures


@pytest.fixture
def environment(monkeypatch):
    """Remove the environment variables that change the colours or the width of the output."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return monkeypatch


def everything():
    curve = report.curve({"2-2-1": torch.linspace(1, 0, 50), "[b]": [0.5] * 50}, title="Loss", x_label="step")
    points = report.decision_map(lambda x: x.sum(-1).sigmoid(), points=XOR, labels=[0, 1, 1, 0], lines=[([1, 1], -1)])
    return "A [line]", report.summary("net", {"w": torch.zeros(2)}), curve, points


def test_piped_output_is_plain_and_80_wide(environment, capsys):
    environment.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((200, 50)))  # a terminal behind the pipe
    report.show(*everything())
    out = capsys.readouterr().out
    assert "\x1b" not in out and 72 < max(map(len, out.splitlines())) <= 80
    assert out.startswith("A [line]\n\nnet\npath") and not re.search(r" $", out, re.MULTILINE)


@pytest.mark.parametrize("rows, times", [(24, 2), (200, 1)])
def test_a_low_terminal_shows_the_answer_again_below_the_pictures(environment, rows, times):
    environment.setenv("COLUMNS", "80")
    environment.setenv("LINES", str(rows))
    environment.setattr(sys, "stdout", Terminal())
    text, table, curve, points = everything()
    report.show(text, table, curve, points, answer="7 of [9]")
    lines = re.sub(r"\x1b\[[\d;]*m", "", sys.stdout.getvalue()).splitlines()
    places = [i for i, line in enumerate(lines) if line == "7 of [9]"]
    assert len(places) == times and places[0] < lines.index(next(line for line in lines if line.strip() == "Loss"))
    assert times == 1 or (places[1] == len(lines) - 1 and lines[-3] and not lines[-2])


def test_an_answer_that_stays_in_sight_is_shown_once(environment, capsys):
    report.show(*everything(), answer="7 of [9]")  # not in a terminal
    assert capsys.readouterr().out.count("7 of [9]") == 1
    environment.setenv("LINES", "24")
    environment.setattr(sys, "stdout", Terminal())
    report.show(report.table(["a"], [[i] for i in range(40)]), answer="below the table")
    assert sys.stdout.getvalue().count("below the table") == 1


@pytest.mark.parametrize("columns, width", [("60", 60), ("120", 120), ("0", 80), ("many", 80)])
def test_columns_sets_the_width_of_piped_output(environment, capsys, columns, width):
    environment.setenv("COLUMNS", columns)
    report.show(*everything())
    assert 0.9 * width <= max(map(len, capsys.readouterr().out.splitlines())) <= width


def test_terminal_gets_colours_unless_no_color_is_set(environment):
    environment.setenv("COLUMNS", "80")
    shown = {}
    for colours in (True, False):
        if not colours:
            environment.setenv("NO_COLOR", "1")
        environment.setattr(sys, "stdout", Terminal())
        report.show(*everything())
        shown[colours] = sys.stdout.getvalue()
    assert "36" in re.findall(r"\x1b\[([\d;]*)m", shown[True])  # cyan
    assert set(re.findall(r"\x1b\[([\d;]*)m", shown[False])) == {"0", "1"}  # bold, no colour
    assert len({re.sub(r"\x1b\[[\d;]*m", "", text) for text in shown.values()}) == 1


def test_ascii_output_gets_replacement_characters(environment):
    binary = io.BytesIO()
    environment.setattr(sys, "stdout", io.TextIOWrapper(binary, encoding="ascii"))
    report.show(*everything())
    sys.stdout.flush()
    text = binary.getvalue().decode("ascii")
    assert "O 2-2-1" in text and "^ [b]" in text and "* w.x + b = 0" in text and "# p <= 1" in text


@pytest.mark.parametrize("encoding, shown", [("ascii", "w -+ x ?"), ("latin-1", "w -+ x ö"), ("utf-8", "w ─┐ × ö")])
def test_any_text_can_be_shown_in_any_encoding(environment, encoding, shown):
    binary = io.BytesIO()
    environment.setattr(sys, "stdout", io.TextIOWrapper(binary, encoding=encoding))
    report.show("w ─┐ × ö")
    sys.stdout.flush()
    assert binary.getvalue().decode(encoding) == shown + "\n"


def test_picture_holds_the_text_in_its_place(environment, capsys, tmp_path):
    environment.setattr(figures, "available", lambda: False)
    path = tmp_path / "new" / "picture.svg"
    report.show(*everything(), svg=path)
    plain = capsys.readouterr().out.splitlines()
    root = ET.fromstring(path.read_text(encoding="utf-8"))
    texts = [(t.get("x"), t.get("y"), t.text) for t in root.iter("{http://www.w3.org/2000/svg}text") if t.get("x")]
    texts = [(float(x), float(y), text) for x, y, text in texts if "\n" not in text and text != "picture"]
    cell, first, line = 12.2, min(y for _, y, _ in texts), 24.4
    grid = [[" "] * 80 for _ in plain]
    for x, y, text in texts:
        assert not text.startswith("\xa0")
        for i, letter in enumerate(text):
            grid[round((y - first) / line)][round(x / cell) + i] = letter.replace("\xa0", " ")
    assert ["".join(row).rstrip() for row in grid] == plain
    (clip,) = (
        part for part in root.iter("{http://www.w3.org/2000/svg}clipPath") if part.get("id").endswith("terminal")
    )
    assert float(clip[0].get("height")) > (len(plain) + 0.5) * line  # room for the descenders of the last line


def test_picture_has_colours_and_needs_no_network(environment, capsys, tmp_path):
    environment.setenv("NO_COLOR", "1")
    environment.setattr(figures, "available", lambda: False)
    report.show(*everything(), svg=str(tmp_path / "a.svg"))
    picture = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "url(http" not in picture and "url(&quot;http" not in picture and "@font-face" not in picture
    assert len(set(re.findall(r"fill: ?(#\w{6})", picture))) > 10
    assert 'fill="#c86e14"' in picture  # the colour of p = 1


def test_picture_is_replaced_atomically(environment, capsys, tmp_path):
    path = tmp_path / "a.svg"
    path.write_text("old")
    whoever_reads = path.open()
    report.show("new", svg=path)
    assert "new" in path.read_text() and [p.name for p in tmp_path.iterdir()] == ["a.svg"]
    with whoever_reads:
        assert "new" not in whoever_reads.read()  # still the complete older picture
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(OSError):
        report.show("new", svg=tmp_path / "folder.svg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.svg", "folder.svg"]


def test_track_is_silent_outside_a_terminal(environment, capsys):
    assert list(report.track(range(5), "training")) == [0, 1, 2, 3, 4]
    assert list(report.track(iter("ab"))) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


def test_track_draws_a_bar_below_other_output(environment):
    environment.setenv("COLUMNS", "80")
    terminal = Terminal()
    environment.setattr(sys, "stdout", terminal)
    for i in report.track(iter(range(3)), "training [net]", total=3):
        report.show(report.table(["step"], [[i]]))
    out = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "training [net]" in out and "100%" in out
    assert [int(n) for n in re.findall(r"─{4}\s+(\d)", out)] == [0, 1, 2]
    assert out.rindex("100%") > out.rindex("step")
    assert sys.stdout is terminal


def test_progress_is_silent_outside_a_terminal(environment, capsys):
    with report.progress("training") as callback:
        callback(1, 2)
    assert capsys.readouterr() == ("", "")


def test_progress_draws_a_bar(environment):
    environment.setenv("COLUMNS", "80")
    environment.setattr(sys, "stdout", Terminal())
    with report.progress("training [net]") as callback:
        callback(3, 4)
        callback(4, 4)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", sys.stdout.getvalue())
    assert "training [net]" in text and "100%" in text
