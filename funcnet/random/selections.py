"""Permutations, and draws from given categories or values."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from funcnet.random import native
from funcnet.random.arguments import FLOATS, Key, Shape, as_sizes, check_dtype, check_key, describe, expand
from funcnet.random.basic import gumbel
from funcnet.random.generator import WORD, WORDS32, draw, split

_LEAST = -(1 << 31)


def permutation(key: Key, x: int | Tensor, axis: int = 0, *, independent: bool = False) -> Tensor:
    """Shuffle the integers from 0 to x - 1 (int64), or a tensor along an axis.

    Args:
        key: A key.
        x: The number of integers, or a tensor.
        axis: The axis along which to shuffle the tensor.
        independent: Whether to shuffle each line along the axis independently instead of whole slices.
    Example:
        >>> fn.random.permutation(fn.random.key(0), 5)
        tensor([0, 1, 4, 3, 2])
    """
    check_key("permutation", key)
    if isinstance(x, int):
        return _shuffle(key, as_sizes("permutation", x), 0)
    if not isinstance(x, Tensor) or x.ndim == 0:
        raise TypeError(f"random.permutation: expected an int, or a tensor of at least one axis, got {describe(x)}.")
    if independent:
        return x.gather(axis, _shuffle(key, x.shape, axis))
    return x.index_select(axis, _shuffle(key, (x.size(axis),), 0))


def categorical(key: Key, logits: Tensor, axis: int = -1, shape: Shape | None = None) -> Tensor:
    """Draw categories, as int64 indices, with probabilities softmax(logits): argmax(logits + Gumbel noise).

    Args:
        key: A key.
        logits: Unnormalised log-probabilities along `axis`.
        axis: The axis of the categories.
        shape: The shape of the result, to which the logits' shape without `axis` (the default) broadcasts.
    Example:
        >>> fn.random.categorical(fn.random.key(0), torch.tensor([0.0, 9.0]), shape=(4,))
        tensor([1, 1, 1, 1])
    """
    check_key("categorical", key)
    if not isinstance(logits, Tensor):
        raise TypeError(f"random.categorical: expected logits to be a tensor, got {describe(logits)}.")
    check_dtype("categorical", logits.dtype, FLOATS)
    categories, axis = logits.size(axis), axis if axis < 0 else axis - logits.ndim
    noise = list(as_sizes("categorical", logits.movedim(axis, 0).shape[1:] if shape is None else shape))
    noise.insert(len(noise) + 1 + axis, categories)
    return (gumbel(key, noise, logits.dtype) + expand("categorical", "logits", logits, noise)).argmax(axis)


def _shuffle(key: Key, shape: Sequence[int], axis: int) -> Tensor:
    """Shuffle indices along an axis by sorting random words, in enough rounds that equal words hardly matter."""
    lines = [1] * len(shape)
    lines[axis] = shape[axis]
    index = torch.arange(shape[axis], device=key.device).reshape(lines).expand(*shape)
    for _ in range(math.ceil(3 * math.log(max(1, math.prod(shape))) / math.log(WORD))):
        key, subkey = split(key)
        index = _sort(subkey, index, axis)
    return index


def _sort(key: Key, index: Tensor, axis: int) -> Tensor:
    """Sort indices by random words, stably."""
    if index.ndim == 1 and index.numel() <= WORD and (library := native.library(key, index.numel())):
        words = torch.empty((2, index.numel()), dtype=torch.int32, device="cpu")
        native.call(library.shuffle, *key.tolist(), index.numel(), words[0], index, words[1], torch.empty_like(index))
        return index
    words = draw("permutation", key, index.shape, WORDS32) ^ _LEAST  # orders int32 as if unsigned
    return index.gather(axis, words.argsort(dim=axis, stable=True))
