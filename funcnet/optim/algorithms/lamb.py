"""LAMB: Adam for large batches."""

from funcnet.optim.algorithms.adam import scale_by_adam
from funcnet.optim.base import GradientTransformation, Scalar, ScalarOrSchedule
from funcnet.optim.transforms.adding import add_decayed_weights
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.masking import TreeOrFunction
from funcnet.optim.transforms.scaling import scale_by_learning_rate, scale_by_trust_ratio
from funcnet.reprs import shows_call


@shows_call
def lamb(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-6,
    eps_root: Scalar = 0.0,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: TreeOrFunction | None = None,
) -> GradientTransformation:
    """Descend as `adamw` does, with the step of each leaf proportional to its norm.

    d = m̂ / (sqrt(v̂ + eps_root) + eps), u = -learning_rate |p| / |d + weight_decay p| (d + weight_decay p), with m̂ and
    v̂ those of `adam`.

    Args:
        learning_rate: The step relative to the norm of a leaf; a number, a 0-d tensor or a schedule.
        b1, b2: Decay of m and of v, in [0, 1).
        eps: Added to the root; gradient unit.
        eps_root: Added below the root; a positive one keeps derivatives of the update finite where g is 0.
        weight_decay: A number, a 0-d tensor or a schedule; the share of p in d + weight_decay p.
        mask: The leaves that decay, as in `masked`. None: all.
    Source:
        You et al. (2020), Large Batch Optimization for Deep Learning, https://arxiv.org/abs/1904.00962
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.lamb(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.3536, -0.3536])
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(),
        scale_by_learning_rate(learning_rate),
    )
