"""Layers: pairs of pure functions, `init(key, x) -> params` and `apply(params, x, *, key=None) -> y`.

x in `init` is an example input, of which only shape and dtype matter. Layers act on the trailing axes and accept any
leading ones. A key given to `apply` switches randomness on; without one, every layer is deterministic.

A layer with state has the forms `init_with_state(key, x) -> (params, state)` and `apply_with_state(params, state, x, *,
key=None, train) -> (y, state)`, in which every other layer works as well.

A new layer touches these files, in order:
    1. A file here, with a builder that returns `Layer(init, apply)`: written for one example, as vmap makes batches.
    2. The lists below and in funcnet/__init__.py.
    3. tests/tables.py: a row of LAYERS, which crosses it with every law, vmap, jit and every dtype.
    4. tests/layers/test_torch.py: the module of torch.nn that it equals, if there is one, and tests/golden/ for JAX.
    5. bridge/layer_rules.py: the same module, so that from_sequential and to_sequential know it.
"""

from funcnet.layers.activations import step
from funcnet.layers.attention import multi_head_attention
from funcnet.layers.batch_norm import batch_norm
from funcnet.layers.convolution import conv
from funcnet.layers.dense import dense, embedding
from funcnet.layers.dropout import dropout
from funcnet.layers.layer import Layer, LayerError, Params, State, Stateful, as_layer, stateful
from funcnet.layers.mixed_precision import Policy, mixed_precision
from funcnet.layers.normalisation import group_norm, layer_norm, rms_norm
from funcnet.layers.pooling import avg_pool, max_pool
from funcnet.layers.positional import learned_positions, sinusoidal_positions
from funcnet.layers.recurrent import gru, lstm, rnn
from funcnet.layers.reshaping import flatten

__all__ = [
    "Layer",
    "LayerError",
    "Params",
    "Policy",
    "State",
    "Stateful",
    "as_layer",
    "avg_pool",
    "batch_norm",
    "conv",
    "dense",
    "dropout",
    "embedding",
    "flatten",
    "group_norm",
    "gru",
    "layer_norm",
    "learned_positions",
    "lstm",
    "max_pool",
    "mixed_precision",
    "multi_head_attention",
    "rms_norm",
    "rnn",
    "sinusoidal_positions",
    "stateful",
    "step",
]
