"""Importing the package is cheap, silent and without side effects, and all public names are documented."""

import os
import subprocess
import sys

import pytest

import funcnet as fn


def run(code):
    environment = {name: value for name, value in os.environ.items() if name != "FUNCNET_VERIFY"}
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


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


def test_a_first_training_step_does_not_load_the_compilers_of_torch():
    code = """
import sys, torch, funcnet as fn
before = set(sys.modules)
net, optimizer = fn.serial(fn.dense(4), torch.tanh, fn.dense(1)), fn.optim.adam(1e-3)
def step(params, state, x):
    grads = fn.grad(lambda p: net.apply(p, x).square().mean())(params)
    updates, state = optimizer.update(grads, state, params)
    return fn.optim.apply_updates(params, updates), state
params = net.init(fn.random.key(0), torch.ones(2, 3))
fn.jit(step, backend="eager")(params, optimizer.init(params), torch.ones(2, 3))
from torch._export.utils import _collect_all_valid_cia_ops_for_aten_namespace as composite
assert not composite.cache_info().misses  # torch has not listed all composite operations, which takes 0.1 s
print(*set(sys.modules) - before)
"""
    assert not {"torch._dynamo", "torch._inductor", "sympy"} & set(run(code).split())


def test_torchs_rules_run_without_its_symbolic_shapes():
    code = """
import gc, sys, torch, funcnet as fn
F, real = torch.nn.functional, {"sympy", "torch.fx.experimental.symbolic_shapes"}
def net(w, x, i, fails=False):
    x = F.layer_norm(F.conv1d(x, w), (4,)) @ torch.ones(4, 5)
    assert not fails
    x = F.softmax(x @ x.mT, -1)[i] + F.group_norm(x, 1).amax() + F.max_pool1d(x, 2)[:, 1:].sum()
    return F.cross_entropy(x[0], i) + x.gather(0, i[:, None, None]).sum() + F.embedding(i, x[0]).sum()
torch.set_default_dtype(torch.float64)
args = torch.arange(18.0).reshape(2, 3, 3).sin(), torch.arange(36.0).reshape(2, 3, 6).cos(), torch.tensor([0, 1])
jitted = fn.jit(fn.grad(net), backend="eager")
try:
    jitted(*args, True)
except AssertionError:
    assert gc.isenabled() and not real & set(sys.modules)
gc.disable()
assert torch.allclose(jitted(*args), fn.grad(net)(*args))
assert not gc.isenabled() and not real & set(sys.modules)
import sympy
print(sympy.Symbol("x") * 0, isinstance(sympy.Symbol("x"), sympy.Basic))
"""
    assert run(code) == "0 True\n"


@pytest.mark.slow
def test_symbolic_shapes_are_loaded_when_they_are_used_in_a_trace():
    code = """
import sys, torch, funcnet as fn
def uses(x):
    import sympy
    from sympy.abc import y
    from torch.fx.experimental.symbolic_shapes import ShapeEnv, guard_or_false, sym_eq
    assert (sympy.Basic | None) == (None | sympy.Basic) and sympy.Basic.is_number is False
    assert isinstance(y, sympy.Basic) and not isinstance(1, sympy.Basic) and issubclass(sympy.Symbol, sympy.Basic)
    assert sym_eq((1, 2), [1, 2]) and not sym_eq((1, 2), (1, 3)) and not guard_or_false(False)
    size = ShapeEnv().create_unbacked_symint()
    assert isinstance(sym_eq(size, 2), torch.SymBool)
    return x + 1
print(fn.jit(uses, backend="eager")(torch.tensor(1.0)))
"""
    assert run(code) == "tensor(2.)\n"


@pytest.mark.slow
def test_a_rule_may_import_modules_that_use_sympy():
    """The rules for running products of bfloat16 import torch's functions of sympy, with annotations by its classes."""
    code = """
import torch, funcnet as fn
x = torch.tensor([2.0, 3.0], dtype=torch.bfloat16)
print(fn.jit(lambda x: x.prod(0), backend="eager")(x).item())
"""
    assert run(code) == "6.0\n"


@pytest.mark.slow
def test_torchs_compiler_is_loaded_when_it_is_used():
    code = """
import sys, torch, funcnet as fn
assert "torch._dynamo" not in sys.modules
fn.grad(torch.sin)(torch.tensor(1.0))
logits = fn.jit(lambda x: x.logsumexp(-1) + x.std(), backend="eager")
before = logits(torch.ones(3, 3))
assert "torch._dynamo" not in sys.modules
torch._dynamo.reset()
assert torch._dynamo is sys.modules["torch._dynamo"]
for size in (2, 3):
    logits(torch.ones(size, size))
assert torch.equal(fn.jit(logits.f, backend="eager")(torch.ones(3, 3)), before)
print(torch.compile(fn.grad(torch.sin), backend="eager", fullgraph=True)(torch.tensor(0.0)))
"""
    assert run(code) == "tensor(1.)\n"
