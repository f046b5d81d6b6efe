"""Derivatives that distinguish structural zeros from zero values: None means "does not depend on it".

Zero times an infinite derivative is NaN. So results without a cotangent, and tensors without a tangent, take no part
in a derivative at all.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.func
from torch import Tensor
from torch.autograd import forward_ad

from funcnet import _torch, tree
from funcnet.transforms import rule_levels
from funcnet.transforms.flatten import Flattener, cast, unshared
from funcnet.transforms.refusals import Refusals

Tensors = tuple[Tensor, ...]
Partial = Sequence[Tensor | None]  # derivatives, None where they are structurally zero


def pullback(f: Callable[..., Tensors], primals: Sequence[Tensor]) -> Callable[[Partial], list[Tensor | None]]:
    """Return the function that pulls one cotangent per result of f back to one per primal."""
    floating = Flattener(tree.is_inexact)
    inputs = floating.split([*primals])
    arguments: Tensors = ()
    results: Tensors = ()

    def flat(*tensors: Tensor) -> Tensors:
        nonlocal arguments, results
        with rule_levels.recomputing():
            arguments, results = tensors, f(*floating.rebuild(tensors))
        return tuple(filter(tree.is_inexact, results))

    def pull(cotangents: Partial) -> list[Tensor | None]:
        pairs = [(y, c) for y, c in zip(results, cotangents, strict=True) if c is not None and y.requires_grad]
        outputs, weights = [y for y, _ in pairs], [c for _, c in pairs]
        recording = torch.is_grad_enabled()  # as torch.func's own pullback does
        found = torch.autograd.grad(outputs, arguments, weights, True, recording, allow_unused=True) if pairs else ()
        cotangents_found: list[Tensor | None] = floating.without_rest(found or [None] * len(arguments))
        return cotangents_found

    with Refusals("vjp"):
        torch.func.vjp(flat, *inputs)
    return pull


def pushforward(
    f: Callable[..., Tensors], primals: Sequence[Tensor], tangents: Partial
) -> tuple[Tensors, list[Tensor | None]]:
    """Evaluate f and push one tangent per primal forward to one per result."""
    moving = [i for i, tangent in enumerate(tangents) if tangent is not None]
    if not moving:
        results = f(*primals)
        return results, [None] * len(results)
    moved: list[bool] = []

    def flat(*tensors: Tensor) -> Any:
        given = dict(zip(moving, tensors, strict=True))
        with rule_levels.recomputing():
            results = f(*(given.get(i, primal) for i, primal in enumerate(primals)))
        moved[:] = [tree.is_inexact(y) and forward_ad.unpack_dual(y).tangent is not None for y in results]
        # torch needs a result that depends on a primal, so the first one is a primal itself
        return (tensors[0], *(y for y, moves in zip(results, moved, strict=True) if moves)), results

    along = tuple(tangent for tangent in tangents if tangent is not None)
    at = unshared([primals[i] for i in moving])
    outputs, pushed, results = _torch.pushforward(flat, at, along)
    found = iter(cast(outputs[1:], pushed[1:]))
    return results, [next(found) if moves else None for moves in moved]


def materialised(results: Tensors, tangents: Partial) -> tuple[Tensor | None, ...]:
    """Replace None by zeros where a result has a derivative: autograd's forward mode does not take None there."""
    pairs = zip(results, tangents, strict=True)
    return tuple(torch.zeros_like(y) if t is None and tree.is_inexact(y) else t for y, t in pairs)
