"""Stochastic gradient descent with differential privacy."""

from torch import Tensor

from funcnet.optim.algorithms.sgd import sgd
from funcnet.optim.base import GradientTransformation, Scalar, ScalarOrSchedule
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.per_example import differentially_private_aggregate
from funcnet.reprs import shows_call


@shows_call
def dpsgd(
    learning_rate: ScalarOrSchedule,
    l2_norm_clip: Scalar,
    noise_multiplier: Scalar,
    seed: Tensor | int,
    momentum: Scalar | None = None,
    nesterov: bool = False,
) -> GradientTransformation:
    """Descend along the noisy mean of gradients per example with bounded norms, for differential privacy.

    Args:
        learning_rate: Step size.
        l2_norm_clip: The bound of the norm of the gradient of one example.
        noise_multiplier: The standard deviation of the noise on the sum of gradients, divided by l2_norm_clip.
        seed: A key, or a seed, for the noise.
        momentum: The decay of the sum of noisy means, in [0, 1). None: no momentum.
        nesterov: Whether the momentum looks ahead.
    Returns:
        The transformation. Updates have a leading axis of examples, parameters do not. State: a tuple, with a
        `DifferentiallyPrivateAggregateState` first.
    Source:
        Abadi et al. (2016), Deep Learning with Differential Privacy, algorithm 1, https://arxiv.org/abs/1607.00133
    Example:
        >>> optimizer = fn.optim.dpsgd(0.1, l2_norm_clip=2.5, noise_multiplier=0.0, seed=0)
        >>> optimizer.update(torch.tensor([[3.0, 4.0], [0.0, 1.0]]), optimizer.init(torch.zeros(2)))[0]
        tensor([-0.0750, -0.1500])
    """
    mean = differentially_private_aggregate(l2_norm_clip, noise_multiplier, seed)
    return chain(mean, sgd(learning_rate, momentum, nesterov))
