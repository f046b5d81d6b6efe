"""torch's multi-class margin losses by plain operations: its kernels have no shape rules and no second derivatives."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch


def multi_margin_loss(
    x: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, reduction: int = 1
) -> Tensor:
    """Compute Σ weight[label] max(0, margin - x[label] + x[other])^p / classes, over the other classes.

    Shapes: x (classes,) or (batch, classes), target () or (batch,), weight (classes,).
    """
    rows, labels = torch.atleast_2d(x), torch.atleast_1d(target)
    count = rows.shape[1]
    _check("multi_margin_loss", rows.ndim == 2 and count > 0 and labels.shape == rows.shape[:1], x, target)
    if weight is not None and weight.shape != (count,):
        raise RuntimeError(f"multi_margin_loss: expected weight of shape ({count},), got {tuple(weight.shape)}.")
    terms = _positive(margin - rows.gather(1, labels[:, None]) + rows) ** p
    terms = terms if weight is None else terms * weight.gather(0, labels)[:, None]
    loss = torch.where(torch.arange(count, device=x.device) == labels[:, None], 0, terms).sum(1) / count
    return _reduced(loss, reduction, target.shape)


def multilabel_margin_loss(x: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    """Compute Σ max(0, 1 - x[label] + x[other]) / classes, over the labels before the first -1 and the other classes.

    Shapes: x and target (classes,) or (batch, classes).
    """
    return multilabel_margin_loss_forward(x, target, reduction)[0]


def multilabel_margin_loss_forward(x: Tensor, target: Tensor, reduction: int) -> tuple[Tensor, Tensor]:
    """Return the loss, and for every class of every example 1 if it is a label and 0 otherwise."""
    rows, labels = torch.atleast_2d(x), torch.atleast_2d(target)
    _check("multilabel_margin_loss", rows.ndim == 2 and rows.numel() > 0 and x.shape == target.shape, x, target)
    classes = torch.arange(rows.shape[1], device=x.device)
    used = ((labels == -1).cumsum(1) == 0)[..., None]
    is_label = ((labels[..., None] == classes) & used).any(1)
    labels = torch.where(labels < 0, len(classes), labels)  # an index out of range, which gather refuses
    chosen = rows.gather(1, torch.where(used[..., 0], labels, 0))
    terms = _positive(1 - chosen[..., None] + rows[:, None]) / len(classes)
    loss = torch.where(used & ~is_label[:, None], terms, 0).sum((1, 2))
    return _reduced(loss, reduction, target.shape[:-1]), is_label.to(x.dtype).reshape(target.shape)


def _positive(x: Tensor) -> Tensor:
    """Replace all but positive numbers by 0; NaN too, as torch's kernels do."""
    return torch.where(x > 0, x, 0)


def _reduced(loss: Tensor, reduction: int, shape: torch.Size) -> Tensor:
    return (loss.reshape(shape), loss.mean(), loss.sum())[reduction]


def _check(name: str, is_fitting: bool, x: Tensor, target: Tensor) -> None:
    if not is_fitting or target.dtype != torch.int64:
        raise RuntimeError(
            f"{name}: expected scores of shape (classes,) or (batch, classes) and int64 labels to match, got"
            f" {tuple(x.shape)} and {tuple(target.shape)} of {target.dtype}."
        )


RULES: dict[Any, Callable[..., Any]] = {
    _torch.multi_margin_loss: multi_margin_loss,
    _torch.multilabel_margin_loss: multilabel_margin_loss,
}
