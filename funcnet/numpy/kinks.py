"""Functions that are not differentiable everywhere, with the derivatives of JAX at those points.

torch gives 0 as the derivative of abs at 0, and NaN as that of hypot at the origin. These are the derivatives of one
side, or means of both. Where nothing differentiates or records a call, torch's functions have the same values, sooner.
"""

import torch
from torch import Tensor

from funcnet.transforms import transformed


def _has_derivative(*xs: Tensor) -> bool:
    return transformed() or any(x.requires_grad for x in xs)


def absolute(x: Tensor) -> Tensor:
    """abs(x); its derivative at 0 is 1."""
    if x.dtype == torch.bool:
        return x
    if not x.is_floating_point() or not _has_derivative(x):
        return torch.abs(x)
    return torch.where(x < 0, -x, x + 0.0)  # of -0.0 it is 0.0


def copysign(x: Tensor, y: Tensor) -> Tensor:
    """x with the sign of y; its derivative at x = 0 is the sign of y."""
    if not _has_derivative(x, y):
        return torch.copysign(x, y)
    size = absolute(x)
    return torch.where(torch.signbit(y), -size, size)


def hypot(x: Tensor, y: Tensor) -> Tensor:
    """sqrt(x^2 + y^2); its derivatives at the origin are 1/2."""
    if not _has_derivative(x, y):
        return torch.hypot(x, y)
    is_origin = (x == 0) & (y == 0)
    length = torch.hypot(torch.where(is_origin, 1.0, x), torch.where(is_origin, 1.0, y))
    return torch.where(is_origin, (x + y) / 2 + 0.0, length)  # of -0.0 it is 0.0


def cbrt(x: Tensor) -> Tensor:
    """The cube root; its derivative at 0 is infinite."""
    root = absolute(x).pow(1 / 3)
    return torch.where(x < 0, -root, root)


def fmax(x: Tensor, y: Tensor) -> Tensor:
    """The larger number, or the one that is not NaN; where they are equal the derivative is that of y."""
    return torch.where((x > y) | torch.isnan(y), x, y) if _chooses_sides(x, y) else torch.fmax(y, x)


def fmin(x: Tensor, y: Tensor) -> Tensor:
    """The smaller number, or the one that is not NaN; where they are equal the derivative is that of y."""
    return torch.where((x < y) | torch.isnan(y), x, y) if _chooses_sides(x, y) else torch.fmin(y, x)


def _chooses_sides(x: Tensor, y: Tensor) -> bool:
    """Tell whether torch.fmax(y, x) may differ: in derivatives or, for bfloat16, in the sign of a zero."""
    return x.dtype == torch.bfloat16 or _has_derivative(x, y)


def clamp(least: Tensor, x: Tensor, largest: Tensor) -> Tensor:
    """x limited to [least, largest]; where it equals a limit all derivatives are 0."""
    limited = torch.minimum(torch.maximum(x, least), largest)
    if not x.is_floating_point() or not _has_derivative(least, x, largest):
        return limited
    at_limit = (x == least) | (x == largest) | (least == largest)
    return torch.where(at_limit, limited.detach(), limited)
