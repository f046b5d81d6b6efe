"""Bits of integers in arrays of bytes."""

from collections.abc import Callable

import torch
from torch import Tensor

from funcnet.numpy.axes import flat, one_axis
from funcnet.numpy.promotion import ArrayLike, as_tensor

__all__ = ["packbits", "unpackbits"]


def packbits(a: ArrayLike, axis: int | None = None, bitorder: str = "big") -> Tensor:
    """Bytes, uint8, of eight bits each along an axis, filled up with zeros; of the flattened array without an axis.

    Args:
        a: Integers or bools; each is a bit, set unless it is 0.
        axis: The axis.
        bitorder: "big": the first bit is the highest one; "little": the lowest.
    Raises:
        TypeError: a has floating-point or complex numbers.
        ValueError: The bitorder is unknown.
    Example:
        >>> from funcnet import numpy as jnp
        >>> jnp.packbits(torch.tensor([1, 0, 0, 0, 0, 1, 0, 1, 1]))
        tensor([133, 128], dtype=torch.uint8)
    """
    x, along = _bytes_along("packbits", as_tensor("packbits", a), axis)
    bits = torch.nn.functional.pad((x != 0).to(torch.int32), (0, -x.shape[-1] % 8))
    places = _places("packbits", bitorder, x.device)
    total = (bits.unflatten(-1, (-1, 8)) << places).sum(-1, dtype=torch.int32)
    return torch.movedim(total.to(torch.uint8), -1, along)


def unpackbits(a: ArrayLike, axis: int | None = None, count: int | None = None, bitorder: str = "big") -> Tensor:
    """The bits of bytes along an axis, as uint8; of the flattened array without an axis.

    Args:
        a: Bytes, uint8.
        axis: The axis.
        count: How many bits to return: more are zeros, a negative number leaves out that many at the end.
        bitorder: As in `packbits`.
    Raises:
        TypeError: a is not of uint8.
        ValueError: The bitorder is unknown.
    """
    x = as_tensor("unpackbits", a)
    if x.dtype != torch.uint8:
        raise TypeError(f"unpackbits: expected an array of uint8, got {x.dtype}.")
    x, along = _bytes_along("unpackbits", x, axis)
    places = _places("unpackbits", bitorder, x.device)
    bits = ((x.to(torch.int32)[..., None] >> places) & 1).flatten(-2).to(torch.uint8)
    if count is not None:
        kept = count if count >= 0 else max(bits.shape[-1] + count, 0)
        bits = torch.nn.functional.pad(bits, (0, kept - bits.shape[-1]))
    return torch.movedim(bits, -1, along)


def _bytes_along(name: str, x: Tensor, axis: int | None) -> tuple[Tensor, int]:
    """Return the array with an axis moved to the end, and the axis."""
    if x.is_floating_point() or x.is_complex():
        raise TypeError(f"{name}: expected integers or bools, got {x.dtype}.")
    x, along = flat(x, axis)
    return torch.movedim(x, one_axis(name, along, x.ndim), -1), along


def _places(name: str, bitorder: str, device: torch.device) -> Tensor:
    orders: dict[str, Callable[[Tensor], Tensor]] = {"little": lambda x: x, "big": lambda x: 7 - x}
    if bitorder not in orders:
        raise ValueError(f"{name}: expected bitorder to be 'big' or 'little', got {bitorder!r}.")
    return orders[bitorder](torch.arange(8, dtype=torch.int32, device=device))
