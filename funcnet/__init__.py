"""JAX's way of writing neural networks, on PyTorch.

A model is a pair of pure functions over a pytree of parameters, gradients come from `torch.func.grad`, batches and
ensembles from `vmap`, and an optimizer step is a function from parameters to parameters.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from torch import Tensor as _Tensor

from funcnet import debug, initializers, losses, optim, random, tree, tree_util
from funcnet.absent_names import absent as _absent
from funcnet.checkpoint import checkpoint
from funcnet.combinators import mlp, parallel, residual, serial
from funcnet.compiler import Explanation, Jit, StagingError, disable_jit, eval_shape, jit, make_program
from funcnet.compiler.progress import drawers as _drawers
from funcnet.control_flow import associative_scan, cond, fori_loop, map, scan, select, switch, while_loop
from funcnet.debug import debug_nans, named_scope, pure_callback
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
from funcnet.training import STOP, batches, callbacks, fit, sgd_step
from funcnet.transforms import (
    Vmap,
    all_gather,
    axis_index,
    axis_size,
    checkpoint_name,
    checkpoint_policies,
    custom_jvp,
    custom_linear_solve,
    custom_root,
    custom_vjp,
    grad,
    hessian,
    jacfwd,
    jacobian,
    jacrev,
    jvp,
    linear_transpose,
    linearize,
    pmax,
    pmean,
    pmin,
    psum,
    remat,
    stop_gradient,
    value_and_grad,
    vjp,
    vmap,
)
from funcnet.tree import ShapeDtypeStruct

if TYPE_CHECKING:
    from funcnet import (
        bridge,
        checking,
        curvature,
        distributed,
        flatten_util,
        image,
        lax,
        nn,
        numpy,
        ops,
        report,
        scipy,
    )
    from funcnet.bridge.from_module import from_module
    from funcnet.bridge.to_module import to_module
    from funcnet.curvature import hvp, per_example_grads
    from funcnet.numpy.updates import at
    from funcnet.transfers import block_until_ready, device_get, device_put

__all__ = [
    "STOP",
    "Explanation",
    "Jit",
    "Layer",
    "LayerError",
    "Policy",
    "ShapeDtypeStruct",
    "StagingError",
    "Vmap",
    "all_gather",
    "as_layer",
    "associative_scan",
    "at",
    "avg_pool",
    "axis_index",
    "axis_size",
    "batch_norm",
    "batches",
    "block_until_ready",
    "bridge",
    "callbacks",
    "checking",
    "checkpoint",
    "checkpoint_name",
    "checkpoint_policies",
    "cond",
    "conv",
    "curvature",
    "custom_jvp",
    "custom_linear_solve",
    "custom_root",
    "custom_vjp",
    "debug",
    "debug_nans",
    "dense",
    "device_get",
    "device_put",
    "disable_jit",
    "distributed",
    "dropout",
    "embedding",
    "eval_shape",
    "fit",
    "flatten",
    "flatten_util",
    "fori_loop",
    "from_module",
    "grad",
    "group_norm",
    "gru",
    "hessian",
    "hvp",
    "image",
    "initializers",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "lax",
    "layer_norm",
    "learned_positions",
    "linear_transpose",
    "linearize",
    "losses",
    "lstm",
    "make_program",
    "map",
    "max_pool",
    "mixed_precision",
    "mlp",
    "multi_head_attention",
    "named_scope",
    "nn",
    "numpy",
    "ops",
    "optim",
    "parallel",
    "per_example_grads",
    "pmax",
    "pmean",
    "pmin",
    "psum",
    "pure_callback",
    "random",
    "remat",
    "report",
    "residual",
    "rms_norm",
    "rnn",
    "scan",
    "scipy",
    "select",
    "serial",
    "sgd_step",
    "sinusoidal_positions",
    "stateful",
    "step",
    "stop_gradient",
    "switch",
    "to_module",
    "tree",
    "tree_util",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]

__version__ = "0.1.0"

Array = _Tensor  # the name in annotations of programs for JAX

_drawers.append(lambda description: import_module("funcnet.report").bar(description))

_MODULES_ON_FIRST_USE = (
    *("bridge", "checking", "curvature", "report"),
    *("distributed", "flatten_util", "image", "lax", "nn", "numpy", "ops", "scipy"),
)
_NAMES_ON_FIRST_USE = {
    "at": "funcnet.numpy.updates",
    "block_until_ready": "funcnet.transfers",
    "device_get": "funcnet.transfers",
    "device_put": "funcnet.transfers",
    "from_module": "funcnet.bridge",
    "hvp": "funcnet.curvature",
    "per_example_grads": "funcnet.curvature",
    "to_module": "funcnet.bridge",
}


if not TYPE_CHECKING:  # a type checker then knows which names there are

    def __getattr__(name: str) -> Any:
        """Load on first use what most programs do not need, so that importing the package is fast."""
        if name in _MODULES_ON_FIRST_USE:
            return import_module(f"funcnet.{name}")
        if name in _NAMES_ON_FIRST_USE:
            return getattr(import_module(_NAMES_ON_FIRST_USE[name]), name)
        raise _absent(__name__, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
