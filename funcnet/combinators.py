"""Combinators: layers made of layers, with their parameters in a tuple, or by name in a dict.

Wherever a layer is expected, any function of x serves as a layer without parameters. The functions here are written
once, with state, which is a tuple or dict like the parameters; if no layer has state, the plain functions drop it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from funcnet import random, tree
from funcnet.layers import Layer, LayerError, Params, State, as_layer, dense, dropout
from funcnet.layers.layer import NeedsState, inside
from funcnet.random import Key
from funcnet.reprs import shows_call
from funcnet.tree import Tree

LayerLike = Layer | Callable[[Any], Any]
Children = tuple[Layer, ...]
Names = tuple[str, ...] | None


@shows_call
def serial(*layers: LayerLike, keys: Literal["split", "stax"] = "split", **named: LayerLike) -> Layer:
    """Apply layers one after the other: y = f_n(... f_1(x)).

    Args:
        layers, named: The layers in order, all by position or all by name. No layer can be named keys.
        keys: How init derives the layers' keys from its own. "split": all by one split. "stax": by a split per layer,
            as jax.example_libraries.stax does, so that its seeds give the same parameters. Other libraries, such as
            flax and equinox, derive keys in their own ways: there, a seed gives another net.
    Returns:
        A layer. params: a tuple of the layers' params, or a dict by name.
        apply: the input of the first to the output of the last; a key is split among the layers.
        If one of them has state, so has the model: a tuple, or a dict by name, of their states.
    Raises:
        TypeError: Positional and named layers are mixed.
        ValueError: keys has another value.
        LayerError: params has another structure, or one of the layers raises; the message names its place in the model.
    Example:
        >>> model = fn.serial(hidden=fn.dense(2), act=torch.sigmoid, out=fn.dense(1))
        >>> params = model.init(fn.random.key(0), torch.zeros(4, 3))
        >>> fn.tree.paths(params)
        ['hidden.b', 'hidden.w', 'out.b', 'out.w']
    """
    if keys not in _DERIVE:
        raise ValueError(f"serial: expected keys to be 'split' or 'stax', got {keys!r}. No layer can be named keys.")
    init = partial(_serial_init, derive=_DERIVE[keys])
    return _combine(init, _serial, *_children("serial", layers, named))


def _serial_init(
    key: Key, x: Any, *, children: Children, names: Names, derive: Callable[[Key, int], Sequence[Key | None]]
) -> tuple[Params, State]:
    made = []
    for label, child, child_key in zip(_labels(children, names), children, derive(key, len(children)), strict=True):
        made.append(inside(label, child.init_with_state, child_key, x))
        x, _ = inside(label, child.apply_with_state, *made[-1], x, train=False)
    return _pack_pairs(made, names)


def _serial(
    params: Params, state: State, x: Any, *, children: Children, names: Names, key: Key | None = None, train: bool
) -> tuple[Any, State]:
    states = []
    for label, child, p, s, k in _zip("serial", params, state, children, names, key):
        x, after = inside(label, child.apply_with_state, p, s, x, key=k, train=train)
        states.append(after)
    return x, _pack(states, names)


@shows_call
def parallel(*layers: LayerLike, **named: LayerLike) -> Layer:
    """Apply several layers to the same input.

    Args:
        layers, named: The layers, all by position or all by name.
    Returns:
        A layer. params: a tuple of the layers' params, or a dict by name. apply: x to the tuple, or dict, of results.
    Raises:
        TypeError: Positional and named layers are mixed.
        LayerError: params has another structure, or one of the layers raises; the message names its place in the model.
    Example:
        >>> both = fn.serial(fn.parallel(torch.cos, torch.sin), lambda ys: torch.stack(ys, -1))
        >>> both.apply(both.init(fn.random.key(0), torch.zeros(())), torch.zeros(()))
        tensor([1., 0.])
    """
    return _combine(_parallel_init, _parallel, *_children("parallel", layers, named))


def _parallel_init(key: Key, x: Any, *, children: Children, names: Names) -> tuple[Params, State]:
    rows = zip(_labels(children, names), children, _split(key, len(children)), strict=True)
    return _pack_pairs([inside(label, child.init_with_state, k, x) for label, child, k in rows], names)


def _parallel(
    params: Params, state: State, x: Any, *, children: Children, names: Names, key: Key | None = None, train: bool
) -> tuple[Any, State]:
    rows = _zip("parallel", params, state, children, names, key)
    results = [inside(label, child.apply_with_state, p, s, x, key=k, train=train) for label, child, p, s, k in rows]
    return _pack_pairs(results, names)


@shows_call
def residual(layer: LayerLike) -> Layer:
    """Add a layer's input to its output: y = x + f(x).

    Args:
        layer: Keeps the shape of its input.
    Returns:
        A layer. params: those of the layer. apply: (*) -> (*).
    Raises:
        LayerError: The layer changes the shape.
    Source:
        He, Zhang, Ren, Sun (2016), Deep Residual Learning, eq. 1, https://arxiv.org/abs/1512.03385
    Example:
        >>> layer = fn.residual(torch.sin)
        >>> layer.apply((), torch.tensor([0.0, 1.0]))
        tensor([0.0000, 1.8415])
    """
    inner = as_layer(layer)
    if inner.stateful:
        return Layer(inner[0], NeedsState(partial(_residual_with_state, inner=inner), inner.apply))
    return Layer(inner.init, partial(_residual, inner=inner))


def _residual(params: Params, x: Tensor, *, inner: Layer, key: Key | None = None) -> Tensor:
    return _residual_with_state(params, (), x, inner=inner, key=key, train=False)[0]


def _residual_with_state(
    params: Params, state: State, x: Tensor, *, inner: Layer, key: Key | None = None, train: bool
) -> tuple[Tensor, State]:
    y, state = inner.apply_with_state(params, state, x, key=key, train=train)
    if not tree.is_tensor(y) or y.shape != x.shape:
        expected = f"expected a layer that keeps the shape {tuple(x.shape)} of its input"
        raise LayerError("residual", "", f"{expected}, got {tree.describe(y)}.")
    return x + y, state


@shows_call
def mlp(
    sizes: Sequence[int],
    *,
    activation: LayerLike = torch.relu,
    activate_last: bool = False,
    dropout_rate: float | Tensor = 0.0,
    **options: Any,
) -> Layer:
    """Apply affine maps with an activation between them: the multi-layer perceptron.

    Args:
        sizes: The features of each `dense`, the last those of y.
        activation: Applied between the maps; any function or layer.
        activate_last: Whether the activation also follows the last map.
        dropout_rate: If not 0, the rate of a `dropout` after each activation.
        options: Options of `dense`: use_bias, w_init, b_init.
    Returns:
        A layer, the `serial` of these. apply: (*, in) -> (*, sizes[-1]), dtype of x.
    Raises:
        ValueError: A size is negative or not an integer, or dropout_rate is not in [0, 1).
        LayerError: x or params do not fit one of the layers; the message names its place in the model.
    Example:
        >>> model = fn.mlp([8, 8, 1], activation=torch.tanh)
        >>> [params["w"].shape for params in model.init(fn.random.key(0), torch.zeros(2)) if params]
        [torch.Size([2, 8]), torch.Size([8, 8]), torch.Size([8, 1])]
    """
    drops = isinstance(dropout_rate, Tensor) or dropout_rate != 0
    after: list[LayerLike] = [activation, *([dropout(dropout_rate)] if drops else [])]
    blocks = [[dense(size, **options), *after] for size in sizes]
    if blocks and not activate_last:
        blocks[-1] = blocks[-1][:1]
    return serial(*(layer for block in blocks for layer in block))


def _combine(init: Callable[..., Any], apply: Callable[..., Any], children: Children, names: Names) -> Layer:
    """Make a layer of functions with state; its plain functions raise if one of its children has state."""
    known: dict[str, Any] = {"children": children, "names": names}
    for label, child in zip(_labels(children, names), children, strict=True):
        if child.stateful:
            refuse_init, refuse_apply = partial(inside, label, child.init), partial(inside, label, child.apply)
            return Layer(
                NeedsState(partial(init, **known), refuse_init), NeedsState(partial(apply, **known), refuse_apply)
            )
    return Layer(partial(_without_state_init, f=init, **known), partial(_without_state, f=apply, **known))


def _without_state_init(key: Key, x: Any, *, f: Callable[..., Any], children: Children, names: Names) -> Params:
    return f(key, x, children=children, names=names)[0]


def _without_state(
    params: Params, x: Any, *, f: Callable[..., Any], children: Children, names: Names, key: Key | None = None
) -> Any:
    nothing = _pack([()] * len(children), names)
    return f(params, nothing, x, children=children, names=names, key=key, train=False)[0]


def _children(operation: str, layers: Sequence[LayerLike], named: dict[str, LayerLike]) -> tuple[Children, Names]:
    if layers and named:
        raise TypeError(f"{operation}: expected all layers by position or all by name, got both.")
    children = tuple(as_layer(layer) for layer in (*layers, *named.values()))
    return children, tuple(named) or None


def _labels(children: Sequence[Layer], names: Names) -> Sequence[str]:
    return names or [str(i) for i in range(len(children))]


def _pack(values: Sequence[Any], names: Names) -> Any:
    return dict(zip(names, values, strict=True)) if names else tuple(values)


def _split(key: Key | None, count: int) -> Sequence[Key | None]:
    return [None] * count if key is None else list(random.split(key, count))


def _split_repeatedly(key: Key, count: int) -> Sequence[Key | None]:
    keys: list[Key | None] = []
    for _ in range(count):
        key, own = random.split(key)
        keys.append(own)
    return keys


_DERIVE = {"split": _split, "stax": _split_repeatedly}


def _pack_pairs(pairs: Sequence[tuple[Any, Any]], names: Names) -> tuple[Any, Any]:
    return _pack([first for first, _ in pairs], names), _pack([second for _, second in pairs], names)


def _zip(
    operation: str, params: Params, state: State, children: Children, names: Names, key: Key | None
) -> Iterator[tuple[str, Layer, Params, State, Key | None]]:
    each_params = _unpack(operation, "", params, children, names)
    each_state = _unpack(operation, "as state ", state, children, names)
    keys = _split(key, len(children))
    return zip(_labels(children, names), children, each_params, each_state, keys, strict=True)


def _unpack(operation: str, what: str, values: Tree, children: Children, names: Names) -> Sequence[Any]:
    if not (_has_names(values, names) if names else _has_length(values, len(children))):
        container = f"a dict with entries {', '.join(names)}" if names else f"a tuple of {len(children)}"
        raise LayerError(operation, "", f"expected {what}{container}, got {tree.describe(values)}.")
    return [values[name] for name in names] if names else values


def _has_names(values: Tree, names: Sequence[str]) -> bool:
    return isinstance(values, Mapping) and set(values) == set(names)


def _has_length(values: Tree, length: int) -> bool:
    return isinstance(values, Sequence) and len(values) == length
