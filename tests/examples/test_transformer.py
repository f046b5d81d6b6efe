"""The transformer example prints the expected figure."""

import re
import xml.etree.ElementTree as ET

import pytest
from example_runs import run


@pytest.mark.slow
def test_transformer(tmp_path):
    output = run("transformer", "--seed", "1", "--steps", "400", "--svg", str(tmp_path / "transformer.svg"))
    assert float(re.search(r"([\d.]+)% of 500 held-out lists are sorted", output)[1]) > 95
    rows = re.findall(r"^((?:\d ){7}\d)\s+((?:\d ){7}\d)$", output, re.M)
    assert len(rows) == 5
    for shown, answer in rows:
        assert sum(map(int, shown.split())) % 5 == 0
        assert sorted(shown.split()) == answer.split()
    assert "held-out" in "".join(ET.parse(tmp_path / "transformer.svg").getroot().itertext())
