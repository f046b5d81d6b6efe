"""Recurrent layers: a cell that is repeated along the time axis by one `scan`.

All map (*, time, in) to (*, time, features), the hidden states, which start from zero. The part that does not depend on
the state, x @ wi + bi, is computed for all times at once. The gates of a cell are concatenated along the last axis of
the parameters, in torch's order: the parameters are those of torch, with the matrices transposed.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from funcnet import initializers
from funcnet.control_flow.scan import scan
from funcnet.initializers import Initializer
from funcnet.layers.layer import Layer, LayerError, Params, check_example, check_fits, draw, matching, parameter
from funcnet.random import Key
from funcnet.reprs import shows_call

Carry = tuple[Tensor, ...]
Cell = Callable[[Carry, Tensor, Tensor], Carry]  # (carry, h @ wh, x @ wi, both with biases) -> carry, h first


@shows_call
def rnn(
    features: int,
    *,
    activation: Callable[[Tensor], Tensor] = torch.tanh,
    w_init: Initializer | None = None,
    b_init: Initializer | None = None,
) -> Layer:
    """Build the simplest recurrent layer: h' = activation(x @ wi + bi + h @ wh + bh).

    Args:
        features: Length of h.
        activation: Applied to the new state.
        w_init, b_init: Initialisers; by default uniform on [-1 / sqrt(features), 1 / sqrt(features)), as in torch.
    Returns:
        A layer. params: {"wi": (in, features), "wh": (features, features), "bi": (features,), "bh": (features,)}.
        apply: (*, time, in) -> (*, time, features), dtype of x.
    Raises:
        ValueError: features is not an integer, or is negative.
        LayerError: x has no time axis, or does not fit wi.
    Source:
        Elman (1990), Finding Structure in Time, https://doi.org/10.1207/s15516709cog1402_1
    Example:
        >>> params = {"wi": torch.ones(1, 1), "wh": torch.ones(1, 1), "bi": torch.zeros(1), "bh": torch.zeros(1)}
        >>> fn.rnn(1, activation=torch.relu).apply(params, torch.tensor([[1.0], [2.0], [3.0]])).flatten()
        tensor([1., 3., 6.])
    """
    return _recurrent("rnn", features, partial(rnn_cell, activation=activation), 1, 1, w_init, b_init)


def rnn_cell(carry: Carry, hidden: Tensor, x: Tensor, *, activation: Callable[[Tensor], Tensor]) -> Carry:
    """Compute the new h of `rnn`."""
    return (activation(x + hidden),)


@shows_call
def gru(features: int, *, w_init: Initializer | None = None, b_init: Initializer | None = None) -> Layer:
    """Build a layer of gated recurrent units.

    With x_g = x @ wi_g + bi_g and h_g = h @ wh_g + bh_g for the gates g = r, z, n and s the sigmoid,
    h' = (1 - z) n + z h, where r = s(x_r + h_r), z = s(x_z + h_z), n = tanh(x_n + r h_n).

    Args:
        features: Length of h.
        w_init, b_init: Initialisers; by default uniform on [-1 / sqrt(features), 1 / sqrt(features)), as in torch.
    Returns:
        A layer. params: {"wi": (in, 3 features), "wh": (features, 3 features), "bi", "bh": (3 features,)}, in the order
        r, z, n. apply: (*, time, in) -> (*, time, features), dtype of x.
    Raises:
        ValueError: features is not an integer, or is negative.
        LayerError: x has no time axis, or does not fit wi.
    Source:
        Cho et al. (2014), Learning Phrase Representations using RNN Encoder-Decoder, https://arxiv.org/abs/1406.1078,
        as in torch.nn.GRU: r multiplies h_n including its bias, and z weights the old state.
    Example:
        >>> layer, x = fn.gru(4), torch.zeros(2, 7, 3)  # batch, time, features
        >>> fn.eval_shape(layer.apply, layer.init(fn.random.key(0), x), x)
        ShapeDtypeStruct(shape=(2, 7, 4), dtype=torch.float32, device=device(type='cpu'))
    """
    return _recurrent("gru", features, gru_cell, 1, 3, w_init, b_init)


def gru_cell(carry: Carry, hidden: Tensor, x: Tensor) -> Carry:
    """Compute the new h of `gru`."""
    (h,) = carry
    xr, xz, xn = x.chunk(3, -1)
    hr, hz, hn = hidden.chunk(3, -1)
    r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
    n = torch.tanh(xn + r * hn)
    return ((1 - z) * n + z * h,)


@shows_call
def lstm(features: int, *, w_init: Initializer | None = None, b_init: Initializer | None = None) -> Layer:
    """Build a layer of cells with a long short-term memory c.

    With a_g = x @ wi_g + bi_g + h @ wh_g + bh_g for the gates g = i, f, g, o and s the sigmoid,
    c' = s(a_f) c + s(a_i) tanh(a_g) and h' = s(a_o) tanh(c').

    Args:
        features: Length of h and c.
        w_init, b_init: Initialisers; by default uniform on [-1 / sqrt(features), 1 / sqrt(features)), as in torch.
    Returns:
        A layer. params: {"wi": (in, 4 features), "wh": (features, 4 features), "bi", "bh": (4 features,)}, in the order
        i, f, g, o. apply: (*, time, in) -> (*, time, features), the h of all times, dtype of x.
    Raises:
        ValueError: features is not an integer, or is negative.
        LayerError: x has no time axis, or does not fit wi.
    Source:
        Gers, Schmidhuber, Cummins (2000), Learning to Forget, https://doi.org/10.1162/089976600300015015
    Example:
        >>> layer, x = fn.lstm(4), torch.zeros(2, 7, 3)  # batch, time, features
        >>> fn.eval_shape(layer.apply, layer.init(fn.random.key(0), x), x)
        ShapeDtypeStruct(shape=(2, 7, 4), dtype=torch.float32, device=device(type='cpu'))
    """
    return _recurrent("lstm", features, lstm_cell, 2, 4, w_init, b_init)


def lstm_cell(carry: Carry, hidden: Tensor, x: Tensor) -> Carry:
    """Compute the new h and c of `lstm`."""
    _, c = carry
    i, f, g, o = (x + hidden).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _recurrent(
    name: str,
    features: int,
    cell: Cell,
    carries: int,
    gates: int,
    w_init: Initializer | None,
    b_init: Initializer | None,
) -> Layer:
    """Build a layer from a cell with the given numbers of carries, h first, and of concatenated gates."""
    if not isinstance(features, int) or features < 0:
        raise ValueError(f"{name}: expected a whole number of features, got {features}.")
    default = initializers.torch_uniform(fan_in=features)
    inits = {"wi": w_init or default, "wh": w_init or default, "bi": b_init or default, "bh": b_init or default}
    return Layer(
        init=partial(_recurrent_init, name=name, features=features, width=gates * features, inits=inits),
        apply=partial(_recur, name=name, features=features, cell=cell, carries=carries),
    )


def _recurrent_init(
    key: Key, x: Tensor, *, name: str, features: int, width: int, inits: dict[str, Initializer]
) -> Params:
    check_example(name, x, 2)
    return draw(
        key, inits, {"wi": (x.shape[-1], width), "wh": (features, width), "bi": (width,), "bh": (width,)}, like=x
    )


def _recur(
    params: Params, x: Tensor, *, name: str, features: int, cell: Cell, carries: int, key: Key | None = None
) -> Tensor:
    wi, wh = matching(name, params, "wi", x, ndim=2), parameter(name, params, "wh", ndim=2)
    if x.ndim < 2:
        raise LayerError(name, "", f"expected x of shape (*, time, in), got {tuple(x.shape)}.")
    check_fits(name, "wh", wh, wi, size=wh.shape[1], what="wi")
    if wh.shape[0] != features:
        raise LayerError(name, "wh", f"expected a first axis of {features}, the features, got {tuple(wh.shape)}.")
    bi, bh = (matching(name, params, b, w, what=what) for b, w, what in (("bi", wi, "wi"), ("bh", wh, "wh")))

    rows = (x @ wi + bi).movedim(-2, 0)
    start = rows.new_zeros(*rows.shape[1:-1], features)
    _, states = scan(partial(_step, cell, wh, bh), (start,) * carries, rows)
    return states.movedim(0, -2)


def _step(cell: Cell, wh: Tensor, bh: Tensor, carry: Carry, x: Tensor) -> tuple[Carry, Tensor]:
    after = cell(carry, carry[0] @ wh + bh, x)
    return after, after[0]
