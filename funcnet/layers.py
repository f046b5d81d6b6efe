"""Layers: pairs of pure functions, `init(key, x) -> params` and `apply(params, x, *, key=None) -> y`.

x in `init` is an example input, of which only shape and dtype matter. Layers act on the trailing axes and accept any
leading ones. A key given to `apply` switches randomness on; without one, every layer is deterministic.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import initializers, random, tree
from funcnet.initializers import Initializer
from funcnet.random import Key
from funcnet.tree import Tree

Params = Tree


class Layer(NamedTuple):
    """A model, or a part of one: `init(key, x) -> params` and `apply(params, x, *, key=None) -> y`."""

    init: Callable[[Key, Any], Params]
    apply: Callable[..., Any]


class LayerError(ValueError):
    """An input or parameters that a layer cannot take; says which layer, by the path of its parameters."""

    def __init__(self, operation: str, path: str, message: str) -> None:
        super().__init__(f"{operation}: at params {tree.place(path)}: {message}")
        self.operation, self.path, self.message = operation, path, message

    def within(self, name: str) -> "LayerError":
        """Return the same error as seen from the model that holds the layer under this name."""
        return LayerError(self.operation, f"{name}.{self.path}" if self.path else name, self.message)


def dense(
    features: int,
    *,
    use_bias: bool = True,
    w_init: Initializer | None = None,
    b_init: Initializer = initializers.zeros,
) -> Layer:
    """Apply an affine map to the last axis: y = x @ w + b.

    Args:
        features: Length of the last axis of y.
        use_bias: Whether to add b.
        w_init, b_init: Initialisers; lecun_normal and zeros by default.
    Returns:
        A layer. params: {"w": (in, features), "b": (features,)}, without "b" if not use_bias.
        apply: (*, in) -> (*, features), dtype of x.
    Raises:
        LayerError: x has another last axis, dtype or device than w.
    Example:
        >>> layer = fn.dense(3)
        >>> params = layer.init(fn.random.key(0), torch.zeros(2))
        >>> layer.apply(params, torch.zeros(5, 2)).shape
        torch.Size([5, 3])
    """
    inits = {"w": initializers.lecun_normal() if w_init is None else w_init} | ({"b": b_init} if use_bias else {})
    return Layer(init=partial(_dense_init, features=features, inits=inits), apply=_dense)


def _dense_init(key: Key, x: Tensor, *, features: int, inits: dict[str, Initializer]) -> Params:
    if not tree.is_floating(x) or not x.ndim:
        raise LayerError("dense", "", f"expected a floating-point x with a last axis, got a {tree.describe(x)}.")
    shapes = {"w": (x.shape[-1], features), "b": (features,)}
    keys = dict(zip(shapes, random.split(key), strict=True))
    return {name: init(keys[name], shapes[name], x.dtype, x.device) for name, init in inits.items()}


def _dense(params: Params, x: Tensor, *, key: Key | None = None) -> Tensor:
    y = x @ _param("dense", params, "w", x)
    return y + params["b"] if "b" in params else y


def dropout(rate: float | Tensor) -> Layer:
    """Zero each entry with probability rate and divide the others by 1 - rate; without a key, do nothing.

    Args:
        rate: In [0, 1); may be a tensor, so that it can be swept.
    Returns:
        A layer without parameters. apply: (*) -> (*), dtype of x.
    Raises:
        ValueError: A rate that is a number outside [0, 1).
    Source:
        Srivastava et al. (2014), Dropout, https://jmlr.org/papers/v15/srivastava14a.html
    Example:
        >>> fn.dropout(0.5).apply((), torch.ones(4), key=fn.random.key(1))
        tensor([2., 0., 2., 2.])
    """
    if not isinstance(rate, Tensor) and not 0 <= rate < 1:
        raise ValueError(f"dropout: expected a rate in [0, 1), the share of entries to zero, got {rate}.")
    return Layer(init=_no_params, apply=partial(_dropout, rate=rate))


def _dropout(params: Params, x: Tensor, *, rate: float | Tensor, key: Key | None = None) -> Tensor:
    if key is None:
        return x
    keep = random.bernoulli(key, 1 - rate, x.shape)
    return torch.where(keep, x / (1 - rate), 0.0)


def layer_norm(*, eps: float = 1e-5) -> Layer:
    """Normalise the last axis, then scale and shift it.

    y = (x - mean) / sqrt(var + eps) * scale + shift, with the biased variance.

    Args:
        eps: Added to the variance; same unit as x squared.
    Returns:
        A layer. params: {"scale": (features,), "shift": (features,)}.
        apply: (*, features) -> (*, features), dtype of x.
    Raises:
        LayerError: x has another last axis, dtype or device than scale.
    Source:
        Ba, Kiros, Hinton (2016), Layer Normalization, eq. 4, https://arxiv.org/abs/1607.06450
    Example:
        >>> x = torch.tensor([[1.0, 3.0]])
        >>> norm = fn.layer_norm()
        >>> norm.apply(norm.init(fn.random.key(0), x), x)
        tensor([[-1.0000,  1.0000]])
    """
    return Layer(init=_layer_norm_init, apply=partial(_layer_norm, eps=eps))


def _layer_norm_init(key: Key, x: Tensor) -> Params:
    return {"scale": torch.ones_like(_feature(x)), "shift": torch.zeros_like(_feature(x))}


def _layer_norm(params: Params, x: Tensor, *, eps: float, key: Key | None = None) -> Tensor:
    scale = _param("layer_norm", params, "scale", x)
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    return centred * torch.rsqrt(variance + eps) * scale + params["shift"]


def rms_norm(*, eps: float = 1e-6) -> Layer:
    """Divide the last axis by its root mean square, then scale it.

    y = x / sqrt(mean(x^2) + eps) * scale.

    Args:
        eps: Added to the mean square; same unit as x squared.
    Returns:
        A layer. params: {"scale": (features,)}. apply: (*, features) -> (*, features), dtype of x.
    Raises:
        LayerError: x has another last axis, dtype or device than scale.
    Source:
        Zhang, Sennrich (2019), Root Mean Square Layer Normalization, eq. 4, https://arxiv.org/abs/1910.07467
    """
    return Layer(init=_rms_norm_init, apply=partial(_rms_norm, eps=eps))


def _rms_norm_init(key: Key, x: Tensor) -> Params:
    return {"scale": torch.ones_like(_feature(x))}


def _rms_norm(params: Params, x: Tensor, *, eps: float, key: Key | None = None) -> Tensor:
    scale = _param("rms_norm", params, "scale", x)
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * scale


def embedding(
    vocabulary: int, features: int, *, w_init: Initializer | None = None, dtype: torch.dtype = torch.float32
) -> Layer:
    """Look up a vector for each integer.

    Args:
        vocabulary: Number of vectors; inputs lie in [0, vocabulary).
        features: Length of each.
        w_init: Initialiser; standard normal by default.
        dtype: Of the vectors, since that of x says nothing about it.
    Returns:
        A layer. params: {"w": (vocabulary, features)}. apply: integers (*) -> (*, features).
    Raises:
        LayerError: x is no integer tensor.
    Example:
        >>> table = {"w": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}
        >>> fn.embedding(2, 2).apply(table, torch.tensor([1, 0]))
        tensor([[3., 4.],
                [1., 2.]])
    """
    init = partial(
        _embedding_init,
        shape=(vocabulary, features),
        w_init=initializers.normal(1.0) if w_init is None else w_init,
        dtype=dtype,
    )
    return Layer(init=init, apply=_embedding)


def _embedding_init(key: Key, x: Tensor, *, shape: tuple[int, int], w_init: Initializer, dtype: torch.dtype) -> Params:
    return {"w": w_init(key, shape, dtype, x.device)}


def _embedding(params: Params, x: Tensor, *, key: Key | None = None) -> Tensor:
    if x.is_floating_point() or x.dtype == torch.bool:
        raise LayerError("embedding", "w", f"expected integers to look up, got a {tree.describe(x)}.")
    vectors: Tensor = params["w"]
    return vectors[x.long()]


def flatten(axes: int) -> Layer:
    """Merge the last axes into one.

    Args:
        axes: How many; 3 for images of shape (*, channels, height, width).
    Returns:
        A layer without parameters. apply: (*, a, ..., z) -> (*, a ... z).
    Raises:
        LayerError: x has fewer axes.
    """
    return Layer(init=_no_params, apply=partial(_flatten, axes=axes))


def _flatten(params: Params, x: Tensor, *, axes: int, key: Key | None = None) -> Tensor:
    if x.ndim < axes:
        raise LayerError("flatten", "", f"expected at least {axes} axes to merge, got x of shape {tuple(x.shape)}.")
    return x.flatten(x.ndim - axes)


def step(x: Tensor) -> Tensor:
    """Fire or not, as the perceptron's unit does: 1 where x > 0, 0 elsewhere. Its derivative is 0 everywhere.

    Source:
        Rosenblatt (1958), The perceptron, https://doi.org/10.1037/h0042519
    Example:
        >>> fn.step(torch.tensor([-1.0, 0.0, 2.0]))
        tensor([0., 0., 1.])
    """
    return (x > 0).to(x.dtype)


def as_layer(layer: Layer | Callable[[Any], Any]) -> Layer:
    """Turn any function of x into a layer without parameters; a layer stays as it is.

    Raises:
        TypeError: It cannot be called, or is a torch.nn.Module that holds parameters, which would be hidden from init.
    """
    if isinstance(layer, Layer):
        return layer
    if not callable(layer):
        raise TypeError(f"as_layer: expected a Layer or a function of x, got {layer!r}.")
    if isinstance(layer, torch.nn.Module) and any(True for _ in layer.parameters()):
        raise TypeError(f"as_layer: {type(layer).__name__} holds parameters of its own, which no gradient would reach.")
    return Layer(init=_no_params, apply=partial(_call, f=layer))


def _call(params: Params, x: Any, *, f: Callable[[Any], Any], key: Key | None = None) -> Any:
    return f(x)


def _no_params(key: Key, x: Any) -> Params:
    return ()


def _feature(x: Tensor) -> Tensor:
    """One vector along the last axis."""
    return x[(0,) * (x.ndim - 1)]


def _param(operation: str, params: Params, name: str, x: Tensor) -> Tensor:
    """The parameter that the last axis of x meets with its first, checked against x."""
    try:
        w: Tensor = params[name]
    except (KeyError, TypeError, IndexError):
        raise LayerError(operation, "", f'expected a dict with "{name}", got {tree.describe(params)}.') from None
    if x.shape[-1:] != w.shape[:1]:
        raise LayerError(
            operation,
            name,
            f"expected a last axis of {w.shape[0]} in x to match {name} of shape {tuple(w.shape)}, "
            f"got x of shape {tuple(x.shape)}.\nIf the model was initialised with another input, "
            "call model.init again with an example of the new one.",
        )
    if (x.dtype, x.device) != (w.dtype, w.device):
        raise LayerError(
            operation,
            name,
            f"expected x to be {w.dtype} on {w.device} like {name}, got {x.dtype} on {x.device}. "
            "Convert one of them with .to().",
        )
    return w
