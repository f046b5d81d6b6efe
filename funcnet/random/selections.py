"""Permutations, and draws from given categories or values."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from funcnet.random import native
from funcnet.random.arguments import FLOATS, Key, Shape, as_sizes, check_dtype, check_key, describe, expand
from funcnet.random.basic import gumbel, uniform
from funcnet.random.generator import WORD, WORDS32, draw, split
from funcnet.random.integers import randint
from funcnet.random.special import log

_LEAST = -(1 << 31)


def permutation(key: Key, x: int | Tensor, axis: int = 0, independent: bool = False) -> Tensor:
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


def choice(
    key: Key,
    a: int | Tensor,
    shape: Shape = (),
    replace: bool = True,
    p: Tensor | None = None,
    axis: int = 0,
) -> Tensor:
    """Draw some of the integers from 0 to a - 1 (int64), or some of the slices of a tensor along an axis.

    Args:
        key: A key.
        a: The number of integers, or a tensor.
        shape: The shape of the draws, which in a result from a tensor takes the place of `axis`.
        replace: Whether one integer or slice may be drawn several times.
        p: The probability of each integer or slice, a vector; by default all are the same.
        axis: The axis of the tensor.
    Raises:
        TypeError: a is neither an int nor a tensor with an axis.
        ValueError: There are too few integers or slices, or p does not have one probability for each.
    Example:
        >>> fn.random.choice(fn.random.key(0), 5, (3,), replace=False)
        tensor([0, 1, 4])
    """
    check_key("choice", key)
    if not isinstance(a, int) and (not isinstance(a, Tensor) or not a.ndim):
        raise TypeError(f"random.choice: expected an int, or a tensor of at least one axis, got {describe(a)}.")
    size, sizes = a if isinstance(a, int) else a.size(axis), as_sizes("choice", shape)
    count = math.prod(sizes)
    if count and (size < 1 or (count > size and not replace)):
        how = "" if replace else " without replacement"
        raise ValueError(
            f"random.choice: expected at least {1 if replace else count} to draw {count} from{how}, got {size}."
        )
    if p is not None and (not isinstance(p, Tensor) or p.shape != (size,)):
        raise ValueError(f"random.choice: expected p to be a tensor of shape ({size},), got {describe(p)}.")
    index = _indices(key, size, count, replace, p)
    if isinstance(a, int):
        return index.reshape(sizes)
    axis %= a.ndim
    return a.index_select(axis, index).reshape((*a.shape[:axis], *sizes, *a.shape[axis + 1 :]))


def categorical(key: Key, logits: Tensor, axis: int = -1, shape: Shape | None = None, replace: bool = True) -> Tensor:
    """Draw categories, as int64 indices, with probabilities softmax(logits): argmax(logits + Gumbel noise).

    Args:
        key: A key.
        logits: Unnormalised log-probabilities along `axis`.
        axis: The axis of the categories.
        shape: The shape of the result, to which the logits' shape without `axis` (the default) broadcasts.
        replace: Whether one category may be drawn several times. If not, the draws of one vector of logits are the
            leading axes of `shape`: those before the logits' axes.
    Raises:
        ValueError: Without replacement, there are fewer categories than draws.
    Example:
        >>> fn.random.categorical(fn.random.key(0), torch.tensor([0.0, 9.0]), shape=(4,))
        tensor([1, 1, 1, 1])
    """
    check_key("categorical", key)
    if not isinstance(logits, Tensor):
        raise TypeError(f"random.categorical: expected logits to be a tensor, got {describe(logits)}.")
    check_dtype("categorical", logits.dtype, FLOATS)
    batch = logits.movedim(axis, 0).shape[1:]
    sizes = batch if shape is None else as_sizes("categorical", shape)
    if not replace:
        return _distinct_categories(key, logits, axis, batch, sizes)
    categories, axis = logits.size(axis), axis if axis < 0 else axis - logits.ndim
    noise = list(sizes)
    noise.insert(len(noise) + 1 + axis, categories)
    return (gumbel(key, noise, logits.dtype) + expand("categorical", "logits", logits, noise)).argmax(axis)


def _indices(key: Key, size: int, count: int, replace: bool, p: Tensor | None) -> Tensor:
    """Draw a number of indices below a size."""
    if p is None:
        return randint(key, count, 0, size).to(torch.int64) if replace else _shuffle(key, (size,), 0)[:count]
    if not replace:
        return (gumbel(key, size, p.dtype) + log(p)).topk(count).indices
    cumulative = p.cumsum(0)
    return torch.searchsorted(cumulative, cumulative[-1] * (1 - uniform(key, count, p.dtype)))


def _distinct_categories(key: Key, logits: Tensor, axis: int, batch: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """Draw the categories of the highest logits + Gumbel noise."""
    leading = sizes[: len(sizes) - len(batch)]
    count, categories = math.prod(leading), logits.size(axis)
    if count > categories or tuple(sizes) != (*leading, *batch):
        expected = (
            f"expected a shape (*, {', '.join(map(str, batch))}) of at most {categories} draws without replacement"
        )
        raise ValueError(f"random.categorical: {expected}, got {tuple(sizes)}.")
    best = (gumbel(key, logits.shape, logits.dtype) + logits).movedim(axis, -1).topk(count).indices
    return best.movedim(-1, 0).reshape(sizes)


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
        words = torch.zeros((2, index.numel()), dtype=torch.int32, device="cpu")
        native.call(library.shuffle, *key.tolist(), index.numel(), words[0], index, words[1], torch.zeros_like(index))
        return index
    words = draw("permutation", key, index.shape, WORDS32) ^ _LEAST  # orders int32 as if unsigned
    return index.gather(axis, words.argsort(dim=axis, stable=True))
