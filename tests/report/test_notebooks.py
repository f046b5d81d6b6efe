"""What notebooks display, in a real kernel and by the methods that it calls."""

import os
import re
from pathlib import Path

import pytest
import torch

import funcnet as fn
from funcnet import report
from funcnet.report import figures

CELLS = [
    "import torch, funcnet as fn\nfrom funcnet import report",
    "report.summary('net', {'w': torch.zeros(2, 1)})",
    "report.table(['a<b', 'n'], [['x', 1000]], title='T')",
    "report.curve({'loss': [3.0, 1.0, 2.0]})",
    "report.decision_map(lambda x: x.sum(-1).sigmoid())",
    "fn.jit(torch.sin, backend='eager').explain(torch.ones(3))",
    "report.show('text', report.table(['n'], [[1]]), report.curve({'loss': [3.0, 1.0]}))",
    "sum(report.track(range(7), 'training'))",
    "with report.progress('steps') as callback:\n    callback(3, 4)\n    callback(4, 4)",
]


@pytest.fixture(scope="module")
def outputs():
    """Run the cells in a kernel and return the outputs of each."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(fn.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]),
    }
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3").execute(env=env)
    return [cell.outputs for cell in book.cells]


def picture_type():
    return "image/svg+xml" if figures.available() else "text/html"


@pytest.mark.slow
def test_nothing_empty_is_displayed(outputs):
    for cell in outputs:
        for output in cell:
            for content in output.get("data", {"text": output.get("text")}).values():
                assert content.strip()
    assert [len(cell) for cell in outputs] == [0, 1, 1, 1, 1, 1, 3, 2, 1]


@pytest.mark.slow
def test_a_kernel_shows_tables_and_pictures(outputs):
    for (output,), kind in zip(
        outputs[1:6], ["text/html", "text/html", picture_type(), picture_type(), "text/html"], strict=True
    ):
        assert output.output_type == "execute_result" and set(output.data) == {"text/plain", kind}
    text, table, curve = outputs[6]
    assert text.text == "text\n" and "<table>" in table.data["text/html"] and picture_type() in curve.data


@pytest.mark.slow
def test_a_kernel_shows_a_bar_that_ends_full(outputs):
    bar, result = outputs[7]
    assert bar.data["text/html"] == '<progress value="7" max="7"></progress> training 7 of 7'
    assert result.data["text/plain"] == "21"
    assert outputs[8][0].data["text/plain"] == "steps 4 of 4"


def test_a_table_is_html_without_markup_from_its_cells():
    bundle = report.table(["a<b", "n"], [["<i>", 1000]], title="x & y")._repr_mimebundle_()
    assert bundle["text/html"] == (
        "<table><caption>x &amp; y</caption><thead><tr>"
        '<th style="text-align: left">a&lt;b</th><th style="text-align: right">n</th></tr></thead>'
        '<tbody><tr><td style="text-align: left">&lt;i&gt;</td><td style="text-align: right">1,000</td></tr>'
        "</tbody></table>"
    )
    assert bundle["text/plain"].splitlines()[:2] == ["x & y", "a<b       n"]


def test_a_summary_has_its_totals():
    assert (
        '<tfoot><tr><th style="text-align: left">total</th>'
        in (report.summary("net", {"w": torch.zeros(2)})._repr_mimebundle_()["text/html"])
    )


def test_a_picture_is_a_figure_or_what_the_terminal_shows(monkeypatch):
    picture = report.curve({"loss": [3.0, 1.0, 2.0]}, title="A <title>")
    if figures.available():
        assert "</svg>" in picture._repr_mimebundle_()["image/svg+xml"]
    monkeypatch.setattr(figures, "available", lambda: False)
    bundle = picture._repr_mimebundle_()
    assert "A &lt;title&gt;" in bundle["text/html"] and "●" in bundle["text/html"] and "● loss" in bundle["text/plain"]
    drawn = re.findall("[\u2800-\u28ff]", bundle["text/html"])  # wide in many fonts: each in a box of one column
    assert drawn and bundle["text/html"].count("display: inline-block; width: 1ch") == len(drawn)


def test_an_explanation_is_a_table():
    explanation = fn.jit(torch.sin, backend="eager").explain(torch.ones(3))
    bundle = explanation._repr_mimebundle_()
    assert bundle["text/plain"] == repr(explanation) and bundle["text/html"].count("<tr>") == len(vars(explanation))
    assert "eager" in bundle["text/html"] and f"{next(iter(explanation.operations))} 1<" in bundle["text/html"]
