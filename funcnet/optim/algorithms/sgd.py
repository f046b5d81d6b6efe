"""Stochastic gradient descent: plain, with momentum, with noise, or with signs only."""

import torch
from torch import Tensor

from funcnet.optim.base import GradientTransformation, Scalar, ScalarOrSchedule, identity
from funcnet.optim.transforms.adding import add_noise
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.ema import ema
from funcnet.optim.transforms.scaling import scale_by_learning_rate, scale_by_sign
from funcnet.optim.transforms.trace import trace
from funcnet.reprs import shows_call


@shows_call
def sgd(
    learning_rate: ScalarOrSchedule,
    momentum: Scalar | None = None,
    nesterov: bool = False,
    accumulator_dtype: torch.dtype | None = None,
) -> GradientTransformation:
    """Descend along the gradient, optionally with momentum: m = g + momentum m, u = -learning_rate m.

    With nesterov, u = -learning_rate (g + momentum m), with the new m. torch.optim.SGD has the same formula; for its
    weight_decay, put `add_decayed_weights` before this in a chain, and for its maximize, `scale(-1)` before both.

    Args:
        learning_rate: Step size, parameter unit squared over loss unit.
        momentum: In [0, 1); None for no momentum and no state.
        nesterov: Whether to look ahead; it has no effect without momentum.
        accumulator_dtype: The dtype of m. None: that of the parameters.
    Returns:
        The transformation. State: a tuple, with a `TraceState` first if there is momentum.
    Source:
        Sutskever, Martens, Dahl, Hinton (2013), On the importance of initialization and momentum in deep learning,
        https://proceedings.mlr.press/v28/sutskever13.html; the formula is that of optax.sgd and torch.optim.SGD.
    Example:
        >>> optimizer = fn.optim.sgd(0.1)
        >>> optimizer.update(torch.tensor(2.0), optimizer.init(torch.tensor(1.0)))
        (tensor(-0.2000), ((), ()))
    """
    first = identity() if momentum is None else trace(momentum, nesterov, accumulator_dtype)
    return chain(first, scale_by_learning_rate(learning_rate))


@shows_call
def noisy_sgd(
    learning_rate: ScalarOrSchedule,
    eta: Scalar = 0.01,
    gamma: Scalar = 0.55,
    key: Tensor | int | None = None,
    *,
    seed: int | None = None,
) -> GradientTransformation:
    """Descend along the gradient plus decaying noise: u = -learning_rate (g + n), n ~ N(0, eta / t^gamma).

    Args:
        learning_rate: Step size.
        eta: Variance of the noise at the first update.
        gamma: Exponent of its decay.
        key: A key, or a seed. The same key gives the same noise in every run.
        seed: A seed, in place of a key; by default 0.
    Source:
        Neelakantan et al. (2015), Adding Gradient Noise Improves Learning, https://arxiv.org/abs/1511.06807
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.noisy_sgd(0.1, eta=0.0)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.3000, -0.4000])
    """
    return chain(
        add_noise(eta, gamma, key, seed=0 if key is None and seed is None else seed),
        scale_by_learning_rate(learning_rate),
    )


@shows_call
def sign_sgd(learning_rate: ScalarOrSchedule) -> GradientTransformation:
    """Descend by the sign of the gradient: u = -learning_rate sign(g).

    Source:
        Bernstein, Wang, Azizzadenesheli, Anandkumar (2018), signSGD, https://arxiv.org/abs/1802.04434
    Example:
        >>> optimizer = fn.optim.sign_sgd(0.1)
        >>> optimizer.update(torch.tensor([5.0, -0.1]), optimizer.init(torch.zeros(2)))[0]
        tensor([-0.1000,  0.1000])
    """
    return chain(scale_by_sign(), scale_by_learning_rate(learning_rate))


@shows_call
def signum(
    learning_rate: ScalarOrSchedule, beta: Scalar = 0.9, accumulator_dtype: torch.dtype | None = None
) -> GradientTransformation:
    """Descend by the sign of the mean gradient: m = beta m + (1 - beta) g, u = -learning_rate sign(m).

    Args:
        learning_rate: Step size, parameter unit; a number, a 0-d tensor or a schedule.
        beta: Decay of m, in [0, 1).
        accumulator_dtype: The dtype of m. None: that of the parameters.
    Returns:
        The transformation. State: a tuple, with an `EmaState` first.
    Source:
        Bernstein, Wang, Azizzadenesheli, Anandkumar (2018), signSGD, algorithm 2, https://arxiv.org/abs/1802.04434
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.signum(0.1)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([-0.1000, -0.1000])
    """
    mean = ema(beta, debias=False, accumulator_dtype=accumulator_dtype)
    return chain(mean, scale_by_sign(), scale_by_learning_rate(learning_rate))
