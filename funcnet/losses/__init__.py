"""Losses, one per output or per example, without reduction: take the mean yourself.

Names, arguments and values are those of Optax (https://optax.readthedocs.io/en/latest/api/losses.html). Predictions and
targets must have the same shape, so that (batch, 1) with (batch,) is an error and does not broadcast to (batch, batch).
Predictions must be a floating-point tensor, or TypeError is raised; targets on another device raise ValueError.
"""

from funcnet.losses.binary import (
    binary_cross_entropy,
    hinge_loss,
    perceptron_loss,
    sigmoid_binary_cross_entropy,
    sigmoid_focal_loss,
    sparsemax_loss,
)
from funcnet.losses.classification import (
    make_fenchel_young_loss,
    multiclass_hinge_loss,
    multiclass_perceptron_loss,
    multiclass_sparsemax_loss,
    poly_loss_cross_entropy,
    safe_softmax_cross_entropy,
    smooth_labels,
    softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
)
from funcnet.losses.divergences import (
    convex_kl_divergence,
    generalized_kl_divergence,
    kl_divergence,
    kl_divergence_with_log_targets,
)
from funcnet.losses.regression import cosine_distance, cosine_similarity, huber_loss, l2_loss, log_cosh, squared_error
from funcnet.losses.segmentation import binary_dice_loss, dice_loss, multiclass_generalized_dice_loss
from funcnet.losses.self_supervised import ntxent, triplet_margin_loss
from funcnet.losses.sequences import ctc_loss, ranking_softmax_loss

__all__ = [
    "binary_cross_entropy",
    "binary_dice_loss",
    "convex_kl_divergence",
    "cosine_distance",
    "cosine_similarity",
    "ctc_loss",
    "dice_loss",
    "generalized_kl_divergence",
    "hinge_loss",
    "huber_loss",
    "kl_divergence",
    "kl_divergence_with_log_targets",
    "l2_loss",
    "log_cosh",
    "make_fenchel_young_loss",
    "multiclass_generalized_dice_loss",
    "multiclass_hinge_loss",
    "multiclass_perceptron_loss",
    "multiclass_sparsemax_loss",
    "ntxent",
    "perceptron_loss",
    "poly_loss_cross_entropy",
    "ranking_softmax_loss",
    "safe_softmax_cross_entropy",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "smooth_labels",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
    "sparsemax_loss",
    "squared_error",
    "triplet_margin_loss",
]


def __dir__() -> list[str]:
    return __all__
