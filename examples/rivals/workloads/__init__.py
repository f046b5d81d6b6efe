"""Workloads whose text is the same for funcnet and for JAX: each takes the module, `funcnet` or `jax`, as `lib`.

JAX's interpreter imports this package as well, so it imports neither torch nor funcnet.
"""

from .calls import calls, draws, loops
from .goals import CAUSES, GOALS, NEXT_TO_TORCH, TRACING
from .operations import operations
from .parts import Work
from .programs import growing, programs, sweeps

__all__ = [
    "CAUSES",
    "GOALS",
    "NEXT_TO_TORCH",
    "TRACING",
    "Work",
    "calls",
    "draws",
    "growing",
    "loops",
    "operations",
    "programs",
    "sweeps",
]
