"""LARS: momentum for large batches."""

from funcnet.optim.base import GradientTransformation, Scalar, ScalarOrSchedule
from funcnet.optim.transforms.adding import add_decayed_weights
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.masking import TreeOrFunction, masked
from funcnet.optim.transforms.scaling import scale_by_learning_rate, scale_by_trust_ratio
from funcnet.optim.transforms.trace import trace
from funcnet.reprs import shows_call


@shows_call
def lars(
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: TreeOrFunction = True,
    trust_coefficient: Scalar = 0.001,
    eps: Scalar = 0.0,
    trust_ratio_mask: TreeOrFunction = True,
    momentum: Scalar = 0.9,
    nesterov: bool = False,
) -> GradientTransformation:
    """Descend with momentum, with the step of each leaf proportional to its norm.

    d = g + weight_decay p, m = momentum m - learning_rate trust_coefficient |p| / (|d| + eps) d, u = m.

    Args:
        learning_rate: A number, a 0-d tensor or a schedule.
        weight_decay, weight_decay_mask: The decay rate and the leaves that decay, as in `add_decayed_weights`.
        trust_coefficient: The ratio of the step's norm to that of the parameter, times learning_rate.
        eps: Added to the norm of d.
        trust_ratio_mask: The leaves whose steps are scaled, as in `masked`; biases usually are not.
        momentum: Decay of m, in [0, 1).
        nesterov: Whether to look one step ahead.
    Source:
        You, Gitman, Ginsburg (2017), Large Batch Training of Convolutional Networks, https://arxiv.org/abs/1708.03888
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.lars(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.0003, -0.0004])
    """
    return chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        masked(scale_by_trust_ratio(trust_coefficient=trust_coefficient, eps=eps), trust_ratio_mask),
        scale_by_learning_rate(learning_rate),
        trace(momentum, nesterov),
    )
