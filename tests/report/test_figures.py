"""Figures by matplotlib: their lines, limits and labels; and what happens without it."""

import importlib.util
import itertools
import math
import re
import xml.etree.ElementTree as ET

import pytest
import torch
from printed_reports import XOR

from funcnet import report
from funcnet.report import figures

STEPS = torch.arange(401)


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib")


@pytest.fixture
def without(monkeypatch):
    """Hide matplotlib."""
    find = importlib.util.find_spec
    monkeypatch.setattr(figures, "find_spec", lambda name: None if name == "matplotlib" else find(name))


def curves(**options):
    series = {"2-2-1": 1 / (1 + STEPS), "[b]": torch.full((401,), 0.5), "again": 1 / (1 + STEPS)}
    return report.curve(series, x=25 * (STEPS + 1), title="Cost", x_label="step", y_label="cost (nats)", **options)


def decision(**options):
    return report.decision_map(lambda x: (4 * x.sum(-1) - 4).sigmoid(), points=XOR, labels=[0, 1, 1, 0], **options)


def axes_of(picture, theme=figures.LIGHT):
    """Return the axes of the picture, laid out; a map also has that of its colour bar."""
    figure = figures.figure([picture.description], theme)
    figure.draw_without_rendering()
    return figure.axes[0]


def texts(path):
    return [text.strip() for text in ET.parse(path).getroot().itertext() if text.strip()]


@pytest.mark.parametrize("log_x", [False, True])
@pytest.mark.parametrize("log_y", [False, True])
def test_curves_have_the_values_limits_and_labels(matplotlib, log_x, log_y):
    axes = axes_of(curves(log_x=log_x, log_y=log_y))
    first, level, again = axes.get_lines()
    assert list(first.get_xdata()) == (25 * (STEPS + 1)).tolist() and list(level.get_ydata()) == [0.5] * 401
    assert list(first.get_ydata()) == (1 / (1 + STEPS)).double().tolist() == list(again.get_ydata())
    assert axes.get_xlim() == (25, 10_025) and axes.get_ylim()[0] < 1 / 401 and axes.get_ylim()[1] > 1
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("step", "cost (nats)", "Cost")
    assert (axes.get_xscale() == "log", axes.get_yscale() == "log") == (log_x, log_y)


def test_series_that_hide_each_other_are_told_apart(matplotlib):
    lines = axes_of(report.curve({f"net {i}": [1.0, 2.0, 3.0] for i in range(9)})).get_lines()
    looks = {(line.get_color(), str(line._unscaled_dash_pattern), line.get_marker()) for line in lines}
    assert len(looks) == 9 and len({dashes for _, dashes, _ in looks}) == 6
    widths = [line.get_linewidth() for line in lines[:4]]
    assert widths == sorted(widths, reverse=True) and len(set(widths)) == 4


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", figures.COLOURS)
def test_colours_contrast_with_light_and_dark(colour):
    assert 1.05 / (luminance(colour) + 0.05) > 3 and (luminance(colour) + 0.05) / 0.05 > 3


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [figures.LIGHT, figures.DARK], ids=["light", "dark"])
def test_text_curves_and_lines_are_legible_on_their_page(theme):
    low, middle, high = theme.map
    assert contrast(theme.text, theme.page) > 7 and contrast(theme.text, middle) > 7
    assert all(contrast(colour, theme.page) > 3 for colour in (*figures.COLOURS, theme.unit))
    assert contrast(theme.unit, middle) > 5 and min(contrast(low, middle), contrast(high, middle)) > 3


def test_a_dark_figure_has_a_dark_page_and_light_text(matplotlib, capsys, tmp_path):
    def pixels(dark):
        report.show(curves(), decision(lines=[([1, 1], -1)]), svg=tmp_path / "a.png", dark=dark)
        with pytest.importorskip("PIL.Image").open(tmp_path / "a.png") as image:
            return image.convert("RGB").getpixel((3, 3)), image.size

    assert pixels(False) == ((255, 255, 255), (1120, 1600)) and pixels(True) == ((13, 17, 23), (1120, 1600))
    report.show(curves(), decision(lines=[([1, 1], -1)]), svg=tmp_path / "a.svg", dark=True)
    assert "#e6edf3" in (tmp_path / "a.svg").read_text()
    marks = axes_of(decision(), figures.DARK).texts
    assert {mark.get_color() for mark in marks} == {"black"}  # on white discs
    report.show("text", svg=tmp_path / "text.png", dark=True)
    with pytest.importorskip("PIL.Image").open(tmp_path / "text.png") as image:
        assert image.convert("RGB").getpixel((3, 3)) == (13, 17, 23)


