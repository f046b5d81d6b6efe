"""Derivatives of functions of flat tensors as torch.func computes them, without its flattening of trees.

Checked: torch/_functorch/eager_transforms.py, torch/_functorch/vmap.py, 2.13.0.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch
from torch._functorch import eager_transforms
from torch.autograd import forward_ad

Tensors = tuple[Tensor, ...]
_REFUSAL = "torch.func.grad and its relatives don't yet support saved tensor hooks."


def gradients(
    f: Callable[..., tuple[Tensor, Sequence[Tensor]]], tensors: Sequence[Tensor]
) -> tuple[Tensor, Tensors, Tensors]:
    """Return the value of f, its gradient with respect to each tensor, and its auxiliary tensors.

    Args:
        f: A function of the tensors that returns a 0-d tensor and auxiliary tensors.
        tensors: Floating-point or complex tensors.
    """
    if _traces_only_torch():
        differentiated = torch.func.grad_and_value(f, tuple(range(len(tensors))), has_aux=True)
        grads, (value, auxiliary) = differentiated(*tensors)
        return value, grads, auxiliary
    with _derivative() as level, torch.enable_grad():
        inputs = [_functorch._wrap_for_grad(tensor, level) for tensor in tensors]
        _require_gradients(inputs)
        value, auxiliary = f(*inputs)
        grads = eager_transforms._autograd_grad((value,), inputs)
        (value,), grads, auxiliary = _unwrapped(level, (value,), grads, auxiliary)
    return value, grads, auxiliary


def pushforward(
    f: Callable[..., tuple[Tensors, Sequence[Tensor]]], tensors: Sequence[Tensor], tangents: Sequence[Tensor]
) -> tuple[Tensors, Tensors, Tensors]:
    """Return the results of f, their derivatives along tangents, and its auxiliary tensors.

    Args:
        f: A function of the tensors that returns floating-point or complex tensors, and auxiliary tensors.
        tensors: Floating-point or complex tensors.
        tangents: One like each of the tensors.
    """
    if _traces_only_torch():
        pushed: Any = torch.func.jvp(f, tuple(tensors), tuple(tangents), has_aux=True)
        return pushed
    with _pushes() as level:
        results, auxiliary = f(*map(forward_ad.make_dual, tensors, tangents))
        duals = [eager_transforms.safe_unpack_dual(result, False) for result in results]
        values, derivatives, auxiliary = _unwrapped(level, *zip(*duals, strict=True), auxiliary)
    return values, derivatives, auxiliary


def _traces_only_torch() -> bool:
    """Tell whether a tracer is at work that knows torch's own function only."""
    return torch.compiler.is_compiling() or torch.compiler.is_exporting()


@contextmanager
def _pushes() -> Iterator[int]:
    """Run a derivative in forward mode; yield its level."""
    with eager_transforms.jvp_increment_nesting() as level, forward_ad._set_fwd_grad_enabled(True):
        is_outermost = eager_transforms.JVP_NESTING == 1
        with forward_ad.dual_level() if is_outermost else nullcontext():
            yield level


def _unwrapped(level: int, *parts: Sequence[Tensor]) -> list[Tensors]:
    return [tuple(_functorch._unwrap_for_grad(tensor, level) for tensor in tensors) for tensors in parts]


@contextmanager
def _derivative() -> Iterator[int]:
    """Run a derivative in reverse mode; yield its level."""
    with torch.autograd.graph.disable_saved_tensors_hooks(_REFUSAL):
        level = _functorch._grad_increment_nesting()
        try:
            yield level
        finally:
            _functorch._grad_decrement_nesting()


def _require_gradients(tensors: Sequence[Tensor]) -> None:
    """Mark the inputs of a derivative; torch refuses this inside of one, lest functions do it to their arguments."""
    before = _functorch.get_inplace_requires_grad_allowed()
    _functorch.set_inplace_requires_grad_allowed(True)
    try:
        for tensor in tensors:
            tensor.requires_grad_()
    finally:
        _functorch.set_inplace_requires_grad_allowed(before)
