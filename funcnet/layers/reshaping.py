"""A layer that changes only the shape."""

from functools import partial

from torch import Tensor

from funcnet.layers.layer import Layer, LayerError, Params, no_params
from funcnet.random import Key
from funcnet.reprs import shows_call


@shows_call
def flatten(axes: int) -> Layer:
    """Merge the last axes into one.

    Args:
        axes: Number of axes to merge; 3 for images of shape (*, channels, height, width).
    Returns:
        A layer without parameters. apply: (*, a, ..., z) -> (*, a ... z).
    Raises:
        ValueError: axes is not an integer, or is below 1.
        LayerError: x has fewer axes.
    Example:
        >>> layer = fn.flatten(2)  # the last two axes
        >>> layer.apply((), torch.zeros(5, 2, 3)).shape
        torch.Size([5, 6])
    """
    if not isinstance(axes, int) or axes < 1:
        raise ValueError(f"flatten: expected a whole number of axes, at least 1, got {axes}.")
    return Layer(init=no_params, apply=partial(_flatten, axes=axes))


def _flatten(params: Params, x: Tensor, *, axes: int, key: Key | None = None) -> Tensor:
    if x.ndim < axes:
        raise LayerError("flatten", "", f"expected at least {axes} axes to merge, got x of shape {tuple(x.shape)}.")
    return x.flatten(x.ndim - axes)
