"""Losses, one per output or per example, without reduction: take the mean yourself.

Names, arguments and values are those of Optax (https://optax.readthedocs.io/en/latest/api/losses.html). Predictions and
targets must have the same shape, so that (batch, 1) with (batch,) is an error and does not broadcast to (batch, batch).
Predictions must be a floating-point tensor, or TypeError is raised; targets on another device raise ValueError.
"""

import math

import torch
from torch import Tensor

from funcnet import tree


def squared_error(predictions: Tensor, targets: Tensor | None = None) -> Tensor:
    """Compute the squared error, (p - t)^2, in the squared unit of the predictions.

    Args:
        predictions, targets: Of the same shape (*); targets default to 0.
    Returns:
        Shape (*).
    Raises:
        ValueError: The shapes differ.
    Example:
        >>> fn.losses.squared_error(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0]))
        tensor([0., 4.])
    """
    return _error("squared_error", predictions, targets).square()


def l2_loss(predictions: Tensor, targets: Tensor | None = None) -> Tensor:
    """Compute half the squared error, (p - t)^2 / 2, whose derivative is the error. Otherwise as `squared_error`."""
    return 0.5 * _error("l2_loss", predictions, targets).square()


def huber_loss(predictions: Tensor, targets: Tensor | None = None, delta: float | Tensor = 1.0) -> Tensor:
    """Compute the Huber loss, which is quadratic for errors within delta and linear beyond.

    c (e - c / 2) with e = p - t and c = e clipped to [-delta, delta]: e^2 / 2 within, delta (|e| - delta / 2) beyond.

    Args:
        predictions, targets: Of the same shape (*); targets default to 0.
        delta: Where the quadratic part ends, in the unit of the predictions.
    Returns:
        Shape (*).
    Raises:
        ValueError: The shapes differ.
    Source:
        Huber (1964), Robust Estimation of a Location Parameter, https://doi.org/10.1214/aoms/1177703732
    """
    error = _error("huber_loss", predictions, targets)
    clipped = error.clamp(max=delta).clamp(min=-delta)
    return clipped * (error - 0.5 * clipped)


def log_cosh(predictions: Tensor, targets: Tensor | None = None) -> Tensor:
    """Compute log(cosh(p - t)): about e^2 / 2 for small errors e, |e| - log 2 for large ones, and smooth throughout.

    Arguments, result and errors are those of `squared_error`.
    """
    below = _minus_abs(_error("log_cosh", predictions, targets))
    return _softplus(2.0 * below) - below - math.log(2.0)


def sigmoid_binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the cross entropy of independent binary outputs, from logits.

    -y log s(l) - (1 - y) log(1 - s(l)) = softplus(-|l|) + ([l > 0] - y) l, with s the sigmoid: for labels of 0 and 1
    there is no cancellation, so a small loss and its gradient are as precise as large ones.

    Args:
        logits: Shape (*).
        labels: Probabilities of the positive class, or 0 and 1; shape (*).
    Returns:
        Shape (*), in nats.
    Raises:
        ValueError: The shapes differ.
    Example:
        >>> fn.losses.sigmoid_binary_cross_entropy(torch.tensor([0.0, 1000.0]), torch.tensor([1.0, 1.0]))
        tensor([0.6931, 0.0000])
    """
    _check_pair("sigmoid_binary_cross_entropy", logits, labels)
    labels = labels.to(logits.dtype)
    return _softplus(_minus_abs(logits)) + torch.where(logits > 0, 1 - labels, -labels) * logits


def binary_cross_entropy(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Compute the cross entropy of independent binary outputs, from probabilities.

    -y log p - (1 - y) log(1 - p), where logarithms are clamped to at least -100. Where one is clamped, and for p or
    1 - p below the smallest normal number, the gradient is 0. The value is that of torch.nn.BCELoss. Train a network
    from its logits instead, which need no clamping.

    Args:
        probabilities: In [0, 1], shape (*).
        labels: Probabilities of the positive class, or 0 and 1; shape (*).
    Returns:
        Shape (*), in nats, at most 100.
    Raises:
        ValueError: The shapes differ.
    Example:
        >>> fn.losses.binary_cross_entropy(torch.tensor([0.5, 0.0]), torch.tensor([1.0, 1.0]))
        tensor([  0.6931, 100.0000])
    """
    _check_pair("binary_cross_entropy", probabilities, labels)
    labels = labels.to(probabilities.dtype)
    return -labels * _clamped_log(probabilities) - (1 - labels) * _clamped_log(1 - probabilities)


