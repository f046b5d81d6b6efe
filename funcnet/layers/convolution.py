"""Convolution over one, two or three axes."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor
from torch.nn import functional

from funcnet import initializers
from funcnet.initializers import Initializer
from funcnet.layers.layer import Layer, LayerError, Params, check_fits, check_names, draw, matching, parameter
from funcnet.layers.windows import Padding, Sizes, Window, check_axes, extend, fold, margins, window
from funcnet.random import Key
from funcnet.reprs import shows_call

_CONVOLUTIONS: dict[int, Any] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@shows_call
def conv(
    features: int,
    kernel_size: Sequence[int],
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
    use_bias: bool = True,
    w_init: Initializer | None = None,
    b_init: Initializer = initializers.zeros,
) -> Layer:
    """Correlate the last axes with a kernel, as torch.nn.Conv1d, 2d and 3d do; the channel axis precedes these axes.

    y[f, i] = b[f] + sum_{c, k} w[f, c, k] x[c, stride i + dilation k], with one axis in i and k per kernel_size entry.

    Args:
        features: Channels of y.
        kernel_size: One size per axis: (5,) for series, (3, 3) for images, (3, 3, 3) for volumes.
        stride, dilation: Steps of the kernel and within it; one number, or one per axis.
        padding: Zeros at the borders: "valid" (none), "same" (enough for n positions to become ceil(n / stride)), a
            number for both ends of all axes, or for each axis a number or a pair (before, after).
        groups: The number of groups of channels of x and of y; each group of y depends only on its group of x.
        use_bias: Whether to add b.
        w_init, b_init: Initialisers; lecun_normal and zeros by default. w_init is called with the shape (*kernel_size,
            in / groups, features), from which it finds the fans; then the axes are moved.
    Returns:
        A layer. params: {"w": (features, in / groups, *kernel_size), "b": (features,)}, torch's layout.
        apply: (*, in, *sizes) -> (*, features, *sizes'), dtype of x.
    Raises:
        ValueError: An option is invalid, or groups does not divide features.
        LayerError: x is smaller than the kernel, its channels are not divisible by groups, or it does not fit w.
    Example:
        >>> layer = fn.conv(8, (3, 3), stride=2, padding="same")
        >>> params = layer.init(fn.random.key(0), torch.zeros(3, 28, 28))
        >>> layer.apply(params, torch.zeros(5, 3, 28, 28)).shape
        torch.Size([5, 8, 14, 14])
    """
    if not isinstance(features, int) or features < 1:
        raise ValueError(f"conv: expected a whole number of features, at least 1, got {features}.")
    if not isinstance(groups, int) or groups < 1 or features % groups:
        raise ValueError(f"conv: expected groups that divide the features, got {groups} and {features}.")
    options: dict[str, Any] = {"window": window("conv", kernel_size, stride, dilation, padding), "groups": groups}
    inits = {"w": initializers.lecun_normal() if w_init is None else w_init} | ({"b": b_init} if use_bias else {})
    return Layer(init=partial(_conv_init, features=features, inits=inits, **options), apply=partial(_conv, **options))


def _conv_init(
    key: Key, x: Tensor, *, features: int, window: Window, groups: int, inits: dict[str, Initializer]
) -> Params:
    axes = len(window.size)
    check_axes("conv", x, axes + 1, "channels" + ", size" * axes)
    margins("conv", x, window)
    channels = x.shape[-axes - 1]
    if channels % groups:
        raise LayerError(
            "conv", "", f"expected channels divisible by {groups} groups, got {channels} in axis {-axes - 1}."
        )
    shapes = {"w": (*window.size, channels // groups, features), "b": (features,)}
    params = draw(key, inits, shapes, like=x)
    return params | {"w": params["w"].movedim((-1, -2), (0, 1)).contiguous()}


def _conv(params: Params, x: Tensor, *, window: Window, groups: int, key: Key | None = None) -> Tensor:
    axes = len(window.size)
    w = parameter("conv", params, "w", ndim=axes + 2)
    check_names("conv", params, ("w", "b"))
    check_fits("conv", "w", w, x, size=w.shape[1] * groups, axis=-axes - 1)
    b = matching("conv", params, "b", w, what="w", axis=0) if "b" in params else None
    added, own = margins("conv", x, window), (0,) * axes
    if all(before == after for before, after in added):  # torch adds this padding without a copy
        added, own = [(0, 0)] * axes, tuple(before for before, _ in added)
    y = _CONVOLUTIONS[axes](fold(extend(x, added), axes + 1), w, b, window.stride, own, window.dilation, groups)
    return y.reshape(*x.shape[: -axes - 1], *y.shape[1:])
