"""Derivatives of reductions by index.

torch reads the numbers of zeros of a product in Python, has no forward derivative of index_reduce, and in the gradient
of a maximum counts elements that are not included.

With P the product of the factors of an element that are not 0, and S(k) the sum of the k-th powers of the others, the
product is P without a zero, P S(1) with one, P (S(1)² - S(2)) / 2 with two, and P (S(1)³ - 3 S(1) S(2) + 2 S(3)) / 6
with three: all derivatives up to the third are those of the product. P is a constant times exp(L - constant), where L
is the sum of the logarithms and both constants are values.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch


def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Reduce as torch.scatter_reduce does."""
    if reduce not in _EXCLUDED or not _is_differentiated(input, src):
        return torch.scatter_reduce(input, dim, index, src, reduce, include_self=include_self)
    if not include_self:
        is_written = torch.zeros_like(input).scatter(dim, index, 1.0) != 0
        input = torch.where(is_written, _EXCLUDED[reduce], input)
    if reduce == "prod":
        return _product(input, dim, index, src)
    return torch.scatter_reduce(input, dim, index, src, reduce, include_self=include_self)


_EXCLUDED = {"prod": 1.0, "amax": math.nan, "amin": math.nan}  # a factor of 1, and no largest or smallest element


def _is_differentiated(x: Tensor, source: Tensor) -> bool:
    return x.is_floating_point() and (_torch.has_derivative(x) or _torch.has_derivative(source))


def _product(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    def sums(f: Callable[[Tensor], Tensor]) -> Tensor:
        return f(x).scatter_add(dim, index, f(source))

    value = torch.scatter_reduce(_nonzero(x).detach(), dim, index, _nonzero(source).detach(), "prod")
    logarithm = sums(_logarithm)
    growth = (logarithm - logarithm.detach()).exp()
    first, second, third = (sums(partial(_zeros, k)) for k in (1, 2, 3))
    products = [torch.ones_like(first), first, (first**2 - second) / 2, (first**3 - 3 * first * second + 2 * third) / 6]
    count = sums(lambda x: (x == 0).to(x.dtype))
    return value * growth * sum(torch.where(count == k, product, 0) for k, product in enumerate(products))


def _zeros(power: int, x: Tensor) -> Tensor:
    """Return powers of the zeros, and 0 for other numbers."""
    return torch.where(x == 0, x, 0) ** power


def _logarithm(x: Tensor) -> Tensor:
    """Return the logarithm of the absolute value, and 0 for zeros; for infinities 1 / x, whose derivative is 0, too."""
    is_infinite = x.isinf()
    finite = torch.where(is_infinite | (x == 0), 1, x)
    return torch.where(is_infinite, 1 / torch.where(is_infinite, x, 1), finite.abs().log())


def _nonzero(x: Tensor) -> Tensor:
    return torch.where(x == 0, 1, x)


def scatter_index(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor | None:
    """Return the index with which a scatter writes where index_reduce does, or None if torch does not accept it."""
    if not x.ndim:
        return index.reshape(()) if not source.ndim and index.numel() == 1 else None
    before, after = x.shape[: dim % x.ndim], x.shape[dim % x.ndim + 1 :]
    if index.ndim > 1 or source.shape != (*before, index.numel(), *after):
        return None
    return index.reshape(-1, *(1 for _ in after)).expand(source.shape)


def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Reduce as torch.index_reduce does. As in `single_indices`, a 0-d index becomes one of one element."""
    places = scatter_index(input, dim, index, source) if _is_differentiated(input, source) else None
    if places is None:
        index = index.reshape(index.shape or 1)
        return torch.index_reduce(input, dim, index, source, reduce, include_self=include_self)
    return scatter_reduce(input, dim, places, source, reduce, include_self=include_self)


def scatter_reduce_(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Reduce in place as Tensor.scatter_reduce_ does."""
    if reduce not in _EXCLUDED:
        return input.scatter_reduce_(dim, index, src, reduce, include_self=include_self)
    return input.copy_(scatter_reduce(input, dim, index, src, reduce, include_self=include_self))


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys((torch.scatter_reduce, Tensor.scatter_reduce), scatter_reduce),
    **dict.fromkeys((torch.index_reduce, Tensor.index_reduce), index_reduce),
    Tensor.scatter_reduce_: scatter_reduce_,
}
