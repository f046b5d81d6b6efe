"""jax.scipy on torch tensors: special functions, distributions, linear algebra, signals and images."""

from funcnet.scipy import integrate, linalg, ndimage, signal, sparse, special, stats

__all__ = ["integrate", "linalg", "ndimage", "signal", "sparse", "special", "stats"]


def __dir__() -> list[str]:
    return __all__
