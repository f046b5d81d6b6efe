"""jax.scipy on torch tensors: special functions, distributions, linear algebra, signals and images."""

from typing import NoReturn

from funcnet.absent_names import absent
from funcnet.scipy import integrate, linalg, ndimage, optimize, signal, sparse, special, stats

__all__ = ["integrate", "linalg", "ndimage", "optimize", "signal", "sparse", "special", "stats"]


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, name)


def __dir__() -> list[str]:
    return __all__
