"""The nearest vectors of a code book: jax.scipy.cluster.vq."""

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, floating

__all__ = ["vq"]


def vq(obs: ArrayLike, code_book: ArrayLike, check_finite: bool = True) -> tuple[Tensor, Tensor]:
    """Find the nearest code for each observation.

    Args:
        obs: (M, N) or (M,): observations.
        code_book: (K, N) or (K,): codes.
        check_finite: Has no effect, as in JAX.
    Returns:
        (M,): the indices of the nearest codes, as int32, and (M,): the distances to them.
    Raises:
        ValueError: The shapes do not fit.
    Example:
        >>> fn.scipy.cluster.vq.vq(torch.tensor([1.2, 5.0]), torch.tensor([1.0, 2.0, 4.0]))
        (tensor([0, 2], dtype=torch.int32), tensor([0.2000, 1.0000]))
    """
    x, codes = floating("vq", obs, code_book)
    if x.ndim == codes.ndim == 1:
        x, codes = x[:, None], codes[:, None]
    if x.ndim != 2 or codes.ndim != 2 or x.shape[1] != codes.shape[1]:
        shapes = f"{tuple(x.shape)} and {tuple(codes.shape)}"
        raise ValueError(f"vq: expected obs of shape (M, N) and code_book of shape (K, N), got {shapes}.")
    distances = torch.linalg.vector_norm(x[:, None] - codes, dim=-1)
    nearest = torch.min(distances, -1)
    return nearest.indices.to(torch.int32), nearest.values


def __dir__() -> list[str]:
    return __all__
