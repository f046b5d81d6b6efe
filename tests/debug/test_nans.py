"""debug_nans names the operation and the line; named_scope names parts for the profiler."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import funcnet as fn

X = torch.tensor([1.0, -1.0])


def root(x):
    return x.sqrt().sum()


def negative_root(x):
    return (x * 0).sqrt().sum()


RUNS = {
    "eager": root,
    "jit": fn.jit(root),
    "vmap": fn.vmap(root),
    "grad": fn.grad(root),
    "jit of vmap of grad": fn.jit(fn.vmap(fn.grad(root))),
}


@pytest.mark.parametrize("run", RUNS)
def test_the_operation_and_the_line(run):
    line = root.__code__.co_firstlineno + 1
    expected = rf"aten\.sqrt gives NaN in root, .*test_nans\.py:{line}\b"
    with fn.debug_nans(), pytest.raises(FloatingPointError, match=expected):
        RUNS[run](X[:, None])


def test_nan_in_a_derivative_only():
    with fn.debug_nans():
        assert negative_root(X.abs()) == 0
        with pytest.raises(FloatingPointError, match=r"aten\.(div|mul)\.Tensor gives NaN"):
            fn.grad(negative_root)(X.abs())


def test_finite_results_pass_and_nothing_remains_after_the_context():
    with fn.debug_nans():
        assert fn.jit(root)(X.abs()) == 2 and torch.empty(100).shape == (100,)
    with fn.debug_nans(False):
        assert root(X).isnan()
    assert root(X).isnan() and fn.jit(root)(X).isnan()


def test_named_scopes_are_in_the_profile_and_change_nothing():
    def f(x):
        with fn.named_scope("my part"):
            return x.sin()

    with profile(activities=[ProfilerActivity.CPU]) as found:
        f(X)
    assert "my part" in {event.key for event in found.key_averages()}
    assert torch.equal(fn.jit(fn.vmap(f))(X), X.sin())
