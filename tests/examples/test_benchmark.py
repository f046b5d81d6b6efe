"""The workloads that the benchmark runs with funcnet and with JAX, and the tables that it prints."""

import sys
from argparse import Namespace

import pytest
import torch
from example_runs import EXAMPLES, row, run

import funcnet as fn
from funcnet import tree

sys.path.insert(0, str(EXAMPLES))
from rivals import curvature, rows, startup, threads, workloads

LOOSE = {"bfloat16 x * x + x": 1e-2, "lgamma": 1e-4, "gradient of cross entropy": 1e-4, "product, 256": 1e-4}


@pytest.mark.parametrize("group", [pytest.param("operations", marks=pytest.mark.slow), "calls"])
def test_jitted_workloads_equal_eager_ones(group):
    for name, (f, *args) in getattr(workloads, group)(fn).items():
        eager, jitted = f(*args), fn.jit(f)(*args)
        assert tree.allclose(jitted, eager, rtol=LOOSE.get(name, 1e-5), atol=1e-5), name


@pytest.mark.slow
@pytest.mark.parametrize("name", workloads.loops(fn))
def test_loops_of_jitted_steps_equal_loops_of_plain_ones(name):
    f, carry = workloads.loops(fn)[name]
    with fn.disable_jit():
        expected = f(carry)
    assert tree.allclose(f(carry), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_whole_programs_are_native():
    for name, build in workloads.programs(fn).items():
        f, *args = build()
        assert fn.jit(f).explain(*args).backend == "native" or name.startswith("Gaussian"), name


@pytest.mark.slow
def test_a_table_of_workloads_has_a_row_per_workload():
    printed = run("benchmark", "--part", "programs", "--quick", "--only", "call with a")
    assert len(row(printed, "call with a scalar")) == 5
    assert len(row(printed, "call with a dict of 20")) == 5


def measured(name, ours, jax):
    return rows.Measured(name, {"jit": ours, "op by op": 2 * ours, "JAX": jax}, ours, workloads.GOALS.get(name, 1))


def test_workloads_are_sorted_by_ratio_and_missed_goals_have_causes():
    found = rows.by_ratio(
        [measured("lgamma", 1, 2), measured("erfc", 3, 2), measured("2 layers of 24, batch 64", 7, 10)]
    )
    assert [row.name for row in found] == ["erfc", "2 layers of 24, batch 64", "lgamma"]
    late, wide = rows.missed(found)
    assert late == ["erfc", "1.5", "1", workloads.CAUSES["erfc"]]
    assert wide == ["2 layers of 24, batch 64", "0.7", "0.6", ""]
    series = [
        ["nets of 16-32-4", "1 to 64", "1.7", "16 to 17", "0.2", "1"],
        ["layers of 32", "1 to 33", "1.5", "", "", ""],
    ]
    assert rows.missed_jumps(series) == [["nets of 16-32-4", "1.7", "1.5", workloads.CAUSES["nets of 16-32-4"]]]
    assert rows.next_to_torch(found) == [["lgamma", "1", "2", "0.5"]]


def test_missed_ratios_have_causes():
    found = [["net", "a / b", "1.3 ≤1"], ["net", "c / d", "1.1 ≤1.2"], ["net", "e / f", "9 ≥10"], ["net", "g / h", "2"]]
    assert rows.missed_ratios(found, {"a / b": "why"}, of=1) == [["a / b", "1.3", "1", "why"]]
    assert {name for name, *_ in curvature.RATIOS} >= {name.split(" / ")[0] for name in curvature.CAUSES}


@pytest.mark.slow
def test_goals_and_causes_name_workloads():
    tables = (workloads.operations, workloads.programs, workloads.calls, workloads.draws, workloads.growing)
    names = {name for table in tables for name in table(fn)} | {*workloads.sweeps(fn)}
    assert max(map(len, names)) <= 31, "the tables have 80 columns"
    assert {*workloads.GOALS, *workloads.TRACING, *workloads.NEXT_TO_TORCH, *workloads.CAUSES} <= names


def test_first_calls_are_timed_by_stage():
    times = rows.stages(lambda x: x.exp(), [torch.ones(3)])
    assert list(times) == rows.STAGES
    assert all(seconds > 0 for seconds in times.values())
    assert times["C compiler"] > times["passes"]


def test_the_compiler_is_loaded_before_the_first_row(monkeypatch):
    timed = []
    monkeypatch.setattr(rows, "stages", lambda f, args: timed.append(f) or dict.fromkeys(rows.STAGES, 0.5))
    monkeypatch.setattr(workloads, "growing", lambda lib: {"a net": (torch.exp, torch.ones(1))})
    (found,) = rows.first_calls(Namespace(only=None), None)
    assert (found.name, found.ours) == ("a net", 2.5)
    assert len(timed) == 2 and timed[1] is torch.exp


def test_the_time_of_tracing_has_a_goal():
    times = dict.fromkeys(rows.STAGES, 0.25)
    cells = [rows.stage_cells(rows.Measured(name, times, 1, 1)) for name in ("15,000 operations", "100 leaves")]
    assert [first for _, first, *_ in cells] == ["0.250 ≤1.3", "0.250"]


@pytest.mark.slow
def test_first_calls_are_shown_by_stage():
    printed = run("benchmark", "--part", "growth", "--quick", "--only", "100 leaves")
    sums, stages = printed.split("\n\n")[:2]
    total, jax, ratio = row(sums, "100 leaves")
    assert abs(sum(map(float, row(stages, "100 leaves"))) - float(total)) < 0.02
    assert (jax, ratio) == ("-", "-")


@pytest.mark.slow
def test_first_calls_of_processes_are_timed():
    torch_import, itself, first, training = startup.run(sys.executable, "funcnet")
    assert 0 < first < torch_import + itself
    assert training > 0


def test_calls_are_compared_by_number_of_threads(monkeypatch):
    monkeypatch.setattr(threads, "measure", lambda count: {threads.ENSEMBLE: 1 / count, "a net": 1.0})
    assert threads.table(1) == [
        ["2-10-10-10-1, 1,024 nets", "1,000", "500", "2.00 ≥1.8"],
        ["a net", "1,000", "1,000", "1.00"],
    ]


@pytest.mark.slow
def test_calls_are_timed_in_a_process_of_their_own():
    assert all(seconds > 0 for seconds in threads.measure(2).values())
