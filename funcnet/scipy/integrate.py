"""Integrals of sampled functions, and ordinary differential equations: jax.scipy.integrate and its `odeint`."""

from funcnet.numpy import trapezoid
from funcnet.scipy.odes import odeint

__all__ = ["odeint", "trapezoid"]


def __dir__() -> list[str]:
    return __all__
