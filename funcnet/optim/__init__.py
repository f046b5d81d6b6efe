"""Optimizers in Optax's vocabulary: pure functions from gradients and a state to updates and the next state.

`base` defines the protocol; `transforms` holds parts of optimizers, `algorithms` whole optimizers, and `wrappers`
transformations of whole optimizers. Once this package has been imported, `torch.load` reads every state with its
default, weights_only=True.

Optax's top-level names of losses, such as `optim.l2_loss`, are those of `funcnet.losses`.

A new optimizer touches these files, in order:
    1. A file in algorithms/ (or transforms/, wrappers/): a NamedTuple for its state, and a builder that returns
       `GradientTransformation(init, update)`. Hyper-parameters may be tensors; `ranges` checks them.
    2. The `__all__` of that folder's `__init__`; this package exports it from there.
    3. tests/tables.py: a row of OPTIMIZERS, which crosses it with every law, jit, vmap and saved states.
    4. tests/optim/test_torch.py or test_optax.py: its trajectory against the reference in float64.
"""

from typing import Any

from torch.serialization import add_safe_globals

from funcnet import losses
from funcnet.absent_names import absent
from funcnet.optim import (
    algorithms,
    assignment,
    contrib,
    linear_algebra,
    linesearch,
    perturbations,
    projections,
    schedules,
    transforms,
    tree,
    tree_utils,
    wrappers,
)
from funcnet.optim.algorithms import *
from funcnet.optim.base import (
    EmptyState,
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    ScalarOrSchedule,
    Schedule,
    Updates,
    apply_updates,
    global_norm,
    identity,
    incremental_update,
    set_to_zero,
    stateless,
    stateless_with_tree_map,
)
from funcnet.optim.extra_args import with_extra_args_support
from funcnet.optim.linear_algebra import *
from funcnet.optim.linesearch import *
from funcnet.optim.numerics import (
    periodic_update,
    safe_increment,
    safe_int32_increment,
    safe_norm,
    safe_root_mean_squares,
    scale_gradient,
)
from funcnet.optim.rates import learning_rate
from funcnet.optim.schedules import *
from funcnet.optim.transforms import *
from funcnet.optim.tree import bias_correction, update_infinity_moment, update_moment, update_moment_per_elem_norm
from funcnet.optim.tree_utils import tree_map_params
from funcnet.optim.wrappers import *

__all__ = [
    "EmptyState",
    "GradientTransformation",
    "GradientTransformationExtraArgs",
    "OptState",
    "Params",
    "ScalarOrSchedule",
    "Schedule",
    "Updates",
    "apply_updates",
    "assignment",
    "bias_correction",
    "contrib",
    "global_norm",
    "identity",
    "incremental_update",
    "learning_rate",
    "losses",
    "periodic_update",
    "perturbations",
    "projections",
    "safe_increment",
    "safe_int32_increment",
    "safe_norm",
    "safe_root_mean_squares",
    "scale_gradient",
    "schedules",
    "set_to_zero",
    "stateless",
    "stateless_with_tree_map",
    "tree",
    "tree_map_params",
    "tree_utils",
    "update_infinity_moment",
    "update_moment",
    "update_moment_per_elem_norm",
    "with_extra_args_support",
]
__all__ += algorithms.__all__
__all__ += linear_algebra.__all__
__all__ += linesearch.__all__
__all__ += schedules.__all__
__all__ += transforms.__all__
__all__ += wrappers.__all__


def __getattr__(name: str) -> Any:
    if name in losses.__all__:
        return getattr(losses, name)
    raise absent(__name__, name)


def __dir__() -> list[str]:  # help shows no states: each has fifty lines of methods of tuples
    return sorted({*__all__} - {state.__name__ for state in _states()})


def _states() -> list[type]:
    """List the public classes that occur in states; transformations hold functions and are not among them."""
    public = (globals()[name] for name in __all__)
    kinds = [kind for kind in public if isinstance(kind, type) and issubclass(kind, tuple)]
    return [kind for kind in kinds if kind is not GradientTransformation]


def _register(state: type) -> None:
    """Save a state class under this package's name instead of its file's, and read checkpoints with its old name."""
    files = state.__module__.split(".")[2:]
    add_safe_globals([(state, f"{__name__}.{file}.{state.__name__}") for file in files])
    state.__module__ = __name__
    add_safe_globals([state])


for _state in _states():
    _register(_state)
