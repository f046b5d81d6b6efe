"""JAX's way of writing neural networks, on PyTorch.

A model is a pair of pure functions over a pytree of parameters, gradients come from `torch.func.grad`, batches and
ensembles from `vmap`, and an optimizer step is a function from parameters to parameters.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from funcnet import checking, initializers, losses, optim, random, tree
from funcnet.combinators import parallel, residual, serial
from funcnet.compiler import Explanation, Jit, StagingError, jit
from funcnet.layers import (
    Layer,
    LayerError,
    as_layer,
    dense,
    dropout,
    embedding,
    flatten,
    layer_norm,
    rms_norm,
    stateful,
    step,
)
from funcnet.loops import scan
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
    from funcnet import report

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
    "stateful",
    "step",
    "tree",
    "value_and_grad",
    "vjp",
    "vmap",
]


def __getattr__(name: str) -> Any:
    """Load `report` when it is first used: rich is a third of the time that importing all of this takes."""
    if name == "report":
        return import_module("funcnet.report")
    raise AttributeError(f"module 'funcnet' has no attribute {name!r}")
