"""Derivatives of products by index, of which torch reads the numbers of zeros in Python.

With P the product of the factors of an element that are not 0, and S the sum of the others, the product is P without a
zero, P S with one, and P (S² - sum of their squares) / 2 with two: all derivatives up to the second are those of the
product. P is a constant times exp(L - constant), where L is the sum of the logarithms and both constants are values.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch


def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Reduce as torch.scatter_reduce does."""
    is_differentiated = _torch.has_derivative(input) or _torch.has_derivative(src)
    if reduce != "prod" or not is_differentiated or not input.is_floating_point():
        return torch.scatter_reduce(input, dim, index, src, reduce, include_self=include_self)
    first = input
    if not include_self:
        is_written = torch.zeros_like(input).scatter(dim, index, 1.0) != 0
        first = torch.where(is_written, 1, input)
    return _product(first, dim, index, src)


def _product(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    def sums(f: Callable[[Tensor], Tensor]) -> Tensor:
        return f(x).scatter_add(dim, index, f(source))

    value = torch.scatter_reduce(_nonzero(x).detach(), dim, index, _nonzero(source).detach(), "prod")
    logarithm = sums(_logarithm)
    growth = (logarithm - logarithm.detach()).exp()
    zeros, count = sums(lambda x: torch.where(x == 0, x, 0)), sums(lambda x: (x == 0).to(x.dtype))
    squares = sums(lambda x: torch.where(x == 0, x, 0).square())
    pairs = torch.where(count == 2, (zeros.square() - squares) / 2, 0)
    return value * growth * torch.where(count == 0, 1, torch.where(count == 1, zeros, pairs))


def _logarithm(x: Tensor) -> Tensor:
    """Return the logarithm of the absolute value, and 0 for zeros; for infinities 1 / x, whose derivative is 0, too."""
    is_infinite = x.isinf()
    finite = torch.where(is_infinite | (x == 0), 1, x)
    return torch.where(is_infinite, 1 / torch.where(is_infinite, x, 1), finite.abs().log())


def _nonzero(x: Tensor) -> Tensor:
    return torch.where(x == 0, 1, x)


def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Reduce as torch.index_reduce does. As in `single_indices`, a 0-d index becomes one of one element."""
    index = index.reshape(-1) if index.ndim == 0 else index
    if reduce != "prod" or not input.ndim:
        return torch.index_reduce(input, dim, index, source, reduce, include_self=include_self)
    places = index.view(-1, *(1 for _ in source.shape[dim % input.ndim + 1 :])).expand(source.shape)
    return scatter_reduce(input, dim, places, source, reduce, include_self=include_self)


def scatter_reduce_(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Reduce in place as Tensor.scatter_reduce_ does."""
    if reduce != "prod":
        return input.scatter_reduce_(dim, index, src, reduce, include_self=include_self)
    return input.copy_(scatter_reduce(input, dim, index, src, reduce, include_self=include_self))


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys((torch.scatter_reduce, Tensor.scatter_reduce), scatter_reduce),
    **dict.fromkeys((torch.index_reduce, Tensor.index_reduce), index_reduce),
    Tensor.scatter_reduce_: scatter_reduce_,
}
