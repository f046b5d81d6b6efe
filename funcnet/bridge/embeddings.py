"""torch's embeddings by plain operations, whose gradients are dense and go through every transformation."""

from typing import Any

import torch
from torch import Tensor

_SUM, _MEAN, _MAX = range(3)  # torch's numbers of the modes
_Bags = tuple[Tensor, Tensor, Tensor, None]


def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """Select rows as torch.embedding does, with a dense gradient in either case."""
    return torch.embedding(weight, indices, padding_idx, scale_grad_by_freq, False)


def embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = _SUM,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> _Bags:
    """Reduce the rows of each bag as torch.embedding_bag does: (bags, bag of each index, size of each bag, None)."""
    count = len(offsets) - include_last_offset
    padding = -1 if padding_idx is None else padding_idx % len(weight)
    of_index, used = _bag_of_each(indices, offsets), indices != padding
    sizes = used.new_zeros(len(offsets), dtype=indices.dtype).index_add(0, of_index, used.to(indices.dtype))[:count]
    rows = torch.embedding(weight, indices, padding, scale_grad_by_freq, False)
    places = torch.where(used, of_index, len(offsets))  # omitted indices go to an extra row
    if mode == _MAX:
        empty = rows.new_zeros(len(offsets) + 1, rows.shape[1])
        bags = empty.scatter_reduce(0, places[:, None].expand_as(rows), rows, "amax", include_self=False)[:count]
    else:
        rows = rows if per_sample_weights is None else rows * per_sample_weights[:, None]
        bags = rows.new_zeros(len(offsets) + 1, rows.shape[1]).index_add(0, places, rows)[:count]
    return bags / sizes.clamp_min(1)[:, None] if mode == _MEAN else bags, of_index, sizes, None


def _bag_of_each(indices: Tensor, offsets: Tensor) -> Tensor:
    """Count the bags that have begun at each index, from 0."""
    begins = indices.new_zeros(len(indices) + 1).index_add(
        0, offsets.to(indices.dtype), torch.ones_like(offsets).to(indices.dtype)
    )
    return begins[: len(indices)].cumsum(0) - 1


RULES: dict[str, Any] = {"embedding": embedding, "embedding_bag": embedding_bag}
