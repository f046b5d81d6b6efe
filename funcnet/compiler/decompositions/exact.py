"""Rules that replace torch's where those lose digits, or differ from its kernels at zeros, infinities and NaN."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.compiler.errors import user_line

aten = torch.ops.aten

# operations that torch's rules compute with a loss of digits; the native backend has functions for them
WHOLE = {
    aten.silu.default,
    aten.gelu_backward.default,
    aten.mish.default,
    aten.softplus.default,
    aten.softplus_backward.default,
    aten.logit.default,
    aten.sinc.default,
    aten.logaddexp.default,
    aten.logaddexp2.default,
    aten.lerp.Scalar,
    aten.lerp.Tensor,
    aten.addcmul.default,
}


def _addmm(x: Tensor, left: Tensor, right: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """Return alpha left right + beta x, as BLAS does: a factor of 0 drops its term, infinities and NaN included."""
    beta, alpha = _factors(x, beta, alpha)
    return _added(x, left, right, beta, alpha) if alpha else _scaled(x, (len(left), *right.shape[1:]), beta)


def _baddbmm(x: Tensor, left: Tensor, right: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    return _added(x, left, right, *_factors(x, beta, alpha))


def _factors(x: Tensor, *factors: Any) -> tuple[Any, ...]:
    """Truncate the factors of integer tensors, as torch does."""
    return factors if x.is_floating_point() or x.is_complex() else tuple(map(int, factors))


def _added(x: Tensor, left: Tensor, right: Tensor, beta: Any, alpha: Any) -> Tensor:
    product = left @ right
    if not left.shape[-1]:
        return _scaled(x, product.shape, beta)  # adding a zero product would turn -0 into 0
    product = product if alpha == 1 else product * alpha
    return product + _scaled(x, x.shape, beta) if beta else product


def _scaled(x: Tensor, shape: Sequence[int], factor: Any) -> Tensor:
    if not factor:
        return torch.zeros(shape, dtype=x.dtype, device=x.device)
    return (x if factor == 1 else x * factor).expand(shape)


def _addbmm(x: Tensor, a: Tensor, b: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """Compute the sum of the matrix products as one product of concatenated matrices."""
    if a.shape[0] != b.shape[0]:
        raise RuntimeError(
            f"addbmm: expected equal numbers of matrices, got {a.shape[0]} and {b.shape[0]}{user_line()}."
        )
    return aten.addmm.default(x, a.movedim(0, 1).flatten(1), b.flatten(0, 1), beta=beta, alpha=alpha)


def _elu_backward(grad: Tensor, alpha: Any, scale: Any, rate: Any, is_result: bool, x: Tensor) -> Tensor:
    """Return NaN at NaN, which torch's rule treats as a large number."""
    slope = x + alpha * scale if is_result else alpha * scale * torch.exp(x * rate)
    return torch.where(x > 0, grad * scale, grad * rate * slope)


def _hardswish(x: Tensor) -> Tensor:
    """Divide first: the product x * relu6(x + 3) may overflow."""
    return x * ((x + 3).clamp(0, 6) / 6)


def _hardswish_backward(grad: Tensor, x: Tensor) -> Tensor:
    return torch.where(x <= -3, 0.0, torch.where(x >= 3, grad, grad * (x / 3 + 0.5)))


def _smooth_l1_backward(grad: Tensor, x: Tensor, target: Tensor, reduction: int, beta: float) -> Tensor:
    difference = x - target
    grad = grad / x.numel() if reduction == 1 else grad
    return torch.where(difference <= -beta, -grad, torch.where(difference >= beta, grad, grad * difference / beta))


def _celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Return a small x itself, because x / alpha may be denormal."""
    return torch.where(x > -1e-30, x, alpha * torch.expm1(x / alpha))


def _divide(x: Tensor, y: Any, *, rounding_mode: str | None = None) -> Any:
    """Round each step of a division of 16-bit floats, except by one number: a quotient may round to an integer."""
    dtype = torch.result_type(x, y)
    is_rounded = dtype in (torch.float16, torch.bfloat16) and isinstance(y, Tensor) and y.numel() > 1
    if rounding_mode is None or not is_rounded:
        return NotImplemented
    a, b = x.to(dtype), y.to(dtype)
    if rounding_mode == "trunc":
        return torch.trunc(a / b)
    rest = torch.fmod(a, b)
    near = (a - rest) / b
    near = torch.where((rest != 0) & ((rest < 0) != (b < 0)), near - 1, near)
    below = torch.floor(near)
    below = torch.where(near - below > 0.5, below + 1, below)
    whole = torch.where(near == 0, torch.copysign(torch.zeros_like(near), a / b), below)
    return torch.where(b == 0, a / b, whole)


def _std_mean(x: Tensor, dim: Any = None, *, correction: Any = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """Compute std directly: the variance may overflow its dtype where the standard deviation does not."""
    deviation: Tensor = aten.std.correction(x, dim, correction=correction, keepdim=keepdim)
    return deviation, aten.mean.dim(x, dim, keepdim)


def _glu_jvp(y: Tensor, x: Tensor, dx: Tensor, dim: int) -> Tensor:
    """Differentiate y = a sigmoid(b), for the halves a and b of x, in the direction dx."""
    gate, (da, db) = x.chunk(2, dim)[1].sigmoid(), dx.chunk(2, dim)
    return da * gate + y * (1 - gate) * db


def _glu_backward_jvp(_: Tensor, grad: Tensor, x: Tensor, dgrad: Tensor, dx: Tensor, dim: int) -> Tensor:
    """Differentiate the gradient of glu, which is (grad gate, grad a gate (1 - gate)) for gate = sigmoid(b)."""
    (a, b), (da, db) = x.chunk(2, dim), dx.chunk(2, dim)
    gate = b.sigmoid()
    slope = gate * (1 - gate)
    first = dgrad * gate + grad * slope * db
    second = slope * (dgrad * a + grad * da + grad * a * (1 - 2 * gate) * db)
    return torch.cat([first, second], dim)


RULES: dict[Any, Callable[..., Any]] = {
    aten.glu_jvp.default: _glu_jvp,
    aten.glu_backward_jvp.default: _glu_backward_jvp,
    aten.addmm.default: _addmm,
    aten.addmv.default: _addmm,
    aten.baddbmm.default: _baddbmm,
    aten.addbmm.default: _addbmm,
    aten.hardswish.default: _hardswish,
    aten.hardswish_backward.default: _hardswish_backward,
    aten.celu.default: _celu,
    aten.elu_backward.default: _elu_backward,
    aten.std_mean.correction: _std_mean,
    aten.div.Tensor_mode: _divide,
    aten.div.Scalar_mode: _divide,
    aten.smooth_l1_loss_backward.default: _smooth_l1_backward,
}
