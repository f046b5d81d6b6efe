"""Functions that take a 0-d tensor as an index of one element, which torch's batching rules take for several.

They receive an index of one axis here. A 0-d source of `index_copy` gets an axis as well, as its derivative selects by
a 0-d index; and the derivative of a tensor that `index_fill` writes needs the values of the index.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_NAMES = ("index_add", "index_reduce")


def _with_axis(x: Tensor) -> Tensor:
    return x if x.ndim else x.reshape(1)


def _by_list(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(input: Tensor, dim: int, index: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return function(input, dim, _with_axis(index), *args, **kwargs)

    return run


def _index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    if input.ndim == 1:
        source = _with_axis(source)
    return torch.index_copy(input, dim, _with_axis(index), source)


def _index_copy_(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    return input.copy_(_index_copy(input, dim, index, source))  # torch has no batching rule in place


def _fill_by_list(function: Callable[..., Tensor], by_mask: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
        index = _with_axis(index)
        if not isinstance(value, Tensor) or not input.ndim:
            return function(input, dim, index, value)
        mask = torch.zeros(input.shape[dim], dtype=torch.bool, device=input.device).index_fill(0, index, True)
        return by_mask(input, mask.reshape(-1, *(1,) * (input.ndim - 1 - dim % input.ndim)), value)

    return run


def _index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    if index.ndim or input.ndim:
        return torch.index_select(input, dim, _with_axis(index))
    return torch.index_select(input.reshape(1), dim, index.reshape(1)).reshape(())


def _select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    start = index + input.shape[dim] if index < 0 else index
    return torch.slice_scatter(input, src.unsqueeze(dim), dim, start, start + 1)


def _forms(name: str) -> list[Callable[..., Tensor]]:
    return [getattr(torch, name), getattr(Tensor, name), getattr(Tensor, name + "_")]


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys((torch.index_select, Tensor.index_select), _index_select),
    **{function: _by_list(function) for name in _NAMES for function in _forms(name)},
    **dict.fromkeys((torch.index_copy, Tensor.index_copy), _index_copy),
    Tensor.index_copy_: _index_copy_,
    **dict.fromkeys((torch.select_scatter, Tensor.select_scatter), _select_scatter),
    **{f: _fill_by_list(f, mask) for f, mask in zip(_forms("index_fill"), _forms("masked_fill"), strict=True)},
}
