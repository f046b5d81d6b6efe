"""jax.scipy on torch tensors: special functions, distributions, linear algebra, signals and images."""

from typing import TYPE_CHECKING

from funcnet.absent_names import absent
from funcnet.scipy import integrate, linalg, ndimage, optimize, signal, sparse, special, stats

__all__ = ["integrate", "linalg", "ndimage", "optimize", "signal", "sparse", "special", "stats"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        raise absent(__name__, name)


def __dir__() -> list[str]:
    return __all__
