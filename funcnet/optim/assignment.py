"""The linear assignment problem: pairs of rows and columns of least total cost."""

from typing import NamedTuple

import torch
from torch import Tensor

from funcnet.control_flow import fori_loop, while_loop
from funcnet.tree import describe

__all__ = ["base_hungarian_algorithm", "hungarian_algorithm"]


class _Solution(NamedTuple):
    """The assignment of the rows so far, and prices for which no cost less the prices of row and column is negative."""

    of_rows: Tensor  # (rows,), the price of each row
    of_columns: Tensor  # (columns,), the price of each column
    row: Tensor  # (columns,), the row that each column is assigned to, or -1
    column: Tensor  # (rows,), the column that each row is assigned to, or -1


class _Search(NamedTuple):
    """A search for the shortest path from a row to a free column, as in Dijkstra's algorithm."""

    at: Tensor  # the row that was reached last
    length: Tensor  # of the path to it
    lengths: Tensor  # (columns,), of the shortest paths found
    before: Tensor  # (columns,), the row before each column on its path
    reached: Tensor  # (columns,), bools: whether the length is final
    end: Tensor  # the free column that was reached, or -1


def hungarian_algorithm(cost_matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Assign each row to a column of its own, or each column to a row of its own, at the least total cost.

    The time is cubic in the size. Wrap a call in `jit` for matrices of more than a few rows.

    Args:
        cost_matrix: Shape (rows, columns). Infinity forbids a pair.
    Returns:
        The rows in ascending order and their columns, int64, one of each for the shorter axis. The total cost is
        `cost_matrix[rows, columns].sum()`. Of several assignments of the same cost it is one. The pairs are
        those of Optax, in the order of scipy.
    Raises:
        ValueError: cost_matrix is not a matrix of real numbers.
    Source:
        Crouse (2016), On implementing 2D rectangular assignment algorithms, https://doi.org/10.1109/TAES.2016.140952
    Example:
        >>> cost = torch.tensor([[8, 4, 7], [5, 2, 3], [9, 6, 7], [9, 4, 8]])
        >>> fn.optim.assignment.hungarian_algorithm(cost)
        (tensor([0, 1, 3]), tensor([0, 2, 1]))
    """
    if not isinstance(cost_matrix, Tensor) or cost_matrix.ndim != 2 or cost_matrix.is_complex():
        raise ValueError(f"hungarian_algorithm: expected a matrix of real costs, got {describe(cost_matrix)}.")
    cost = cost_matrix.detach()
    cost = cost if cost.is_floating_point() else cost.double()
    if cost.shape[0] > cost.shape[1]:
        rows = _assigned(cost.T)
        order = rows.argsort()
        return rows.index_select(0, order), order
    return torch.arange(cost.shape[0], device=cost.device), _assigned(cost)


base_hungarian_algorithm = hungarian_algorithm  # Optax has two of the same results


def _assigned(cost: Tensor) -> Tensor:
    """Return the column of each row of a matrix with at least as many columns as rows."""
    rows, columns = cost.shape
    free = torch.full((columns,), -1, device=cost.device), torch.full((rows,), -1, device=cost.device)
    start = _Solution(cost.new_zeros(rows), cost.new_zeros(columns), *free)
    return fori_loop(0, rows, lambda i, solution: _with_row(i, solution, cost), start).column if rows else free[1]


def _with_row(row: Tensor, solution: _Solution, cost: Tensor) -> _Solution:
    """Assign one more row, and move others along the shortest path from it to a free column."""
    found = while_loop(
        lambda search: search.end < 0, lambda search: _step(search, solution, cost), _from(row, solution)
    )
    off = torch.where(found.reached, found.length - found.lengths, 0.0)
    of_rows = solution.of_rows.index_add(0, solution.row.clamp(min=0), torch.where(solution.row < 0, 0.0, off))
    of_rows = of_rows.index_add(0, row[None], found.length[None])
    start = solution.row, solution.column, found.end
    assigned = while_loop(lambda path: path[2] >= 0, lambda path: _moved(*path, found.before, row), start)
    return _Solution(of_rows, solution.of_columns - off, assigned[0], assigned[1])


def _from(row: Tensor, solution: _Solution) -> _Search:
    """Start at a row; it is also before all columns, so that a path ends here if costs are infinite or NaN."""
    price, before = solution.of_columns, torch.zeros_like(solution.row) + row
    return _Search(
        row, price.new_zeros(()), torch.full_like(price, torch.inf), before, before < 0, torch.full_like(row, -1)
    )


def _step(search: _Search, solution: _Solution, cost: Tensor) -> _Search:
    """Leave the row that was reached last, and reach the nearest column that is left, of equal ones a free one."""
    i = search.at[None]
    reduced = cost.index_select(0, i)[0] - solution.of_rows.index_select(0, i) - solution.of_columns
    through = search.length + reduced
    shorter = ~search.reached & (through < search.lengths)
    lengths = torch.where(shorter, through, search.lengths)
    rest = torch.where(search.reached, torch.inf, lengths)
    length = rest.amin()
    nearest = ~search.reached & ~(rest > length)  # with NaN, every column that is left
    j = (nearest.int() + (nearest & (solution.row < 0)).int()).argmax()
    reached = search.reached | (torch.arange(len(rest), device=rest.device) == j)
    row = solution.row.index_select(0, j[None])[0]
    end = torch.where(row < 0, j, -1)
    return _Search(row, length, lengths, torch.where(shorter, search.at, search.before), reached, end)


def _moved(rows: Tensor, columns: Tensor, j: Tensor, before: Tensor, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Assign a column of the path to the row before it; return that row's former column, -1 at the path's start."""
    i = before.index_select(0, j[None])
    former = columns.index_select(0, i)[0]
    rows, columns = rows.index_copy(0, j[None], i), columns.index_copy(0, i, j[None])
    return rows, columns, torch.where(i[0] == start, -1, former)


def __dir__() -> list[str]:
    return __all__
