"""Losses of sequences and of rankings."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from funcnet.losses.checks import check_floating, check_pair


def ctc_loss(
    logits: Tensor, logit_paddings: Tensor, labels: Tensor, label_paddings: Tensor, *, blank_id: int = 0
) -> Tensor:
    """Compute the negative log probability of label sequences over all alignments with the logits.

    Args:
        logits: Shape (batch, times, classes).
        logit_paddings: Shape (batch, times); 1 or True at the padded end of each sequence, and 0 before.
        labels: Integers in [0, classes) other than the blank, shape (batch, length).
        label_paddings: Shape (batch, length); 1 or True at the padded end.
        blank_id: The class of blanks.
    Returns:
        Shape (batch,), in nats; infinity where no alignment exists (Optax: about 1e5).
    Raises:
        ValueError: The shapes do not fit together.
    Source:
        Graves, Fernández, Gomez, Schmidhuber (2006), Connectionist Temporal Classification,
        https://www.cs.toronto.edu/~graves/icml_2006.pdf
    Example:
        >>> logits, labels = torch.zeros(1, 4, 3), torch.tensor([[1, 2]])  # one sequence of 4 times and 3 classes
        >>> fn.losses.ctc_loss(logits, torch.zeros(1, 4), labels, torch.zeros(1, 2))
        tensor([1.6864])
    """
    check_floating("ctc_loss", logits)
    if logit_paddings.shape != logits.shape[:2] or label_paddings.shape != labels.shape or logits.ndim != 3:
        raise ValueError(
            "losses.ctc_loss: expected logits (batch, times, classes), their paddings (batch, times), and labels and "
            f"their paddings (batch, length), got {tuple(logits.shape)}, {tuple(logit_paddings.shape)}, "
            f"{tuple(labels.shape)} and {tuple(label_paddings.shape)}."
        )
    times, lengths = ((p == 0).sum(1) for p in (logit_paddings, label_paddings))
    log_probabilities = logits.log_softmax(-1).transpose(0, 1)
    return F.ctc_loss(log_probabilities, labels.long(), times, lengths, blank_id, reduction="none")


def ranking_softmax_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    where: Tensor | None = None,
    weights: Tensor | None = None,
    reduce_fn: Callable[..., Tensor] | None = torch.mean,
) -> Tensor:
    """Compute the cross entropy of relevances under the softmax of the scores of a list: -sum_k y_k log softmax(l)_k.

    Args:
        logits: Scores, shape (*, list).
        labels: Relevances, of the same shape.
        where: Bools of the same shape: the items that exist. None: all.
        weights: Factors of the relevances, which broadcast to the shape. None: 1.
        reduce_fn: torch.mean or torch.sum of the losses of lists that have items, or None for each list's.
    Returns:
        0-d, or shape (*) without reduction; lists without items have 0.
    Raises:
        ValueError: The shapes differ.
    Source:
        Cao, Qin, Liu, Tsai, Li (2007), Learning to Rank: From Pairwise Approach to Listwise Approach,
        https://www.microsoft.com/en-us/research/publication/learning-to-rank-from-pairwise-approach-to-listwise-approach
    Example:
        >>> fn.losses.ranking_softmax_loss(torch.tensor([2.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 0.0]))
        tensor(0.4076)
    """
    check_pair("ranking_softmax_loss", logits, labels)
    labels = labels.to(logits.dtype) if weights is None else labels.to(logits.dtype) * weights
    exists = torch.ones_like(logits, dtype=torch.bool) if where is None else where.expand(logits.shape)
    known = torch.where(exists, logits, 0)
    has_items = exists.any(-1, keepdim=True)
    normaliser = torch.where(exists | ~has_items, known, -torch.inf).logsumexp(-1, keepdim=True)
    losses = torch.where(exists, labels * (normaliser - known), 0).sum(-1)
    if getattr(reduce_fn, "__name__", None) == "mean" and where is not None:  # torch's and funcnet.numpy's
        return losses.sum() / has_items.sum().clamp(min=1)
    return losses if reduce_fn is None else reduce_fn(losses)
