"""Rules that convert layers of this library to equivalent torch modules, and back.

FROM_TORCH maps a module's class to a function from the module, and from the number of spatial axes after the features
of its input (as far as the preceding modules determine it), to (layer, params, state). TO_TORCH maps a layer's function
to a function from the layer's options, params and state to a module without values and its tensors by name.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from funcnet import layers
from funcnet.bridge.twin import Module, Twin, expect, kind, named
from funcnet.bridge.window_rules import from_avg_pool, from_conv, from_max_pool, to_avg_pool, to_conv, to_max_pool
from funcnet.layers.layer import parameter
from funcnet.tree import Tree


def _linear(module: nn.Linear, axes: int) -> Twin:
    layer = layers.dense(module.out_features, use_bias=module.bias is not None)
    return layer, named(w=module.weight.T, b=module.bias), ()


def _to_linear(options: Any, params: Tree, state: Tree) -> Module:
    w = parameter("dense", params, "w", ndim=2)
    bias = {"bias": parameter("dense", params, "b", ndim=1)} if "b" in params else {}
    return nn.Linear(w.shape[0], w.shape[1], bias=bool(bias), device="meta"), {"weight": w.T, **bias}


def _embedding(module: nn.Embedding, axes: int) -> Twin:
    expect(module.padding_idx is None and module.max_norm is None, "an Embedding with padding_idx or max_norm")
    layer = layers.embedding(module.num_embeddings, module.embedding_dim, dtype=module.weight.dtype)
    return layer, named(w=module.weight), ()


def _to_embedding(options: Any, params: Tree, state: Tree) -> Module:
    w = parameter("embedding", params, "w", ndim=2)
    return nn.Embedding(w.shape[0], w.shape[1], device="meta"), {"weight": w}


def _layer_norm(module: nn.LayerNorm, axes: int) -> Twin:
    expect(len(module.normalized_shape) == 1, "a LayerNorm of several axes")
    expect(module.weight is not None and module.bias is not None, "a LayerNorm without weight or bias")
    return layers.layer_norm(eps=module.eps), named(scale=module.weight, shift=module.bias), ()


def _to_layer_norm(options: Any, params: Tree, state: Tree) -> Module:
    tensors = _affine("layer_norm", params)
    return nn.LayerNorm(len(tensors["weight"]), options["eps"], device="meta"), tensors


def _rms_norm(module: nn.RMSNorm, axes: int) -> Twin:
    expect(len(module.normalized_shape) == 1 and module.weight is not None, "an RMSNorm of several axes, or no weight")
    eps = torch.finfo(module.weight.dtype).eps if module.eps is None else module.eps
    return layers.rms_norm(eps=eps), named(scale=module.weight), ()


def _to_rms_norm(options: Any, params: Tree, state: Tree) -> Module:
    scale = parameter("rms_norm", params, "scale", ndim=1)
    return nn.RMSNorm(len(scale), options["eps"], device="meta"), {"weight": scale}


def _group_norm(module: nn.GroupNorm, axes: int) -> Twin:
    expect(module.affine, "a GroupNorm without weight and bias")
    layer = layers.group_norm(module.num_groups, axis=-1 - axes, eps=module.eps)
    return layer, named(scale=module.weight, shift=module.bias), ()


def _to_group_norm(options: Any, params: Tree, state: Tree) -> Module:
    tensors = _affine("group_norm", params)
    return nn.GroupNorm(options["groups"], len(tensors["weight"]), options["eps"], device="meta"), tensors


def _batch_norm(module: Any, axes: int) -> Twin:
    plain = module.affine and module.bias is not None and module.track_running_stats
    expect(plain, "a BatchNorm without weight, bias or statistics")
    axis = -1 - axes if isinstance(module, nn.BatchNorm1d) else -3 if isinstance(module, nn.BatchNorm2d) else -4
    state = named(mean=module.running_mean, var=module.running_var, count=module.num_batches_tracked)
    layer = layers.batch_norm(axis=axis, momentum=module.momentum, eps=module.eps)
    return layer, named(scale=module.weight, shift=module.bias), state


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
    expect(module.p < 1, "a Dropout with p = 1")
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
    expect(None not in options.values(), "a softmax without dim")
    return (partial(function, **options) if options else function), (), ()


def _to_activation(make: Any, options: Any, params: Tree, state: Tree) -> Module:
    return make(**options), {}


def _identity(x: Tensor) -> Tensor:
    return x


_SPATIAL: dict[tuple[type[nn.Module], ...], Callable[[Any, int], Twin]] = {
    (nn.Conv1d, nn.Conv2d, nn.Conv3d): from_conv,
    (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d): from_max_pool,
    (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d): from_avg_pool,
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
    kind(layers.conv(1, (1,)))[0]: to_conv,
    kind(layers.max_pool((1,)))[0]: to_max_pool,
    kind(layers.avg_pool((1,)))[0]: to_avg_pool,
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
    """Return the number of spatial axes after the features of a module's output."""
    for classes in _SPATIAL:
        if type(module) in classes:
            return classes.index(type(module)) + 1
    if not isinstance(module, nn.Flatten) or not axes:
        return axes
    start, end = (axis % (axes + 2) for axis in (module.start_dim, module.end_dim))
    return max(axes - (end - start), 0)
