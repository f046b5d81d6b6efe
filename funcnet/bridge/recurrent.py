"""torch's recurrent kernels in plain operations, with one `scan` over time per layer and direction.

torch's kernels have no batching rule and no forward derivative, and draw their dropout without a key.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

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
    if batch_sizes:
        if train and p and layers > 1:
            raise draws.unknown(f"dropout between layers of a packed sequence, in {function.__name__},")
        return function(*args)
    states = start if isinstance(start, tuple | list) else (start,)
    x = x.transpose(0, 1) if batch_first[0] else x
    ways, each, ends = 1 + both_ways, len(weights) // (layers * (1 + both_ways)), []
    for first in range(0, layers * ways, ways):
        x, outputs = thin(draws, x, p, train and first > 0, x.shape, "dropout"), []
        for i in range(first, first + ways):
            carry = tuple(state[i] for state in states)
            own = weights[i * each : (i + 1) * each]
            end, y = _along_time(cell, carry, x.flip(0) if i > first else x, own, has_bias)
            outputs.append(y.flip(0) if i > first else y)
            ends.append(end)
        x = torch.cat(outputs, -1)
    x = x.transpose(0, 1) if batch_first[0] else x
    return x, *(torch.stack(column) for column in zip(*ends, strict=True))


def _along_time(cell: Cell, start: Carry, x: Tensor, weights: Sequence[Tensor], has_bias: bool) -> tuple[Carry, Tensor]:
    w_ih, w_hh, *rest = weights
    b_ih, b_hh, *projection = rest if has_bias else (None, None, *rest)

    def step(carry: Carry, row: Tensor) -> tuple[Carry, Tensor]:
        h, *others = cell(carry, linear(carry[0], w_hh, b_hh), row)
        h = linear(h, *projection) if projection else h
        return (h, *others), h

    return scan(step, start, linear(x, w_ih, b_ih))


def _lstm(carry: Carry, hidden: Tensor, x: Tensor) -> Carry:
    i, f, g, o = (x + hidden).chunk(4, -1)
    c = torch.sigmoid(f) * carry[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _gru(carry: Carry, hidden: Tensor, x: Tensor) -> Carry:
    (xr, xz, xn), (hr, hz, hn) = x.chunk(3, -1), hidden.chunk(3, -1)
    z = torch.sigmoid(xz + hz)
    return ((1 - z) * torch.tanh(xn + torch.sigmoid(xr + hr) * hn) + z * carry[0],)


_CELLS: dict[str, Cell] = {
    "lstm": _lstm,
    "gru": _gru,
    "rnn_tanh": lambda _, hidden, x: (torch.tanh(x + hidden),),
    "rnn_relu": lambda _, hidden, x: (torch.relu(x + hidden),),
}
