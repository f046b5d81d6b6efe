"""Losses of predicted numbers and vectors."""

import math

import torch
from torch import Tensor

from funcnet.losses.checks import Axis, check_pair, difference, minus_abs, softplus, total


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
    return difference("squared_error", predictions, targets).square()


def l2_loss(predictions: Tensor, targets: Tensor | None = None) -> Tensor:
    """Compute half the squared error, (p - t)^2 / 2, whose derivative is the error. Otherwise as `squared_error`.

    Example:
        >>> fn.losses.l2_loss(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0]))
        tensor([0., 2.])
    """
    return 0.5 * difference("l2_loss", predictions, targets).square()


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
    Example:
        >>> fn.losses.huber_loss(torch.tensor([0.5, 3.0]), delta=1.0)
        tensor([0.1250, 2.5000])
    """
    error = difference("huber_loss", predictions, targets)
    clipped = error.clamp(max=delta).clamp(min=-delta)
    return clipped * (error - 0.5 * clipped)


def log_cosh(predictions: Tensor, targets: Tensor | None = None) -> Tensor:
    """Compute log(cosh(p - t)): about e^2 / 2 for small errors e, |e| - log 2 for large ones, and smooth throughout.

    Arguments, result and errors are those of `squared_error`.

    Example:
        >>> fn.losses.log_cosh(torch.tensor([0.1, 10.0]))
        tensor([4.9917e-03, 9.3069e+00])
    """
    below = minus_abs(difference("log_cosh", predictions, targets))
    return softplus(2.0 * below) - below - math.log(2.0)


def cosine_similarity(
    predictions: Tensor, targets: Tensor, epsilon: float = 0.0, axis: Axis = -1, where: Tensor | None = None
) -> Tensor:
    """Compute the cosine of the angle between two vectors, p t / (|p| |t|).

    Args:
        predictions, targets: Of the same shape (*, features).
        epsilon: A lower bound on the squared norms, which prevents NaN for zero vectors.
        axis: The axis of features, or several. None: all.
        where: Bools that broadcast to the shape: the features that count. None: all.
    Returns:
        Shape (*), in [-1, 1].
    Raises:
        ValueError: The shapes differ.
    Example:
        >>> fn.losses.cosine_similarity(torch.tensor([3.0, 4.0]), torch.tensor([4.0, 3.0]))
        tensor(0.9600)
    """
    check_pair("cosine_similarity", predictions, targets)
    return total(_unit(predictions, epsilon, axis, where) * _unit(targets, epsilon, axis, where), axis, where)


def cosine_distance(
    predictions: Tensor, targets: Tensor, epsilon: float = 0.0, axis: Axis = -1, where: Tensor | None = None
) -> Tensor:
    """Compute 1 - `cosine_similarity`: 0 for vectors of the same direction, 2 for opposite ones.

    Arguments and errors are those of `cosine_similarity`.

    Returns:
        Shape (*), in [0, 2].
    Example:
        >>> fn.losses.cosine_distance(torch.tensor([3.0, 4.0]), torch.tensor([4.0, 3.0]))
        tensor(0.0400)
    """
    return 1 - cosine_similarity(predictions, targets, epsilon, axis, where)


def _unit(x: Tensor, epsilon: float, axis: Axis, where: Tensor | None) -> Tensor:
    square = x.square() if where is None else torch.where(where, x, 0).square()
    axes = tuple(range(x.ndim)) if axis is None else axis
    return x / square.sum(axes, keepdim=True).clamp(min=epsilon).sqrt()
