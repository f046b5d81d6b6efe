"""Per-example gradients of a batch, and their clipped mean."""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

from torch import Tensor

from funcnet import random, tree
from funcnet.curvature.checks import example_count
from funcnet.curvature.per_example_norms import per_example_grad_norms
from funcnet.random import Key
from funcnet.reprs import names_call
from funcnet.transforms import grad, vmap
from funcnet.tree import Tree


@names_call
def per_example_grads(loss: Callable[..., Tensor], *, chunk_size: int | None = None) -> Callable[..., Tree]:
    """Transform the loss of one example into a function that returns the gradient of each example of a batch.

    Args:
        loss: loss(params, *example) -> 0-d tensor, the loss of one example without batch axis.
        chunk_size: Number of examples to compute at once; fewer need less memory besides the result. None: all.
    Returns:
        A function of (params, *batch). Every argument of the batch is a tree whose tensors have a leading axis, that of
        the examples; leaves that are not tensors are shared by all examples. It returns a tree like the gradient with
        respect to params, with the same leading axis in front of every leaf.
    Raises:
        ValueError: When called with tensors that lack the axis or differ in its size; the message names their paths.
        TypeError: params holds no floating-point or complex tensor, or the loss of an example is not a 0-d
            floating-point tensor.
    Example:
        >>> grads = fn.per_example_grads(lambda w, x: (w * x).sum())
        >>> grads(torch.tensor([1.0, 1.0]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([[1., 2.],
                [3., 4.]])
    """
    return partial(_per_example_grads, loss, chunk_size)


def _per_example_grads(loss: Callable[..., Tensor], chunk_size: int | None, params: Tree, *batch: Tree) -> Tree:
    example_count("per_example_grads", batch)
    return _each(grad(loss), batch, chunk_size)(params, *batch)


def _each(f: Callable[..., Any], batch: tuple[Tree, ...], chunk_size: int | None = None) -> Callable[..., Any]:
    """Map a function of params and one example over a batch."""
    return vmap(f, in_dims=(None, *(0 for _ in batch)), chunk_size=chunk_size)


@names_call
def clipped_mean(
    loss: Callable[..., Tensor],
    max_norm: float | Tensor,
    *,
    noise_multiplier: float | Tensor = 0.0,
    expected_batch_size: float | Tensor | None = None,
    chunk_size: int | None = None,
) -> Callable[..., Tree]:
    """Transform the loss of one example into a function that returns the mean of clipped per-example gradients.

    (sum_i g_i min(1, C / |g_i|) + s C n) / B, with C the max_norm, s the noise_multiplier, n standard normal and B the
    number of examples, or the expected_batch_size. One example changes the sum by at most C, so with noise this is the
    step of DP-SGD. First the norms are computed and then one weighted gradient, so that the gradients of the examples
    are never stored.

    Args:
        loss: loss(params, *example) -> 0-d tensor, the loss of one example without batch axis.
        max_norm: C, in the unit of the gradient.
        noise_multiplier: s, the standard deviation of the noise on the sum, divided by C.
        expected_batch_size: B for batches of random sizes, which DP-SGD is proved for: each example takes part with
            probability B / N, and the size itself, which is private, is not divided by. Batches may then be empty.
        chunk_size: Number of examples to compute at once; fewer need less memory. None: all.
    Returns:
        A function of (params, *batch, key=None) that returns a tree like the gradient with respect to params. The key
        is used for the noise.
    Raises:
        ValueError: max_norm or noise_multiplier is a number out of range. When called: the batch has no examples, its
            tensors lack the leading axis, noise is requested without a key, or a key is given without noise.
    Source:
        Abadi et al. (2016), Deep Learning with Differential Privacy, algorithm 1, https://arxiv.org/abs/1607.00133; as
        in optax.contrib.differentially_private_aggregate.
    Example:
        >>> mean = fn.curvature.clipped_mean(lambda w, x: (w * x).sum(), max_norm=5.0)
        >>> mean(torch.tensor([1.0, 1.0]), torch.tensor([[3.0, 4.0], [30.0, 40.0]]))
        tensor([3., 4.])
    """
    if not isinstance(max_norm, Tensor) and not max_norm > 0:
        raise ValueError(f"clipped_mean: expected a max_norm above 0, got {max_norm}.")
    if not isinstance(noise_multiplier, Tensor) and not noise_multiplier >= 0:
        raise ValueError(f"clipped_mean: expected a noise_multiplier of at least 0, got {noise_multiplier}.")
    if isinstance(expected_batch_size, int | float) and not expected_batch_size > 0:
        raise ValueError(f"clipped_mean: expected an expected_batch_size above 0, got {expected_batch_size}.")
    return partial(_clipped_mean, loss, max_norm, noise_multiplier, expected_batch_size, chunk_size)


def _clipped_mean(
    loss: Callable[..., Tensor],
    max_norm: float | Tensor,
    noise_multiplier: float | Tensor,
    expected_batch_size: float | Tensor | None,
    chunk_size: int | None,
    params: Tree,
    *batch: Tree,
    key: Key | None = None,
) -> Tree:
    count = example_count("clipped_mean", batch)
    if not count and expected_batch_size is None:
        raise ValueError(
            "clipped_mean: expected at least one example to take the mean of, got none. Pass expected_batch_size= for "
            "batches of random sizes."
        )
    noisy = isinstance(noise_multiplier, Tensor) or noise_multiplier > 0
    if noisy != (key is not None):
        raise ValueError(
            f"clipped_mean: expected a key for noise_multiplier {noise_multiplier}, got none. Pass key=."
            if noisy
            else "clipped_mean: got a key, but no noise_multiplier to draw noise for."
        )
    step = chunk_size or max(count, 1)
    chunks = [tree.map(partial(_part, i, step), batch) for i in range(0, count, step)]
    sums = (_clipped_sum(loss, max_norm, params, chunk) for chunk in chunks)
    total = reduce(tree.add, sums) if chunks else tree.zeros_like(tree.partition(params, tree.is_inexact)[0])
    if key is not None:
        total = _add_noise(key, total, noise_multiplier * max_norm)
    return tree.scale(1 / (count if expected_batch_size is None else expected_batch_size), total)


def _clipped_sum(loss: Callable[..., Tensor], max_norm: float | Tensor, params: Tree, batch: tuple[Tree, ...]) -> Tree:
    weights = (max_norm / per_example_grad_norms(loss)(params, *batch)).clamp(max=1.0)
    return grad(lambda p: (weights * _each(loss, batch)(p, *batch)).sum())(params)


def _part(start: int, size: int, leaf: Any) -> Any:
    return leaf[start : start + size] if tree.is_tensor(leaf) else leaf


def _add_noise(key: Key, values: Tree, deviation: float | Tensor) -> Tree:
    leaves, structure = tree.flatten(tree.view_as_real(values))
    noise = (
        random.normal(each, leaf.shape, leaf.dtype).to(leaf.device)
        for each, leaf in zip(random.split(key, len(leaves)), leaves, strict=True)
    )
    noisy = [leaf + (deviation * n).to(leaf.dtype) for leaf, n in zip(leaves, noise, strict=True)]
    return tree.view_as_complex(tree.unflatten(structure, noisy), values)
