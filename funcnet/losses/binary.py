"""Losses of binary outputs."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from funcnet.losses.checks import check_pair, minus_abs, softplus


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
    check_pair("sigmoid_binary_cross_entropy", logits, labels)
    labels = labels.to(logits.dtype)
    return softplus(minus_abs(logits)) + torch.where(logits > 0, 1 - labels, -labels) * logits


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
    check_pair("binary_cross_entropy", probabilities, labels)
    labels = labels.to(probabilities.dtype)
    return -labels * _clamped_log(probabilities) - (1 - labels) * _clamped_log(1 - probabilities)


def sigmoid_focal_loss(
    logits: Tensor, labels: Tensor, *, alpha: float | Tensor | None = None, gamma: float | Tensor = 2.0
) -> Tensor:
    """Compute the binary cross entropy, weighted by (1 - q)^gamma, where q is the probability of the right answer.

    For a label y between 0 and 1, 1 - q = (1 - y) s(l) + y s(-l), with s the sigmoid. Easy examples count little.

    Args:
        logits: Shape (*).
        labels: Probabilities of the positive class, or 0 and 1; shape (*).
        alpha: Weight of positive examples in [0, 1]; negative ones have 1 - alpha. None: both have 1.
        gamma: The exponent, at least 0; 0 gives `sigmoid_binary_cross_entropy`.
    Returns:
        Shape (*).
    Raises:
        ValueError: The shapes differ.
    Source:
        Lin, Goyal, Girshick, He, Dollár (2017), Focal Loss for Dense Object Detection, https://arxiv.org/abs/1708.02002
    Example:
        >>> fn.losses.sigmoid_focal_loss(torch.tensor([2.0, -2.0]), torch.tensor([1.0, 1.0]))
        tensor([0.0018, 1.6501])
    """
    check_pair("sigmoid_focal_loss", logits, labels)
    labels = labels.to(logits.dtype)
    wrong = torch.logaddexp(logsigmoid(logits) + _log(1 - labels), logsigmoid(-logits) + _log(labels))
    loss = sigmoid_binary_cross_entropy(logits, labels) * (gamma * wrong).exp()
    return loss if alpha is None else (alpha * labels + (1 - alpha) * (1 - labels)) * loss


def hinge_loss(predictor_outputs: Tensor, targets: Tensor) -> Tensor:
    """Compute the hinge loss, max(0, 1 - t p), for targets t of -1 and 1.

    Args:
        predictor_outputs, targets: Of the same shape (*).
    Returns:
        Shape (*).
    Raises:
        ValueError: The shapes differ.
    Example:
        >>> fn.losses.hinge_loss(torch.tensor([2.0, 0.5, -1.0]), torch.tensor([1.0, 1.0, 1.0]))
        tensor([0.0000, 0.5000, 2.0000])
    """
    check_pair("hinge_loss", predictor_outputs, targets)
    return _positive(1 - predictor_outputs * targets)


def perceptron_loss(predictor_outputs: Tensor, targets: Tensor) -> Tensor:
    """Compute the loss of Rosenblatt's perceptron, max(0, -t p), for targets t of -1 and 1.

    Args:
        predictor_outputs, targets: Of the same shape (*).
    Returns:
        Shape (*).
    Raises:
        ValueError: The shapes differ.
    Source:
        Rosenblatt (1958), The perceptron, https://doi.org/10.1037/h0042519
    Example:
        >>> fn.losses.perceptron_loss(torch.tensor([2.0, -0.5]), torch.tensor([1.0, 1.0]))
        tensor([0.0000, 0.5000])
    """
    check_pair("perceptron_loss", predictor_outputs, targets)
    return _positive(-predictor_outputs * targets)


def sparsemax_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the binary sparsemax loss: 0 for margins above 1, linear below -1, and (m - 1)² / 4 between.

    The margin m is l for a label of 1 and -l for a label of 0.

    Args:
        logits: Shape (*).
        labels: 0 and 1, or bools; shape (*).
    Returns:
        Shape (*).
    Raises:
        ValueError: The shapes differ.
    Source:
        Blondel, Martins, Niculae (2020), Learning with Fenchel-Young Losses, https://arxiv.org/abs/1901.02324
    Example:
        >>> fn.losses.sparsemax_loss(torch.tensor([2.0, 0.0, -2.0]), torch.tensor([1, 1, 1]))
        tensor([0.0000, 0.2500, 2.0000])
    """
    check_pair("sparsemax_loss", logits, labels)
    x = torch.where(labels.bool(), -logits, logits)
    return torch.where(x >= 1, x, (x.clamp(-1, 1) + 1).square() / 4)


def _positive(x: Tensor) -> Tensor:
    """Compute max(x, 0) with slope 1/2 at 0: that of relu, 0, would keep a perceptron at initial weights of 0."""
    return torch.maximum(x, x.new_zeros(()))


def _log(x: Tensor) -> Tensor:
    """Compute log x; the gradient at 0, where it is -inf, is 0."""
    return torch.where(x == 0, -torch.inf, torch.where(x == 0, 1, x).log())


def _clamped_log(x: Tensor) -> Tensor:
    subnormal = x < torch.finfo(x.dtype).tiny  # where 1 / x overflows; false for NaN, whose gradient is NaN too
    logarithm = torch.where(subnormal, x.detach().log(), torch.where(subnormal, 1.0, x).log())
    return torch.where(logarithm < -100.0, -100.0, logarithm)
