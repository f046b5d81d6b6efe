"""torch.func: each transformation that runs is a level; a tensor at a level is a wrapper around one at a lower level.

Checked: torch/_functorch/pyfunctorch.py, torch/csrc/functorch/init.cpp, 2.13.0.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch
from torch._functorch.predispatch import lazy_load_decompositions
from torch._functorch.pyfunctorch import temporarily_pop_interpreter_stack
from torch.autograd.forward_ad import _set_fwd_grad_enabled, unpack_dual

from funcnet._torch.modes import on_values

NO_LEVEL = -1  # the level of a tensor outside of torch.func; that of a tensor whose level has ended is -2


def is_wrapped(x: Any) -> bool:
    """Tell whether x is a tensor at a level of torch.func."""
    return isinstance(x, Tensor) and _functorch.is_functorch_wrapped_tensor(x)


def unwrap(tensor: Tensor) -> Tensor:
    """Remove the outermost wrapper of a tensor."""
    return _functorch.get_unwrapped(tensor)


def unwrapped(x: Any) -> Any:
    """Return the tensor inside all of torch.func's wrappers; other values are returned unchanged."""
    while is_wrapped(x):
        x = unwrap(x)
    return x


def level(tensor: Tensor) -> int:
    """Return the level of a tensor's outermost wrapper, or NO_LEVEL."""
    return _functorch.maybe_get_level(tensor)


def levels(tensor: Tensor) -> Iterator[int]:
    """Yield the levels of a tensor's wrappers, outermost first."""
    while is_wrapped(tensor):
        yield level(tensor)
        tensor = unwrap(tensor)


def current_level() -> int | None:
    """Return the level of the innermost transformation that runs now; None outside of torch.func."""
    return _functorch.maybe_current_level()


def is_transforming() -> bool:
    """Tell whether a transformation of torch.func runs now."""
    return _functorch.peek_interpreter_stack() is not None


def require_grad(tensor: Tensor) -> Tensor:
    """Call requires_grad_(), which torch.func refuses; in a vmap, where it has no effect, return the tensor."""
    layer = _functorch.peek_interpreter_stack()
    if layer is not None and layer.key() == _functorch.TransformType.Vmap:
        return tensor
    before = _functorch.get_inplace_requires_grad_allowed()
    _functorch.set_inplace_requires_grad_allowed(True)
    try:
        return tensor.requires_grad_()
    finally:
        _functorch.set_inplace_requires_grad_allowed(before)


def derivative_levels() -> int:
    """Count the transformations that run now, except vmap."""
    stack = _functorch.get_interpreter_stack() or []
    return sum(layer.key() != _functorch.TransformType.Vmap for layer in stack)


def has_derivative(tensor: Tensor) -> bool:
    """Tell whether one of the transformations that run now differentiates through a tensor."""
    return derivative_level(tensor) is not None


def _without_ended(tensor: Tensor) -> Tensor:
    """Remove wrappers whose level has ended: operations ignore them, and nothing differentiates there any more."""
    while level(tensor) < NO_LEVEL:
        tensor = unwrap(tensor)
    return tensor


def derivative_level(tensor: Tensor) -> int | None:
    """Return the innermost level that differentiates through a tensor, 0 for torch's autograd; None without any."""
    tensor = _without_ended(tensor)
    if not is_wrapped(tensor):
        return 0 if tensor.requires_grad and torch.is_grad_enabled() else None
    if (current_level() or NO_LEVEL) > level(tensor) >= 0:  # its tangent is visible at its own level only
        with temporarily_pop_interpreter_stack():
            return derivative_level(tensor)
    if not is_batched(tensor) and (tensor.requires_grad or unpack_dual(tensor).tangent is not None):
        return level(tensor)
    return derivative_level(unwrap(tensor))


@contextmanager
def rule_of_forward_mode(tensors: Sequence[Any]) -> Iterator[list[Any]]:
    """Run the jvp of an autograd.Function: yield its tensors without their tangents at the current level.

    torch switches forward mode off there, at all levels, so that an outer derivative would silently be zero.
    """
    with _set_fwd_grad_enabled(True):
        yield [
            x if x is None or not (x.is_floating_point() or x.is_complex()) else unpack_dual(x).primal for x in tensors
        ]


def batches() -> list[tuple[int, int]] | None:
    """List the levels and batch sizes of the vmaps that run now, outermost first; None with a derivative among them."""
    stack = _functorch.get_interpreter_stack() or []
    if any(layer.key() != _functorch.TransformType.Vmap for layer in stack):
        return None
    return [(layer.level(), _functorch.CVmapInterpreterPtr(layer).batchSize()) for layer in stack]


def example_mask(device: torch.device) -> Tensor | None:
    """Return True for every example of the vmaps that run now, as a tensor with all their axes; None without one."""
    stack = _functorch.get_interpreter_stack() or []
    layers = [layer for layer in stack if layer.key() == _functorch.TransformType.Vmap]
    sizes = [_functorch.CVmapInterpreterPtr(layer).batchSize() for layer in layers]
    with on_values():
        mask = torch.ones(sizes, dtype=torch.bool, device=device)
    for layer in layers:
        mask = add_batch(mask, layer.level())
    return mask if layers else None


def is_batching() -> bool:
    """Tell whether a vmap runs now."""
    stack = _functorch.get_interpreter_stack() or []
    return any(layer.key() == _functorch.TransformType.Vmap for layer in stack)


def is_batched(tensor: Tensor) -> bool:
    """Tell whether the outermost wrapper of a tensor is that of a vmap."""
    return _functorch.is_batchedtensor(tensor)


@contextmanager
def new_batch(size: int) -> Iterator[int]:
    """Run a vmap that refuses random draws; yield its level."""
    lazy_load_decompositions()
    level = _functorch._vmap_increment_nesting(size, "error")
    try:
        yield level
    finally:
        _functorch._vmap_decrement_nesting()


def add_batch(tensor: Tensor, level: int, axis: int = 0) -> Tensor:
    """Return the tensor of one example of a vmap from the whole batch along an axis."""
    return _functorch._add_batch_dim(tensor, axis, level)


def remove_batch(tensor: Tensor, level: int, size: int) -> Tensor:
    """Return the whole batch, along the first axis, from the tensor of one example of a vmap."""
    return _functorch._remove_batch_dim(tensor, level, size, 0)
