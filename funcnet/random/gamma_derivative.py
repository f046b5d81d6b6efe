"""The derivative of gamma numbers in the shape parameter of their distribution."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch
from funcnet.control_flow import while_loop

_Series = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def with_derivative(value: Tensor, a: Tensor, x: Tensor, *, is_log: bool = False) -> Tensor:
    """Return a value that has the derivative in `a` of gamma numbers x of a, or of their logarithms."""
    apply: Callable[..., Tensor] = _Implicit.apply
    return apply(value, a, x, is_log) if _torch.has_derivative(a) else value


class _Implicit(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, a: Tensor, x: Tensor, is_log: bool) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        _, a, x, ctx.is_log = inputs
        ctx.save_for_backward(a, x)
        ctx.save_for_forward(a, x)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Any:
        return None, cotangent * _slope(ctx), None, None

    @staticmethod
    def jvp(ctx: Any, of_value: Any, tangent: Tensor, *others: Any) -> Tensor:
        return tangent * _slope(ctx)


def _slope(ctx: Any) -> Tensor:
    a, x = ctx.saved_tensors
    wide = x.double().clamp(min=torch.finfo(torch.float32).tiny)
    slope = implicit_derivative(a.double(), wide)
    return (slope / wide if ctx.is_log else slope).to(x.dtype)


def implicit_derivative(a: Tensor, x: Tensor) -> Tensor:
    """Compute dx/da = -(dF/da) / (dF/dx) with F(x, a) the distribution function of gamma numbers.

    F = dF/dx (x / a) s, with s = sum of t_n and t_n = x^n / ((a + 1) ... (a + n)). So
    dx/da = -(x / a) (s (log x - digamma(a + 1)) + ds/da), with ds/da = -sum of t_n (1 / (a + 1) + ... + 1 / (a + n)).

    Args:
        a, x: float64 tensors of one shape, positive.
    """

    def step(series: _Series) -> _Series:
        n, t, harmonic, s, slope = series
        t, harmonic = t * x / (a + n), harmonic + 1 / (a + n)
        return n + 1, t, harmonic, s + t, slope - t * harmonic

    def is_longer(series: _Series) -> Tensor:
        n, t, harmonic, s, _ = series
        return ((t * (1 + harmonic) > 1e-17 * s) & (n < _LONGEST)).any()

    zero = torch.zeros_like(x)
    _, _, _, s, slope = while_loop(is_longer, step, (zero + 1, zero + 1, zero, zero + 1, zero))
    return -x / a * (s * (x.log() - torch.digamma(a + 1)) + slope)


_LONGEST = 1e6  # terms, for numbers that are not finite
