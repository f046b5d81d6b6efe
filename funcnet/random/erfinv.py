"""The inverse of the error function, as XLA approximates it."""

import math

import torch
from torch import Tensor

from funcnet.random import native
from funcnet.random.erfinv_pieces import PIECES, Piece


def erfinv(u: Tensor) -> Tensor:
    """Compute u p(w), with w = -log(1 - u^2) and p a piecewise polynomial in w or sqrt(w), for float32 or float64.

    torch.erfinv differs from it by up to 91 units in the last place in float32, and by far more in the float64 tails.
    """
    first, *tails = PIECES[u.dtype]
    w = -torch.log1p(-u * u)
    root = w.clamp(min=tails[0].start).sqrt()  # the clamp keeps the gradient finite at w = 0, where root is unused
    if library := native.library(u):
        native.call(library.erfinv32 if u.dtype == torch.float32 else library.erfinv64, u.contiguous(), w, root, u.numel())
        return w
    p = _polynomial(first, w)
    for piece in tails:
        p = torch.where(w < piece.start, p, _polynomial(piece, root))
    return u * torch.where(w < math.inf, p, math.inf)


def _polynomial(piece: Piece, variable: Tensor) -> Tensor:
    x = variable - piece.centre
    p = piece.coefficients[0] * x + piece.coefficients[1]
    for c in piece.coefficients[2:]:
        p = p * x + c
    return p
