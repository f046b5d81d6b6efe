"""Functions of torch's that ask for values in Python to check their arguments, with checks that ask for none.

Under vmap there is one value per example, and a function that is traced has none yet.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet._torch import unwrapped

aten = torch.ops.aten

_FALSE = "Expected Tensor with single nonzero value, but got zero"


def require(condition: Tensor, message: str = _FALSE) -> None:
    """Check that a condition, one number, is not zero, for all examples of the batches around it."""
    if condition.numel() != 1:
        raise RuntimeError(f"expected a condition of one element, got one of shape {tuple(condition.shape)}.")
    found = unwrapped(condition)
    found = found if found.dtype == torch.bool else found != 0
    aten._assert_async.msg(found if found.ndim == 0 else found.all(), message)


def _gaussian_nll_loss(
    x: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(log var + (x - target)² / var) / 2, where the gradient does not see that var is at least eps."""
    function = torch.nn.functional.gaussian_nll_loss
    if not isinstance(var, Tensor) or reduction not in ("none", "mean", "sum"):
        return function(x, target, var, full=full, eps=eps, reduction=reduction)
    require(~(var < 0).any(), "var has negative entry/entries")
    if var.shape != x.shape and var.shape == x.shape[:-1]:
        var = var[..., None]
    shared = [size for n, size in zip(x.shape, var.shape, strict=False) if n != size]
    if x.ndim != var.ndim or shared not in ([], [1]):
        raise ValueError("var is of incorrect size")
    var = torch.where(var < eps, var + (eps - var).detach(), var)
    loss = (var.log() + (x - target) ** 2 / var) / 2 + (math.log(2 * math.pi) / 2 if full else 0)
    return loss if reduction == "none" else getattr(loss, reduction)()


def _cov(x: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None) -> Tensor:
    """Σ w (x - mean) (x - mean)ᴴ / (Σ w - correction Σ w a / Σ w) with weights w = f a, of the columns of x."""
    if x.ndim > 2 or x.dtype == torch.bool:
        raise RuntimeError(f"cov(): expected at most two axes and not bool, got {tuple(x.shape)} of {x.dtype}.")
    rows = torch.atleast_2d(x)
    weights, total = _weights(rows.shape[1], fweights, aweights)
    lost = correction if aweights is None or not correction else correction * (weights * aweights).sum() / total
    rows = rows if rows.is_floating_point() or rows.is_complex() else rows.to(torch.get_default_dtype())
    centred = rows - (rows * weights).sum(1, keepdim=True) / total
    product = centred @ (centred * weights).mH
    return (product / torch.clamp_min(torch.as_tensor(total - lost), 0)).squeeze()


def _weights(count: int, frequencies: Tensor | None, importance: Tensor | None) -> tuple[Any, Any]:
    """Return the weights of columns and their sum, checked."""
    weights: Any = 1
    for name, given in (("fweights", frequencies), ("aweights", importance)):
        if given is not None:
            if given.shape != (count,) or given.is_floating_point() != (name == "aweights"):
                raise RuntimeError(
                    f"cov(): expected {name} of shape ({count},), the number of columns, and integers as fweights or"
                    f" floating-point numbers as aweights, got {tuple(given.shape)} of {given.dtype}."
                )
            require((given >= 0).all(), f"cov(): {name} cannot be negative")
            weights = weights * given
    if isinstance(weights, int):
        return weights, count
    total = weights.sum()
    require(total != 0, "cov(): weights sum to zero, can't be normalized")
    return weights, total


def _corrcoef(x: Tensor) -> Tensor:
    c = _cov(x)
    if not c.ndim:
        return c / c
    scale = c.diagonal().real.sqrt() if c.is_complex() else c.diagonal().sqrt()
    c = c / scale[:, None] / scale
    return torch.complex(c.real.clamp(-1, 1), c.imag.clamp(-1, 1)) if c.is_complex() else c.clamp(-1, 1)


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    torch.nn.functional.gaussian_nll_loss: _gaussian_nll_loss,
    **dict.fromkeys((torch.cov, Tensor.cov), _cov),
    **dict.fromkeys((torch.corrcoef, Tensor.corrcoef), _corrcoef),
}
