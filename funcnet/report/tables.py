"""Tables of any rows."""

from collections.abc import Iterable, Sequence
from typing import Any

from funcnet import tree
from funcnet.report.display import Table


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> Table:
    """Format rows under column headers; columns of numbers are aligned to the right.

    Args:
        columns: The headers.
        rows: One cell per column: strings are shown unchanged, whole numbers with thousands separators, other numbers
            with 6 digits, one-element tensors as their number, None as "-".
        title: A line above the table.
    Raises:
        ValueError: A row has more or fewer cells than there are columns.
    Example:
        >>> fn.report.show(fn.report.table(["net", "steps", "loss"], [["2-2-1", 10_001, 0.00125], ["2-1", 500, None]]))
        net      steps      loss
        ────────────────────────
        2-2-1   10,001   0.00125
        2-1        500         -
    """
    body = [_cells(columns, row, index) for index, row in enumerate(rows)]
    return build(columns, body, title=title)


def build(
    columns: Sequence[str],
    rows: list[list[str]],
    *,
    title: str | None = None,
    total: list[str] | None = None,
    right: set[int] | None = None,
) -> Table:
    """Build the table; by default, the columns of numbers are aligned to the right."""
    right = {i for i in range(len(columns)) if _is_numeric([row[i] for row in rows])} if right is None else right
    return Table(list(columns), rows, title or "", total or [], right)


def _cells(columns: Sequence[str], row: Sequence[Any], index: int) -> list[str]:
    if len(row) != len(columns):
        raise ValueError(
            f"table: row {index}: expected {len(columns)} cells, one per column of {list(columns)}, got {len(row)}."
        )
    return [_cell(value) for value in row]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if tree.is_tensor(value) and value.numel() == 1:
        value = value.item()
    return number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def number(value: float) -> str:
    """Format a number with thousands separators, or with 6 digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _is_numeric(cells: list[str]) -> bool:
    numbers = [cell for cell in cells if cell not in ("", "-")]
    return bool(numbers) and all(map(_reads_as_number, numbers))


def _reads_as_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "").removesuffix("%"))
    except ValueError:
        return False
    return True
