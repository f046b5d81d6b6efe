"""Layers of this library and the torch modules that compute the same, one rule each way.

FROM_TORCH holds by class what makes (layer, params, state) of a module and of the number of spatial axes that its input
has behind the features, as far as the modules before it tell. TO_TORCH holds by function what makes a module without
values, and the tensors by name that belong in it, of a layer's options, params and state.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from funcnet import layers
from funcnet.layers import Layer
from funcnet.layers.layer import parameter
from funcnet.layers.windows import Window
from funcnet.tree import Tree

Twin = tuple[Layer | Callable[[Any], Any], Tree, Tree]
Module = tuple[nn.Module, dict[str, Tensor]]


class NoTwinError(Exception):
    """There is no counterpart; the message says of what."""


def kind(layer: Layer | Callable[..., Any]) -> tuple[Any, dict[str, Any]]:
    """Return the function that a layer applies, and its options."""
    f: Any = layer if not isinstance(layer, Layer) else layer.stateful.apply if layer.stateful else layer.apply
    options: dict[str, Any] = {}
    while isinstance(f, partial):
        options, f = {**f.keywords, **options}, f.func
        f = options.pop("f", f)
    return f, options


def _named(**tensors: Tensor | None) -> dict[str, Tensor]:
    return {
        name: tensor.detach().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
        if tensor is not None
    }


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise NoTwinError(what)


def _linear(module: nn.Linear, axes: int) -> Twin:
    layer = layers.dense(module.out_features, use_bias=module.bias is not None)
    return layer, _named(w=module.weight.T, b=module.bias), ()


def _to_linear(options: Any, params: Tree, state: Tree) -> Module:
    w = parameter("dense", params, "w", ndim=2)
    bias = {"bias": parameter("dense", params, "b", ndim=1)} if "b" in params else {}
    return nn.Linear(w.shape[0], w.shape[1], bias=bool(bias), device="meta"), {"weight": w.T, **bias}


def _embedding(module: nn.Embedding, axes: int) -> Twin:
    _expect(module.padding_idx is None and module.max_norm is None, "an Embedding with padding_idx or max_norm")
    layer = layers.embedding(module.num_embeddings, module.embedding_dim, dtype=module.weight.dtype)
    return layer, _named(w=module.weight), ()


def _to_embedding(options: Any, params: Tree, state: Tree) -> Module:
    w = parameter("embedding", params, "w", ndim=2)
    return nn.Embedding(w.shape[0], w.shape[1], device="meta"), {"weight": w}


def _conv(module: Any, axes: int) -> Twin:
    _expect(module.padding_mode == "zeros", f"a convolution with padding_mode {module.padding_mode!r}")
    padding = module.padding
    if padding == "same":  # which torch splits like this
        whole = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        padding = [(n // 2, n - n // 2) for n in whole]
    form = {"stride": module.stride, "padding": padding, "dilation": module.dilation, "groups": module.groups}
    layer = layers.conv(module.out_channels, module.kernel_size, use_bias=module.bias is not None, **form)
    return layer, _named(w=module.weight, b=module.bias), ()


def _to_conv(options: Any, params: Tree, state: Tree) -> Module:
    window, groups = options["window"], options["groups"]
    w = parameter("conv", params, "w", ndim=len(window.size) + 2)
    bias = {"bias": parameter("conv", params, "b", ndim=1)} if "b" in params else {}
    make: Any = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(window.size) - 1]
    form = {"stride": window.stride, "padding": _padding(window), "dilation": window.dilation, "groups": groups}
    module = make(w.shape[1] * groups, w.shape[0], window.size, bias=bool(bias), device="meta", **form)
    return module, {"weight": w, **bias}


def _padding(window: Window) -> str | tuple[int, ...]:
    """Say in torch's terms what is added at the borders."""
    pairs = window.padding
    if pairs is not None and all(before == after for before, after in pairs):
        return tuple(before for before, _ in pairs)
    whole = [d * (k - 1) for d, k in zip(window.dilation, window.size, strict=True)]
    same = pairs is None or list(pairs) == [(n // 2, n - n // 2) for n in whole]
    _expect(same and set(window.stride) == {1}, "a window with a stride and a padding that differs before and after")
    return "same"


def _max_pool(module: Any, axes: int) -> Twin:
    _expect(not module.ceil_mode and not module.return_indices, "a MaxPool with ceil_mode or return_indices")
    size, stride, padding, dilation = _each(module, "kernel_size", "stride", "padding", "dilation")
    return layers.max_pool(size, stride=stride, padding=padding, dilation=dilation), (), ()


def _to_max_pool(options: Any, params: Tree, state: Tree) -> Module:
    window = options["window"]
    make: Any = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[len(window.size) - 1]
    return make(window.size, window.stride, _pool_padding(window), window.dilation), {}


def _avg_pool(module: Any, axes: int) -> Twin:
    plain = not module.ceil_mode and getattr(module, "divisor_override", None) is None
    _expect(plain, "an AvgPool with ceil_mode or divisor_override")
    size, stride, padding = _each(module, "kernel_size", "stride", "padding")
    return layers.avg_pool(size, stride=stride, padding=padding, count_include_pad=module.count_include_pad), (), ()


def _to_avg_pool(options: Any, params: Tree, state: Tree) -> Module:
    window = options["window"]
    make: Any = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[len(window.size) - 1]
    return make(window.size, window.stride, _pool_padding(window), False, options["count_include_pad"]), {}


def _pool_padding(window: Window) -> tuple[int, ...]:
    padding = _padding(window)
    if isinstance(padding, str):
        raise NoTwinError("a pool with a padding that depends on x, or differs before and after")
    return padding


def _each(module: nn.Module, *names: str) -> list[tuple[int, ...]]:
    """Read options that are one number for all axes, or one an axis."""
    axes, values = int(type(module).__name__[-2]), [getattr(module, name) for name in names]
    return [(value,) * axes if isinstance(value, int) else tuple(value) for value in values]


def _layer_norm(module: nn.LayerNorm, axes: int) -> Twin:
    _expect(len(module.normalized_shape) == 1, "a LayerNorm of several axes")
    _expect(module.weight is not None and module.bias is not None, "a LayerNorm without weight or bias")
    return layers.layer_norm(eps=module.eps), _named(scale=module.weight, shift=module.bias), ()


def _to_layer_norm(options: Any, params: Tree, state: Tree) -> Module:
    tensors = _affine("layer_norm", params)
    return nn.LayerNorm(len(tensors["weight"]), options["eps"], device="meta"), tensors


def _rms_norm(module: nn.RMSNorm, axes: int) -> Twin:
    _expect(len(module.normalized_shape) == 1 and module.weight is not None, "an RMSNorm of several axes, or no weight")
    eps = torch.finfo(module.weight.dtype).eps if module.eps is None else module.eps
    return layers.rms_norm(eps=eps), _named(scale=module.weight), ()


def _to_rms_norm(options: Any, params: Tree, state: Tree) -> Module:
    scale = parameter("rms_norm", params, "scale", ndim=1)
    return nn.RMSNorm(len(scale), options["eps"], device="meta"), {"weight": scale}


def _group_norm(module: nn.GroupNorm, axes: int) -> Twin:
    _expect(module.affine, "a GroupNorm without weight and bias")
    layer = layers.group_norm(module.num_groups, axis=-1 - axes, eps=module.eps)
    return layer, _named(scale=module.weight, shift=module.bias), ()


def _to_group_norm(options: Any, params: Tree, state: Tree) -> Module:
    tensors = _affine("group_norm", params)
    return nn.GroupNorm(options["groups"], len(tensors["weight"]), options["eps"], device="meta"), tensors


def _batch_norm(module: Any, axes: int) -> Twin:
    plain = module.affine and module.bias is not None and module.track_running_stats
    _expect(plain, "a BatchNorm without weight, bias or statistics")
    axis = -1 - axes if isinstance(module, nn.BatchNorm1d) else -3 if isinstance(module, nn.BatchNorm2d) else -4
    state = _named(mean=module.running_mean, var=module.running_var, count=module.num_batches_tracked)
    layer = layers.batch_norm(axis=axis, momentum=module.momentum, eps=module.eps)
    return layer, _named(scale=module.weight, shift=module.bias), state


def _to_batch_norm(options: Any, params: Tree, state: Tree) -> Module:
    tensors = _affine("batch_norm", params)
    make: Any = {-1: nn.BatchNorm1d, -2: nn.BatchNorm1d, -3: nn.BatchNorm2d, -4: nn.BatchNorm3d}[options["axis"]]
    module = make(len(tensors["weight"]), options["eps"], options["momentum"], device="meta")
    names = {"running_mean": "mean", "running_var": "var", "num_batches_tracked": "count"}
    return module, tensors | {theirs: state[ours] for theirs, ours in names.items()}


def _affine(operation: str, params: Tree) -> dict[str, Tensor]:
    names = {"weight": "scale", "bias": "shift"}
    return {theirs: parameter(operation, params, ours, ndim=1) for theirs, ours in names.items()}


def _dropout(module: nn.Dropout, axes: int) -> Twin:
    _expect(module.p < 1, "a Dropout of all")
    return layers.dropout(module.p), (), ()


def _to_dropout(options: Any, params: Tree, state: Tree) -> Module:
    return nn.Dropout(float(options["rate"])), {}


def _flatten(module: nn.Flatten, axes: int) -> Twin:
    start, end = module.start_dim, module.end_dim
    if end == -1 and (start < 0 or (start == 1 and axes)):
        return layers.flatten(-start if start < 0 else 1 + axes), (), ()
    return partial(torch.flatten, start_dim=start, end_dim=end), (), ()


def _to_flatten(options: Any, params: Tree, state: Tree) -> Module:
    return (nn.Flatten(-options["axes"]) if "axes" in options else nn.Flatten(**options)), {}


# class: (the function, the options that both have)
_ACTIVATIONS: dict[type[nn.Module], tuple[Callable[..., Any], tuple[str, ...]]] = {
    nn.ReLU: (torch.relu, ()),
    nn.ReLU6: (functional.relu6, ()),
    nn.Sigmoid: (torch.sigmoid, ()),
    nn.Tanh: (torch.tanh, ()),
    nn.SiLU: (functional.silu, ()),
    nn.Mish: (functional.mish, ()),
    nn.SELU: (functional.selu, ()),
    nn.Hardswish: (functional.hardswish, ()),
    nn.Softsign: (functional.softsign, ()),
    nn.GELU: (functional.gelu, ("approximate",)),
    nn.ELU: (functional.elu, ("alpha",)),
    nn.CELU: (functional.celu, ("alpha",)),
    nn.LeakyReLU: (functional.leaky_relu, ("negative_slope",)),
    nn.Softplus: (functional.softplus, ("beta", "threshold")),
    nn.Hardtanh: (functional.hardtanh, ("min_val", "max_val")),
    nn.Softmax: (torch.softmax, ("dim",)),
    nn.LogSoftmax: (torch.log_softmax, ("dim",)),
}


def _activation(module: nn.Module, axes: int) -> Twin:
    function, names = _ACTIVATIONS[type(module)]
    options = {name: getattr(module, name) for name in names}
    _expect(None not in options.values(), "a softmax without dim")
    return (partial(function, **options) if options else function), (), ()


def _to_activation(make: Any, options: Any, params: Tree, state: Tree) -> Module:
    return make(**options), {}


def _identity(x: Tensor) -> Tensor:
    return x


_SPATIAL: dict[tuple[type[nn.Module], ...], Callable[[Any, int], Twin]] = {
    (nn.Conv1d, nn.Conv2d, nn.Conv3d): _conv,
    (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d): _max_pool,
    (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d): _avg_pool,
}

FROM_TORCH: dict[type[nn.Module], Callable[[Any, int], Twin]] = {
    nn.Linear: _linear,
    nn.Embedding: _embedding,
    nn.LayerNorm: _layer_norm,
    nn.RMSNorm: _rms_norm,
    nn.GroupNorm: _group_norm,
    nn.Dropout: _dropout,
    nn.Flatten: _flatten,
    nn.Identity: lambda module, axes: (_identity, (), ()),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _batch_norm),
    **{each: rule for classes, rule in _SPATIAL.items() for each in classes},
    **dict.fromkeys(_ACTIVATIONS, _activation),
}

TO_TORCH: dict[Any, Callable[[Any, Tree, Tree], Module]] = {
    kind(layers.dense(1))[0]: _to_linear,
    kind(layers.embedding(1, 1))[0]: _to_embedding,
    kind(layers.conv(1, (1,)))[0]: _to_conv,
    kind(layers.max_pool((1,)))[0]: _to_max_pool,
    kind(layers.avg_pool((1,)))[0]: _to_avg_pool,
    kind(layers.layer_norm())[0]: _to_layer_norm,
    kind(layers.rms_norm())[0]: _to_rms_norm,
    kind(layers.group_norm(1))[0]: _to_group_norm,
    kind(layers.batch_norm())[0]: _to_batch_norm,
    kind(layers.dropout(0.0))[0]: _to_dropout,
    kind(layers.flatten(1))[0]: _to_flatten,
    torch.flatten: _to_flatten,
    _identity: lambda options, params, state: (nn.Identity(), {}),
    **{function: partial(_to_activation, make) for make, (function, _) in _ACTIVATIONS.items()},
}


def axes_behind(module: nn.Module, axes: int) -> int:
    """Return how many spatial axes stand behind the features of a module's output."""
    for classes in _SPATIAL:
        if type(module) in classes:
            return classes.index(type(module)) + 1
    if not isinstance(module, nn.Flatten) or not axes:
        return axes
    start, end = (axis % (axes + 2) for axis in (module.start_dim, module.end_dim))
    return max(axes - (end - start), 0)
