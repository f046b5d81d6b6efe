"""Activation functions that torch does not have."""

from torch import Tensor


def step(x: Tensor) -> Tensor:
    """Apply the step function of the perceptron: 1 where x > 0, 0 elsewhere. Its derivative is 0 everywhere.

    Source:
        Rosenblatt (1958), The perceptron, https://doi.org/10.1037/h0042519
    Example:
        >>> fn.step(torch.tensor([-1.0, 0.0, 2.0]))
        tensor([0., 0., 1.])
    """
    return (x > 0).to(x.dtype)
