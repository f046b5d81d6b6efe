"""Losses of predicted classes."""

from collections.abc import Callable

import torch
from torch import Tensor

from funcnet.losses.checks import Axis, check_classes, check_floating, check_labels, check_pair, total
from funcnet.transforms import vmap


def softmax_cross_entropy(logits: Tensor, labels: Tensor, axis: Axis = -1, where: Tensor | None = None) -> Tensor:
    """Compute the cross entropy between a distribution over classes and the softmax of logits.

    -sum_k y_k log softmax(l)_k.

    Args:
        logits, labels: Of the same shape (*, classes); each row of labels sums to 1.
        axis: The axis of classes, or several. None: all.
        where: Bools that broadcast to the shape: the classes that exist. None: all.
    Returns:
        Shape (*), in nats; 0 where no class exists.
    Raises:
        ValueError: The shapes differ, or the number of classes is 0.
    Example:
        >>> fn.losses.softmax_cross_entropy(torch.zeros(2), torch.tensor([0.5, 0.5]))
        tensor(0.6931)
    """
    check_pair("softmax_cross_entropy", logits, labels)
    check_classes("softmax_cross_entropy", logits, axis)
    return -total(labels * _log_softmax(logits, axis, where), axis, where)


def safe_softmax_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute `softmax_cross_entropy` with logits of -inf allowed where the label is 0.

    Args:
        logits, labels: Of the same shape (*, classes).
    Returns:
        Shape (*), in nats.
    Raises:
        ValueError: The shapes differ, or the number of classes is 0.
    Example:
        >>> fn.losses.safe_softmax_cross_entropy(torch.tensor([0.0, -torch.inf]), torch.tensor([1.0, 0.0]))
        tensor(-0.)
    """
    check_pair("safe_softmax_cross_entropy", logits, labels)
    check_classes("safe_softmax_cross_entropy", logits)
    used = labels != 0
    return -(labels * (torch.where(used, logits, 0) - torch.where(used, logits.logsumexp(-1, keepdim=True), 0))).sum(-1)


def softmax_cross_entropy_with_integer_labels(
    logits: Tensor, labels: Tensor, axis: int | tuple[int, ...] = -1, where: Tensor | None = None
) -> Tensor:
    """Compute the negative log probability of the labelled classes under the softmax of logits.

    Args:
        logits: Shape (*, classes).
        labels: Integers in [0, classes), shape (*).
        axis: The axis of classes; of several, the labels count the classes in row-major order.
        where: Bools that broadcast to the shape of logits: the classes that exist. None: all.
    Returns:
        Shape (*), in nats; 0 where no class exists.
    Raises:
        ValueError: The shape of the labels is not that of the logits without the axis of classes, or the number of
            classes is 0.
        TypeError: The labels are not an integer tensor, or the logits are not a floating-point tensor.
    Example:
        >>> fn.losses.softmax_cross_entropy_with_integer_labels(torch.zeros(2, 4), torch.tensor([0, 3]))
        tensor([1.3863, 1.3863])
    """
    name = "softmax_cross_entropy_with_integer_labels"
    check_floating(name, logits)
    check_classes(name, logits, axis)
    where = None if where is None else _classes_last(where.expand(logits.shape), axis)
    logits = _classes_last(logits, axis)
    check_labels(name, logits, labels, logits.shape[:-1])
    if where is None:
        return -_of_label(logits.log_softmax(-1), labels)
    loss = _log_normaliser(logits, -1, where).squeeze(-1) - _of_label(logits, labels)
    return torch.where(where.any(-1), loss, 0)


def poly_loss_cross_entropy(
    logits: Tensor, labels: Tensor, *, epsilon: float | Tensor = 2.0, axis: Axis = -1, where: Tensor | None = None
) -> Tensor:
    """Compute the cross entropy plus epsilon times the probability of the other classes, sum_k y_k (1 - p_k).

    Args:
        logits, labels: Of the same shape (*, classes); each row of labels sums to 1.
        epsilon: The change of the first coefficient of the loss's series in 1 - p.
        axis, where: The axis of classes, and the classes that exist; see `softmax_cross_entropy`.
    Returns:
        Shape (*).
    Raises:
        ValueError: The shapes differ, or the number of classes is 0.
    Source:
        Leng et al. (2022), PolyLoss, https://arxiv.org/abs/2204.12511
    Example:
        >>> fn.losses.poly_loss_cross_entropy(torch.tensor([2.0, 0.0]), torch.tensor([1.0, 0.0]), epsilon=1.0)
        tensor(0.2461)
    """
    cross_entropy = softmax_cross_entropy(logits, labels, axis, where)
    return cross_entropy + epsilon * total(labels * (1 - _log_softmax(logits, axis, where).exp()), axis, where)


def multiclass_hinge_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Compute the hinge loss of several classes: max(s_y, 1 + max over k ≠ y of s_k) - s_y.

    Args:
        scores: Shape (*, classes).
        labels: Integers in [0, classes), shape (*).
    Returns:
        Shape (*).
    Raises:
        ValueError: The shape of the labels is not that of the scores without their last axis.
        TypeError: The labels are not an integer tensor, or the scores are not a floating-point tensor.
    Source:
        Crammer, Singer (2001), On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines,
        https://jmlr.org/papers/v2/crammer01a.html
    Example:
        >>> fn.losses.multiclass_hinge_loss(torch.tensor([[2.0, 0.0, 1.5]]), torch.tensor([0]))
        tensor([0.5000])
    """
    right = _right("multiclass_hinge_loss", scores, labels)
    return torch.where(right, scores, scores + 1).amax(-1) - _of_label(scores, labels)


