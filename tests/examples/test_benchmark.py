"""The workloads that the benchmark runs with funcnet and with JAX, and the tables that it prints."""

import sys

import pytest
import torch
from example_runs import EXAMPLES, row, run

import funcnet as fn
from funcnet import tree

sys.path.insert(0, str(EXAMPLES))
from rivals import workloads

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
def test_a_table_of_workloads_is_sorted_and_has_a_row_per_workload():
    printed = run("benchmark", "--part", "programs", "--quick", "--only", "call with a")
    assert len(row(printed, "call with a scalar")) == 4
    assert len(row(printed, "call with a dict of 20")) == 4


@pytest.mark.slow
def test_first_calls_are_shown_by_stage():
    printed = run("benchmark", "--part", "growth", "--quick", "--only", "100 leaves")
    tracing, to_c, compiler, total, jax, ratio = row(printed, "100 leaves")
    assert abs(float(tracing) + float(to_c) + float(compiler) - float(total)) < 0.02
    assert (jax, ratio) == ("-", "-")
    assert torch.tensor(float(compiler)) > 0
