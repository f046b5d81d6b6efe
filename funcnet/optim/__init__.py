"""Optimizers in Optax's vocabulary: pure functions from gradients and a state to updates and the next state."""

from funcnet.optim.base import GradientTransformation, apply_updates
from funcnet.optim.sgd import TraceState, sgd

__all__ = ["GradientTransformation", "TraceState", "apply_updates", "sgd"]
