"""Norms with a gradient at 0, counters that do not overflow, scaled gradients, and copies of parameters."""

from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import Params, Scalar
from funcnet.transforms import custom_vjp, stop_gradient
from funcnet.tree import Tree


def safe_norm(
    x: Tensor,
    min_norm: Scalar,
    ord: float | str | None = None,
    axis: int | tuple[int, ...] | None = None,
    keepdims: bool = False,
) -> Tensor:
    """Return max(norm(x), min_norm), with the gradient 0 instead of NaN where the norm is at most min_norm.

    Args:
        x: Vectors, or matrices for two axes.
        min_norm: The least result.
        ord: As in torch.linalg.norm; None: the root of the sum of squares.
        axis: The axes of the vectors or matrices; None: all.
        keepdims: Whether these axes stay, with size 1.
    Example:
        >>> fn.grad(lambda x: fn.optim.safe_norm(x, 0.0))(torch.zeros(2))
        tensor([0., 0.])
    """
    norm = torch.linalg.norm(x, ord, axis, keepdim=True)
    short = norm <= min_norm
    longer = torch.linalg.norm(torch.where(short, 1.0, x), ord, axis, keepdim=keepdims)
    return torch.where(short.reshape(longer.shape), min_norm, longer)


def safe_root_mean_squares(x: Tensor, min_rms: Scalar) -> Tensor:
    """Return max(root of the mean of |x|², min_rms), with the gradient 0 where it is at most min_rms."""
    short = x.abs().square().mean().sqrt() <= min_rms
    return torch.where(short, min_rms, torch.where(short, 1.0, x).abs().square().mean().sqrt())


def safe_increment(count: Tensor) -> Tensor:
    """Add 1 to a counter, unless it is at the largest number of its dtype, where it stays.

    Example:
        >>> fn.optim.safe_increment(torch.tensor(127, dtype=torch.int8))
        tensor(127, dtype=torch.int8)
    """
    limits: Any = torch.finfo if count.is_floating_point() else torch.iinfo
    return torch.where(count < limits(count.dtype).max, count + 1, count)


safe_int32_increment = safe_increment  # its older name


def periodic_update(
    new_tensors: Params, old_tensors: Params, steps: int | Tensor, update_period: int | Tensor
) -> Params:
    """Return the new parameters if the number of steps is a multiple of a period, else the old ones.

    Args:
        new_tensors: Any tree, such as the parameters that are trained.
        old_tensors: Like new_tensors, such as the parameters of a target network.
        steps: The number of steps so far.
        update_period: The number of steps per update.
    Example:
        >>> new, old = torch.tensor(1.0), torch.tensor(0.0)
        >>> [fn.optim.periodic_update(new, old, step, 2).item() for step in range(4)]
        [1.0, 0.0, 1.0, 0.0]
    """
    due = torch.as_tensor(steps) % update_period == 0
    return tree.map(lambda new, old: torch.where(due, new, old), new_tensors, old_tensors)


def scale_gradient(inputs: Tree, scale: Scalar) -> Tree:
    """Return the inputs; their gradients are multiplied by a factor on the way back.

    Example:
        >>> fn.grad(lambda x: fn.optim.scale_gradient(x, 0.5) ** 2)(torch.tensor(3.0))
        tensor(3.)
    """
    if not isinstance(scale, Tensor) and scale in (0, 1):
        return inputs if scale else stop_gradient(inputs)
    return _scaled(inputs, scale)


@custom_vjp
def _scaled(inputs: Tree, scale: Scalar) -> Tree:
    return inputs


def _scaled_forward(inputs: Tree, scale: Scalar) -> tuple[Tree, Scalar]:
    return inputs, scale


def _scaled_backward(scale: Scalar, gradients: Tree) -> tuple[Tree, None]:
    return tree.scale(scale, gradients), None


_scaled.defvjp(_scaled_forward, _scaled_backward)
