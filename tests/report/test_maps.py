"""Decision maps drawn in the terminal, cell by cell."""

import io
import math
import re
from itertools import pairwise

import pytest
import torch
from printed_reports import XOR, body, dots, printed
from rich.console import Console

from funcnet import report


def middles(height):
    """Return the centres of the cells of a map over [-0.5, 1.5] squared, row by row from the top."""
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
def test_shades_distinguish_quarters(p, shade):
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
    assert "(2 of 3 points are outside)" in " ".join(lines)
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
def test_map_draws_no_line_for_a_zero_w(w, b):
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


@pytest.mark.parametrize("colours", ["standard", "256", "truecolor"])
def test_the_legend_shows_the_colours_of_the_map(colours):
    plot = report.decision_map(lambda x: (x[:, 0] + 0.5) / 2, height=16)
    console = Console(file=io.StringIO(), width=80, color_system=colours, force_terminal=True, _environ={})
    console.print(plot)
    cells = re.findall(r"\x1b\[([\d;]+)m([ ·▒▓]+)\x1b", console.file.getvalue())
    legend = {text: colour for colour, text in cells[-4:]}
    assert list(legend) == [" ", "·", "▒", "▓"] and len(set(legend.values())) >= 3
    shown = {(text[0], colour) for colour, text in cells[:-4]}
    assert set(legend.items()) <= shown
    assert colours == "truecolor" or shown == set(legend.items())


def test_ticks_of_a_map_are_at_equal_distances():
    for width in (20, 33, 47, 80):
        lines = printed(report.decision_map(lambda x: x[:, 0] * 0, x_range=(-1.3, 2.9), y_range=(0, 0.7)), width)
        columns = [i for i, text in enumerate(next(line for line in lines if "└" in line)) if text == "┴"]
        rows = [j for j, line in enumerate(lines) if "┤" in line]
        assert len(columns) >= 1 <= len(rows)
        assert len({b - a for a, b in pairwise(columns)}) <= 1 >= len({b - a for a, b in pairwise(rows)})


def test_map_shows_nan():
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
        (lambda x: x[:, 0] * 0, {"points": XOR, "labels": [0, 1]}, r"expected 4 labels, one per point, got 2"),
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
def test_bad_input_gets_a_clear_error(f, options, message):
    with pytest.raises(ValueError, match=message):
        report.decision_map(f, **options)
