"""torch's recurrent kernels in plain operations, with one `scan` over time per layer and direction.

torch's kernels have no batching rule and no forward derivative, and draw their dropout without a key.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from funcnet.bridge.packing import numbers_in, packed, unpacked
from funcnet.bridge.randomness import Draws, thin
from funcnet.control_flow.scan import scan
from funcnet.layers.recurrent import Carry, Cell, gru_cell, lstm_cell, rnn_cell


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
    """Scan over time in either direction; a sequence keeps its state at the times that it does not have."""
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


def _one_step(cell: Cell) -> Callable[..., Any]:
    """Return one step of a cell as a function with the arguments of torch.gru_cell, lstm_cell and the others."""

    def step(
        x: Tensor, start: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
    ) -> Any:
        carry = start if isinstance(start, tuple | list) else (start,)
        end = cell(tuple(carry), linear(carry[0], w_hh, b_hh), linear(x, w_ih, b_ih))
        return end if len(end) > 1 else end[0]

    return step


_CELLS: dict[str, Cell] = {
    "lstm": lstm_cell,
    "gru": gru_cell,
    "rnn_tanh": partial(rnn_cell, activation=torch.tanh),
    "rnn_relu": partial(rnn_cell, activation=torch.relu),
}
CELLS = {f"{name}_cell": _one_step(cell) for name, cell in _CELLS.items()}
