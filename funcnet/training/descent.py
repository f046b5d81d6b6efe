"""One step of gradient descent."""

import math
from typing import Any, TypeVar

import torch
from torch import Tensor

from funcnet import tree
from funcnet.tree import Tree
from funcnet.tree.nodes import map_fitting

Params = TypeVar("Params")


def sgd_step(params: Params, grads: Tree, learning_rate: float | Tensor) -> Params:
    """Take one step of gradient descent: p - learning_rate g.

    Args:
        params: Any tree.
        grads: Like params; a parameter whose gradient is None stays the same.
        learning_rate: At least 0, in units of the parameter squared over the loss; may be a tensor.
    Returns:
        The new parameters, in the dtypes of the old ones, which are not modified.
    Raises:
        ValueError: The trees differ in structure, a gradient does not have the shape of its parameter, or the learning
            rate is a negative number or not finite.
    Example:
        >>> fn.sgd_step({"w": torch.tensor(1.0)}, {"w": torch.tensor(2.0)}, 0.1)
        {'w': tensor(0.8000)}
    """

    is_known = not isinstance(learning_rate, torch.SymFloat | torch.SymInt)  # the numbers that jit traces
    if is_known and isinstance(learning_rate, int | float) and not 0 <= learning_rate < math.inf:
        raise ValueError(f"sgd_step: expected a finite learning_rate of at least 0, got {learning_rate}.")

    def descend(p: Any, g: Tensor | None) -> Any:
        if g is None:
            return p
        if not tree.is_inexact(p) or g.shape != p.shape:
            raise TypeError("a gradient must be like its parameter; the gradient of a leaf that is not trained is None")
        # torch.sub with alpha is faster, but takes only numbers
        after = p - learning_rate * g if isinstance(learning_rate, Tensor) else torch.sub(p, g, alpha=learning_rate)
        return after.expand(p.shape).to(p.dtype)  # raises for a learning rate that widens it

    return map_fitting("sgd_step", descend, params, grads)