def test_a_long_title_stays_on_the_page(matplotlib):
    title = "exp(-cost) on the plane of the plateau (0), the solution (1) and the minimum (2)"
    for picture in (decision(title=title), report.curve({"a": [1.0, 2.0]}, title=title)):
        axes = axes_of(picture)
        box = axes.title.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= axes.figure.figure.bbox.x1 and axes.get_title().split() == title.split()


@pytest.mark.parametrize(
    "picture",
    [
        curves(),
        report.curve({f"{i}": [1.0, 2.0] for i in range(12)}),
        report.curve({f"net number {i}": [1.0, 2.0] for i in range(7)}),
        decision(lines=[([1, 1], -1), ([1, 1], -0.5)]),
    ],
    ids=["curves", "short names", "long names", "map"],
)
def test_the_legend_covers_no_data_and_no_label(matplotlib, picture):
    figure = figures.figure([picture.description])
    figure.draw_without_rendering()
    (legend,) = figure.subfigs[0].legends
    box = legend.get_window_extent()
    assert all(not box.overlaps(axes.get_tightbbox()) for axes in figure.axes)
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1


@pytest.mark.parametrize(
    "options",
    [{"x": range(10)}, {"x": [16, 64, 256], "log_x": True}, {"x": [1e-4, 1, 1e4], "log_x": True}, {"x": [0, 1e5, 9e5]}],
)
def test_numbers_on_the_axes_do_not_touch(matplotlib, options):
    axes = axes_of(report.curve({"a": torch.linspace(0.02, 0.05, len(options["x"]))}, log_y=True, **options))
    for ticks, edges in ((axes.xaxis, ("x0", "x1")), (axes.yaxis, ("y0", "y1"))):
        low, high = edges
        both = ticks.get_ticklabels() + ticks.get_ticklabels(minor=True)
        boxes = sorted((t.get_window_extent() for t in both if t.get_text()), key=lambda box: getattr(box, low))
        assert len(boxes) >= 2
        assert all(getattr(a, high) < getattr(b, low) for a, b in itertools.pairwise(boxes))


@pytest.mark.parametrize("count, columns", [(1, 1), (3, 3), (4, 2), (5, 3), (6, 3)])
def test_rows_of_the_legend_have_equal_lengths(count, columns, matplotlib):
    picture = report.curve({f"layer {i}": torch.arange(9.0) + i for i in range(count)})
    (legend,) = figures.figure([picture.description]).subfigs[0].legends
    assert legend._ncols == columns


def test_gaps_are_counted_in_the_legend(matplotlib, tmp_path, capsys):
    report.show(report.curve({"loss": [1.0, math.nan, 2.0]}), svg=tmp_path / "a.svg")
    assert "loss (1 of 3 NaN or infinite)" in texts(tmp_path / "a.svg")


def test_a_map_has_a_smooth_field_with_its_contour_lines_and_points(matplotlib):
    axes = axes_of(decision(lines=[([1.0, 1.0], -0.5), ([0.0, 0.0], 1.0)], quantity="P(class 1)", title="T"))
    (image,) = axes.get_images()
    field = torch.tensor(image.get_array().tolist())
    assert field.shape == (200, 200) and image.get_clim() == (0, 1) and image.get_extent() == [-0.5, 1.5, -0.5, 1.5]
    at = torch.linspace(-0.495, 1.495, 200)
    torch.testing.assert_close(field, (4 * (at + at[:, None]) - 4).sigmoid(), atol=1e-5, rtol=0)
    contour = torch.tensor(axes.collections[0].get_paths()[0].vertices.tolist())
    torch.testing.assert_close(contour.sum(1), torch.ones(len(contour)), atol=1e-4, rtol=0)
    drawn = {line.get_label(): line for line in axes.get_lines()}
    assert drawn["w·x + b = 0, unit 1"].get_xydata().tolist() == [[-0.5, 1.0], [1.5, -1.0]]
    assert "w·x + b = 0, unit 2" not in drawn and "P(class 1) = 1/2" in drawn
    marks = {text.get_text(): text.get_position() for text in axes.texts}
    assert [t.get_text() for t in axes.texts] == list("0110") and marks["0"] == (1.0, 1.0)
    assert axes.figure.axes[1].get_ylabel() == "P(class 1)"


def test_many_points_are_small_symbols_in_the_legend(matplotlib):
    points = torch.rand(60, 2, generator=torch.Generator().manual_seed(0))
    labels = (points[:, 0] > 0.5).long()
    axes = axes_of(report.decision_map(lambda x: x[:, 0].clamp(0, 1), points=points, labels=labels))
    drawn = {line.get_label(): line for line in axes.get_lines()}
    for mark in (0, 1):
        at = torch.tensor(drawn[f"point of class {mark}"].get_xydata().tolist())
        torch.testing.assert_close(at, points[labels == mark], atol=1e-6, rtol=0)
    looks = {(drawn[f"point of class {m}"].get_marker(), drawn[f"point of class {m}"].get_color()) for m in (0, 1)}
    assert len(looks) == 2 and not axes.texts


