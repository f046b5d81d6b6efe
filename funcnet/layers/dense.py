"""Layers of one matrix: an affine map of vectors, and an embedding of integers."""

from functools import partial

import torch
from torch import Tensor

from funcnet import initializers, tree
from funcnet.initializers import Initializer
from funcnet.layers.layer import Layer, LayerError, Params, check_example, check_names, draw, matching, parameter
from funcnet.random import Key
from funcnet.reprs import shows_call


@shows_call
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
        ValueError: features is not an integer, or is negative.
        LayerError: The last axis, dtype or device of x does not match w, b does not fit, or params has other entries.
            Without "b" in params, apply adds none.
    Example:
        >>> layer = fn.dense(3)
        >>> params = layer.init(fn.random.key(0), torch.zeros(2))
        >>> layer.apply(params, torch.zeros(5, 2)).shape
        torch.Size([5, 3])
    """
    if not isinstance(features, int) or features < 0:
        raise ValueError(f"dense: expected a whole number of features, got {features}.")
    inits = {"w": initializers.lecun_normal() if w_init is None else w_init} | ({"b": b_init} if use_bias else {})
    return Layer(init=partial(_dense_init, features=features, inits=inits), apply=apply_dense)


def _dense_init(key: Key, x: Tensor, *, features: int, inits: dict[str, Initializer]) -> Params:
    check_example("dense", x)
    shapes = {"w": (x.shape[-1], features), "b": (features,)}
    return draw(key, inits, shapes, like=x)


def apply_dense(params: Params, x: Tensor, *, key: Key | None = None) -> Tensor:
    """Apply the affine map of `dense`; the sizes are those of params."""
    w = matching("dense", params, "w", x, ndim=2)
    check_names("dense", params, ("w", "b"))
    y = x @ w
    return y + matching("dense", params, "b", w, what="w") if "b" in params else y


@shows_call
def embedding(
    vocabulary: int, features: int, *, w_init: Initializer | None = None, dtype: torch.dtype = torch.float32
) -> Layer:
    """Look up a vector for each integer.

    Args:
        vocabulary: Number of vectors; inputs are in [0, vocabulary).
        features: Length of each vector.
        w_init: Initialiser; standard normal by default.
        dtype: The dtype of the vectors, which cannot be that of x.
    Returns:
        A layer. params: {"w": (vocabulary, features)}. apply: integers (*) -> (*, features).
    Raises:
        ValueError: vocabulary or features is not an integer, or is negative.
        LayerError: x is not an integer tensor.
    Example:
        >>> table = {"w": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}
        >>> fn.embedding(2, 2).apply(table, torch.tensor([1, 0]))
        tensor([[3., 4.],
                [1., 2.]])
    """
    if not all(isinstance(size, int) and size >= 0 for size in (vocabulary, features)):
        raise ValueError(f"embedding: expected whole numbers of vectors and features, got {vocabulary} and {features}.")
    init = partial(
        _embedding_init,
        shape=(vocabulary, features),
        w_init=initializers.normal(1.0) if w_init is None else w_init,
        dtype=dtype,
    )
    return Layer(init=init, apply=_embedding)


def _embedding_init(key: Key, x: Tensor, *, shape: tuple[int, int], w_init: Initializer, dtype: torch.dtype) -> Params:
    _check_integers(x)
    return {"w": w_init(key, shape, dtype, x.device)}


def _embedding(params: Params, x: Tensor, *, key: Key | None = None) -> Tensor:
    _check_integers(x)
    return parameter("embedding", params, "w", ndim=2)[x.long()]


def _check_integers(x: Tensor) -> None:
    if not tree.is_tensor(x) or x.is_floating_point() or x.dtype == torch.bool:
        raise LayerError("embedding", "w", f"expected integers to look up, got {tree.describe(x)}.")
