"""Integrals of sampled functions: jax.scipy.integrate."""

from funcnet.numpy import trapezoid

__all__ = ["trapezoid"]


def __dir__() -> list[str]:
    return __all__
