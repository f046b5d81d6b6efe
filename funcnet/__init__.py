"""JAX's way of writing neural networks, on PyTorch.

A model is a pair of pure functions over a pytree of parameters, gradients come from `torch.func.grad`, batches and
ensembles from `vmap`, and an optimizer step is a function from parameters to parameters.
"""

from funcnet import tree
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
    "Vmap",
    "grad",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "remat",
    "tree",
    "value_and_grad",
    "vjp",
    "vmap",
]
