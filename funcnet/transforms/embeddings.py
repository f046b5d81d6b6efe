"""torch's embeddings by plain operations, whose gradients are dense and go through every transformation.

torch's own batching rules count frequencies in all examples together, and run a kernel per example for bags.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet.transforms.requirements import require

_SUM, _MEAN, _MAX = range(3)  # torch's numbers of the modes
_Bags = tuple[Tensor, Tensor, Tensor, None]


def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """Select rows as torch.embedding does, with a dense gradient in either case."""
    rows = torch.embedding(weight, indices, padding_idx, False, False)
    if not scale_grad_by_freq:
        return rows
    places = indices.reshape(-1)
    frequency = weight.new_zeros(len(weight)).index_add(0, places, weight.new_ones(places.shape))
    # the value of the rows, with their gradient divided by the frequencies
    scaled = rows.detach() - (rows.detach() - rows) / torch.embedding(frequency[:, None], indices)
    return torch.where(rows.isfinite(), scaled, rows)


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
    require((offsets[:1] == 0).all(), "offsets[0] has to be 0, i.e., the first bag has to start from position 0.")
    count = len(offsets) - include_last_offset
    padding = -1 if padding_idx is None else padding_idx % len(weight)
    of_index, used = _bag_of_each(indices, offsets), indices != padding
    sizes = used.new_zeros(len(offsets), dtype=indices.dtype).index_add(0, of_index, used.to(indices.dtype))[:count]
    rows = embedding(weight, indices, padding, scale_grad_by_freq)
    places = torch.where(used, of_index, len(offsets))  # omitted indices go to an extra row
    if mode == _MAX:
        bags = _largest(rows, places, sizes)
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


def _largest(rows: Tensor, places: Tensor, sizes: Tensor) -> Tensor:
    """Return the maximum of the rows of each bag, whose gradient goes to the first of equal ones; 0 without rows."""
    by_value = rows.detach().sort(dim=0, descending=True, stable=True).indices
    by_bag = places.reshape(-1, 1).expand_as(rows).gather(0, by_value).sort(dim=0, stable=True).indices
    none = by_value.new_full((1, rows.shape[1]), len(rows))
    order = torch.cat([by_value.gather(0, by_bag), none])
    first = torch.where(sizes > 0, sizes.cumsum(0) - sizes, len(rows))
    return torch.cat([rows, rows.new_zeros(1, rows.shape[1])]).gather(0, order.index_select(0, first))


RULES: dict[Any, Callable[..., Any]] = {torch.embedding: embedding, torch.embedding_bag: embedding_bag}
