"""Losses of embeddings."""

import torch
from torch import Tensor

from funcnet.losses.checks import check_floating, check_pair
from funcnet.losses.regression import cosine_similarity


def ntxent(embeddings: Tensor, labels: Tensor, temperature: float | Tensor = 0.07) -> Tensor:
    """Compute the normalised temperature-scaled cross entropy of pairs with the same label.

    The mean over such pairs (i, j) of -log(e^(c_ij) / (e^(c_ij) + sum over k of another label e^(c_ik))), where c are
    cosines divided by the temperature.

    Args:
        embeddings: Shape (batch, features).
        labels: Integers, shape (batch,); the views of one image have the same label.
        temperature: Of the softmax.
    Returns:
        0-d.
    Raises:
        ValueError: The numbers of embeddings and labels differ.
    Source:
        Chen, Kornblith, Norouzi, Hinton (2020), A Simple Framework for Contrastive Learning of Visual Representations,
        https://arxiv.org/abs/2002.05709
    Example:
        >>> fn.losses.ntxent(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]), torch.tensor([0, 0, 1, 1]))
        tensor(9.0599e-06)
    """
    check_floating("ntxent", embeddings)
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise ValueError(
            "losses.ntxent: expected embeddings of shape (batch, features) and labels of shape (batch,), got "
            f"{tuple(embeddings.shape)} and {tuple(labels.shape)}."
        )
    epsilon = torch.finfo(embeddings.dtype).eps
    shape = (len(labels), *embeddings.shape)
    scores = cosine_similarity(embeddings.expand(shape), embeddings.unsqueeze(1).expand(shape), epsilon) / temperature
    same = labels.unsqueeze(1) == labels
    pairs = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    others = torch.where(same, -torch.inf, scores).logsumexp(1, keepdim=True)
    return torch.where(pairs, torch.logaddexp(scores, others) - scores, 0).sum() / pairs.sum()


def triplet_margin_loss(
    anchors: Tensor,
    positives: Tensor,
    negatives: Tensor,
    axis: int = -1,
    norm_degree: float | Tensor = 2,
    margin: float | Tensor = 1.0,
    eps: float | Tensor = 1e-6,
) -> Tensor:
    """Compute max(0, |a - p| - |a - n| + margin): 0 if positives are closer than negatives by the margin.

    Args:
        anchors, positives, negatives: Of the same shape (*, features).
        axis: The axis of features.
        norm_degree: The exponent d of distances, (sum (x - y)^d + eps)^(1/d).
        margin: In the unit of the embeddings.
        eps: Keeps the gradient of equal embeddings finite.
    Returns:
        Shape (*).
    Raises:
        ValueError: The shapes differ.
    Source:
        Schroff, Kalenichenko, Philbin (2015), FaceNet, https://arxiv.org/abs/1503.03832
    Example:
        >>> fn.losses.triplet_margin_loss(torch.tensor([0.0]), torch.tensor([0.5]), torch.tensor([1.0]))
        tensor(0.5000)
    """
    check_pair("triplet_margin_loss", anchors, positives)
    check_pair("triplet_margin_loss", anchors, negatives)
    near, far = (
        (((anchors - other) ** norm_degree).sum(axis) + eps) ** (1 / norm_degree) for other in (positives, negatives)
    )
    return (near - far + margin).relu()
