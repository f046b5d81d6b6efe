"""Random programs give with jit what they give in eager mode: alone, in lanes, with their gradients, and replayed.

FUNCNET_PROGRAMS=10000 pytest -m slow tests/compiler/test_fuzzed_programs.py tries 10,000 instead of some hundreds.
"""

import os
import random
import warnings
from collections import Counter

import pytest
import torch
from random_programs.checking import MODES, DifferenceError, check, copies, target
from random_programs.grammar import generate
from random_programs.scope import Program
from random_programs.shrinking import kind, report, shrink

from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native.lowering.table import RULES

REFUSED = (  # of programs that torch runs
    "depends on the memory layout",  # as_strided of an argument
    "to elements that share memory",  # written through an expand, or through windows that overlap
    "which share elements",
    "aten.nonzero.default needs the values",  # x[mask] = y in a vmap
    "aten._local_scalar_dense.default needs the values",  # the gradient of scatter_reduce by products
    "function that returns multiple views",  # a result of a scan, of which autograd takes all to depend on all
    "has been modified by an inplace operation",  # of a tensor that a scan will need for its gradient
    "is not implemented",  # a derivative of what a scan was given, of which eager mode finds that none is needed
)


def trial(seed: int) -> str:
    """Check the program of a seed in one of the modes, and tell how it went; fail with the smallest part of it."""
    program, mode = generate(seed), random.Random(seed).choice(MODES)
    mode = mode if runs(program, mode) else mode.replace("lanes grad", "lanes").replace("grad", "alone")
    try:
        return check(program, mode)
    except UnsupportedError:
        return f"{check(program, 'replayed')}, replayed"
    except RuntimeError as error:
        if any(reason in str(error) for reason in REFUSED):
            return "refused"
        pytest.fail(report(shrink(program, mode), mode, error))
    except Exception as error:
        pytest.fail(report(shrink(program, mode), mode, error))


def runs(program: Program, mode: str) -> bool:
    """Whether eager mode has the gradients, if they are asked for."""
    try:
        target(program, mode)(*copies([*program.args.values()]))
    except RuntimeError:
        return False
    return True


@pytest.fixture(autouse=True)
def quiet():
    """Without torch's warnings of slow and of deprecated ways."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("seed", range(12))
def test_some_programs(seed: int) -> None:
    trial(seed)


@pytest.mark.slow
def test_many_programs() -> None:
    count = int(os.environ.get("FUNCNET_PROGRAMS", "300"))
    found = Counter(trial(seed) for seed in range(100, 100 + count))
    assert found["same"] > 0.85 * count, found
    assert found["refused"] + found["unsteady"] + found["impure"] < 0.05 * count, found


def test_a_fault_is_found_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a wrong rule for one operation, little else is left of the program that shows it."""
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
    monkeypatch.setitem(RULES, "sin", RULES["cos"])
    with pytest.raises(DifferenceError) as caught:
        check(program, "alone")
    small = shrink(program, "alone")
    assert kind(caught.value) == "a difference"
    assert len(small.lines) <= 6 and "sin" in small.text and len(small.results) == 1
    assert report(small, "alone", caught.value).count("torch.tensor(") == len(small.args)
