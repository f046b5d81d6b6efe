"""Rules between this library and torch.nn for layers that slide a window: convolutions and pools."""

from typing import Any

from torch import nn

from funcnet import layers
from funcnet.bridge.twin import Module, NoTwinError, Twin, expect, named
from funcnet.layers.layer import parameter
from funcnet.layers.windows import Window
from funcnet.tree import Tree


def from_conv(module: Any, axes: int) -> Twin:
    expect(module.padding_mode == "zeros", f"a convolution with padding_mode {module.padding_mode!r}")
    padding = module.padding
    if padding == "same":  # split in the same way as torch does
        whole = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        padding = [(n // 2, n - n // 2) for n in whole]
    form = {"stride": module.stride, "padding": padding, "dilation": module.dilation, "groups": module.groups}
    layer = layers.conv(module.out_channels, module.kernel_size, use_bias=module.bias is not None, **form)
    return layer, named(w=module.weight, b=module.bias), ()


def to_conv(options: Any, params: Tree, state: Tree) -> Module:
    window, groups = options["window"], options["groups"]
    w = parameter("conv", params, "w", ndim=len(window.size) + 2)
    bias = {"bias": parameter("conv", params, "b", ndim=1)} if "b" in params else {}
    make: Any = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(window.size) - 1]
    form = {"stride": window.stride, "padding": _padding(window), "dilation": window.dilation, "groups": groups}
    module = make(w.shape[1] * groups, w.shape[0], window.size, bias=bool(bias), device="meta", **form)
    return module, {"weight": w, **bias}


def _padding(window: Window) -> str | tuple[int, ...]:
    """Convert the padding of a window to torch's terms."""
    pairs = window.padding
    if pairs is not None and all(before == after for before, after in pairs):
        return tuple(before for before, _ in pairs)
    whole = [d * (k - 1) for d, k in zip(window.dilation, window.size, strict=True)]
    same = pairs is None or list(pairs) == [(n // 2, n - n // 2) for n in whole]
    expect(same and set(window.stride) == {1}, "a window with a stride and a padding that differs before and after")
    return "same"


def from_max_pool(module: Any, axes: int) -> Twin:
    expect(not module.ceil_mode and not module.return_indices, "a MaxPool with ceil_mode or return_indices")
    size, stride, padding, dilation = _each(module, "kernel_size", "stride", "padding", "dilation")
    return layers.max_pool(size, stride=stride, padding=padding, dilation=dilation), (), ()


def to_max_pool(options: Any, params: Tree, state: Tree) -> Module:
    window = options["window"]
    make: Any = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[len(window.size) - 1]
    return make(window.size, window.stride, _pool_padding(window), window.dilation), {}


def from_avg_pool(module: Any, axes: int) -> Twin:
    plain = not module.ceil_mode and getattr(module, "divisor_override", None) is None
    expect(plain, "an AvgPool with ceil_mode or divisor_override")
    size, stride, padding = _each(module, "kernel_size", "stride", "padding")
    return layers.avg_pool(size, stride=stride, padding=padding, count_include_pad=module.count_include_pad), (), ()


def to_avg_pool(options: Any, params: Tree, state: Tree) -> Module:
    window = options["window"]
    make: Any = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[len(window.size) - 1]
    return make(window.size, window.stride, _pool_padding(window), False, options["count_include_pad"]), {}


def _pool_padding(window: Window) -> tuple[int, ...]:
    padding = _padding(window)
    if isinstance(padding, str):
        raise NoTwinError("a pool with a padding that depends on x, or differs before and after")
    return padding


def _each(module: nn.Module, *names: str) -> list[tuple[int, ...]]:
    """Read options that are one number for all axes, or one per axis."""
    axes, values = int(type(module).__name__[-2]), [getattr(module, name) for name in names]
    return [(value,) * axes if isinstance(value, int) else tuple(value) for value in values]
