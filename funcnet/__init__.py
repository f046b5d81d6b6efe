"""JAX's way of writing neural networks, on PyTorch.

A model is a pair of pure functions over a pytree of parameters, gradients come from `torch.func.grad`, batches and
ensembles from `vmap`, and an optimizer step is a function from parameters to parameters.
"""

from funcnet import checking, initializers, losses, optim, random, report, tree
from funcnet.combinators import parallel, residual, serial
from funcnet.compiler import Explanation, Jit, StagingError, jit
from funcnet.layers import Layer, LayerError, as_layer, dense, dropout, embedding, flatten, layer_norm, rms_norm, step
from funcnet.training import batches, scan, sgd_step
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

__all__ = [
    "Explanation",
    "Jit",
    "Layer",
    "LayerError",
    "StagingError",
    "Vmap",
    "as_layer",
    "batches",
    "checking",
    "dense",
    "dropout",
    "embedding",
    "flatten",
    "grad",
    "hessian",
    "initializers",
    "jacfwd",
    "jacrev",
    "jit",
    "jvp",
    "layer_norm",
    "linearize",
    "losses",
    "optim",
    "parallel",
    "random",
    "remat",
    "report",
    "residual",
    "rms_norm",
    "scan",
    "serial",
    "sgd_step",
    "step",
    "tree",
    "value_and_grad",
    "vjp",
    "vmap",
]
