"""JAX's way of writing neural networks, on PyTorch.

A model is a pair of pure functions over a pytree of parameters, gradients come from `torch.func.grad`, batches and
ensembles from `vmap`, and an optimizer step is a function from parameters to parameters.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from funcnet import bridge, checking, curvature, initializers, losses, optim, random, tree
from funcnet.bridge import from_module, to_module
from funcnet.combinators import mlp, parallel, residual, serial
from funcnet.compiler import Explanation, Jit, StagingError, jit
from funcnet.curvature import hvp, per_example_grads
from funcnet.layers import (
    Layer,
    LayerError,
    Policy,
    as_layer,
    avg_pool,
    batch_norm,
    conv,
    dense,
    dropout,
    embedding,
    flatten,
    group_norm,
    gru,
    layer_norm,
    learned_positions,
    lstm,
    max_pool,
    mixed_precision,
    multi_head_attention,
    rms_norm,
    rnn,
    sinusoidal_positions,
    stateful,
    step,
)
from funcnet.scan import scan
from funcnet.training import batches, sgd_step
from funcnet.transforms import (
    Vmap,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    remat,
    value_and_grad,
    vjp,
    vmap,
)

if TYPE_CHECKING:
    from funcnet import lax, nn, numpy, report, scipy
    from funcnet.numpy.updates import at

__all__ = [
    "Explanation",
    "Jit",
    "Layer",
    "LayerError",
    "Policy",
    "StagingError",
    "Vmap",
    "as_layer",
    "at",
    "avg_pool",
    "batch_norm",
    "batches",
    "bridge",
    "checking",
    "conv",
    "curvature",
    "dense",
    "dropout",
    "embedding",
    "flatten",
    "from_module",
    "grad",
    "group_norm",
    "gru",
    "hessian",
    "hvp",
    "initializers",
    "jacfwd",
    "jacrev",
    "jit",
    "jvp",
    "lax",
    "layer_norm",
    "learned_positions",
    "linearize",
    "losses",
    "lstm",
    "max_pool",
    "mixed_precision",
    "mlp",
    "multi_head_attention",
    "nn",
    "numpy",
    "optim",
    "parallel",
    "per_example_grads",
    "random",
    "remat",
    "report",
    "residual",
    "rms_norm",
    "rnn",
    "scan",
    "scipy",
    "serial",
    "sgd_step",
    "sinusoidal_positions",
    "stateful",
    "step",
    "to_module",
    "tree",
    "value_and_grad",
    "vjp",
    "vmap",
]


_ON_FIRST_USE = ("lax", "nn", "numpy", "report", "scipy")


def __getattr__(name: str) -> Any:
    """Load on first use: `report`, as rich takes a third of the package's import time, and the dialect of JAX."""
    if name in _ON_FIRST_USE:
        return import_module(f"funcnet.{name}")
    if name == "at":
        return import_module("funcnet.numpy.updates").at
    raise AttributeError(f"module 'funcnet' has no attribute {name!r}")
