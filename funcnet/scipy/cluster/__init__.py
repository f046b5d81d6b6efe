"""Vector quantization: jax.scipy.cluster."""

from funcnet.scipy.cluster import vq

__all__ = ["vq"]


def __dir__() -> list[str]:
    return __all__
