"""Tables: any rows, and the parameters of a model."""

import reprlib
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text
from torch import Tensor

from funcnet import tree
from funcnet.tree import Tree


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> RenderableType:
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
    return _build(columns, body, title=title)


def summary(model: Any, params: Tree) -> RenderableType:
    """List every parameter of a model with its shape, dtype, number of entries and bytes, and the totals.

    Args:
        model: Its name is the title: its repr, or the name of its type if the repr shows a memory address.
        params: Any tree. A leaf that is not a tensor is shown by its type and value, and is not counted.
    Example:
        >>> fn.report.show(fn.report.summary("perceptron", {"w": torch.zeros(2, 1), "b": torch.zeros(1)}))
        perceptron
        path    shape    dtype     count   bytes
        ────────────────────────────────────────
        b       (1,)     float32       1       4
        w       (2, 1)   float32       2       8
        ────────────────────────────────────────
        total                          3      12
    """
    leaves = tree.leaves(params)
    rows = [_leaf_row(path, leaf) for path, leaf in zip(tree.paths(params), leaves, strict=True)]
    tensors = [leaf for leaf in leaves if tree.is_tensor(leaf)]
    total = ["total", "", "", _number(sum(map(Tensor.numel, tensors))), _number(sum(map(_bytes, tensors)))]
    return _build(["path", "shape", "dtype", "count", "bytes"], rows, title=_name(model), total=total, right={3, 4})


def _build(
    columns: Sequence[str],
    rows: list[list[str]],
    *,
    title: str | None = None,
    total: list[str] | None = None,
    right: set[int] | None = None,
) -> RenderableType:
    """Build the table. Strings become Text, because rich would read brackets in a str as markup."""
    right = {i for i in range(len(columns)) if _is_numeric([row[i] for row in rows])} if right is None else right
    built = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, show_footer=total is not None)
    for i, (head, foot) in enumerate(zip(columns, total or columns, strict=True)):
        justify: JustifyMethod = "right" if i in right else "left"
        built.add_column(Text(head), Text(foot), justify=justify, overflow="fold")
    for row in rows:
        built.add_row(*map(Text, row))
    return Group(Text(title, style="bold"), built) if title else built


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
    return _number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def _number(value: float) -> str:
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


def _leaf_row(path: str, leaf: Any) -> list[str]:
    path = path or "(the tree itself)"
    if not tree.is_tensor(leaf):
        return [path, "-", f"{type(leaf).__name__} {reprlib.repr(leaf)}", "-", "-"]
    dtype = str(leaf.dtype).removeprefix("torch.")
    return [path, str(tuple(leaf.shape)), dtype, _number(leaf.numel()), _number(_bytes(leaf))]


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _name(model: Any) -> str:
    if isinstance(model, str):
        return model
    name = str(getattr(model, "__name__", None) or repr(model))
    return type(model).__name__ if " at 0x" in name else name
