"""Layers: pairs of pure functions, `init(key, x) -> params` and `apply(params, x, *, key=None) -> y`.

x in `init` is an example input, of which only shape and dtype matter. Layers act on the trailing axes and accept any
leading ones. A key given to `apply` switches randomness on; without one, every layer is deterministic.

A layer with state has the forms `init_with_state(key, x) -> (params, state)` and `apply_with_state(params, state, x, *,
key=None, train) -> (y, state)`, in which every other layer works as well.
"""

from funcnet.layers.base import Layer, LayerError, Params, State, Stateful, as_layer, stateful
from funcnet.layers.linear import dense, embedding
from funcnet.layers.normalisation import layer_norm, rms_norm
from funcnet.layers.plain import dropout, flatten, step

__all__ = [
    "Layer",
    "LayerError",
    "Params",
    "State",
    "Stateful",
    "as_layer",
    "dense",
    "dropout",
    "embedding",
    "flatten",
    "layer_norm",
    "rms_norm",
    "stateful",
    "step",
]
