"""Summaries and tables, cell by cell."""

import math
import re

import pytest
import torch
from printed_reports import printed
from tables import TREES

import funcnet as fn
from funcnet import report, tree


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


def test_summary_shows_other_leaves_and_does_not_interpret_brackets():
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


def test_table_wraps_text_and_never_truncates_it():
    text = " ".join(f"word{i}" for i in range(40))
    lines = printed(report.table(["n", "text", "value"], [[123_456, text, 1.5]], title="A [title]"))
    assert lines[0] == "A [title]" and max(map(len, lines)) <= 80
    assert re.findall(r"word\d+", " ".join(lines)) == text.split()
    assert lines[3].startswith("123,456") and lines[3].endswith("1.5")


def test_table_folds_numbers_that_do_not_fit_and_never_truncates_them():
    numbers = [12_345_678 * i for i in range(1, 13)]
    lines = printed(report.table(["n"] * 12, [numbers]), width=12 * 4 + 11 * 2)
    assert max(map(len, lines)) <= 70
    digits = sorted("".join(re.findall(r"\d", " ".join(lines))))
    assert digits == sorted("".join(map(str, numbers)))


def test_table_refuses_rows_of_another_length():
    with pytest.raises(ValueError, match=r"table: row 1: expected 2 cells, one per column of \['a', 'b'\], got 3"):
        report.table(["a", "b"], [[1, 2], [1, 2, 3]])


def test_summary_of_the_layers_of_a_model():
    branches = fn.parallel(fn.dense(3), torch.cos)
    model = fn.serial(
        hidden=fn.dense(4), norm=fn.batch_norm(), rest=fn.serial(branches, lambda ys: {"a": ys[0].sum(), "b": ys[1]})
    )
    x = torch.zeros(5, 2)
    params, _ = model.init_with_state(fn.random.key(0), x)
    _, _, _, _, *rows, _, total = [re.split(r"\s{2,}", line) for line in printed(report.summary(model, params, x))]
    assert rows == [
        ["hidden", "dense(4)", "(5, 4)", "12"],
        ["norm", "batch_norm()", "(5, 4)", "8"],
        ["rest.0.0", "dense(3)", "(5, 3)", "15"],
        ["rest.0.1", "cos", "(5, 4)", "0"],
        ["rest.1", "<lambda>", "a: (), b: (5, 4)", "0"],
    ]
    assert total == ["total", "35"] and sum(leaf.numel() for leaf in tree.leaves(params)) == 35


def test_summary_of_a_single_layer_and_of_a_function():
    layer = fn.gru(3)
    params = layer.init(fn.random.key(0), torch.zeros(2, 7, 5))
    rows = [re.split(r"\s{2,}", line) for line in printed(report.summary(layer, params, torch.zeros(2, 7, 5)))]
    assert rows[3][:2] == ["(the model itself)", "gru(3)"] and rows[-1][1] == str(
        sum(leaf.numel() for leaf in tree.leaves(params))
    )
    assert "(2,)" in printed(report.summary(torch.sin, (), torch.zeros(2)))[3]


def test_a_narrow_terminal_breaks_no_word():
    columns, row = (
        ["gate", "classification", "accuracy", "learning rate"],
        ["NAND", "Rosenblatt", 0.123456, "sometimes"],
    )
    for width in (20, 40, 60):
        lines = printed(report.table(columns, [row, row], title="Rules"), width)
        assert max(map(len, lines)) <= width
        words = " ".join(lines).replace(":", "").split()
        assert all(word in words for cell in (*columns, *map(str, row)) for word in cell.split())
