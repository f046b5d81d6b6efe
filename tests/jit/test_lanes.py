"""jit of an outermost vmap: its axes, grids of hyper-parameters, numbers of lanes."""

import pytest
import torch
from backends import BACKENDS, rows

import funcnet as fn
from funcnet.compiler import jit
from funcnet.control_flow.scan import scan


def descend(learning_rate, x):
    """Run ten steps of gradient descent on |p - x|^2."""
    gradient = fn.grad(lambda p: (p - x).square().sum())
    return scan(lambda p, _: (p - learning_rate * gradient(p), p.sum()), 0 * x, length=10)


X = torch.linspace(-1.0, 2.0, 12, dtype=torch.float64).reshape(3, 4)
RATES = torch.tensor([0.0, 0.1, 0.25, 0.5, 1.0], dtype=torch.float64)
VMAPS = [
    {"in_dims": (0, None)},
    {"in_dims": (0, None), "out_dims": (1, -1)},
    {"in_dims": (0, None), "out_dims": ((-1), 0)},
    {"in_dims": (0, None), "chunk_size": 2},
    {"in_dims": (0, 1), "out_dims": 1},
    {"in_dims": (None, 1)},
    {"in_dims": (None, -1), "out_dims": (-1, 0)},
]


COMPILED = [(axes,) for axes in VMAPS[1::3]]


@pytest.mark.parametrize("axes, backend", rows(VMAPS, inductor=COMPILED))
def test_axes_of_an_outermost_vmap(axes, backend):
    rates = RATES[: 4 if axes["in_dims"][1] is not None else 5] if axes["in_dims"][0] == 0 else RATES[2]
    batched = fn.vmap(descend, **axes)
    assert fn.tree.difference(jit(batched, backend=backend)(rates, X), batched(rates, X), atol=1e-12) is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_grid_of_hyper_parameters_by_two_vmaps(backend):
    def run(learning_rate, decay):
        return scan(lambda p, _: (p - learning_rate * (p - X + decay * p), p.sum()), 0 * X, length=20)[1]

    grid = fn.vmap(fn.vmap(run, in_dims=(None, 0)), in_dims=(0, None))
    got = jit(grid, backend=backend)(RATES, RATES[1:3])
    assert got.shape == (5, 2, 20)
    assert fn.tree.difference(got, grid(RATES, RATES[1:3]), atol=1e-12) is None


def test_another_number_of_lanes_is_not_traced_again():
    calls = []
    f = jit(fn.vmap(lambda rate, x: (calls.append(None), descend(rate, x))[1], in_dims=(0, None)), backend="native")
    whole = f(RATES, X)
    assert fn.tree.equal(f(RATES[:2], X), fn.tree.map(lambda leaf: leaf[:2], whole))
    assert len(calls) == 1
    with pytest.raises(ValueError, match="expected one size of the mapped axis"):
        jit(fn.vmap(descend))(RATES, X)


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_that_all_lanes_share(backend):
    f = fn.vmap(lambda rate, x: (rate * 2, x * 3, x.sum(), "name", 7), (0, None), (0, None, 0, None, None))
    got, want = jit(f, backend=backend)(RATES, X), f(RATES, X)
    assert fn.tree.difference(got, want, atol=1e-12) is None
    with pytest.raises(ValueError, match="out_dims is None for tensor 1 of the result"):
        jit(fn.vmap(lambda rate: (rate, rate), out_dims=(0, None)), backend=backend)(RATES)


def test_keyword_arguments_are_mapped_over_their_first_axis():
    f = fn.vmap(lambda rate, *, x: rate + x.sum())
    x = torch.stack([X * rate for rate in RATES])
    assert fn.tree.difference(jit(f)(RATES, x=x), f(RATES, x=x), atol=1e-12) is None