def test_a_map_without_a_contour(matplotlib):
    axes = axes_of(decision(contour=False))
    assert not axes.collections and not axes.get_legend_handles_labels()[1]


def test_a_map_leaves_out_points_outside_and_counts_them(matplotlib):
    axes = axes_of(report.decision_map(lambda x: x[:, 0] * 0, points=[[0.0, 0.0], [9.0, 9.0]]))
    assert len(axes.texts) == 1 and "(1 of 2 points are outside)" in [line.get_label() for line in axes.get_lines()]
    assert axes.get_xlim() == (-0.5, 1.5)


@pytest.mark.parametrize(
    "suffix, start", [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")]
)
def test_the_ending_chooses_the_format(matplotlib, capsys, tmp_path, suffix, start):
    path = tmp_path / "new" / f"a.{suffix}"
    report.show("text", decision(), curves(), svg=path)
    first = path.read_bytes()
    assert first.startswith(start)
    report.show(decision(), curves(), svg=path)
    assert path.read_bytes() == first


def test_an_svg_holds_its_text(matplotlib, capsys, tmp_path):
    report.show(decision(quantity="P(class 1)"), curves(), svg=tmp_path / "a.svg")
    assert {"Cost", "cost (nats)", "step", "[b]", "P(class 1)", "10,000"} <= set(texts(tmp_path / "a.svg"))


def test_text_without_a_picture_is_written_as_text(matplotlib, capsys, tmp_path):
    report.show(report.table(["$a$", "b"], [[1, 2]]), svg=tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    report.show(report.table(["net", "loss"], [[1, 2]]), svg=tmp_path / "a.svg")
    assert "loss" in texts(tmp_path / "a.svg")


def test_drawing_changes_no_setting_of_matplotlib(matplotlib, capsys, tmp_path):
    before = dict(matplotlib.rcParams)
    report.show(curves(), svg=tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before


def test_animation_has_a_frame_per_picture(matplotlib, tmp_path):
    frames = (decision(lines=[([1, 1], -b)]) for b in (0.2, 0.8, 1.4))
    report.animate(frames, tmp_path / "a.gif", seconds=0.1)
    shown = []
    with pytest.importorskip("PIL.Image").open(tmp_path / "a.gif") as image:
        for i in range(image.n_frames):
            image.seek(i)
            shown.append((image.info["duration"], image.convert("RGB").tobytes()))
    assert [time for time, _ in shown] == [100, 100, 2000] and len({pixels for _, pixels in shown}) == 3


def test_without_matplotlib_an_svg_shows_the_terminals_text(without, capsys, tmp_path):
    report.show(curves(), svg=tmp_path / "a.svg")
    assert "●" in "".join(texts(tmp_path / "a.svg"))
    assert "For a figure: pip install 'funcnet[plots]'" in capsys.readouterr().err
    report.show("only text", svg=tmp_path / "b.svg")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "write, error, message",
    [
        (lambda p: report.show(curves(), svg=p / "a.png"), ImportError, r"PNG: needs matplotlib.*'funcnet\[plots\]'"),
        (lambda p: report.show("a", svg=p / "a.pdf"), ImportError, r"PDF: needs matplotlib.*'funcnet\[plots\]'"),
        (lambda p: report.animate([decision()], p / "a.gif"), ImportError, r"animate: needs matplotlib.*\[plots\]"),
        (lambda p: report.animate([decision()], p / "a.mp4"), ValueError, r"ends in \.gif, got 'a\.mp4'"),
        (lambda p: report.show("a", svg=p / "a.jpg"), ValueError, r"ends in \.svg, \.png or \.pdf, got 'a\.jpg'"),
    ],
)
def test_a_file_that_cannot_be_written_is_an_error_before_the_work(without, capsys, tmp_path, write, error, message):
    with pytest.raises(error, match=re.compile(message, re.DOTALL)):
        write(tmp_path)
    assert not list(tmp_path.iterdir()) and capsys.readouterr().out == ""


def test_an_animation_without_frames_is_an_error(matplotlib, tmp_path):
    with pytest.raises(ValueError, match="at least one frame, got none"):
        report.animate([], tmp_path / "a.gif")


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, r"log_x: expected x with positive positions, got none"),
        ({"x": [0.0, 1.0]}, r"x: expected positive values on a logarithmic axis, got 0"),
    ],
)
def test_a_logarithmic_axis_needs_positive_positions(options, message):
    with pytest.raises(ValueError, match=message):
        report.curve({"a": [1.0, 2.0]}, log_x=True, **options)
