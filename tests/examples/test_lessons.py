"""Every example runs as a user runs it, prints the expected figures, and draws them."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from example_runs import row, run


@pytest.mark.slow
def test_gates(tmp_path):
    output = run("gates", "--svg", str(tmp_path / "gates.svg"))
    for gate, answers in (("AND", "0 0 0 1"), ("OR", "0 1 1 1"), ("NAND", "1 1 1 0")):
        for unit in ("by hand", "Rosenblatt", "logistic"):
            assert row(output, gate, unit)[:2] == [answers, "1"]
    assert row(output, "XOR", "AND of OR, NAND")[:2] == ["0 1 1 0", "1"]
    text = "".join(ET.parse(tmp_path / "gates.svg").getroot().itertext())
    assert "NAND" in text and "answer" in text


@pytest.mark.slow
def test_xor_perceptron():
    output = run("xor_perceptron")
    assert "cost 0.6931472 (ln 2 = 0.6931472), accuracy 0.5" in output
    assert [row(output, *x) for x in ("00", "01", "10", "11")] == [[t, "0.5"] for t in "0110"]
    text = " ".join(output.split())
    assert "gradient is 0e+00" in text and "a contradiction" in text
    sums = re.search(r"computed: (\S+) before training, (\S+) after", text).groups()
    assert all(abs(float(value)) < 1e-6 for value in sums)


@pytest.mark.slow
def test_chain_rule():
    output = run("chain_rule")
    for way in ("by hand", "vjp", "jvp", "grad"):
        assert row(output, way) == ["5", "-2", "1"]
    other = run("chain_rule", "--seed", "3")
    assert row(other, "by hand") == row(other, "vjp") == row(other, "jvp") == row(other, "grad") != ["5", "-2", "1"]


@pytest.mark.slow
def test_backprop_by_hand():
    output = run("backprop_by_hand")
    assert "cost nan at step 0" in output
    assert "w1 x 4.00, b1 x 1.00, w2 x 4.00, b2 x 1.00" in output
    assert re.search(r"cost nan instead of 20\.\d+", output)
    (shrunk,) = map(float, re.findall(r"b2 goes ([\d.]+) of the way\s+that it should", output))
    assert 0.7 < shrunk < 0.9
    for leaf, shape in (("b1", "(2,)"), ("b2", "(1,)"), ("w1", "(2, 2)"), ("w2", "(2, 1)")):
        absolute, relative = map(float, row(output, leaf, shape))
        assert absolute < 1e-15 and relative < 1e-14


@pytest.mark.slow
def test_xor_mlp(tmp_path):
    output = run("xor_mlp", "--svg", str(tmp_path / "xor.svg"))
    assert re.search(r"accuracy 1\.0, cost 0\.00\d+ after 10,000 steps", output)
    for x, target in (("00", 0), ("01", 1), ("10", 1), ("11", 0)):
        said, hypothesis = map(float, row(output, *x))
        assert said == target and abs(hypothesis - target) < 0.005
    assert row(output, "total") == ["9", "36"]
    assert "P(XOR" in "".join(ET.parse(tmp_path / "xor.svg").getroot().itertext())


@pytest.mark.slow
def test_xor_mlp_animates_its_lines(tmp_path):
    pytest.importorskip("matplotlib")
    run("xor_mlp", "--animate", str(tmp_path / "xor.gif"))
    with pytest.importorskip("PIL.Image").open(tmp_path / "xor.gif") as image:
        assert image.n_frames == 40


@pytest.mark.slow
def test_xor_mlp_with_many_seeds():
    output = run("xor_mlp", "--seeds", "64")
    nets = [
        int(row(output, place)[0])
        for place in (
            "solved (cost below 0.1)",
            "local minimum (ln(2)/2 = 0.3466)",
            "plateau (ln 2 = 0.6931)",
            "elsewhere",
        )
    ]
    assert sum(nets) == 64 and nets[0] >= 48 and 1 <= nets[1] <= 16


@pytest.mark.slow
def test_depth():
    output = run("depth", "--steps", "5001")
    shallow, deep = row(output, "2-2-1"), row(output, "2-10-10-10-1")
    assert float(shallow[1]) < 0.01 and float(deep[1]) < 0.01
    assert int(shallow[2]) < 1_000 < 3_000 < int(deep[2].replace(",", ""))
    rows = re.findall(r"^ *(0|10|100) {3}(\S+ \S+) {3}(\S+ \S+ \S+ \S+)$", output, re.MULTILINE)
    norms = {int(step): [[float(norm) for norm in net.split()] for net in nets] for step, *nets in rows}
    assert all(5 * before < after for before, after in pairwise(norms[0][1]))  # each layer shrinks the gradient
    assert 10 * max(norms[100][1]) < min(norms[100][0])  # both on the plateau, the deep net with smaller gradients
    assert "Norms of the deep net's gradients" in output


@pytest.mark.slow
def test_from_torch(tmp_path):
    pytest.importorskip("transformers")
    output = run("from_torch", "--svg", str(tmp_path / "gpt2.svg"))
    assert float(row(output, "all together")[1].rstrip("%")) > 90
    noise, others = map(float, re.search(r"gradient: noise ([\d.]+), others\s+([\d.]+)", output).groups())
    assert noise > 3 * others
    assert int(re.search(r"largest norms,\s+(\d+) are\s+noise", output).group(1)) >= 15
    assert "Cost" in "".join(ET.parse(tmp_path / "gpt2.svg").getroot().itertext())


@pytest.mark.slow
def test_an_ensemble_run_takes_little_memory_besides_its_results():
    from rivals import memory

    used, needed = memory.measure(1_001, 16_384, losses=True)
    assert needed == pytest.approx((1_001 + 2 * 9) * 16_384 * 4 / 2**20)
    assert 0.8 * needed < used < needed + memory.ALLOWED
