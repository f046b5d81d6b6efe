"""Replacements for torch functions that read values in Python to check their arguments; the checks here do not.

Under vmap there is one value per example, and during tracing values are not known yet.
"""

import math
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from funcnet._torch import assert_async, is_all_true
from funcnet.transforms import functional_kernels, mapped_indices, scattered_products, single_indices
from funcnet.transforms.ctc import ctc_loss
from funcnet.transforms.requirements import require

aten = torch.ops.aten


def _one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    if input.dtype != torch.int64 or num_classes < 1:
        return torch.nn.functional.one_hot(input, num_classes)  # raises, or asks for the largest label
    require((input >= 0).all(), "Class values must be non-negative.")
    require((input < num_classes).all(), "Class values must be smaller than num_classes.")
    return (input[..., None] == torch.arange(num_classes, device=input.device)).to(torch.int64)


def _is_all_true(x: Tensor) -> Any:
    """Return True where a distribution validates its arguments, and record a check of them."""
    frame = _distribution()
    if frame is None:
        return is_all_true(x)
    seen = frame.f_locals
    kind = type(seen.get("self")).__name__
    parameter = (
        f"parameter {seen.get('param')} of distribution {kind} to satisfy the constraint {seen.get('constraint')}"
    )
    value = f"value argument to be within the support ({seen.get('support')}) of the distribution {kind}"
    require(x.all(), f"Expected {parameter if 'param' in seen else value}, but found invalid values")
    return True


# places where distributions validate their arguments -> the answer for valid ones
_VALIDATIONS = {
    ("constraints", "check"): True,
    ("continuous_bernoulli", "__init__"): True,
    ("geometric", "__init__"): True,
    ("wishart", "_mvdigamma"): True,
    ("wishart", "__init__"): False,
}


def assumed(x: Tensor) -> bool | None:
    """Return the answer for valid arguments if a distribution validates them, and record a check; else None."""
    if (frame := _distribution()) is None:
        return None
    place = frame.f_globals["__name__"].rpartition(".")[2], frame.f_code.co_name
    if _VALIDATIONS.get(place):  # the other answer may only mean a warning
        require(x, "Expected valid arguments of a distribution, but found invalid values")
    return _VALIDATIONS.get(place)


def _bool(x: Tensor) -> bool:
    answer = assumed(x)
    return bool(x) if answer is None else answer


def _distribution() -> FrameType | None:
    """Return the frame of torch.distributions that calls a function, if any."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] == "funcnet":
        frame = frame.f_back
    is_torchs = frame is not None and frame.f_globals.get("__name__", "").startswith("torch.distributions.")
    return frame if is_torchs else None


def _gaussian_nll_loss(
    x: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """Compute (log var + (x - target)² / var) / 2 with var clamped to at least eps, which gradients ignore."""
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


def _cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """Compute Σ w (x - mean) (x - mean)ᴴ / (Σ w - correction Σ w a / Σ w) over the columns x, with w = f a."""
    if input.ndim > 2 or input.dtype == torch.bool:
        raise RuntimeError(f"cov(): expected at most two axes and not bool, got {tuple(input.shape)} of {input.dtype}.")
    rows = torch.atleast_2d(input)
    weights, total = _weights(rows.shape[1], fweights, aweights)
    lost = correction if aweights is None or not correction else correction * (weights * aweights).sum() / total
    rows = rows if rows.is_floating_point() or rows.is_complex() else rows.to(torch.get_default_dtype())
    centred = rows - (rows * weights).sum(1, keepdim=True) / total
    product = centred @ (centred * weights).mH
    return (product / torch.clamp_min(torch.as_tensor(total - lost), 0)).squeeze()


def _weights(count: int, frequencies: Tensor | None, importance: Tensor | None) -> tuple[Any, Any]:
    """Check the weights of columns, and return them and their sum."""
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


def _corrcoef(input: Tensor) -> Tensor:
    c = _cov(input)
    if not c.ndim:
        return c / c
    scale = c.diagonal().real.sqrt() if c.is_complex() else c.diagonal().sqrt()
    c = c / scale[:, None] / scale
    return torch.complex(c.real.clamp(-1, 1), c.imag.clamp(-1, 1)) if c.is_complex() else c.clamp(-1, 1)


def _rrelu(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Scale negative values by the mean slope, as outside of training nothing is drawn."""

    def run(
        input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, *args: Any, **kwargs: Any
    ) -> Tensor:
        if training:
            return function(input, lower, upper, training, *args, **kwargs)
        is_inplace = function is torch.nn.functional.rrelu_ or any(args) or kwargs.get("inplace")
        return torch.nn.functional.leaky_relu(input, (lower + upper) / 2, bool(is_inplace))

    return run


def _tensor_split(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Read the places to split at, where they are given as a tensor; torch reads its memory, which wrappers lack."""
    plain = {name: _as_numbers(value) for name, value in kwargs.items()}
    if plain:  # torch takes another keyword for numbers
        plain = {_SPLIT_KEYWORDS.get((name, type(value)), name): value for name, value in plain.items()}
    return torch.tensor_split(input, *map(_as_numbers, args), **plain)


def _as_numbers(value: Any) -> Any:
    if not isinstance(value, Tensor) or value.ndim > 1 or value.dtype != torch.int64:
        return value
    return [int(number) for number in value] if value.ndim else int(value)


_SPLIT_KEYWORDS = {
    ("tensor_indices_or_sections", int): "sections",
    ("tensor_indices_or_sections", list): "indices",
}


# functions whose batching rules in torch are slow, or give wrong results
CORRECTED: dict[Any, Callable[..., Any]] = {
    **functional_kernels.FUNCTIONS,
    **mapped_indices.FUNCTIONS,
    **single_indices.FUNCTIONS,
    **scattered_products.FUNCTIONS,
    **{function: _rrelu(function) for function in (torch.nn.functional.rrelu, torch.nn.functional.rrelu_)},
    **dict.fromkeys((torch.tensor_split, Tensor.tensor_split), _tensor_split),
}

FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **CORRECTED,
    assert_async: require,
    aten._assert_async.default: require,
    aten._assert_async.msg: require,
    is_all_true: _is_all_true,
    Tensor.__bool__: _bool,
    torch.nn.functional.one_hot: _one_hot,
    torch.nn.functional.ctc_loss: ctc_loss,
    torch.nn.functional.gaussian_nll_loss: _gaussian_nll_loss,
    **dict.fromkeys((torch.cov, Tensor.cov), _cov),
    **dict.fromkeys((torch.corrcoef, Tensor.corrcoef), _corrcoef),
}
