"""Helpers that trace a program, list its operations, and compare it with the function."""

import torch

import funcnet as fn
from funcnet.compiler import jit, passes
from funcnet.compiler.program import Scan, walk
from funcnet.compiler.tracing.spec import spec_of
from funcnet.compiler.tracing.trace import trace

X = torch.linspace(-1.0, 2.0, 12, dtype=torch.float64).reshape(3, 4)
W = torch.linspace(0.5, -1.0, 8, dtype=torch.float64).reshape(4, 2)


def program(f, *tensors):
    return passes.run(trace(lambda inputs: f(*inputs), [spec_of(tensor) for tensor in tensors]))


def operations(f, *tensors):
    return [str(op.target) if not isinstance(op, Scan) else "scan" for op in walk(program(f, *tensors).block)]


def assert_traced_equals(f, *args, backend="eager"):
    assert fn.tree.difference(jit(f, backend=backend)(*args), f(*args), atol=1e-12) is None
