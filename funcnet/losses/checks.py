"""Checks of arguments, and the functions that several losses share."""

import torch
from torch import Tensor

from funcnet import tree

Axis = int | tuple[int, ...] | None  # None: all axes


def difference(name: str, predictions: Tensor, targets: Tensor | None) -> Tensor:
    """Return predictions - targets; targets default to 0."""
    if targets is None:
        check_floating(name, predictions)
        return predictions
    check_pair(name, predictions, targets)
    return predictions - targets


def check_floating(name: str, predictions: Tensor) -> None:
    """Raise unless predictions are a floating-point tensor."""
    if not tree.is_floating(predictions):
        got = tree.describe(predictions)
        raise TypeError(f"losses.{name}: expected predictions to be a floating-point tensor, got {got}. Convert them.")


def check_pair(name: str, predictions: Tensor, targets: Tensor) -> None:
    """Raise unless predictions and targets have the same shape and device."""
    check_floating(name, predictions)
    if not tree.is_tensor(targets):
        got = tree.describe(targets)
        raise TypeError(f"losses.{name}: expected targets to be a tensor, got {got}. Convert it with torch.tensor.")
    if predictions.shape != targets.shape:
        raise ValueError(
            f"losses.{name}: expected targets of shape {tuple(predictions.shape)}, like the predictions, "
            f"got {tuple(targets.shape)}. Reshape one of them, as with targets.reshape(predictions.shape)."
        )
    if predictions.device != targets.device:
        raise ValueError(
            f"losses.{name}: expected targets on {predictions.device}, like the predictions, "
            f"got them on {targets.device}. Move one of them with .to()."
        )


def check_classes(name: str, logits: Tensor, axis: Axis = -1) -> None:
    """Raise unless the axis of classes exists and has entries."""
    axes = range(logits.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    if not logits.ndim or any(not -logits.ndim <= a < logits.ndim or not logits.shape[a] for a in axes):
        where = "shape (*, classes)" if axis == -1 else f"a shape with classes at axis {axis}"
        raise ValueError(f"losses.{name}: expected logits of {where}, got {tuple(logits.shape)}.")


def check_labels(name: str, logits: Tensor, labels: Tensor, rows: torch.Size) -> None:
    """Raise unless labels are integers of the shape of the rows of logits."""
    if not tree.is_tensor(labels) or labels.is_floating_point() or labels.dtype == torch.bool:
        got = tree.describe(labels)
        raise TypeError(f"losses.{name}: expected a tensor of integer labels, got {got}. Convert it with .long().")
    if labels.shape != rows:
        raise ValueError(
            f"losses.{name}: expected a label for each row of logits, shape {tuple(rows)}, got {tuple(labels.shape)}. "
            "For one-hot labels or probabilities, use softmax_cross_entropy."
        )


def total(x: Tensor, axis: Axis, where: Tensor | None = None) -> Tensor:
    """Return the sum over an axis, several or (None) all, of the entries that count."""
    kept = x if where is None else torch.where(where, x, 0)
    return kept.sum() if axis is None else kept.sum(axis)


def minus_abs(x: Tensor) -> Tensor:
    """Compute -|x| with slope 1 at 0; the slope of abs there, 0, would hide the slope of the following function."""
    return torch.where(x > 0, -x, x)


def softplus(x: Tensor) -> Tensor:
    """Compute log(1 + e^x) for x <= 0, where it cannot overflow."""
    return x.exp().log1p()
