"""Packed sequences by plain operations: lookups at indices computed from the lengths, whose values must be known.

torch's kernels write to new tensors in place, which vmap refuses, and read the memory of the lengths, which a traced
tensor does not have.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor


def pack(x: Tensor, lengths: Tensor, batch_first: bool) -> tuple[Tensor, Tensor]:
    """Compute what torch._pack_padded_sequence does: (the rows, ordered by time; their number per time)."""
    x = x.transpose(0, 1) if batch_first else x
    known = numbers_in(lengths)
    _check_lengths(known, x.shape[:2])
    sizes = [sum(length > time for length in known) for time in range(max(known))]
    places = [time * x.shape[1] + i for time, size in enumerate(sizes) for i in range(size)]
    return x.flatten(0, 1).index_select(0, torch.tensor(places, device=x.device)), torch.tensor(sizes, device="cpu")


def pad(
    data: Tensor, batch_sizes: Tensor, batch_first: bool, padding_value: float, total_length: int
) -> tuple[Tensor, Tensor]:
    """Compute what torch._pad_packed_sequence does: (padded sequences, their lengths)."""
    sizes = numbers_in(batch_sizes)
    padded, used = unpacked(data, sizes)
    padded = torch.where(used.reshape(*used.shape, *(1,) * (data.ndim - 1)), padded, padding_value)
    missing = padded.new_full((total_length - len(sizes), *padded.shape[1:]), padding_value)
    padded = torch.cat([padded, missing])
    lengths = [sum(size > i for size in sizes) for i in range(sizes[0])]
    return padded.transpose(0, 1) if batch_first else padded, torch.tensor(lengths, device="cpu")


def unpacked(data: Tensor, sizes: list[int]) -> tuple[Tensor, Tensor]:
    """Return packed rows as (time, sequence, ...), and a mask of the entries that are rows; others are arbitrary."""
    starts = [0, *accumulate(sizes)]
    places = [
        [start + i if i < size else 0 for i in range(sizes[0])] for start, size in zip(starts, sizes, strict=False)
    ]
    used = [[i < size for i in range(sizes[0])] for size in sizes]
    rows = data.index_select(0, torch.tensor(places, device=data.device).reshape(-1))
    return rows.reshape(len(sizes), sizes[0], *data.shape[1:]), torch.tensor(used, device=data.device)


def packed(x: Tensor, sizes: list[int]) -> Tensor:
    """Undo `unpacked`."""
    places = [time * sizes[0] + i for time, size in enumerate(sizes) for i in range(size)]
    return x.flatten(0, 1).index_select(0, torch.tensor(places, device=x.device))


def pad_rows(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Stack sequences, each padded to the longest, as torch.nn.utils.rnn.pad_sequence does."""
    longest = max(len(rows) for rows in sequences)
    padded = [_extended(rows, longest - len(rows), padding_value, padding_side) for rows in sequences]
    return torch.stack(padded, 0 if batch_first else 1)


def _extended(rows: Tensor, count: int, value: float, side: str) -> Tensor:
    parts = rows, rows.new_full((count, *rows.shape[1:]), value)
    return torch.cat(parts if side == "right" else parts[::-1])


def numbers_in(lengths: Tensor) -> list[int]:
    """Read lengths as Python numbers; raise if they are mapped by vmap or traced."""
    try:
        found: list[int] = lengths.tolist()
        return found
    except RuntimeError as error:
        raise ValueError(
            "from_module: a packed sequence has lengths that are known only when the program runs, expected Python"
            " numbers or a tensor that is neither an argument of jit nor mapped by vmap. Pass them as a tuple of"
            " numbers, or compute on the padded sequence and mask it."
        ) from error


def _check_lengths(lengths: list[int], shape: Any) -> None:
    time, batch = shape
    if len(lengths) != batch:
        raise RuntimeError(f"pack_padded_sequence: expected one length per sequence, {batch}, got {len(lengths)}.")
    if min(lengths) < 1 or max(lengths) > time:
        raise RuntimeError(f"pack_padded_sequence: expected lengths from 1 to {time}, got {lengths}.")
    if lengths != sorted(lengths, reverse=True):
        raise RuntimeError(
            f"pack_padded_sequence: expected decreasing lengths, got {lengths}. Sort the sequences, or pass"
            " enforce_sorted=False."
        )


RULES = {"pad_sequence": pad_rows, "_pack_padded_sequence": pack, "_pad_packed_sequence": pad}
