"""Factored gradients of matrices: a mode records the products and lookups of a loss, whose gradients have two factors.

For h = x w the gradient with respect to w is x' d, with d the gradient with respect to h. A `Tap` excludes the matrix
from differentiation and adds a zero to h, with respect to which the loss is differentiated instead; x and d are then
the factors.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from funcnet import _torch


class Use(NamedTuple):
    """A product with a matrix, or a lookup in it: with h and x as rows h = x w, h = x w' if transposed, or h = w[x]."""

    matrix: int  # the index of the matrix
    transposed: bool
    columns: bool  # whether x and h are columns, as in h = w x
    shape: torch.Size  # the shape of h
    dtype: torch.dtype


class Factors(NamedTuple):
    """The gradient of a matrix as left' right."""

    left: Tensor  # (rows, matrix's first axis), or int64 (rows,): the indices of ones
    right: Tensor  # (rows, matrix's second axis)


class Tap(TorchFunctionMode):
    """A torch function mode that intercepts every product with one of the matrices and every lookup in it.

    Args:
        given: The matrices in the loss; other uses of them are not changed.
        stand_ins: The same values without gradients, which replace the matrices in intercepted uses.
        probes: A zero per use, to add to the result; () to record the uses for the first time.
    """

    def __init__(self, given: Sequence[Tensor], stand_ins: Sequence[Tensor], probes: Sequence[Tensor] = ()) -> None:
        super().__init__()
        self.stand_ins, self.probes = stand_ins, iter(probes)
        self.known = {id(matrix): (matrix, i, False) for i, matrix in enumerate(given)}  # keeps matrix alive
        self.uses: list[Use] = []
        self.xs: list[Tensor] = []  # the other factor of each use, (*, features), or integers (*) for a lookup
        # Inside a transformation that the loss starts, one call is many products, and x would not outlive the level.
        self.level = _torch.current_level()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = self.find(function, args, kwargs) if _torch.current_level() == self.level else None
        if found is None:
            out = function(*args, **kwargs)
            self.follow(function, args, out)
            return out
        place, x, columns = found
        _, number, transposed = self.known[id(args[place])]
        stand_in = self.stand_ins[number].mT if transposed else self.stand_ins[number]
        out = function(*args[:place], stand_in, *args[place + 1 :], **kwargs)
        flipped = columns or function is functional.linear
        self.uses.append(Use(number, transposed != flipped, columns, out.shape, out.dtype))
        self.xs.append(x)
        probe = next(self.probes, None)
        return out if probe is None else out + probe

    def find(self, function: Any, args: Any, kwargs: Any) -> tuple[int, Tensor, bool] | None:
        """Return the matrix's index in args, the other factor and whether that has columns, if this is a use."""
        if function in _LOOKUPS:
            place, x = (0, args[1]) if function is torch.Tensor.__getitem__ else (1, args[0])
            found = self.is_matrix(args[place]) and not self.known[id(args[place])][2]
            return (place, x, False) if found and _are_indices(x) and _is_plain(kwargs) else None
        if kwargs or function not in _PRODUCTS:
            return None
        first = 1 if function is torch.addmm else 0
        left, right = args[first : first + 2]
        if self.is_matrix(right) and left.ndim:
            return first + 1, left, False
        if self.is_matrix(left) and function in _MATMUL and right.ndim in (1, 2):
            return first, right, True
        return None

    def is_matrix(self, value: Any) -> bool:
        return id(value) in self.known

    def follow(self, function: Any, args: Any, out: Any) -> None:
        """Register the transpose of a matrix."""
        if function in _TRANSPOSES and self.is_matrix(args[0]):
            _, number, transposed = self.known[id(args[0])]
            self.known[id(out)] = (out, number, not transposed)


_MATMUL: set[Callable[..., Any]] = {
    torch.matmul,
    torch.mm,
    torch.mv,
    torch.Tensor.matmul,
    torch.Tensor.__matmul__,
    torch.Tensor.mm,
    torch.Tensor.mv,
}
_PRODUCTS = _MATMUL | {functional.linear, torch.addmm}
_LOOKUPS: set[Callable[..., Any]] = {torch.Tensor.__getitem__, functional.embedding}
_PROPERTIES: Any = (torch.Tensor.T, torch.Tensor.mT)
_TRANSPOSES: set[Callable[..., Any]] = {torch.t, torch.Tensor.t, *(each.__get__ for each in _PROPERTIES)}


def _are_indices(x: Any) -> bool:
    return isinstance(x, Tensor) and not (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool)


def _is_plain(options: dict[str, Any]) -> bool:
    """Tell whether a lookup has no further effect, such as excluding a row from the gradient (row 0 is not False)."""
    named = (options.get(name) for name in ("padding_idx", "max_norm", "scale_grad_by_freq", "sparse"))
    return all(value is None or value is False for value in named)


def factors(use: Use, x: Tensor, d: Tensor, size: int) -> Factors:
    """Return the factors of the gradient with respect to a matrix from one use of it.

    Args:
        use: A use of a matrix with `size` rows.
        x: The other factor.
        d: The gradient with respect to the result.
    """
    if not x.is_floating_point():
        return Factors(x.reshape(x.numel()).long() % size, _rows(d))
    if use.columns and x.ndim == 2:
        x, d = x.T, d.T
    return Factors(_rows(d), _rows(x)) if use.transposed else Factors(_rows(x), _rows(d))


def _rows(x: Tensor) -> Tensor:
    return x.reshape(x.shape[:-1].numel(), x.shape[-1])
