"""The sweep over learning rates and seeds: rows that do not depend on interruptions or on the number of processes."""

import subprocess
import sys

import pytest
from example_runs import EXAMPLES, row, run

OPTIONS = ("--seeds", "3", "--steps", "60", "--block", "5")


@pytest.mark.slow
def test_a_sweep_goes_on_after_its_last_complete_row(tmp_path):
    whole, stopped = tmp_path / "whole.csv", tmp_path / "stopped.csv"
    output = run("distributed_sweep", "--results", str(whole), *OPTIONS)
    lines = whole.read_text().splitlines(keepends=True)
    assert len(lines) == 1 + 8 * 3 and lines[0] == "learning rate,seed,cost\n"
    costs = [float(line.split(",")[2]) for line in lines if line.startswith("0.05,")]
    assert float(row(output, "0.05")[1]) == pytest.approx(sorted(costs)[1], rel=1e-5)
    for kept in (1, 7, 11, 25):
        stopped.write_text("".join(lines[:kept]) + "0.1,")
        assert run("distributed_sweep", "--results", str(stopped), *OPTIONS) == output.replace("whole", "stopped")
        assert stopped.read_text() == whole.read_text()


@pytest.mark.slow
def test_another_sweep_is_refused(tmp_path):
    path = tmp_path / "sweep.csv"
    path.write_text("learning rate,seed,cost\n0.05,8,0.5\n")
    command = [sys.executable, "-W", "ignore", EXAMPLES / "distributed_sweep.py", "--results", path, *OPTIONS]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "holds another sweep. Choose another file by --results" in done.stderr
    assert path.read_text().count("\n") == 2
