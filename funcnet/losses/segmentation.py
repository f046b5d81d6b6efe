"""Losses of overlapping regions."""

from typing import Literal

from torch import Tensor

from funcnet.losses.checks import Axis, check_pair

Axes = int | tuple[int, ...]
Scalar = float | Tensor


def dice_loss(
    predictions: Tensor,
    targets: Tensor,
    *,
    class_weights: Tensor | None = None,
    smooth: Scalar = 1.0,
    alpha: Scalar = 0.5,
    beta: Scalar = 0.5,
    apply_softmax: bool = True,
    reduction: Literal["mean", "sum", "none"] = "mean",
    ignore_background: bool = False,
    axis: Axis = None,
) -> Tensor:
    """Compute 1 minus the Tversky overlap of predicted and true regions; with alpha = beta = 1/2, Sørensen and Dice's.

    1 - (i + smooth) / (i + alpha (P - i) + beta (T - i) + smooth), where i = sum p t, P = sum p and T = sum t.

    Args:
        predictions: Logits, or probabilities unless apply_softmax; shape (batch, *space, classes). One class is a
            sigmoid's. The axis of one class may be missing in one of the two.
        targets: One-hot labels, of the same shape.
        class_weights: Shape (classes,), factors of the losses. None: 1.
        smooth: Added to numerator and denominator, which makes the loss of two empty regions 0.
        alpha, beta: Weights of false positives and of false negatives.
        apply_softmax: Whether predictions are logits.
        reduction: Of the classes: "mean", "sum", or "none".
        ignore_background: Whether the first class, of several, does not count.
        axis: The axes of space. None: all between the first and the last.
    Returns:
        Shape (batch,), or (batch, classes) without reduction.
    Raises:
        ValueError: The shapes differ, or the reduction is unknown.
    Source:
        Salehi, Erdogmus, Gholipour (2017), Tversky loss function for image segmentation,
        https://arxiv.org/abs/1706.05721; Milletari, Navab, Ahmadi (2016), V-Net, https://arxiv.org/abs/1606.04797
    Example:
        >>> masks = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> fn.losses.dice_loss(9 * masks, masks).round(decimals=3)
        tensor([0.])
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"losses.dice_loss: expected the reduction 'mean', 'sum' or 'none', got {reduction!r}.")
    predictions = predictions.unsqueeze(-1) if predictions.ndim == targets.ndim - 1 else predictions
    targets = targets.unsqueeze(-1) if targets.ndim == predictions.ndim - 1 else targets
    check_pair("dice_loss", predictions, targets)
    p = _probabilities(predictions) if apply_softmax else predictions
    losses = 1 - _overlap(p, targets, tuple(range(1, p.ndim - 1)) if axis is None else axis, smooth, alpha, beta)
    losses = losses if class_weights is None else losses * class_weights
    losses = losses[..., 1:] if ignore_background and p.shape[-1] > 1 else losses
    return losses if reduction == "none" else losses.mean(-1) if reduction == "mean" else losses.sum(-1)


def multiclass_generalized_dice_loss(
    predictions: Tensor,
    targets: Tensor,
    *,
    smooth: Scalar = 1.0,
    apply_softmax: bool = True,
    ignore_background: bool = False,
) -> Tensor:
    """Compute the mean `dice_loss` of classes with weights in inverse proportion to their squared frequencies.

    Arguments and errors are those of `dice_loss`.

    Returns:
        0-d.
    Source:
        Sudre et al. (2017), Generalised Dice overlap as a deep learning loss function,
        https://arxiv.org/abs/1707.03237
    Example:
        >>> masks = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> fn.losses.multiclass_generalized_dice_loss(9 * masks, masks).round(decimals=3)
        tensor(0.)
    """
    check_pair("multiclass_generalized_dice_loss", predictions, targets)
    frequencies = targets.sum(tuple(range(targets.ndim - 1)))
    weights = 1 / (frequencies.square() + 1e-7)
    return dice_loss(
        predictions,
        targets,
        class_weights=weights / weights.sum() * weights.numel(),
        smooth=smooth,
        apply_softmax=apply_softmax,
        reduction="none",
        ignore_background=ignore_background,
    ).mean()


def binary_dice_loss(
    predictions: Tensor, targets: Tensor, *, smooth: Scalar = 1.0, apply_sigmoid: bool = True
) -> Tensor:
    """Compute the `dice_loss` of one class; predictions and targets have shape (batch, *space) or (batch, *space, 1).

    Returns:
        Shape (batch,).
    Example:
        >>> fn.losses.binary_dice_loss(torch.tensor([[9.0, -9.0]]), torch.tensor([[1.0, 0.0]])).round(decimals=3)
        tensor([0.])
    """
    if predictions.ndim == targets.ndim and predictions.shape[-1:] != (1,):
        predictions, targets = predictions.unsqueeze(-1), targets.unsqueeze(-1)
    return dice_loss(predictions, targets, smooth=smooth, apply_softmax=apply_sigmoid)


def _probabilities(logits: Tensor) -> Tensor:
    return logits.sigmoid() if logits.shape[-1] == 1 else logits.softmax(-1)


def _overlap(p: Tensor, t: Tensor, axes: Axes, smooth: Scalar, alpha: Scalar, beta: Scalar) -> Tensor:
    both, ours, theirs = ((x.sum(axes) if axes != () else x) for x in (p * t, p, t))
    return (both + smooth) / (both + alpha * (ours - both) + beta * (theirs - both) + smooth)
