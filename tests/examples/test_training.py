"""The training examples print the expected figures."""

import re
import xml.etree.ElementTree as ET

import pytest
from example_runs import row, run


@pytest.mark.slow
def test_meta_learning(tmp_path):
    output = run("meta_learning", "--steps", "250", "--svg", str(tmp_path / "meta.svg"))
    unadapted, *adapted = map(float, row(output, "adaptation (MAML)"))
    together = list(map(float, row(output, "all tasks at once")))
    assert max(adapted) < 0.6 * unadapted
    assert all(maml < 0.6 * mean for maml, mean in zip(adapted[:2], together[1:3], strict=True))
    assert "outer" in "".join(ET.parse(tmp_path / "meta.svg").getroot().itertext())


@pytest.mark.slow
def test_digits(tmp_path):
    pytest.importorskip("sklearn")
    output = run("digits", "--svg", str(tmp_path / "digits.svg"))
    reached, images, epochs = re.search(r"test accuracy ([\d.]+)% of (\d+) images after (\d+) epochs", output).groups()
    assert float(reached) >= 97.5 and (images, epochs) == ("359", "60")
    right = wrong = 0
    confusion = output.split("Answers (columns)")[1].splitlines()[3:13]
    for shown, line in enumerate(confusion):
        digit, *counts = map(int, line.split())
        assert digit == shown
        right, wrong = right + max(counts), wrong + sum(counts) - max(counts)
    assert right + wrong == 359 and abs(100 * right / 359 - float(reached)) < 0.01
    assert "epoch" in "".join(ET.parse(tmp_path / "digits.svg").getroot().itertext())


@pytest.mark.slow
def test_digits_sweep():
    pytest.importorskip("sklearn")
    output = run("digits", "--sweep", "--epochs", "2")
    rate, best = re.search(r"best learning rate ([\d.e-]+): ([\d.]+)%", output).groups()
    assert 5e-3 < float(rate) < 0.3 and float(best) > 90
    assert float(row(output, "3.2e-05")[0].rstrip("%")) < 30
