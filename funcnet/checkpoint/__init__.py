"""Checkpoints: trees in files that appear whole or not at all, and that execute nothing when they are read.

The name `fn.checkpoint` is also that of JAX's function: `fn.checkpoint(f)` is `fn.remat(f)`.
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

from funcnet.checkpoint.errors import CheckpointError, DamagedCheckpointError
from funcnet.checkpoint.folder import Checkpoints
from funcnet.checkpoint.saving import Checkpoint, load, save
from funcnet.transforms.checkpoint_policies import Policy
from funcnet.transforms.checkpointing import remat

__all__ = ["Checkpoint", "CheckpointError", "Checkpoints", "DamagedCheckpointError", "checkpoint", "load", "save"]


class _Callable(ModuleType):
    """The class of this module, so that it can be called; its attributes are declared for type checkers."""

    Checkpoint, CheckpointError, Checkpoints = Checkpoint, CheckpointError, Checkpoints
    DamagedCheckpointError = DamagedCheckpointError
    load, save = staticmethod(load), staticmethod(save)

    def __call__(
        self, f: Callable[..., Any], *, prevent_cse: bool = True, policy: Policy | None = None, **static: Any
    ) -> Callable[..., Any]:
        """Make a function recompute its intermediate values in the backward pass; see `remat`."""
        return remat(f, prevent_cse=prevent_cse, policy=policy, **static)

    def __reduce__(self) -> str:
        return "checkpoint"


sys.modules[__name__].__class__ = _Callable
checkpoint = cast(_Callable, sys.modules[__name__])


def __dir__() -> list[str]:
    return __all__
