"""jax.scipy on torch tensors: special functions, distributions, linear algebra, signals, images and interpolation."""

from typing import NoReturn

from funcnet.absent_names import absent
from funcnet.scipy import (
    cluster,
    fft,
    integrate,
    interpolate,
    linalg,
    ndimage,
    optimize,
    signal,
    sparse,
    special,
    stats,
)

__all__ = [
    "cluster", "fft", "integrate", "interpolate", "linalg", "ndimage", "optimize", "signal", "sparse", "special",
    "stats",
]  # fmt: skip


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, name)


def __dir__() -> list[str]:
    return __all__
