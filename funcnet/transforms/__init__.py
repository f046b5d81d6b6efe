"""Function transformations on pytrees: those of torch.func, without its limits on arguments and results.

Every transformation flattens the arguments before torch.func sees them and rebuilds them inside, so arguments and
results are arbitrary pytrees. Derivatives are taken with respect to floating-point and complex tensors; every other
leaf passes through unchanged, and its entry in a gradient, tangent or Jacobian is None.
"""

from funcnet.transforms import checkpoint_policies, linear_systems
from funcnet.transforms.batching import Vmap, vmap
from funcnet.transforms.checkpoint_policies import checkpoint_name
from funcnet.transforms.checkpointing import remat
from funcnet.transforms.collectives import all_gather, axis_index, axis_size, pmax, pmean, pmin, psum
from funcnet.transforms.custom_derivatives import custom_jvp, custom_vjp, stop_gradient
from funcnet.transforms.derivatives import jvp, linearize, vjp
from funcnet.transforms.flatten import transformed
from funcnet.transforms.gradients import grad, value_and_grad
from funcnet.transforms.implicit import custom_linear_solve, custom_root
from funcnet.transforms.jacobians import hessian, jacfwd, jacobian, jacrev
from funcnet.transforms.transposition import linear_transpose

__all__ = [
    "Vmap",
    "all_gather",
    "axis_index",
    "axis_size",
    "checkpoint_name",
    "checkpoint_policies",
    "custom_jvp",
    "custom_linear_solve",
    "custom_root",
    "custom_vjp",
    "grad",
    "hessian",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jvp",
    "linear_transpose",
    "linearize",
    "pmax",
    "pmean",
    "pmin",
    "psum",
    "remat",
    "stop_gradient",
    "transformed",
    "value_and_grad",
    "vjp",
    "vmap",
]

linear_systems.register()
