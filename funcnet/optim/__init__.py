"""Optimizers in Optax's vocabulary: pure functions from gradients and a state to updates and the next state.

`base` has the protocol; `transforms` are parts of optimizers, `algorithms` whole ones, `wrappers` change a whole one.
`torch.load` reads every state with its default, weights_only=True, once this package has been imported.

A new optimizer touches these files, in order:
    1. A file in algorithms/ (or transforms/, wrappers/): a NamedTuple for its state, and a builder that returns
       `GradientTransformation(init, update)`. Hyper-parameters may be tensors; `ranges` checks them.
    2. The `__all__` of that folder's `__init__`; from there it is public here.
    3. tests/tables.py: a row of OPTIMIZERS, which crosses it with every law, jit, vmap and saved states.
    4. tests/optim/test_torch.py or test_optax.py: the trajectory of its model in float64.
"""

from torch.serialization import add_safe_globals

from funcnet.optim import algorithms, linesearch, projections, schedules, transforms, wrappers
from funcnet.optim.algorithms import *
from funcnet.optim.base import (
    GradientTransformation,
    apply_updates,
    global_norm,
    identity,
    incremental_update,
    set_to_zero,
    stateless,
)
from funcnet.optim.linesearch import *
from funcnet.optim.schedules import *
from funcnet.optim.transforms import *
from funcnet.optim.wrappers import *

__all__ = [
    "GradientTransformation",
    "apply_updates",
    "global_norm",
    "identity",
    "incremental_update",
    "projections",
    "schedules",
    "set_to_zero",
    "stateless",
]
__all__ += algorithms.__all__
__all__ += linesearch.__all__
__all__ += schedules.__all__
__all__ += transforms.__all__
__all__ += wrappers.__all__


def _states() -> list[type]:
    """List the public classes that states consist of; a transformation holds functions and is not among them."""
    public = (globals()[name] for name in __all__ if name != "GradientTransformation")
    return [kind for kind in public if isinstance(kind, type) and issubclass(kind, tuple)]


def _register(state: type) -> None:
    """Let checkpoints name a state by this package instead of its file, and read those that name its first file."""
    files = state.__module__.split(".")[2:]
    add_safe_globals([(state, f"{__name__}.{file}.{state.__name__}") for file in files])
    state.__module__ = __name__
    add_safe_globals([state])


for _state in _states():
    _register(_state)
