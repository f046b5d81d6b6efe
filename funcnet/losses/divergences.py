"""Relative entropies of distributions."""

import torch
from torch import Tensor

from funcnet.losses.checks import Axis, check_pair, total


def kl_divergence(log_predictions: Tensor, targets: Tensor, axis: Axis = -1, where: Tensor | None = None) -> Tensor:
    """Compute the relative entropy of the targets with respect to the predictions: sum_k t_k (log t_k - log p_k).

    Args:
        log_predictions: Log probabilities, shape (*, classes).
        targets: Probabilities, of the same shape; a class of probability 0 adds nothing.
        axis: The axis of classes, or several. None: all.
        where: Bools that broadcast to the shape: the classes that count. None: all.
    Returns:
        Shape (*), in nats.
    Raises:
        ValueError: The shapes differ.
    Example:
        >>> fn.losses.kl_divergence(torch.tensor([0.5, 0.5]).log(), torch.tensor([1.0, 0.0]))
        tensor(0.6931)
    """
    check_pair("kl_divergence", log_predictions, targets)
    possible = log_predictions.where(targets != 0, 0.0)  # 0 log 0 counts as 0
    return total(torch.xlogy(targets, targets) - targets * possible, axis, where)


def kl_divergence_with_log_targets(
    log_predictions: Tensor, log_targets: Tensor, axis: Axis = -1, where: Tensor | None = None
) -> Tensor:
    """Compute the relative entropy from log probabilities on both sides: sum_k e^(l_k) (l_k - log p_k).

    Args:
        log_predictions, log_targets: Log probabilities, of the same shape (*, classes).
        axis, where: The axis of classes, and the classes that count; see `kl_divergence`.
    Returns:
        Shape (*), in nats.
    Raises:
        ValueError: The shapes differ.
    Example:
        >>> fn.losses.kl_divergence_with_log_targets(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.75, 0.25]).log())
        tensor(0.1308)
    """
    check_pair("kl_divergence_with_log_targets", log_predictions, log_targets)
    return total(log_targets.exp() * (log_targets - log_predictions), axis, where)


def generalized_kl_divergence(
    log_predictions: Tensor, targets: Tensor, axis: Axis = -1, where: Tensor | None = None
) -> Tensor:
    """Compute the relative entropy of measures, whose sums may differ from 1: `kl_divergence` + sum_k (p_k - t_k).

    Args:
        log_predictions: Logarithms of positive numbers, shape (*, classes).
        targets: Numbers of at least 0, of the same shape.
        axis, where: The axis of classes, and the classes that count; see `kl_divergence`.
    Returns:
        Shape (*), at least 0.
    Raises:
        ValueError: The shapes differ.
    Example:
        >>> fn.losses.generalized_kl_divergence(torch.tensor([0.5, 0.5]).log(), torch.tensor([1.0, 1.0]))
        tensor(0.3863)
    """
    entropy = kl_divergence(log_predictions, targets, axis, where)
    return entropy + total(log_predictions.exp() - targets, axis, where)


convex_kl_divergence = generalized_kl_divergence  # its older name
