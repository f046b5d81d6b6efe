"""The curvature examples print the expected figures."""

import re
import xml.etree.ElementTree as ET

import pytest
from example_runs import row, run


def drawn(path):
    return "".join(ET.parse(path).getroot().itertext())


@pytest.mark.slow
def test_landscape(tmp_path):
    output = run("landscape", "--svg", str(tmp_path / "landscape.svg"))
    costs = list(map(float, row(output, "cost")))
    assert costs[0] < 1e-3 and abs(costs[1] - 0.346574) < 1e-3 and abs(costs[2] - 0.693147) < 1e-3
    assert all(float(norm) < 1e-3 for norm in row(output, "norm of the gradient"))
    columns = list(zip(*(map(float, row(output, f"eigenvalue {i + 1}")) for i in range(9)), strict=True))
    assert all(list(column) == sorted(column, reverse=True) for column in columns)
    negative = [sum(value < -1e-6 for value in column) for column in columns]
    assert negative[:2] == [0, 0] and negative[2] >= 1 and min(columns[2]) < -1e-3
    assert list(map(int, row(output, "below -1e-6"))) == negative
    assert "exp(-cost)" in drawn(tmp_path / "landscape.svg")


@pytest.mark.slow
def test_ntk(tmp_path):
    output = run("ntk", "--widths", "16", "128", "1024", "--svg", str(tmp_path / "ntk.svg"))
    rows = [list(map(float, row(output, width))) for width in ("16", "128", "1,024")]
    learned, apart, wrong = zip(*rows, strict=True)
    assert min(learned) > 0.5 and max(wrong) < 1e-12
    assert apart[0] > 1.5 * apart[1] > 3 * apart[2]
    (power,) = map(float, re.findall(r"the width to the power (-[\d.]+)", output))
    assert -1.2 < power < -0.3
    assert "linearised" in drawn(tmp_path / "ntk.svg")


@pytest.mark.slow
def test_per_example(tmp_path):
    pytest.importorskip("sklearn")
    output = run("per_example", "--steps", "50", "--seeds", "2", "--svg", str(tmp_path / "private.svg"))
    table = output.split("median norm")[0]
    rows = {n: [float(cell.rstrip("%")) for cell in row(table, n)] for n in ("0", "2", "8", "32", "256")}
    assert rows["0"][0] == float("inf") and rows["0"][1] > 85
    assert rows["8"][0] == pytest.approx(50 / 128 + 2 * (50 / 128 * 11.512925) ** 0.5, rel=5e-3)
    assert rows["2"][1] > 80 and rows["8"][1] > 80 and rows["256"][1] < 40
    assert rows["2"][0] > rows["8"][0] > rows["32"][0] > rows["256"][0]
    assert re.search(r"first \d\.\d+ \(100% clipped\)", output)
    assert "multiplier" in drawn(tmp_path / "private.svg")
