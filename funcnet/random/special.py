"""Special functions as XLA approximates them on the CPU.

Rounding decides more than the last places where a sampler continues with a small difference of results, as in the tails
of a truncated normal distribution. So these functions repeat the operations of XLA: `erf` and `log` bit for bit.

Source:
    erfinv: Giles (2010), Approximating the erfinv function,
    https://people.maths.ox.ac.uk/gilesm/files/gems_erfinv.pdf
    log: Moshier (1992), Cephes, logf.c, https://www.netlib.org/cephes/
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from funcnet import _torch
from funcnet.random import native
from funcnet.random.polynomials import ERF_A, ERF_B, ERF_END, LOG, LOG2_HIGH, LOG2_LOW, PIECES, Piece

_TINY = torch.finfo(torch.float32).tiny


def normal_quantile(u: Tensor) -> Tensor:
    """Compute sqrt(2) erfinv(u), the normal number for u uniform on (-1, 1), for float32 or float64."""
    if library := native.library(u):
        function = library.quantile32 if u.dtype == torch.float32 else library.quantile64
        u = u.contiguous()
        w = (-u).mul_(u).log1p_().neg_()
        if native.call(function, u, w, 0, u.numel()):  # some numbers need the root
            native.call(function, u, w, _root(w), u.numel())
        return w
    return u.new_full((), math.sqrt(2)) * erfinv(u)


def erfinv(u: Tensor) -> Tensor:
    """Compute u p(w), with w = -log(1 - u^2) and p a piecewise polynomial in w or sqrt(w), for float32 or float64.

    torch.erfinv differs from it by up to 91 units in the last place in float32, and by far more in the float64 tails.
    """
    first, *tails = PIECES[u.dtype]
    w, root = _logarithm(u)
    p = _polynomial(first, w)
    for piece in tails:
        p = torch.where(w < piece.start, p, _polynomial(piece, root))
    return u * torch.where(w < math.inf, p, math.inf)


def _logarithm(u: Tensor) -> tuple[Tensor, Tensor]:
    """Return w = -log(1 - u^2), and its root where the polynomials need it."""
    w = -torch.log1p(-u * u)
    return w, _root(w)


def _root(w: Tensor) -> Tensor:
    return w.clamp(min=PIECES[w.dtype][1].start).sqrt()  # the root at w = 0 has no finite derivative


def erf(x: Tensor) -> Tensor:
    """Compute the error function; in float32 as x A(x^2) / B(x^2), with fused multiplications and additions."""
    if x.dtype != torch.float32:
        return torch.erf(x)
    inside = x.clamp(-ERF_END, ERF_END)
    square = inside * inside
    return inside * _fused_horner(ERF_A, square) / _fused_horner(ERF_B, square)


def log(x: Tensor) -> Tensor:
    """Compute the logarithm of finite numbers of at least 0; in float32 as exponent log(2) + log(mantissa).

    Programs are recorded with torch.log, which is faster when compiled and differs by at most 1 unit in the last place.
    """
    if x.dtype != torch.float32 or torch.compiler.is_compiling() or _torch.is_dispatching():
        return torch.log(x)
    if library := native.library(x):
        logs = torch.zeros_like(x, memory_format=torch.contiguous_format)
        native.call(library.log32, x.contiguous(), logs, x.numel())
        return logs
    mantissa, exponent = torch.frexp(x.clamp(min=_TINY))
    is_low = mantissa < math.sqrt(0.5)
    z = torch.where(is_low, mantissa - 1 + mantissa, mantissa - 1)
    e = (exponent - is_low.to(torch.int32)).to(torch.float32)
    square = z * z
    p, *rest = (_fused_horner(triple, z) for triple in LOG)
    for q in rest:
        p = _fused(p, square * z, q)
    logs = z - 0.5 * square + _fused(p, square * z, e * LOG2_LOW) + e * LOG2_HIGH
    return torch.where(x > 0, logs, -math.inf)


def _polynomial(piece: Piece, variable: Tensor) -> Tensor:
    x = variable - piece.centre
    p = piece.coefficients[0] * x + piece.coefficients[1]
    for c in piece.coefficients[2:]:
        p = p * x + c
    return p


def _fused_horner(coefficients: Sequence[float], x: Tensor) -> Tensor:
    first, *rest = torch.tensor(coefficients, dtype=torch.float32, device="cpu").tolist()
    p = torch.full_like(x, first)
    for c in rest:
        p = _fused(p, x, c)
    return p


def _fused(a: Tensor, b: Tensor, c: Tensor | float) -> Tensor:
    """Compute a b + c, rounded once to float32."""
    return (a.double() * b.double() + (c.double() if isinstance(c, Tensor) else c)).float()