def multiclass_perceptron_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Compute the perceptron's loss of several classes: max over k of s_k, minus s_y.

    Arguments, result and errors are those of `multiclass_hinge_loss`.

    Example:
        >>> fn.losses.multiclass_perceptron_loss(torch.tensor([[2.0, 0.0, 3.0]]), torch.tensor([0]))
        tensor([1.])
    """
    _right("multiclass_perceptron_loss", scores, labels)
    return scores.amax(-1) - _of_label(scores, labels)


def multiclass_sparsemax_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Compute the sparsemax loss: that of the projection of scores onto the simplex, as softmax has the cross entropy.

    sum_k p_k (s_k - s_y) + (1 - |p|²) / 2, with p the projection, in which most classes are 0.

    Arguments, result and errors are those of `multiclass_hinge_loss`.

    Source:
        Martins, Astudillo (2016), From Softmax to Sparsemax, https://arxiv.org/abs/1602.02068
    Example:
        >>> fn.losses.multiclass_sparsemax_loss(torch.tensor([[2.0, 0.0], [0.5, 0.0]]), torch.tensor([0, 0]))
        tensor([0.0000, 0.0625])
    """
    _right("multiclass_sparsemax_loss", scores, labels)
    p = _sparsemax(scores)
    above = scores - _of_label(scores, labels).unsqueeze(-1)
    return torch.where(p > 0, p * above, 0).sum(-1) + (1 - p.square().sum(-1)) / 2


