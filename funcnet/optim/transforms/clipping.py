"""Transformations that bound updates."""

from functools import partial

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim.base import (
    GradientTransformation,
    Params,
    Scalar,
    Updates,
    cast,
    global_norm,
    need_params,
    on_pairs,
    stateless,
)
from funcnet.optim.ranges import check_bound, check_not_negative
from funcnet.optim.transforms.scaling import rms
from funcnet.reprs import shows_call


@shows_call
def clip(max_delta: Scalar) -> GradientTransformation:
    """Bound every entry of the updates: -max_delta <= u <= max_delta.

    Example:
        >>> part = fn.optim.clip(1.0)
        >>> part.update(torch.tensor([-3.0, 0.5]), part.init(None))[0]
        tensor([-1.0000,  0.5000])
    """
    check_bound("clip", max_delta=max_delta)
    return on_pairs(stateless(partial(_clip, max_delta=max_delta)))


@shows_call
def clip_by_block_rms(threshold: Scalar) -> GradientTransformation:
    """Bound the root mean square of every leaf: u = g / max(1, rms(g) / threshold).

    Source:
        Shazeer, Stern (2018), Adafactor, section 6, https://arxiv.org/abs/1804.04235
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.clip_by_block_rms(1.0)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([0.8485, 1.1314])
    """
    check_bound("clip_by_block_rms", threshold=threshold)
    return stateless(partial(_clip_by_block_rms, threshold=threshold))


@shows_call
def clip_by_global_norm(max_norm: Scalar) -> GradientTransformation:
    """Bound the Euclidean norm of all updates together: u = g max_norm / max(|g|, max_norm).

    Source:
        Pascanu, Mikolov, Bengio (2013), On the difficulty of training recurrent neural networks,
        https://arxiv.org/abs/1211.5063
    Example:
        >>> part = fn.optim.clip_by_global_norm(1.0)
        >>> part.update(torch.tensor([3.0, 4.0]), part.init(None))[0]
        tensor([0.6000, 0.8000])
    """
    check_bound("clip_by_global_norm", max_norm=max_norm)
    return stateless(partial(_clip_by_global_norm, max_norm=max_norm))


@shows_call
def adaptive_grad_clip(
    clipping: Scalar, eps: Scalar = 1e-3, axis: int | tuple[int, ...] | None = None
) -> GradientTransformation:
    """Bound the norm of every unit's update by a fraction of its weights' norm: |u| <= clipping max(|p|, eps).

    Args:
        clipping: The largest ratio of an update's norm to that of the weights.
        eps: Lower bound on the norm of weights, so that weights at 0 can move.
        axis: The axes that index the weights of one unit. None: all of a vector, the first of a matrix (its inputs) or
            of a 3-d tensor, all but the last of 4 and 5 axes.
    Raises:
        ValueError: A leaf has more than 5 axes, and `axis` is None.
    Source:
        Brock, De, Smith, Simonyan (2021), High-Performance Large-Scale Image Recognition Without Normalization,
        https://arxiv.org/abs/2102.06171
    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.adaptive_grad_clip(0.5)
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([1.5000, 2.0000])
    """
    check_bound("adaptive_grad_clip", clipping=clipping)
    check_not_negative("adaptive_grad_clip", eps=eps)
    return stateless(partial(_adaptive_grad_clip, clipping=clipping, eps=eps, axis=axis))


def _clip(updates: Updates, params: Params | None, *, max_delta: Scalar) -> Updates:
    return tree.map(lambda g: g.clamp(-cast(max_delta, g), cast(max_delta, g)), updates)


def _clip_by_block_rms(updates: Updates, params: Params | None, *, threshold: Scalar) -> Updates:
    return tree.map(lambda g: g / (rms(g) / threshold).clamp(min=1), updates)


def _clip_by_global_norm(updates: Updates, params: Params | None, *, max_norm: Scalar) -> Updates:
    factor = 1 / (global_norm(updates) / max_norm).clamp(min=1)
    return tree.map(lambda g: g * factor.to(g.dtype), updates)


def _adaptive_grad_clip(
    updates: Updates, params: Params | None, *, clipping: Scalar, eps: Scalar, axis: int | tuple[int, ...] | None
) -> Updates:
    def bounded(g: Tensor, p: Tensor) -> Tensor:
        norm, size = _unit_norm(g, axis), _unit_norm(p, axis)
        largest = clipping * size.clamp(min=cast(eps, size))
        return torch.where(norm < largest, g, g * (largest / norm.clamp(min=1e-6)))

    return tree.map(bounded, updates, need_params("adaptive_grad_clip", params, updates))


def _unit_norm(x: Tensor, axis: int | tuple[int, ...] | None) -> Tensor:
    if axis is None and x.ndim > 5:
        raise ValueError(
            f"adaptive_grad_clip: expected leaves of at most 5 axes, got shape {tuple(x.shape)}. Set `axis` to "
            "the axes that index the weights of one unit."
        )
    over = _unit_axes(x) if axis is None else axis
    return torch.linalg.vector_norm(x, dim=over, keepdim=True) if x.ndim else x.abs()


def _unit_axes(x: Tensor) -> tuple[int, ...]:
    if sum(size != 1 for size in x.shape) <= 1:
        return tuple(range(x.ndim))
    return (0,) if x.ndim <= 3 else tuple(range(x.ndim - 1))
