"""Gradients of functions of flat tensors as torch.func computes them, without its flattening of trees.

Checked: torch/_functorch/eager_transforms.py, torch/_functorch/vmap.py, 2.13.0.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch._C import _functorch
from torch._functorch.eager_transforms import _autograd_grad

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
    if torch.compiler.is_compiling() or torch.compiler.is_exporting():  # they can trace torch's function only
        differentiated = torch.func.grad_and_value(f, tuple(range(len(tensors))), has_aux=True)
        grads, (value, auxiliary) = differentiated(*tensors)
        return value, grads, auxiliary
    with _derivative() as level, torch.enable_grad():
        inputs = [_functorch._wrap_for_grad(tensor, level) for tensor in tensors]
        _require_gradients(inputs)
        value, auxiliary = f(*inputs)
        grads = _autograd_grad((value,), inputs)
        found = [tuple(_functorch._unwrap_for_grad(x, level) for x in xs) for xs in ((value,), grads, auxiliary)]
    (value,), grads, auxiliary = found
    return value, grads, auxiliary


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
