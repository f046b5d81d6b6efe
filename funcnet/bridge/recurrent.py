"""torch's recurrent kernels in plain operations, with one `scan` over time per layer and direction.

torch's kernels have no batching rule and no forward derivative, and draw their dropout without a key.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from funcnet.bridge.packing import numbers_in, packed, unpacked
from funcnet.bridge.randomness import Draws, thin
from funcnet.scan import scan

Carry = tuple[Tensor, ...]
Cell = Callable[[Carry, Tensor, Tensor], Carry]  # (carry, h @ w_hh.T, x @ w_ih.T, both with biases) -> carry, h first


def recur(draws: Draws, function: Any, *args: Any) -> tuple[Tensor, ...]:
    """Compute torch.lstm, gru, rnn_tanh or rnn_relu: (outputs, last h) or (outputs, last h, last c)."""
    cell = _CELLS[function.__name__]
    at = next(i for i, arg in enumerate(args) if isinstance(arg, bool))
    x, *batch_sizes, start, weights = args[:at]
    has_bias, layers, p, train, both_ways, *batch_first = args[at:]
    sizes, used = [*map(numbers_in, batch_sizes)], None
    if sizes:
        x, used = unpacked(x, *sizes)
    x = x.transpose(0, 1) if any(batch_first) else x
    states = start if isinstance(start, tuple | list) else (start,)
    ways, each, ends = 1 + both_ways, len(weights) // (layers * (1 + both_ways)), []
    for first in range(0, layers * ways, ways):
        x, outputs = thin(draws, x, p, train and first > 0, x.shape, "dropout"), []
        for i in range(first, first + ways):
            carry = tuple(state[i] for state in states)
            own = weights[i * each : (i + 1) * each]
            end, y = _one_way(cell, carry, x, used, own, has_bias, backwards=i > first)
            outputs.append(y)
            ends.append(end)
        x = torch.cat(outputs, -1)
    x = x.transpose(0, 1) if any(batch_first) else x
    return packed(x, *sizes) if sizes else x, *(torch.stack(column) for column in zip(*ends, strict=True))


def _one_way(
    cell: Cell,
    start: Carry,
    x: Tensor,
    used: Tensor | None,
    weights: Sequence[Tensor],
    has_bias: bool,
    *,
    backwards: bool,
) -> tuple[Carry, Tensor]:
    """Go along time, in either direction; where a sequence is not in use, its state stays."""
    w_ih, w_hh, *rest = weights
    b_ih, b_hh, *projection = rest if has_bias else (None, None, *rest)

    def step(carry: Carry, inputs: tuple[Tensor, Tensor | None]) -> tuple[Carry, Tensor]:
        row, chosen = inputs
        h, *others = cell(carry, linear(carry[0], w_hh, b_hh), row)
        new = (linear(h, *projection) if projection else h, *others)
        if chosen is not None:
            new = tuple(torch.where(chosen[:, None], a, b) for a, b in zip(new, carry, strict=True))
        return new, new[0]

    rows = linear(x, w_ih, b_ih)
    if not backwards:
        return scan(step, start, (rows, used))
    end, y = scan(step, start, (rows.flip(0), None if used is None else used.flip(0)))
    return end, y.flip(0)


def _lstm(carry: Carry, hidden: Tensor, x: Tensor) -> Carry:
    i, f, g, o = (x + hidden).chunk(4, -1)
    c = torch.sigmoid(f) * carry[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _gru(carry: Carry, hidden: Tensor, x: Tensor) -> Carry:
    (xr, xz, xn), (hr, hz, hn) = x.chunk(3, -1), hidden.chunk(3, -1)
    z = torch.sigmoid(xz + hz)
    return ((1 - z) * torch.tanh(xn + torch.sigmoid(xr + hr) * hn) + z * carry[0],)


def _alone(cell: Cell) -> Callable[..., Any]:
    """Turn a cell into what torch.gru_cell and its like are: one step, from x and the state before."""

    def step(
        x: Tensor, start: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
    ) -> Any:
        carry = start if isinstance(start, tuple | list) else (start,)
        end = cell(tuple(carry), linear(carry[0], w_hh, b_hh), linear(x, w_ih, b_ih))
        return end if len(end) > 1 else end[0]

    return step


_CELLS: dict[str, Cell] = {
    "lstm": _lstm,
    "gru": _gru,
    "rnn_tanh": lambda _, hidden, x: (torch.tanh(x + hidden),),
    "rnn_relu": lambda _, hidden, x: (torch.relu(x + hidden),),
}
CELLS = {f"{name}_cell": _alone(cell) for name, cell in _CELLS.items()}
