"""Linear assignment: pairs of rows and columns of least total cost."""

import itertools

import pytest
import torch

import funcnet as fn
from funcnet.optim.assignment import base_hungarian_algorithm, hungarian_algorithm

COST = torch.tensor(
    [[0.37, 0.95, 0.73, 0.6], [0.16, 0.16, 0.06, 0.87], [0.6, 0.71, 0.02, 0.97], [0.83, 0.21, 0.18, 0.18],
     [0.3, 0.52, 0.43, 0.29]],
    dtype=torch.float64,
)  # fmt: skip
PAIRS = {(3, 3), (2, 2), (1, 1), (4, 0)}  # by optax.assignment.hungarian_algorithm


def pairs(result):
    return list(zip(*(x.tolist() for x in result), strict=True))


def test_pairs_are_those_of_optax():
    assert pairs(hungarian_algorithm(COST)) == sorted(PAIRS)
    assert pairs(hungarian_algorithm(COST.T)) == sorted((j, i) for i, j in PAIRS)
    assert pairs(base_hungarian_algorithm(COST[:4])) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    integers = torch.tensor(
        [[90, 80, 75, 70], [35, 85, 55, 65], [125, 95, 90, 95], [45, 110, 95, 115], [50, 100, 90, 100]]
    )
    rows, columns = hungarian_algorithm(integers)
    assert columns.tolist() == [3, 2, 1, 0] and integers[rows, columns].sum() == 265


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 6), (6, 4), (2, 7)])
@pytest.mark.parametrize("most", [None, 3])
def test_no_other_assignment_costs_less(shape, most):
    for seed in range(4):
        key = fn.random.key(seed)
        cost = fn.random.normal(key, shape) if most is None else fn.random.randint(key, shape, 0, most)
        rows, columns = hungarian_algorithm(cost)
        assert rows.unique().numel() == columns.unique().numel() == min(shape) and (rows.diff() > 0).all()
        short = cost if shape[0] <= shape[1] else cost.T
        orders = itertools.permutations(range(max(shape)), min(shape))
        least = min(sum(short[i, j].item() for i, j in enumerate(order)) for order in orders)
        assert cost[rows, columns].sum().item() == pytest.approx(least, abs=1e-5)


def test_jit_and_vmap():
    costs = fn.random.normal(fn.random.key(1), (3, 5, 4))
    expected = fn.tree.stack([hungarian_algorithm(cost) for cost in costs])
    for f in (fn.vmap(hungarian_algorithm), fn.jit(fn.vmap(hungarian_algorithm))):
        assert fn.tree.equal(f(costs), expected)


def test_infinite_costs_forbid_a_pair_and_nan_ends():
    inf, nan = torch.inf, torch.nan
    assert hungarian_algorithm(torch.tensor([[inf, 5.0, 1.0], [inf, 9.0, 2.0], [3.0, inf, 1.0]]))[1].tolist() == [
        1,
        2,
        0,
    ]
    for cost in (torch.full((3, 3), nan), torch.full((3, 3), inf), torch.tensor([[nan, 1.0], [2.0, 3.0]])):
        assert sorted(hungarian_algorithm(cost)[1].tolist()) == list(range(len(cost)))
    assert [x.shape for x in hungarian_algorithm(torch.zeros(0, 3))] == [(0,), (0,)]


def test_costs_are_a_matrix_of_real_numbers():
    for cost in (torch.zeros(3), torch.zeros(2, 2, dtype=torch.complex64), 3.0):
        with pytest.raises(ValueError, match="hungarian_algorithm: expected a matrix of real costs, got"):
            hungarian_algorithm(cost)
