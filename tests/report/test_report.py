"""What reports print, cell by cell: the terminal, a pipe, the picture."""

import io
import math
import os
import re
import sys
import xml.etree.ElementTree as ET

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tables import TREES

from funcnet import report, tree

XOR = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
BITS = {1: (0, 0), 2: (0, 1), 4: (0, 2), 64: (0, 3), 8: (1, 0), 16: (1, 1), 32: (1, 2), 128: (1, 3)}


def printed(renderable, width=80):
    """The lines that a plain console of this width shows."""
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def body(lines):
    """The cells of a plot, right of its vertical axis, from the top row down."""
    rows = [re.split("[┤│]", line, maxsplit=1)[1] for line in lines if re.search("[┤│]", line)]
    width = max(map(len, rows))
    return [row.ljust(width) for row in rows]


def dots(cells):
    """The lit braille dots as (column, row) from the top left, 2 to a column of cells and 4 to a row."""
    return {
        (2 * i + x, 4 * j + y)
        for j, row in enumerate(cells)
        for i, text in enumerate(row)
        if "⠀" < text <= "⣿"
        for bit, (x, y) in BITS.items()
        if (ord(text) - 0x2800) & bit
    }


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def environment(monkeypatch):
    """A known one: no variable that colours or widens what is printed."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return monkeypatch


# Tables


def test_summary_counts_entries_and_bytes():
    params = {"out": {"w": torch.zeros(30, 50), "b": torch.zeros(50).double()}, "k": torch.zeros(0, 3).half()}
    title, _, _, *rows, _, total = [line.split("  ") for line in printed(report.summary("net", params))]
    rows = [[cell.strip() for cell in row if cell] for row in rows]
    assert title == ["net"]
    assert rows == [
        ["k", "(0, 3)", "float16", "0", "0"],
        ["out.b", "(50,)", "float64", "50", "400"],
        ["out.w", "(30, 50)", "float32", "1,500", "6,000"],
    ]
    assert [cell.strip() for cell in total if cell] == ["total", "1,550", "6,400"]


@pytest.mark.parametrize("make", TREES.values(), ids=TREES)
def test_summary_of_any_tree(make):
    params = make()
    lines = printed(report.summary("net", params), width=200)
    tensors = [leaf for leaf in tree.leaves(params) if tree.is_tensor(leaf)]
    assert [line.split()[0] for line in lines[3 : 3 + len(tree.leaves(params))]] == [
        path or "(the" for path in tree.paths(params)
    ]
    stored = sum(leaf.contiguous().clone().untyped_storage().nbytes() for leaf in tensors)
    assert lines[-1].replace(",", "").split() == ["total", str(sum(len(t.reshape(-1)) for t in tensors)), str(stored)]


def test_summary_shows_other_leaves_plainly_and_brackets_as_they_are():
    lines = printed(report.summary("[red]net", {"n": 3, "name": "[bold]x", "none": None}))
    assert lines[0] == "[red]net"
    assert [line.split("  ")[0] for line in lines[3:-2]] == ["n", "name"]
    assert "int 3" in lines[3] and "str '[bold]x'" in lines[4]
    assert lines[-1].split() == ["total", "0", "0"]


def test_summary_names_the_model():
    class Net:
        def __repr__(self):
            return "Net(2, 1)"

    assert printed(report.summary(Net(), 1.0))[0] == "Net(2, 1)"
    assert printed(report.summary(math.sqrt, 1.0))[0] == "sqrt"
    assert printed(report.summary(object(), 1.0))[0] == "object"


def test_table_aligns_numbers_right_and_text_left():
    rows = [["a", 10_001, 0.00106364], ["long", 7, torch.tensor([0.5])], ["x", None, math.nan]]
    assert printed(report.table(["name", "steps", "loss"], rows)) == [
        "name    steps         loss",
        "──────────────────────────",
        "a      10,001   0.00106364",
        "long        7          0.5",
        "x           -          nan",
    ]


@pytest.mark.parametrize(
    "cells, right",
    [(["12%", "3"], True), (["1,000", "-2e5"], True), (["2-2-1", "3"], False), ([None, None], False), ([True], False)],
)
def test_table_reads_strings_of_numbers_as_numbers(cells, right):
    lines = printed(report.table(["a wide head"], [[cell] for cell in cells]))
    assert all((len(line) == len("a wide head")) == right for line in lines[2:])


def test_table_wraps_text_and_never_cuts_it():
    text = " ".join(f"word{i}" for i in range(40))
    lines = printed(report.table(["n", "text", "value"], [[123_456, text, 1.5]], title="A [title]"))
    assert lines[0] == "A [title]" and max(map(len, lines)) <= 80
    assert re.findall(r"word\d+", " ".join(lines)) == text.split()
    assert lines[3].startswith("123,456") and lines[3].endswith("1.5")


def test_table_folds_numbers_that_do_not_fit_and_never_cuts_them():
    numbers = [12_345_678 * i for i in range(1, 13)]
    lines = printed(report.table(["n"] * 12, [numbers]), width=12 * 4 + 11 * 2)
    assert max(map(len, lines)) <= 70
    digits = sorted("".join(re.findall(r"\d", " ".join(lines))))
    assert digits == sorted("".join(map(str, numbers)))


def test_table_refuses_rows_of_another_length():
    with pytest.raises(ValueError, match=r"table: row 1: expected 2 cells, one for each of \['a', 'b'\], got 3"):
        report.table(["a", "b"], [[1, 2], [1, 2, 3]])


# Curves


def test_curve_runs_from_corner_to_corner():
    cells = body(printed(report.curve({"loss": torch.linspace(5, -5, 500)}, height=10)))
    assert len(cells) == 10 and cells[0][0] in "⠑⠢⠉⠱⠙⠓⠊⠁" and cells[9][-1] != " "
    lit, width = dots(cells), 2 * len(cells[0])
    for x, y in lit:
        assert abs(y / 39 - x / (width - 1)) < 1 / 30
    assert {(0, 0), (width - 1, 39)} <= lit


def test_curve_keeps_a_spike_among_many_points():
    values = torch.zeros(1_000_000)
    values[750_000], values[250_000] = 3.0, -1.0
    cells = body(printed(report.curve({"loss": values}, height=8)))
    lit, width = dots(cells), 2 * len(cells[0])
    top, bottom = [x for x, y in lit if y == 0], [x for x, y in lit if y == 31]
    assert top == [width * 3 // 4] and bottom == [width // 4]
    assert all(row[top[0] // 2] != " " for row in cells[:6])  # joined to the line at 0


def test_curve_leaves_gaps_and_counts_them():
    values = [1.0, 1.0, math.nan, 1.0, 1.0, math.inf, -math.inf, 0.0, 1.0]
    lines = printed(report.curve({"loss": values}, width=72, height=4))
    cells = body(lines)
    assert lines[-1] == "● loss (3 of 9 NaN or infinite)"
    covered = {x // 2 for x, _ in dots(cells)} | {i for row in cells for i, text in enumerate(row) if text == "●"}
    drawn = [*range(0, 10), *range(27, 37), *range(63, 72)]
    assert covered == set(drawn)


def test_short_piece_between_gaps_still_gets_its_marker():
    cells = body(printed(report.curve({"loss": [1.0, 1.0, *[math.nan] * 20]}, width=22, height=4)))
    assert [row.strip() for row in cells] == ["", "", "●⠁", ""]


def test_positive_values_close_to_zero_are_seen_above_it():
    labels = [line.split("┤")[0].strip() for line in printed(report.curve({"loss": [0.7, 0.01]})) if "┤" in line]
    assert labels[-1] == "0.0"
    labels = [line.split("┤")[0].strip() for line in printed(report.curve({"loss": [0.7, 0.6]})) if "┤" in line]
    assert labels[-1] == "0.60"


def test_curve_joins_few_points_by_straight_lines():
    lit = dots(body(printed(report.curve({"loss": [0.0, 4.0, 0.0, 0.0]}, width=20, height=5))))
    assert {(0, 19), (13, 0), (26, 19), (39, 19)} <= lit
    assert {x for x, _ in lit} >= set(range(40)) - {20, 21}  # where the marker is
    for x, y in lit:
        assert abs((19 - y) - 20 * max(0, 1 - abs(x - 13) / 13.3)) < 2.2


@pytest.mark.parametrize("value", [0.0, 0.5, -3.0, 1e-12, -1e280])
def test_curve_of_a_constant_is_level_and_labelled(value):
    lines = printed(report.curve({"loss": [value] * 50}, height=5))
    cells = body(lines)
    (row,) = [j for j, row in enumerate(cells) if row.strip()]
    assert len(cells[row].strip()) == 80 - (len(lines[row]) - len(cells[row].rstrip()))
    label = float(lines[row].split("┤")[0].replace(",", ""))
    assert label == pytest.approx(value, rel=0.1)


def test_curve_of_one_point_shows_its_marker_in_the_middle():
    lines = printed(report.curve({"loss": [3.0]}, width=21, height=5))
    assert [row.strip() for row in body(lines)] == ["", "", "●", "", ""]
    assert body(lines)[2].index("●") == 10
    assert lines[2].startswith("3.0 ┤")


def test_curve_without_a_finite_value_says_so():
    lines = printed(report.curve({"loss": torch.full((4,), math.nan)}))
    assert not any(row.strip() for row in body(lines))
    assert lines[-1] == "● loss (4 of 4 NaN or infinite)"


def test_log_axis_makes_decay_straight():
    lines = printed(report.curve({"loss": 10.0 ** -torch.linspace(0, 6, 200)}, log_y=True, height=14))
    lit = dots(body(lines))
    width = max(x for x, _ in lit) + 1
    assert all(abs(y / 56 - x / width) < 2 / 56 for x, y in lit)
    labels = {float(line.split("┤")[0]): j for j, line in enumerate(lines) if "┤" in line}
    assert labels == {1.0: 0, 1e-2: 4, 1e-4: 9, 1e-6: 13}


def test_log_axis_leaves_out_what_is_not_positive():
    lines = printed(report.curve({"loss": [1.0, 0.0, -1.0, 0.1, math.nan]}, log_y=True, width=50, height=4))
    assert lines[-1] == "● loss (3 of 5 NaN, infinite or not positive)"


@pytest.mark.parametrize(
    "values, labels",
    [
        ([0, 10], ["0", "2", "4", "6", "8", "10"]),
        ([0.2, 0.6], ["0.2", "0.3", "0.4", "0.5", "0.6"]),
        ([-1, 1], ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        ([0.69310129, 0.69310510], ["0.693102", "0.693103", "0.693104", "0.693105"]),
        ([1e9, 5e9], ["1e+09", "2e+09", "3e+09", "4e+09", "5e+09"]),
        ([0, 3e-9], ["0e+00", "1e-09", "2e-09", "3e-09"]),
        ([2_000, 10_000], ["2,000", "4,000", "6,000", "8,000", "10,000"]),
    ],
)
def test_numbers_on_the_vertical_axis(values, labels):
    lines = printed(report.curve({"loss": torch.tensor(values, dtype=torch.float64)}, height=16))
    found = {line.split("┤")[0].strip(): j for j, line in enumerate(lines) if "┤" in line}
    assert list(found)[::-1] == labels
    low, high = values
    for label, row in found.items():
        value = float(label.replace(",", ""))
        assert 15 - row == min(15, math.floor((value - low) / (high - low) * 16 + 1e-9))


def test_numbers_on_the_horizontal_axis_stand_below_their_ticks():
    lines = printed(report.curve({"loss": torch.ones(10_001)}, x_label="step"))
    ticks, numbers, name = lines[-4], lines[-3], lines[-2]
    assert numbers.split() == ["0", "2,000", "4,000", "6,000", "8,000", "10,000"]
    assert len(ticks) == 80 and ticks.count("┴") == 6
    for tick, number in zip(re.finditer("┴", ticks), re.finditer(r"\S+", numbers), strict=True):
        assert number.start() - 1 <= tick.start() <= number.end()
    assert name.strip() == "step"


def test_numbers_on_the_horizontal_axis_never_run_together():
    x = torch.linspace(1e6, 1e6 + 0.02, 9, dtype=torch.float64)
    numbers = printed(report.curve({"loss": [1.0] * 9}, x=x, width=24, height=3))[-2].split()
    assert numbers and all(re.fullmatch(r"1,000,000\.\d\d", number) for number in numbers)


def test_x_places_the_points():
    curve = report.curve({"a": [0, 1, 1], "b": [0, 0, 1]}, x=range(0, 2_001, 1_000), width=40, height=4)
    lit, numbers = dots(body(printed(curve))), printed(curve)[-2].split()
    assert numbers[0] == "0" and numbers[-1] == "2,000"
    assert {(40, 0), (40, 15), (79, 0), (0, 15)} <= lit
    steep = report.curve({"a": [0, 0, 1]}, x=torch.tensor([0.0, 9.0, 10.0]), width=40, height=4)
    assert {x for x, y in dots(body(printed(steep))) if y < 15} <= set(range(72, 80))


def test_series_differ_in_marker_and_colour():
    series = {f"net {i}": torch.full((20,), float(i)) for i in range(8)}
    curve = report.curve(series, height=24)
    lines = printed(curve)
    for i, marker in enumerate("●▲■◆○△□◇"):
        assert f"{marker} net {i}" in " ".join(lines[-2:])
        (row,) = [row for row in body(lines) if marker in row]
        assert row.count(marker) == 6 and set(row) <= {marker, *map(chr, range(0x2801, 0x2900))}
    console = Console(file=io.StringIO(), width=80, color_system="standard", force_terminal=True, _environ={})
    console.print(curve)
    assert len(set(re.findall(r"\x1b\[(3\d)m", console.file.getvalue()))) == 6


def test_curve_takes_lists_and_tensors_of_every_kind():
    values = [0.9, 0.5, 0.25, 0.125]
    expected = printed(report.curve({"loss": values}))
    weight = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    for other in (tuple(values), torch.tensor(values), [weight * value for value in values], iter(values)):
        assert printed(report.curve({"loss": other})) == expected
    integers = torch.tensor([3, 1, 2])
    assert printed(report.curve({"loss": integers})) == printed(report.curve({"loss": integers.tolist()}))


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_curve_is_as_wide_as_the_terminal(width):
    lines = printed(report.curve({"loss": torch.linspace(1, 0, 99)}, title="A title", y_label="loss"), width)
    assert max(map(len, lines)) == width == next(len(line) for line in lines if "└" in line)
    assert lines[0].strip() == "A title" and lines[1] == "loss"
    assert abs(len(lines[0]) - len("A title") - (width - len(lines[0]))) <= 1


@given(
    st.dictionaries(st.text("ab[]", min_size=1), st.lists(st.floats(), min_size=1, max_size=30), min_size=1),
    st.booleans(),
)
def test_every_value_that_can_be_drawn_is(series, log_y):
    if len(series) > 34:
        return
    lines = printed(report.curve(series, log_y=log_y, width=30, height=6))
    cells = body(lines)
    drawn = {k: [v for v in vs if abs(v) <= 1e300 and (v >= 1e-300 or not log_y)] for k, vs in series.items()}
    flat = [math.log(v) if log_y else v for vs in drawn.values() for v in vs]
    assert any(row.strip() for row in cells) == bool(flat)
    assert max(map(len, lines)) <= 80
    longest = max(map(len, series.values())) - 1
    for values in series.values():
        for i, value in enumerate(values):
            if abs(value) <= 1e300 and (value >= 1e-300 or not log_y):
                column = min(29, math.floor(i / longest * 30 + 1e-9)) if longest else 15
                assert any(row[column : column + 1].strip() for row in cells)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"series": {}}, r"curve: expected at least one series, got none"),
        ({"series": {str(i): [1.0] for i in range(35)}}, r"at most 34 series, one for each marker, got 35"),
        ({"series": {"a": []}}, r'curve: series "a" is empty: expected at least one value'),
        ({"series": {"a": torch.zeros(3, 4)}}, r'series "a": expected shape \(n,\), got \(3, 4\)\. Pass each row'),
        ({"series": {"a": torch.tensor(1.0)}}, r'series "a": expected shape \(n,\), got \(\)'),
        ({"series": {"a": 1.0}}, r'series "a": expected numbers or a tensor, got 1\.0'),
        ({"series": {"a": ["x", None]}}, r"""series "a": expected numbers or a tensor, got \['x', None\]"""),
        ({"series": {"a": [1, 2], "b": [1]}, "x": [0, 1]}, r'series "b" has 1 values and x has 2: expected as many'),
        ({"series": {"a": [1, 2]}, "x": [1, 0]}, r"curve: x: expected finite values that never fall"),
        ({"series": {"a": [1, 2]}, "x": [0, math.nan]}, r"curve: x: expected finite values that never fall"),
    ],
)
def test_curve_refuses(arguments, message):
    series = arguments.pop("series")
    with pytest.raises(ValueError, match=message):
        report.curve(series, **arguments)


# Decision maps


def middles(height):
    """Where the cells of a map over [-0.5, 1.5] squared are, row by row from the top."""
    return [
        [(-0.5 + (i + 0.5) / height, 1.5 - (j + 0.5) * 2 / height) for i in range(2 * height)] for j in range(height)
    ]


@pytest.mark.parametrize("w, b", [((1.0, 0.0), -0.5), ((0.0, 2.0), -1.1), ((1.0, 1.0), -1.03), ((-3.0, 1.0), 0.413)])
@pytest.mark.parametrize("column", [False, True])
def test_map_of_a_known_line_is_shaded_on_the_right_side(w, b, column):
    def f(x):
        p = (x @ torch.tensor(w) + b > 0).float()
        return p[:, None] if column else p

    cells = body(printed(report.decision_map(f, height=12)))
    expected = ["".join("▓" if w[0] * x + w[1] * y + b > 0 else " " for x, y in row) for row in middles(12)]
    assert [row.rstrip() for row in cells] == [row.rstrip() for row in expected]


@pytest.mark.parametrize(
    "p, shade", [(0, " "), (0.24, " "), (0.26, "·"), (0.49, "·"), (0.5, "▒"), (0.74, "▒"), (0.75, "▓"), (1, "▓")]
)
def test_shades_tell_quarters_apart(p, shade):
    lines = printed(report.decision_map(lambda x: torch.full((len(x),), p), height=4))
    assert [row for row in lines if re.search("[┤│]", row)] != []
    assert {text for row in body(lines) for text in row} <= {shade, " "}
    assert (shade * 8 in lines[1]) or shade == " "
    assert "p < 0.25" in lines[-1] and "▓ p <= 1" in lines[-1]


def test_map_marks_points_by_their_labels():
    def blank(x):
        return torch.zeros(len(x), 1)

    cells = body(printed(report.decision_map(blank, points=XOR, labels=torch.tensor([[0.0], [1], [1], [0]]))))
    found = {(i, j): text for j, row in enumerate(cells) for i, text in enumerate(row) if text != " "}
    assert found == {(10, 4): "1", (30, 4): "0", (10, 14): "0", (30, 14): "1"}
    cells = body(printed(report.decision_map(blank, points=[[0, 0], [1.41, -0.4]], x_range=(-1, 2), height=10)))
    assert [(i, j) for j, row in enumerate(cells) for i, text in enumerate(row) if text == "o"] == [(6, 7), (16, 9)]


def test_map_counts_points_outside():
    lines = printed(report.decision_map(lambda x: x[:, 0] * 0, points=[[0.0, 0.0], [9.0, 0.0], [0.0, -2.0]]))
    assert "(2 of 3 points lie outside)" in " ".join(lines)
    assert sum(row.count("o") for row in body(lines)) == 1


@pytest.mark.parametrize(
    "w, b", [((1.0, 1.0), -1.0), ((0.1, 1.0), -0.7), ((1.0, 0.1), -0.7), ((0, 1), -1), ((2, 0), -1)]
)
def test_map_draws_the_line_of_a_unit(w, b):
    plot = report.decision_map(lambda x: x[:, 0] * 0, lines=[(torch.tensor(w), torch.tensor([b]))], height=20)
    lines = printed(plot)
    lit = dots(body(lines))
    for i, j in lit:
        x, y = -0.5 + (i + 0.5) / 40, 1.5 - (j + 0.5) / 40
        assert abs(w[0] * x + w[1] * y + b) <= (abs(w[0]) + abs(w[1])) / 80 + 1e-9
    across, up = {i for i, _ in lit}, {j for _, j in lit}
    assert len(across if abs(w[1]) >= abs(w[0]) else up) >= 79 - (w == (1.0, 1.0))
    assert "⠒ w·x + b = 0" in lines[-1] or "⠒ w·x + b = 0" in lines[-2]


@pytest.mark.parametrize("w, b", [((0.0, 0.0), 1.0), ((math.nan, 1.0), 0.0), ((1.0, 1.0), math.inf), ((1.0, 0.0), 5.0)])
def test_map_draws_no_line_where_there_is_none(w, b):
    assert not dots(body(printed(report.decision_map(lambda x: x[:, 0] * 0, lines=[(w, b)]))))


def test_map_shows_the_two_lines_of_a_solved_xor():
    w1, b1 = torch.tensor([[6.0, 5.0], [6.0, 5.0]]), torch.tensor([-2.7, -7.5])
    w2, b2 = torch.tensor([9.0, -9.0]), -4.0

    def f(x):
        return torch.sigmoid(torch.sigmoid(x @ w1 + b1) @ w2 + b2)

    plot = report.decision_map(f, points=XOR, labels=[0, 1, 1, 0], lines=[(w1[:, j], b1[j]) for j in range(2)])
    cells = body(printed(plot))
    assert cells[14][9:12] == " 0 " and cells[4][29:32] == " 0 "
    assert cells[4][9:12] == "▓1▓" and cells[14][29:32] == "▓1▓"
    offsets = {i // 2 - 2 * (j // 4) for i, j in dots(cells)}  # 20 (x1 + x2 - 1), and x1 + x2 is 0.45 or 1.5
    assert offsets <= {*range(-13, -8), *range(8, 13)} and {-11, 10} <= offsets


def test_map_calls_f_in_the_dtype_of_the_points():
    seen = []

    def f(x):
        seen.append((x.dtype, tuple(x.shape)))
        return x.sum(-1).sigmoid()

    report.decision_map(f, height=5)
    report.decision_map(f, points=XOR.double(), height=6)
    report.decision_map(f, points=XOR.long(), height=7)
    assert seen == [(torch.float32, (50, 2)), (torch.float64, (72, 2)), (torch.float32, (98, 2))]


def test_map_shows_what_is_not_a_number():
    lines = printed(report.decision_map(lambda x: torch.where(x[:, 0] < 0.5, math.nan, 1.0), height=6))
    assert body(lines) == ["?" * 6 + "▓" * 6] * 6
    assert "? p is NaN" in " ".join(lines)


def test_the_default_device_changes_nothing():
    def pictures():
        yield printed(report.curve({"loss": [3.0, 1.0, 2.0]}, log_y=True))
        yield printed(report.decision_map(lambda x: x.sum(-1).sigmoid(), points=[[0.5, 1]], lines=[([1.0, 2.0], 3.0)]))
        yield printed(report.decision_map(lambda x: x.sum(-1).sigmoid()))

    expected = list(pictures())
    with torch.device("meta"):
        assert list(pictures()) == expected


def test_map_fits_a_narrow_terminal():
    lines = printed(report.decision_map(lambda x: (x[:, 0] > 0.5).float(), height=30, x_label="", title="T"), 30)
    assert max(map(len, lines)) == 30
    assert {row.count("▓") for row in body(lines)} == {12}


@pytest.mark.parametrize(
    "f, options, message",
    [
        (
            lambda x: x,
            {},
            r"f: .* input of shape \(800, 2\), that is shape \(800,\) or \(800, 1\), got shape \(800, 2\)",
        ),
        (lambda x: x.sum(), {}, r"got shape \(\)"),
        (lambda x: None, {}, r"got a NoneType"),
        (
            lambda x: x[:, 0] * 0 + 3,
            {},
            r"probabilities in \[0, 1\], got 3\. If f returns logits, pass lambda x: torch.sig",
        ),
        (lambda x: x[:, 0] * 0, {"points": [1.0, 2.0]}, r"points: expected shape \(k, 2\), got \(2,\)"),
        (lambda x: x[:, 0] * 0, {"points": [["a", 1]]}, r"points: expected numbers or a tensor"),
        (lambda x: x[:, 0] * 0, {"points": XOR, "labels": [0, 1]}, r"one label for each of the 4 points, got 2 labels"),
        (lambda x: x[:, 0] * 0, {"points": XOR, "labels": [0, 1, 0.5, 0]}, r"whole numbers from 0 to 9, got 0\.5"),
        (
            lambda x: x[:, 0] * 0,
            {"lines": [([1, 1], 0), ([1, 2, 3], 0)]},
            r"lines\[1\]: expected w with 2 .*, got 4 in all",
        ),
        (
            lambda x: x[:, 0] * 0,
            {"x_range": (1, 1)},
            r"x_range: expected finite \(low, high\) with low < high, got \(1, 1\)",
        ),
        (lambda x: x[:, 0] * 0, {"y_range": (0, math.inf)}, r"y_range: expected finite"),
    ],
)
def test_map_refuses(f, options, message):
    with pytest.raises(ValueError, match=message):
        report.decision_map(f, **options)


# Where it goes


def everything():
    curve = report.curve({"2-2-1": torch.linspace(1, 0, 50), "[b]": [0.5] * 50}, title="Loss", x_label="step")
    points = report.decision_map(lambda x: x.sum(-1).sigmoid(), points=XOR, labels=[0, 1, 1, 0], lines=[([1, 1], -1)])
    return "A [line]", report.summary("net", {"w": torch.zeros(2)}), curve, points


def test_piped_output_is_plain_and_80_wide(environment, capsys):
    environment.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((200, 50)))  # a terminal behind the pipe
    report.show(*everything())
    out = capsys.readouterr().out
    assert "\x1b" not in out and max(map(len, out.splitlines())) == 80
    assert out.startswith("A [line]\n\nnet\npath") and not re.search(r" $", out, re.MULTILINE)


@pytest.mark.parametrize("columns, width", [("60", 60), ("120", 120), ("0", 80), ("many", 80)])
def test_columns_sets_the_width_of_piped_output(environment, capsys, columns, width):
    environment.setenv("COLUMNS", columns)
    report.show(*everything())
    assert max(map(len, capsys.readouterr().out.splitlines())) == width


def test_terminal_gets_colours_unless_asked_not_to(environment):
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


def test_output_that_knows_only_ascii_gets_stand_ins(environment):
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


def test_picture_holds_the_text_where_it_stands(environment, capsys, tmp_path):
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
    report.show(*everything(), svg=str(tmp_path / "a.svg"))
    picture = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "url(http" not in picture and "url(&quot;http" not in picture and "@font-face" not in picture
    assert len(set(re.findall(r"fill: ?(#\w{6})", picture))) > 10
    assert 'fill="#c86e14"' in picture  # the colour of p = 1


def test_picture_is_replaced_whole_or_not_at_all(environment, capsys, tmp_path):
    path = tmp_path / "a.svg"
    path.write_text("old")
    whoever_reads = path.open()
    report.show("new", svg=path)
    assert "new" in path.read_text() and [p.name for p in tmp_path.iterdir()] == ["a.svg"]
    with whoever_reads:
        assert "new" not in whoever_reads.read()  # still the older picture, whole
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(OSError):
        report.show("new", svg=tmp_path / "folder.svg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.svg", "folder.svg"]


# Progress


def test_track_is_silent_outside_a_terminal(environment, capsys):
    assert list(report.track(range(5), "training")) == [0, 1, 2, 3, 4]
    assert list(report.track(iter("ab"))) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


def test_track_draws_a_bar_below_what_is_shown(environment):
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