def softmax_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the cross entropy between a distribution over classes and the softmax of logits.

    -sum_k y_k log softmax(l)_k.

    Args:
        logits, labels: Of the same shape (*, classes); each row of labels sums to 1.
    Returns:
        Shape (*), in nats.
    Raises:
        ValueError: The shapes differ, or the number of classes is 0.
    """
    _check_pair("softmax_cross_entropy", logits, labels)
    _check_classes("softmax_cross_entropy", logits)
    return -(labels * logits.log_softmax(-1)).sum(-1)


def softmax_cross_entropy_with_integer_labels(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the negative log probability of the labelled classes under the softmax of logits.

    Args:
        logits: Shape (*, classes).
        labels: Integers in [0, classes), shape (*).
    Returns:
        Shape (*), in nats.
    Raises:
        ValueError: The shape of the labels is not that of the logits without their last axis, or the number of classes
            is 0.
        TypeError: The labels are not an integer tensor, or the logits are not a floating-point tensor.
    Example:
        >>> fn.losses.softmax_cross_entropy_with_integer_labels(torch.zeros(2, 4), torch.tensor([0, 3]))
        tensor([1.3863, 1.3863])
    """
    name = "softmax_cross_entropy_with_integer_labels"
    _check_floating(name, logits)
    if not tree.is_tensor(labels) or labels.is_floating_point() or labels.dtype == torch.bool:
        got = tree.describe(labels)
        raise TypeError(f"losses.{name}: expected a tensor of integer labels, got {got}. Convert it with .long().")
    _check_classes(name, logits)
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"losses.{name}: expected a label for each row of logits, shape {tuple(logits.shape[:-1])}, "
            f"got {tuple(labels.shape)}. For one-hot labels or probabilities, use softmax_cross_entropy."
        )
    return -logits.log_softmax(-1).gather(-1, labels.long().unsqueeze(-1)).squeeze(-1)


def hinge_loss(predictor_outputs: Tensor, targets: Tensor) -> Tensor:
    """Compute the hinge loss, max(0, 1 - t p), for targets t of -1 and 1.

    Args:
        predictor_outputs, targets: Of the same shape (*).
    Returns:
        Shape (*).
    Raises:
        ValueError: The shapes differ.
    """
    _check_pair("hinge_loss", predictor_outputs, targets)
    return (1 - predictor_outputs * targets).relu()


def cosine_similarity(predictions: Tensor, targets: Tensor, epsilon: float = 0.0) -> Tensor:
    """Compute the cosine of the angle between two vectors, p t / (|p| |t|).

    Args:
        predictions, targets: Of the same shape (*, features).
        epsilon: A lower bound on the squared norms, which prevents NaN for zero vectors.
    Returns:
        Shape (*), in [-1, 1].
    Raises:
        ValueError: The shapes differ.
    """
    _check_pair("cosine_similarity", predictions, targets)
    return (_unit(predictions, epsilon) * _unit(targets, epsilon)).sum(-1)


def cosine_distance(predictions: Tensor, targets: Tensor, epsilon: float = 0.0) -> Tensor:
    """Compute 1 - `cosine_similarity`: 0 for vectors of the same direction, 2 for opposite ones.

    Arguments and errors are those of `cosine_similarity`.

    Returns:
        Shape (*), in [0, 2].
    """
    return 1 - cosine_similarity(predictions, targets, epsilon)


def kl_divergence(log_predictions: Tensor, targets: Tensor) -> Tensor:
    """Compute the relative entropy of the targets with respect to the predictions: sum_k t_k (log t_k - log p_k).

    Args:
        log_predictions: Log probabilities, shape (*, classes).
        targets: Probabilities, of the same shape; a class of probability 0 adds nothing.
    Returns:
        Shape (*), in nats.
    Raises:
        ValueError: The shapes differ.
    """
    _check_pair("kl_divergence", log_predictions, targets)
    possible = log_predictions.where(targets != 0, 0.0)  # 0 log 0 counts as 0
    return (torch.xlogy(targets, targets) - targets * possible).sum(-1)


def _minus_abs(x: Tensor) -> Tensor:
    """Compute -|x| with slope 1 at 0; the slope of abs there, 0, would hide the slope of the following function."""
    return torch.where(x > 0, -x, x)


def _softplus(x: Tensor) -> Tensor:
    """Compute log(1 + e^x) for x <= 0, where it cannot overflow."""
    return x.exp().log1p()


def _clamped_log(x: Tensor) -> Tensor:
    subnormal = x < torch.finfo(x.dtype).tiny  # where 1 / x overflows; false for NaN, whose gradient is NaN too
    logarithm = torch.where(subnormal, x.detach().log(), torch.where(subnormal, 1.0, x).log())
    return torch.where(logarithm < -100.0, -100.0, logarithm)


def _unit(x: Tensor, epsilon: float) -> Tensor:
    return x / x.square().sum(-1, keepdim=True).clamp(min=epsilon).sqrt()


def _error(name: str, predictions: Tensor, targets: Tensor | None) -> Tensor:
    if targets is None:
        _check_floating(name, predictions)
        return predictions
    _check_pair(name, predictions, targets)
    return predictions - targets


def _check_floating(name: str, predictions: Tensor) -> None:
    if not tree.is_floating(predictions):
        got = tree.describe(predictions)
        raise TypeError(f"losses.{name}: expected predictions to be a floating-point tensor, got {got}. Convert them.")


def _check_pair(name: str, predictions: Tensor, targets: Tensor) -> None:
    _check_floating(name, predictions)
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


def _check_classes(name: str, logits: Tensor) -> None:
    if not logits.ndim or not logits.shape[-1]:
        raise ValueError(f"losses.{name}: expected logits of shape (*, classes), got {tuple(logits.shape)}.")