def make_fenchel_young_loss(max_fun: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Make the loss max_fun(s) - t s, whose gradient with respect to s is the gradient of max_fun minus t.

    Args:
        max_fun: A convex function from shape (classes,) to a 0-d tensor, such as torch.logsumexp over the last axis,
            which gives the cross entropy up to the entropy of t.
    Returns:
        A function (scores, targets, *args, **kwargs), both of shape (*, classes), to losses of shape (*); the other
        arguments are those of max_fun.
    Source:
        Blondel, Martins, Niculae (2020), Learning with Fenchel-Young Losses, https://arxiv.org/abs/1901.02324
    Example:
        >>> loss = fn.losses.make_fenchel_young_loss(lambda s: s.logsumexp(-1))
        >>> loss(torch.zeros(3, 2), torch.tensor([0.0, 1.0]).expand(3, 2))
        tensor([0.6931, 0.6931, 0.6931])
    """

    def fenchel_young_loss(scores: Tensor, targets: Tensor, *args: object, **kwargs: object) -> Tensor:
        check_pair("fenchel_young_loss", scores, targets)
        largest = vmap(lambda row: max_fun(row, *args, **kwargs))(scores.reshape(-1, scores.shape[-1]))
        return largest.reshape(scores.shape[:-1]) - (targets * scores).sum(-1)

    return fenchel_young_loss


def smooth_labels(labels: Tensor, alpha: float | Tensor, *, axis: Axis = -1, where: Tensor | None = None) -> Tensor:
    """Mix labels with the uniform distribution: (1 - alpha) y + alpha / classes.

    Args:
        labels: One-hot labels or probabilities, shape (*, classes), floating-point.
        alpha: In [0, 1].
        axis, where: The axis of classes, and the classes that exist; see `softmax_cross_entropy`.
    Returns:
        Shape (*, classes).
    Source:
        Müller, Kornblith, Hinton (2019), When does label smoothing help?, https://arxiv.org/abs/1906.02629
    Example:
        >>> fn.losses.smooth_labels(torch.tensor([0.0, 1.0]), 0.1)
        tensor([0.0500, 0.9500])
    """
    check_floating("smooth_labels", labels)
    counted = torch.ones_like(labels) if where is None else where.expand(labels.shape).to(labels.dtype)
    axes = tuple(range(labels.ndim)) if axis is None else axis
    return (1 - alpha) * labels + alpha / counted.sum(axes, keepdim=True)


def _log_softmax(logits: Tensor, axis: Axis, where: Tensor | None) -> Tensor:
    """Compute log probabilities; classes that do not exist have finite values of no meaning."""
    if where is None and isinstance(axis, int):
        return logits.log_softmax(axis)
    axes = tuple(range(logits.ndim)) if axis is None else axis
    if where is None:
        return logits - logits.logsumexp(axes, keepdim=True)
    where = where.expand(logits.shape)
    return torch.where(where, logits, 0) - _log_normaliser(logits, axes, where)


def _log_normaliser(logits: Tensor, axes: int | tuple[int, ...], where: Tensor) -> Tensor:
    """Compute the logsumexp of the classes that exist; a finite value of no meaning if there are none."""
    counted = where | ~where.any(axes, keepdim=True) if isinstance(axes, int) else where | ~_any(where, axes)
    return torch.where(counted, torch.where(where, logits, 0), -torch.inf).logsumexp(axes, keepdim=True)


def _any(where: Tensor, axes: tuple[int, ...]) -> Tensor:
    return where.sum(axes, keepdim=True) > 0


def _classes_last(x: Tensor, axis: int | tuple[int, ...]) -> Tensor:
    """Move the axes of classes to the end, as one axis."""
    if isinstance(axis, int):
        return x.movedim(axis, -1)
    moved = x.movedim(axis, tuple(range(-len(axis), 0)))
    return moved.flatten(-len(axis)) if axis else moved.unsqueeze(-1)


def _right(name: str, scores: Tensor, labels: Tensor) -> Tensor:
    """Return which scores are those of the labels, after the checks."""
    check_floating(name, scores)
    check_classes(name, scores)
    check_labels(name, scores, labels, scores.shape[:-1])
    return torch.arange(scores.shape[-1], device=scores.device) == labels.unsqueeze(-1)


def _of_label(scores: Tensor, labels: Tensor) -> Tensor:
    return scores.gather(-1, labels.long().unsqueeze(-1)).squeeze(-1)


def _sparsemax(scores: Tensor) -> Tensor:
    """Project rows onto the simplex, by the sorted scores whose threshold is below them."""
    scores = scores - scores.detach().amax(-1, keepdim=True)  # does not change the projection; exact for large scores
    ordered = scores.sort(-1, descending=True).values
    counts = torch.arange(1, scores.shape[-1] + 1, device=scores.device)
    excess = ordered.cumsum(-1) - 1
    support = (counts * ordered > excess).sum(-1, keepdim=True).clamp(min=1)  # 0 for NaN
    return (scores - excess.gather(-1, support - 1) / support).relu()
