"""Combinators: layers made of layers, with their parameters in a tuple, or by name in a dict.

Wherever a layer is expected, any function of x is one without parameters.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from funcnet import random, tree
from funcnet.layers import Layer, LayerError, Params, as_layer
from funcnet.random import Key

LayerLike = Layer | Callable[[Any], Any]
Names = tuple[str, ...] | None


def serial(*layers: LayerLike, **named: LayerLike) -> Layer:
    """Apply layers one after the other: y = f_n(... f_1(x)).

    Args:
        layers, named: The layers in order, all by position or all by name.
    Returns:
        A layer. params: a tuple of the layers' params, or a dict by name.
        apply: the input of the first to the output of the last; a key is split among the layers.
    Raises:
        TypeError: Positional and named layers together.
        LayerError: Params of another form, or what one of the layers raises, with its place in the model.
    Example:
        >>> model = fn.serial(hidden=fn.dense(2), act=torch.sigmoid, out=fn.dense(1))
        >>> params = model.init(fn.random.key(0), torch.zeros(4, 3))
        >>> fn.tree.paths(params)
        ['hidden.b', 'hidden.w', 'out.b', 'out.w']
    """
    known = _children("serial", layers, named)
    return Layer(init=partial(_serial_init, **known), apply=partial(_serial, **known))


def _serial_init(key: Key, x: Any, *, children: tuple[Layer, ...], names: Names) -> Params:
    params = []
    for label, child, child_key in zip(_labels(children, names), children, _split(key, len(children)), strict=True):
        params.append(_inside(label, child.init, child_key, x))
        x = _inside(label, child.apply, params[-1], x)
    return _pack(params, names)


def _serial(params: Params, x: Any, *, children: tuple[Layer, ...], names: Names, key: Key | None = None) -> Any:
    for label, child, p, k in _zip("serial", params, children, names, key):
        x = _inside(label, child.apply, p, x, key=k)
    return x


def parallel(*layers: LayerLike, **named: LayerLike) -> Layer:
    """Apply layers side by side to one input.

    Args:
        layers, named: The layers, all by position or all by name.
    Returns:
        A layer. params: a tuple of the layers' params, or a dict by name. apply: x to the tuple, or dict, of results.
    Raises:
        TypeError, LayerError: As `serial`.
    Example:
        >>> both = fn.serial(fn.parallel(torch.cos, torch.sin), lambda ys: torch.stack(ys, -1))
        >>> both.apply(both.init(fn.random.key(0), torch.zeros(())), torch.zeros(()))
        tensor([1., 0.])
    """
    known = _children("parallel", layers, named)
    return Layer(init=partial(_parallel_init, **known), apply=partial(_parallel, **known))


def _parallel_init(key: Key, x: Any, *, children: tuple[Layer, ...], names: Names) -> Params:
    rows = zip(_labels(children, names), children, _split(key, len(children)), strict=True)
    return _pack([_inside(label, child.init, child_key, x) for label, child, child_key in rows], names)


def _parallel(params: Params, x: Any, *, children: tuple[Layer, ...], names: Names, key: Key | None = None) -> Any:
    rows = _zip("parallel", params, children, names, key)
    return _pack([_inside(label, child.apply, p, x, key=k) for label, child, p, k in rows], names)


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
    """
    inner = as_layer(layer)
    return Layer(init=inner.init, apply=partial(_residual, inner=inner))


def _residual(params: Params, x: Tensor, *, inner: Layer, key: Key | None = None) -> Tensor:
    y = inner.apply(params, x, key=key)
    if not tree.is_tensor(y) or y.shape != x.shape:
        expected = f"expected a layer that keeps the shape {tuple(x.shape)} of its input"
        raise LayerError("residual", "", f"{expected}, got {tree.describe(y)}.")
    return x + y


def _children(operation: str, layers: Sequence[LayerLike], named: dict[str, LayerLike]) -> dict[str, Any]:
    if layers and named:
        raise TypeError(f"{operation}: expected all layers by position or all by name, got both.")
    children = tuple(as_layer(layer) for layer in (*layers, *named.values()))
    return {"children": children, "names": tuple(named) or None}


def _labels(children: Sequence[Layer], names: Names) -> Sequence[str]:
    return names or [str(i) for i in range(len(children))]


def _pack(values: Sequence[Any], names: Names) -> Any:
    return dict(zip(names, values, strict=True)) if names else tuple(values)


def _split(key: Key | None, count: int) -> Sequence[Key | None]:
    return [None] * count if key is None else list(random.split(key, count))


def _zip(operation: str, params: Params, children: Sequence[Layer], names: Names, key: Key | None) -> Any:
    labels = _labels(children, names)
    if not (_has_names(params, names) if names else _has_length(params, len(children))):
        expected = f"a dict with entries {', '.join(names)}" if names else f"a tuple of {len(children)}"
        raise LayerError(operation, "", f"expected {expected}, got {tree.describe(params)}.")
    values = [params[name] for name in names] if names else params
    return zip(labels, children, values, _split(key, len(children)), strict=True)


def _has_names(params: Params, names: Sequence[str]) -> bool:
    return isinstance(params, Mapping) and set(params) == set(names)


def _has_length(params: Params, length: int) -> bool:
    return isinstance(params, Sequence) and len(params) == length


def _inside(label: str, f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a layer's function; an error says where in the model the layer is."""
    try:
        return f(*args, **kwargs)
    except LayerError as error:
        raise error.within(label) from None
