"""jax.scipy on torch tensors: special functions, distributions, and linear algebra."""

from funcnet.scipy import linalg, special, stats

__all__ = ["linalg", "special", "stats"]


def __dir__() -> list[str]:
    return __all__
