"""Layers: pairs of pure functions, `init(key, x) -> params` and `apply(params, x, *, key=None) -> y`.

x in `init` is an example input, of which only shape and dtype matter. Layers act on the trailing axes and accept any
leading ones. A key given to `apply` switches randomness on; without one, every layer is deterministic.
"""

from funcnet.layers.base import Layer, LayerError, Params, as_layer
from funcnet.layers.linear import dense, embedding
from funcnet.layers.normalisation import layer_norm, rms_norm
from funcnet.layers.plain import dropout, flatten, step

__all__ = [
    "Layer",
    "LayerError",
    "Params",
    "as_layer",
    "dense",
    "dropout",
    "embedding",
    "flatten",
    "layer_norm",
    "rms_norm",
    "step",
]
