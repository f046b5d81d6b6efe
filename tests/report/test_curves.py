"""Curves drawn in the terminal, dot by dot."""

import io
import math
import re
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from printed_reports import body, dots, printed
from rich.console import Console

from funcnet import report


def test_curve_runs_from_corner_to_corner():
    cells = body(printed(report.curve({"loss": torch.linspace(5, -5, 500)}, height=10)))
    lit, width, bottom = dots(cells), 2 * len(cells[0]) - 1, 4 * len(cells) - 3
    assert 9 <= len(cells) <= 10 and cells[-1][-1] != " "
    for x, y in lit:
        assert abs((y - 1) / (bottom - 1) - (x - 1) / (width - 1)) < 1 / 25
    assert (1, 1) in lit and max(x for x, _ in lit) >= width - 1 and max(y for _, y in lit) >= bottom - 2


def test_curve_keeps_a_spike_among_many_points():
    values = torch.zeros(1_000_000)
    values[750_000], values[250_000] = 3.0, -1.0
    cells = body(printed(report.curve({"loss": values}, height=8)))
    lit, width = dots(cells), 2 * len(cells[0])
    top, bottom = ([x for x, y in lit if y == end(y for _, y in lit)] for end in (min, max))
    assert [abs(x - width * part) <= 2 for (x,), part in ((top, 0.75), (bottom, 0.25))] == [True, True]
    assert all(row[top[0] // 2] != " " for row in cells[: len(cells) * 3 // 4])  # joined to the line at 0


def test_curve_leaves_gaps_and_counts_them():
    values = [1.0, 1.0, math.nan, 1.0, 1.0, math.inf, -math.inf, 0.0, 1.0]
    lines = printed(report.curve({"loss": values}, width=72, height=4))
    cells = body(lines)
    assert lines[-1] == "● loss (3 of 9 NaN or infinite)"
    covered = {x // 2 for x, _ in dots(cells)} | {i for row in cells for i, text in enumerate(row) if text == "●"}
    width = len(lines[next(i for i, line in enumerate(lines) if "└" in line)].split("└")[1]) - 1
    places = [round(i / 8 * width) for i in range(9)]
    drawn = [*range(places[0], places[1] + 1), *range(places[3], places[4] + 1), *range(places[7], places[8] + 1)]
    assert len(covered ^ set(drawn)) <= 3 and not any(places[1] + 1 < x < places[3] - 1 for x in covered)


def test_short_piece_between_gaps_still_gets_its_marker():
    cells = body(printed(report.curve({"loss": [1.0, 1.0, *[math.nan] * 20]}, width=22, height=4)))
    assert "".join(row.strip() for row in cells) in ("●⠒", "●⠂", "●⠁", "●")


def test_positive_values_close_to_zero_are_drawn_above_it():
    labels = [line.split("┤")[0].strip() for line in printed(report.curve({"loss": [0.7, 0.01]})) if "┤" in line]
    assert labels[-1] == "0.0"
    labels = [line.split("┤")[0].strip() for line in printed(report.curve({"loss": [0.7, 0.6]})) if "┤" in line]
    assert labels[-1] == "0.60"


def test_curve_joins_few_points_by_straight_lines():
    lit = dots(body(printed(report.curve({"loss": [0.0, 4.0, 0.0, 0.0]}, width=20, height=5))))
    width, bottom = max(x for x, _ in lit) - 1, max(y for _, y in lit)
    assert min(y for _, y in lit) == 1 and len({x for x, _ in lit}) >= width - 2  # without the marker's columns
    for x, y in lit:
        assert abs((bottom - y) / (bottom - 1) - max(0, 1 - abs((x - 1) / width * 3 - 1))) < 0.2


@pytest.mark.parametrize("value", [0.0, 0.5, -3.0, 1e-12, -1e280])
def test_curve_of_a_constant_is_level_and_labelled(value):
    lines = printed(report.curve({"loss": [value] * 50}, height=5))
    cells = body(lines)
    (row,) = [j for j, row in enumerate(cells) if row.strip()]
    axis = next(line for line in lines if "└" in line)
    assert len(cells[row].strip()) == len(axis.split("└")[1]) and len(axis) > 72
    label = float(lines[row].split("┤")[0].replace(",", ""))
    assert label == pytest.approx(value, rel=0.1)


def test_curve_of_one_point_shows_its_marker_in_the_middle():
    lines = printed(report.curve({"loss": [3.0]}, width=21, height=5))
    rows = [row.strip() for row in body(lines)]
    (row,) = [j for j, text in enumerate(rows) if text]
    assert rows[row] == "●" and abs(row - (len(rows) - 1) / 2) <= 1
    assert body(lines)[row].index("●") == len(lines[len(rows)].split("└")[1]) // 2
    assert lines[row].startswith("3.0 ┤")


def test_curve_without_a_finite_value_shows_a_message():
    lines = printed(report.curve({"loss": torch.full((4,), math.nan)}))
    assert not any(row.strip() for row in body(lines))
    assert lines[-1] == "● loss (4 of 4 NaN or infinite)"


def test_log_axis_makes_decay_straight():
    lines = printed(report.curve({"loss": 10.0 ** -torch.linspace(0, 6, 200)}, log_y=True, height=14))
    lit = dots(body(lines))
    width = max(x for x, _ in lit) - 1
    assert all(abs((y - 1) / 48 - (x - 1) / width) < 2 / 48 for x, y in lit)
    labels = {float(line.split("┤")[0]): j for j, line in enumerate(lines) if "┤" in line}
    assert labels == {10.0**-k: 2 * k for k in (0, 2, 4, 6)}


def test_log_axis_holds_all_magnitudes():
    lines = printed(report.curve({"loss": [1e-300, 1e300]}, log_y=True, height=6))
    labels = [line.split("┤")[0].strip() for line in lines if "┤" in line]
    assert len(labels) >= 2 and all(re.fullmatch(r"1|1e[+-]\d{2,3}", label) for label in labels)


def test_log_axis_of_less_than_two_decades_has_round_numbers():
    lines = printed(report.curve({"loss": [0.02, 0.5]}, log_y=True, height=14))
    assert [line.split("┤")[0].strip() for line in lines if "┤" in line] == ["0.5", "0.2", "0.1", "0.05", "0.02"]


@pytest.mark.parametrize("values", [[0.0, 0.69], [0.003, 0.7], [-1.3, 4.4], [17.0, 60.0], [1e-9, 0.3]])
@pytest.mark.parametrize("height", [8, 12, 16, 24])
def test_equal_steps_have_equal_distances_and_values_are_not_beyond_their_ticks(values, height):
    lines = printed(report.curve({"loss": values}, x=[3, 190], height=height))
    rows = {float(line.split("┤")[0]): j for j, line in enumerate(lines) if "┤" in line}
    assert len(rows) >= 3 and len({b - a for a, b in pairwise(rows.values())}) == 1
    (per_step,) = {round((a - b) / (rows[b] - rows[a]), 12) for a, b in pairwise(rows)}
    lit = dots(body(lines))
    for value, row in ((min(values), max(y for _, y in lit)), (max(values), min(y for _, y in lit))):
        place = rows[max(rows)] + (max(rows) - value) / per_step  # in rows from the top
        assert abs(row / 4 + 0.125 - (place + 0.5)) < 0.3
    ticks = next(line for line in lines if "└" in line)
    assert len({b - a for a, b in pairwise([i for i, text in enumerate(ticks) if text == "┴"])}) == 1
    assert max(len(line.rstrip()) for line in lines if re.search("[┤│]", line)) == len(ticks)  # ends where the data end


def test_a_cost_near_0_is_not_drawn_below_the_tick_0():
    lines = printed(report.curve({"loss": [0.7, 0.001]}))
    (row,) = [j for j, line in enumerate(lines) if re.match(r"0\.0 ┤", line)]
    assert max(y for _, y in dots(body(lines))) == 4 * row + 1  # the dot just above the middle of the tick's row


def test_markers_are_on_their_lines():
    falling = report.curve({"loss": torch.linspace(1, 0, 200) ** 3}, height=20)
    cells = body(printed(falling))
    lit = dots(cells)
    markers = [(i, j) for j, row in enumerate(cells) for i, text in enumerate(row) if text == "●"]
    assert len(markers) >= 5
    for i, j in markers:
        left, right = ([y for x, y in lit if x == column] for column in (2 * i - 1, 2 * i + 2))
        assert min(left) - 1 <= 4 * j + 3 and max(right) + 1 >= 4 * j


def test_log_axis_leaves_out_non_positive_values():
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
        ([0, 3e-9], [f"{k * 5e-10:.1e}" for k in range(7)]),
        ([2_000, 10_000], ["2,000", "4,000", "6,000", "8,000", "10,000"]),
    ],
)
def test_numbers_on_the_vertical_axis(values, labels):
    lines = printed(report.curve({"loss": torch.tensor(values, dtype=torch.float64)}, height=16))
    found = {line.split("┤")[0].strip(): j for j, line in enumerate(lines) if "┤" in line}
    assert list(found)[::-1] == labels
    (low, high), bottom = values, len(body(lines)) - 1
    for label, row in found.items():
        place = (float(label.replace(",", "")) - low) / (high - low)
        assert abs(place - (bottom - row) / bottom) < 0.6 / bottom


def test_numbers_on_the_horizontal_axis_are_below_their_ticks():
    lines = printed(report.curve({"loss": torch.ones(10_001)}, x_label="step"))
    ticks, numbers, name = lines[-4], lines[-3], lines[-2]
    assert numbers.split() == ["0", "2,000", "4,000", "6,000", "8,000", "10,000"]
    assert 72 < len(ticks) <= 80 and ticks.count("┴") == 6
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
    width, bottom = max(x for x, _ in lit), max(y for _, y in lit)
    assert {(width // 2 + 1, 1), (width // 2 + 1, bottom), (width, 1), (1, bottom)} <= lit
    steep = report.curve({"a": [0, 0, 1]}, x=torch.tensor([0.0, 9.0, 10.0]), width=40, height=4)
    lit = dots(body(printed(steep)))
    assert min(x for x, y in lit if y < max(y for _, y in lit)) >= 0.89 * max(x for x, _ in lit)


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


def test_curve_accepts_lists_and_tensors_of_every_kind():
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
    assert width >= max(map(len, lines)) == next(len(line) for line in lines if "└" in line) >= 0.9 * width - 1
    assert lines[0].strip() == "A title" and lines[1] == "loss"
    assert abs(len(lines[0]) - len("A title") - (max(map(len, lines)) - len(lines[0]))) <= 1


@settings(deadline=None)  # the time of a shared machine
@given(
    st.dictionaries(st.text("ab[]", min_size=1), st.lists(st.floats(), min_size=1, max_size=30), min_size=1),
    st.booleans(),
)
def test_every_finite_value_is_drawn(series, log_y):
    if len(series) > 34:
        return
    lines = printed(report.curve(series, log_y=log_y, width=30, height=6))
    cells = body(lines)
    drawn = {k: [v for v in vs if abs(v) <= 1e300 and (v >= 1e-300 or not log_y)] for k, vs in series.items()}
    flat = [math.log(v) if log_y else v for vs in drawn.values() for v in vs]
    assert any(row.strip() for row in cells) == bool(flat)
    assert max(map(len, lines)) <= 80
    longest, width = max(map(len, series.values())) - 1, len(next(line for line in lines if "└" in line).split("└")[1])
    for values in series.values():
        for i, value in enumerate(values):
            if abs(value) <= 1e300 and (value >= 1e-300 or not log_y):
                column = round(i / longest * (width - 1)) if longest else width // 2
                assert any(row[max(0, column - 1) : column + 2].strip() for row in cells)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"series": {}}, r"curve: expected at least one series, got none"),
        ({"series": {str(i): [1.0] for i in range(35)}}, r"at most 34 series, one for each marker, got 35"),
        ({"series": {"a": []}}, r'curve: series "a" is empty, expected at least one value'),
        ({"series": {"a": torch.zeros(3, 4)}}, r'series "a": expected shape \(n,\), got \(3, 4\)\. Pass each row'),
        ({"series": {"a": torch.tensor(1.0)}}, r'series "a": expected shape \(n,\), got \(\)'),
        ({"series": {"a": 1.0}}, r'series "a": expected numbers or a tensor, got 1\.0'),
        ({"series": {"a": ["x", None]}}, r"""series "a": expected numbers or a tensor, got \['x', None\]"""),
        ({"series": {"a": [1, 2], "b": [1]}, "x": [0, 1]}, r'series "b" has 1 values and x has 2, expected as many'),
        ({"series": {"a": [1, 2]}, "x": [1, 0]}, r"curve: x: expected finite, non-decreasing values"),
        ({"series": {"a": [1, 2]}, "x": [0, math.nan]}, r"curve: x: expected finite, non-decreasing values"),
    ],
)
def test_bad_input_gets_a_clear_error(arguments, message):
    series = arguments.pop("series")
    with pytest.raises(ValueError, match=message):
        report.curve(series, **arguments)
