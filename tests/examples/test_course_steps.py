"""The steps of the course print the expected figures, computed here again where that is possible."""

import importlib
import re
import sys

import pytest
from example_runs import row, run

import funcnet as fn


@pytest.fixture
def step(monkeypatch, capsys):
    """Run a step of the course in this process and return its output."""

    def output_of(name, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        importlib.import_module(f"course.{name}").main()
        return capsys.readouterr().out

    return output_of


def test_perceptron(step):
    output = step("perceptron")
    assert [row(output, x, y) for x, y in ("00", "01", "10", "11")] == [
        ["-1.5", "0"],
        ["-0.5", "0"],
        ["-0.5", "0"],
        ["+0.5", "1"],
    ]
    assert "w1 = +1" in output and "z = w1 x1 + w2 x2 + b ── step ── y" in output


def test_drawn_gates(step):
    output = step("drawn_gates")
    shares = {gate: [float(cell.rstrip("%")) for cell in row(output, gate)] for gate in ("AND", "OR", "XOR")}
    assert all(abs(sum(share) - 100) < 0.3 for share in shares.values())
    assert 1 < shares["AND"][4] < 2 and 4 < shares["OR"][4] < 5 and shares["XOR"][4] == shares["XOR"][0] == 0
    assert [f"{gate}: {wrong} of 4" in output for gate, wrong in (("AND", 0), ("OR", 0), ("XOR", 1))] == [True] * 3


def test_plane(step):
    output = step("plane")
    assert row(output, "4 of 4") == ["0"] and sum(int(row(output, f"{n} of 4")[0]) for n in range(5)) == 1_000
    assert float(re.search(r"1,000 planes: (\S+)", output).group(1)) < 1e-5
    assert "w1 = 0.000, w2 = 0.000, b = 0.500" in output
    (z01, z11), (z00, z10) = re.findall(r"x2 = \d   (\S+) ─+ (\S+)", output)
    assert abs(float(z00) + float(z11) - float(z01) - float(z10)) < 0.03


def test_devices(step):
    output = step("devices")
    assert row(output, "params and x on cpu") == ["result on cpu"]
    assert "LayerError" in row(output, "params on meta, x on cpu")[0] or "meta" not in output.split("call")[0]
    assert "params are still on cpu" in output and "the same object: True" in output


def test_exp(step):
    output = step("exp")
    assert row(output, "f(1)") == ["2.7183", "2.7183"]
    assert row(output, "its derivative (5.4366)") == ["5.4366", "2.7183"]
    assert row(output, "exp(1000)")[0] == "inf" and "OverflowError" in output
    assert row(output, "f of four numbers")[0] == "0 2.7183 14.778 60.257" and "ValueError: only one" in output


def test_transposes(step):
    output = step("transposes")
    for value, shape in (("w1", "(2, 3)"), ("l1 = x w1 + b1", "(4, 3)"), ("l2 = a1 w2 + b2", "(4, 1)")):
        assert row(output, value) == [shape]
    for name, *shapes in (("d_w2", "(3, 4) (4, 1)", "(3, 1)"), ("d_w1", "(2, 4) (4, 3)", "(2, 3)")):
        assert row(output, name)[1:] == shapes
    assert float(re.search(r"from\s+grad:\s+(\S+)", output).group(1)) < 1e-6
    assert "(4x2 and 4x3)" in output and float(re.search(r"error is ([\d.]+)", output).group(1)) > 0.1


def test_sequential_takes_the_steps_of_torch(step):
    output = step("sequential", "--steps", 200)
    first, later = (row(output.split("Answers")[0], step) for step in ("0", "100"))
    assert first[0] == first[1] == "0.6976591" and float(later[0]) < float(first[0])
    assert float(re.search(r"difference of the costs: (\S+)", output).group(1)) < 1e-5


@pytest.mark.slow
def test_sequential():
    output = run("lesson", "sequential")
    for x, target in (("00", 0), ("01", 1), ("10", 1), ("11", 0)):
        said, *answers = map(float, row(output, *x))
        assert said == target and all(abs(answer - target) < 0.01 for answer in answers)
    assert float(re.search(r"difference of the costs: (\S+)", output).group(1)) < 1e-3


def test_four_layers(step):
    output = step("four_layers")
    counts = [int(row(output, str(n))[0]) for n in range(3)]
    assert sum(counts) == 100 and counts[0] > 50 and counts[0] > counts[1] > counts[2]
    assert row(output, "as printed")[0] in ("step 0", "step 1")
    assert row(output, "with the sigmoid")[0] == "does not stop"


@pytest.mark.slow
def test_the_spread_over_seeds_is_that_of_the_texts():
    from depth import NETS, train

    texts = (("2-2-1", 1_024, 0.86, 157, 5_145), ("2-10-10-10-1", 64, 0.91, 2_939, 7_928))
    for name, nets, solved, earliest, latest in texts:
        keys, model = fn.random.split(fn.random.key(0), nets), NETS[name]
        costs = fn.jit(fn.vmap(lambda key, model=model: train(model, key, 10_001)[1]))(keys)
        below = costs < 0.6
        first = below.float().argmax(1)[below.any(1)]
        assert abs((costs[:, -1] < 0.1).float().mean() - solved) < 0.01
        assert [first.min().item(), first.max().item()] == pytest.approx([earliest, latest], rel=0.05)
