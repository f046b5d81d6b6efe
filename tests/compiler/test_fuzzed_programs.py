"""Random programs give the same results with jit as in eager mode: without and with lanes, gradients, and replayed.

FUNCNET_PROGRAMS=10000 pytest -m slow tests/compiler/test_fuzzed_programs.py runs 10,000 instead of some hundreds.
"""

import os
import random
import warnings
from collections import Counter
from collections.abc import Mapping

import pytest
import torch
from random_programs.checking import MODES, DifferenceError, check, copies, target
from random_programs.grammar import RULES, WIDE, generate
from random_programs.scope import Program, Rule
from random_programs.shrinking import kind, report, shrink

from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native.lowering import table

REFUSED = (  # errors that jit may raise for programs that torch runs
    "depends on the memory layout",  # as_strided of an argument
    "to elements that share memory",  # a write through an expand, or through overlapping windows
    "which share elements",
    "aten.nonzero.default needs the values",  # x[mask] = y in a vmap
    "aten._local_scalar_dense.default needs the values",  # the gradient of scatter_reduce by products
    "function that returns multiple views",  # a result of a scan: for autograd, all results depend on all inputs
    "has been modified by an inplace operation",  # a write to a tensor that the gradient of a scan reads
    "cannot differentiate a write through the real part",
    "reverse-mode differentiation",  # of a while_loop in a branch that eager mode does not take
    "is differentiated with respect to a tensor that it closes over",  # a custom derivative in a scan
    "after a write to x, but it is a copy",  # x[i, None] for a tensor i
    "Expected 3D or 4D",  # adaptive_avg_pool without channels
    "is not implemented",  # a derivative of a scan's input, which eager mode finds not to be needed
)


def trial(seed: int, rules: Mapping[Rule, float] = RULES) -> str:
    """Check the program of a seed in one of the modes and return the outcome; on failure, shrink the program."""
    program, mode = generate(seed, rules), random.Random(seed).choice(MODES)
    mode = mode if runs(program, mode) else mode.replace("lanes grad", "lanes").replace("grad", "alone")
    try:
        return check(program, mode)
    except UnsupportedError:
        return f"{check(program, 'replayed')}, replayed"
    except (RuntimeError, ValueError) as error:
        if any(reason in str(error) for reason in REFUSED):
            return "refused"
        pytest.fail(report(shrink(program, mode), mode, error))
    except Exception as error:
        pytest.fail(report(shrink(program, mode), mode, error))


def runs(program: Program, mode: str) -> bool:
    """Tell whether eager mode computes the gradients, if the mode includes them."""
    try:
        target(program, mode)(*copies([*program.args.values()]))
    except (RuntimeError, ValueError):  # ValueError: while_loop has no reverse derivative
        return False
    return True


@pytest.fixture(autouse=True)
def quiet():
    """Ignore torch's performance and deprecation warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("seed", [*range(8), 210])  # 210: angles of one lane next to those of all
def test_some_programs(seed: int) -> None:
    trial(seed)


@pytest.mark.slow
@pytest.mark.parametrize("rules", [RULES, WIDE], ids=["usual", "wide"])
def test_many_programs(rules: Mapping[Rule, float]) -> None:
    count = int(os.environ.get("FUNCNET_PROGRAMS", "150"))
    found = Counter(trial(seed, rules) for seed in [*range(8, 12), *range(100, 100 + count)])
    assert found["same"] > 0.85 * count, found
    assert found["refused"] + found["unsteady"] + found["impure"] < 0.08 * count, found


def test_a_fault_is_found_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a wrong rule for one operation, the shrunk program contains little else."""
    lines = [
        "v0 = a * 2",
        "v1 = v0.clone()",
        "v1[1:] += b",
        "def g2(v3, v4):",
        "    v5 = v3.sin() + v4",
        "    return v5, v5",
        "(v6, v7) = fn.scan(g2, v0, b)",
        "v8 = v6.sum(0, keepdim=True)",
    ]
    names = {"v0": (3,), "v1": (3,), "v3": (3,), "v4": (), "v5": (3,), "v6": (3,), "v7": (2, 3), "v8": (1,)}
    args = {"a": torch.linspace(0, 1, 3, dtype=torch.float64), "b": torch.ones(2, dtype=torch.float64)}
    known = {name: (shape, torch.float64) for name, shape in names.items()}
    program = Program(args, lines, ["v7", "v8", "v6"], known, frozenset())
    assert check(program, "lanes grad") == "same"
    monkeypatch.setitem(table.RULES, "sin", table.RULES["cos"])
    with pytest.raises(DifferenceError) as caught:
        check(program, "alone")
    small = shrink(program, "alone")
    assert kind(caught.value) == "a difference"
    assert len(small.lines) <= 6 and "sin" in small.text and len(small.results) == 1
    assert report(small, "alone", caught.value).count("torch.tensor(") == len(small.args)
