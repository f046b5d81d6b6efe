"""Linear systems with matrices that are given by their products: jax.scipy.sparse."""

from funcnet.scipy.sparse import linalg

__all__ = ["linalg"]


def __dir__() -> list[str]:
    return __all__
