"""`at`: pure updates of some elements of an array, and reads that do not raise, with the indices of numpy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from funcnet.numpy.indexing import filled
from funcnet.numpy.promotion import ArrayLike, as_like, as_tensor, inexact
from funcnet.numpy.selection import Selection, select
from funcnet.numpy.unsigned import in_wider, widened, wider

Change = Callable[[Tensor, Tensor], Tensor]  # of old rows and values

_MODES = (None, "drop", "fill", "clip", "promise_in_bounds")


def at(x: ArrayLike) -> "Elements":
    """Update or read some elements of an array: `fn.at(x)[index].set(values)`, jax.numpy's `x.at[index].set(values)`.

    The result is a new tensor of the shape and dtype of x: `set`, `add`, `subtract`, `multiply`, `divide`, `power`,
    `min`, `max` and `apply` return x with some elements updated, and `get` returns these elements. The values broadcast
    to the shape of x[index]. Everything is differentiable, and works inside `vmap` and `jit`.

    An index is made of ints, slices, None, ... and integer tensors, as in numpy. Negative ones count from the end.
    Those out of range are dropped by updates and clamped by `get`, unless `mode` says otherwise: "drop" or "fill"
    (`get` returns fill_value, by default NaN or the least integer), "clip", or "promise_in_bounds". If an index occurs
    twice, `set` takes one of the values, `power` and `apply` act once, and the others act for each. A bool tensor
    selects elements; inside `jit`, one number must be the value of all of them.

    Args:
        x: A tensor, or an argument of `jnp.asarray`.
    Raises:
        IndexError: The index has too many axes, or a part of an unknown type.
        ValueError: The values do not broadcast to the shape of x[index]; mode is unknown.
    Source:
        jax.numpy.ndarray.at. indices_are_sorted and unique_indices are promises; the second makes `multiply`, `divide`,
        `min` and `max` faster.
    Example:
        >>> fn.at(torch.zeros(3))[torch.tensor([0, 0, 5])].add(1.0)
        tensor([2., 0., 0.])
        >>> fn.at(torch.arange(3))[7].get()
        tensor(2)
    """
    return Elements(as_tensor("at", x))


@dataclass(frozen=True)
class Elements:
    """An array whose elements can be selected; made by `at`."""

    x: Tensor

    def __getitem__(self, index: Any) -> "Update":
        return Update(self.x, index if isinstance(index, tuple) else (index,))


@dataclass(frozen=True)
class Update:
    """Selected elements of an array, to be read or updated; made by `at`."""

    x: Tensor
    index: tuple[Any, ...]

    def get(
        self,
        *,
        mode: str | None = None,
        fill_value: ArrayLike | None = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
    ) -> Tensor:
        """Return the elements; out of range, the nearest ones, or fill_value if mode is "fill"."""
        found = select(self.x, self.index, clamp=True)
        assert found is not None  # indices are clamped
        if found.place is None:
            return self._filled_constant(found, mode, fill_value)
        rows = in_wider(torch.index_select)(found.matrix, 0, found.place)
        if _checked("get", mode) in ("fill", "drop"):
            rows = filled(rows, _like(found.inside, rows), fill_value)
        return found.result(rows)

    def _filled_constant(self, found: Selection, mode: str | None, fill_value: ArrayLike | None) -> Tensor:
        outside = _checked("get", mode) in ("fill", "drop") and select(self.x, self.index, clamp=False) is None
        return filled(found.region, torch.tensor(False), fill_value) if outside else found.region

    def set(self, values: ArrayLike, **options: Any) -> Tensor:
        """Replace the elements by the values."""
        return self._update("set", values, _replaced, None, **options)

    def add(self, values: ArrayLike, **options: Any) -> Tensor:
        """Add the values."""
        return self._update("add", values, torch.add, torch.add, **options)

    def subtract(self, values: ArrayLike, **options: Any) -> Tensor:
        """Subtract the values."""
        return self._update("subtract", values, torch.sub, torch.add, **options)

    def multiply(self, values: ArrayLike, **options: Any) -> Tensor:
        """Multiply by the values."""
        return self._update("multiply", values, torch.mul, torch.mul, **options)

    def divide(self, values: ArrayLike, **options: Any) -> Tensor:
        """Divide by the values; integers become float32, as all elements of the result are quotients."""
        return Update(inexact(self.x), self.index)._update("divide", values, torch.div, torch.mul, **options)

    def power(self, values: ArrayLike, **options: Any) -> Tensor:
        """Raise the elements to powers."""
        return self._update("power", values, torch.pow, None, **options)

    def min(self, values: ArrayLike, **options: Any) -> Tensor:
        """Replace the elements by smaller values."""
        return self._update("min", values, torch.minimum, torch.minimum, **options)

    def max(self, values: ArrayLike, **options: Any) -> Tensor:
        """Replace the elements by larger values."""
        return self._update("max", values, torch.maximum, torch.maximum, **options)

    def apply(self, f: Callable[[Tensor], Tensor], **options: Any) -> Tensor:
        """Replace the elements by a function of them."""
        return self._update("apply", self.x.new_zeros(()), lambda old, _: f(old).to(old.dtype), None, **options)

    mul, div, pow = multiply, divide, power

    def _update(
        self,
        operation: str,
        values: ArrayLike,
        change: Change,
        combine: Change | None,
        *,
        mode: str | None = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
    ) -> Tensor:
        """Return the array with each selected row changed by its value, repeated ones by their combined values."""
        values, mode = as_like(f"at.{operation}", values, self.x), _checked(operation, mode)
        if wider(self.x.dtype) != self.x.dtype:
            exact = Update(widened(self.x), self.index)
            changed = exact._update(
                operation, widened(values), change, combine, mode=mode, unique_indices=unique_indices
            )
            return changed.to(self.x.dtype)
        if (mask := self._mask()) is not None and values.ndim == 0:
            return torch.where(_like(mask, self.x), change(self.x, values), self.x)
        found = select(self.x, self.index, clamp=mode in ("clip", "promise_in_bounds"))
        if found is None:
            return self.x.clone()
        matrix = found.matrix
        rows = _broadcast(operation, found, values, matrix)
        if found.place is None or found.inside is None:
            return found.array(change(found.region, rows[0])[None]).reshape(self.x.shape)
        inside = torch.ones_like(found.inside) if mode in ("clip", "promise_in_bounds") else found.inside
        if combine is torch.add and len(found.place) != 1:
            signed = rows if change is torch.add else -rows
            return found.array(_add(matrix, found.place, inside, signed)).reshape(self.x.shape)
        rows, place, inside = _once(rows, found.place, inside, None if unique_indices else combine)
        rows = change(matrix.index_select(0, place), rows)
        write = _set if len(place) != 1 else _set_one
        return found.array(write(matrix, place, inside, rows)).reshape(self.x.shape)

    def _mask(self) -> Tensor | None:
        """Return the index if it is one bool tensor."""
        mask = self.index[0]
        return mask if len(self.index) == 1 and isinstance(mask, Tensor) and mask.dtype == torch.bool else None


def _checked(operation: str, mode: str | None) -> str | None:
    if mode not in _MODES:
        raise ValueError(f"at.{operation}: expected mode to be one of {', '.join(map(str, _MODES))}, got {mode!r}.")
    return mode


def _broadcast(operation: str, found: Selection, values: Tensor, matrix: Tensor) -> Tensor:
    try:
        return found.rows(values, matrix)
    except RuntimeError as error:
        raise ValueError(
            f"at.{operation}: expected values that broadcast to the selected elements, got shape "
            f"{tuple(values.shape)}: {error}."
        ) from None


def _like(mask: Any, rows: Tensor) -> Tensor:
    """Give a mask of leading axes trailing ones, so that it broadcasts to rows."""
    return mask.reshape((*mask.shape, *(1,) * (rows.ndim - mask.ndim)))


def _set_one(matrix: Tensor, place: Tensor, inside: Tensor, row: Tensor) -> Tensor:
    old = matrix.index_select(0, place)
    return matrix.index_copy(0, place, torch.where(_like(inside, row), row, old))


def _set(matrix: Tensor, place: Tensor, inside: Tensor, rows: Tensor) -> Tensor:
    """Write rows, those that are out of range to an extra row, which is dropped."""
    n = len(matrix)
    extended = torch.cat([matrix, torch.zeros_like(matrix[:1]) if n else matrix.new_zeros(1, *matrix.shape[1:])])
    return extended.index_copy(0, torch.where(inside, place, n), rows)[:n]


def _add(matrix: Tensor, place: Tensor, inside: Tensor, rows: Tensor) -> Tensor:
    return matrix.index_add(0, place, torch.where(_like(inside, rows), rows, torch.zeros_like(rows)))


def _replaced(old: Tensor, new: Tensor) -> Tensor:
    return new


def _once(rows: Tensor, place: Tensor, inside: Tensor, combine: Change | None) -> tuple[Tensor, Tensor, Tensor]:
    """Combine the rows of each place in its last row, the only one that stays inside: a segmented scan.

    Torch's scatter_reduce is not used, as its forward-mode derivative of products is wrong (2.13).
    """
    if combine is None or len(place) < 2:
        return rows, place, inside
    keys, order = torch.sort(torch.where(inside, place, -1), stable=True)
    rows, step = rows.index_select(0, order), 1
    while step < len(keys):
        same = _like(keys[step:] == keys[:-step], rows)
        rows = torch.cat([rows[:step], torch.where(same, combine(rows[step:], rows[:-step]), rows[step:])])
        step *= 2
    last = torch.cat([keys[1:] != keys[:-1], torch.ones_like(inside[:1])])
    return rows, keys.clamp(min=0), last & (keys >= 0)
