"""Importing the package is cheap, silent and without side effects, and all public names are documented."""

import subprocess
import sys

import funcnet as fn


def run(code):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_importing_changes_nothing_and_prints_nothing():
    state = (
        "torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled(), len(warnings.filters), "
        "torch.get_rng_state().sum().item(), torch.are_deterministic_algorithms_enabled()"
    )
    code = f"import torch, optree, warnings; before = {state}; import funcnet; print(before == ({state}))"
    assert run(code) == "True\n"


def test_importing_loads_neither_compilers_nor_optional_packages():
    heavy = ["rich", "torch._dynamo", "torch._inductor", "numpy", "jax", "sklearn", "matplotlib"]
    code = "import torch, sys; before = set(sys.modules); import funcnet; print(*set(sys.modules) - before)"
    assert not set(heavy) & set(run(code).split())


def test_every_public_name_is_documented_and_exists():
    for name in fn.__all__:
        assert (getattr(fn, name).__doc__ or "").strip(), name
