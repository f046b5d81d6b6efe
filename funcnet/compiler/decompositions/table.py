"""The decomposition table used while tracing: from all operations to core ATen, and further where a rule is short."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from funcnet._torch import core_decompositions, decomposition, has_python_rule, is_composite
from funcnet.compiler.decompositions import (
    distances,
    exact,
    indexing,
    pooling,
    resizing,
    sampling,
    strides,
    systems,
    value_checks,
)
from funcnet.compiler.decompositions.attention import attention, attention_backward
from funcnet.compiler.decompositions.indexing import index_select, put, take
from funcnet.compiler.errors import user_line

aten = torch.ops.aten

Rule = Callable[..., Any]


@cache
def find(func: Any) -> Rule | None:
    """Return the function that computes an operation by simpler ones, or None if it is recorded unchanged."""
    if func in exact.WHOLE:
        return None
    rule = rules().get(func)
    if rule is not None:
        return rule
    if func.namespace == "prims":  # torch's rules may end in its own primitives, of which one writes in place
        return Tensor.to if func._schema.name == "prims::convert_element_type" else func.impl_aten
    return func.decompose if is_composite(func) else None


def is_ruled(func: Any) -> bool:
    """Tell whether a function in Python computes an operation, so that its results may have other strides."""
    return func in rules() or has_python_rule(func)


def is_identity(func: Any, args: Any, kwargs: dict[str, Any], metas: Sequence[Any]) -> bool:
    """Tell whether an operation returns the values of its first argument unchanged."""
    if func in _COPIES:
        return True
    return func in _MAYBE_COPIES and (args[0].shape, args[0].dtype, args[0].device) == _kind(metas[0], args[0], kwargs)


def _kind(meta: Tensor, argument: Any, kwargs: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(meta.shape), meta.dtype, torch.device(kwargs.get("device") or argument.device)


_COPIES = {aten.clone.default, aten.alias.default, aten.lift.default}
_MAYBE_COPIES = {aten._to_copy.default, aten.view.default, aten.expand.default}


@cache
def rules() -> dict[Any, Rule]:
    """Collect torch's rules for core ATen, its rules for the operations of `_FURTHER`, and the ones below."""
    found = {
        **core_decompositions(_FURTHER),
        **value_checks.rules(),
        **indexing.rules(),
        **_OWN,
    }
    return {func: rule for func, rule in found.items() if func not in _KEPT}


def _to_copy(x: Any, *, dtype: Any = None, device: Any = None, **_: Any) -> Any:
    """Convert a Python number, which torch passes inside vmap."""
    if isinstance(x, Tensor):
        return NotImplemented
    return torch.full((), x, dtype=dtype or torch.tensor(x).dtype, device=device)


def _conj(x: Any) -> Any:
    """Conjugate a Python number, which torch passes in derivatives of a product with a number."""
    return NotImplemented if isinstance(x, Tensor) else torch.full((), x.conjugate(), dtype=torch.complex128)


def _full_like(x: Tensor, value: Any, *, dtype: Any = None, device: Any = None, **_: Any) -> Tensor:
    """Depend on the shape of x alone, so that the result is computed before any loop."""
    return torch.full(x.shape, value, dtype=dtype or x.dtype, device=device or x.device)


def _eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, **_: Any) -> Tensor:
    """Compare int64 indices: torch's rule takes the smallest dtype, of which torch has no uint16 on the CPU."""
    rows, columns = (torch.arange(size, device=device) for size in (n, n if m is None else m))
    return (rows[:, None] == columns).to(dtype or torch.get_default_dtype())


def _scalar_tensor(value: Any, *, dtype: Any = None, device: Any = None, **_: Any) -> Tensor:
    return torch.full((), value, dtype=dtype or torch.get_default_dtype(), device=device)


def _copy(to: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    return source.to(to).expand(to.shape)


def _stack(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """Join along a new axis, as torch's rule does after checks that import sympy, 0.4 s."""
    shape = [*tensors[0].shape]
    if any(tensor.shape != tensors[0].shape for tensor in tensors) or not -len(shape) - 1 <= dim <= len(shape):
        return NotImplemented
    if (axis := dim % (len(shape) + 1)) == len(shape):
        return torch.cat([tensor.unsqueeze(axis) for tensor in tensors], axis)
    return torch.cat([*tensors], axis).view(*shape[:axis], len(tensors), *shape[axis:])


def _split(x: Tensor, sizes: Sequence[int], dim: int = 0) -> list[Tensor]:
    if sum(sizes) != x.shape[dim]:
        raise RuntimeError(f"expected to split an axis of {x.shape[dim]}, got parts of {list(sizes)}{user_line()}.")
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [aten.slice.Tensor(x, dim, end - size, end) for size, end in zip(sizes, ends, strict=True)]


def _diagonal_scatter(x: Tensor, part: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """Choose elementwise between x and the new entries of the diagonal, broadcast over their rows."""
    whole = x.movedim((dim1, dim2), (-2, -1))
    rows, columns = (torch.arange(size, device=x.device) for size in whole.shape[-2:])
    entry = (rows - max(0, -offset)).clamp(0, max(part.shape[-1] - 1, 0))
    if part.shape[-1] == 0:
        return x.clone()
    chosen = torch.where(rows[:, None] + offset == columns, part.index_select(-1, entry)[..., None], whole)
    return chosen.movedim((-2, -1), (dim1, dim2))


def _slice_scatter(x: Tensor, part: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    """Make start and end non-negative: torch's batching rule does not resolve an end of -1."""
    first, last, _ = slice(start, end).indices(x.shape[dim])
    if (first, last) == (start, end):
        return NotImplemented
    return aten.slice_scatter.default(x, part, dim, first, max(first, last), step)


def _select_scatter(x: Tensor, part: Tensor, dim: int, index: int) -> Any:
    """Write to a slice of one index."""
    at = range(x.shape[dim])[index]
    return aten.slice_scatter.default(x, part.unsqueeze(dim), dim, at, at + 1)


def _index_put(x: Tensor, indices: Sequence[Any], values: Tensor, accumulate: bool = False) -> Any:
    """Choose elementwise in x[mask] = number; check the shapes of other writes, which torch's shape rule does not."""
    (mask, *others) = indices
    if all(i is None or i.dtype not in (torch.bool, torch.uint8) for i in indices):
        values.expand(aten.index.Tensor(x, list(indices)).shape)
    if others or mask is None or mask.dtype != torch.bool or values.numel() != 1 or accumulate:
        return NotImplemented
    mask = mask.reshape(*mask.shape, *(1,) * (x.ndim - mask.ndim))
    return torch.where(mask, values.reshape(()).to(x.dtype), x)


def _power(x: Tensor, exponent: Any) -> Any:
    """Raise torch's error for a negative power of integers, which its shape rule does not raise."""
    whole = not (x.is_floating_point() or x.is_complex())
    if whole and isinstance(exponent, int) and exponent < 0:
        raise RuntimeError(f"Integers to negative integer powers are not allowed{user_line()}.")
    return NotImplemented


def _product(x: Tensor, y: Tensor) -> Any:
    """Raise for unequal dtypes, which torch's shape rule accepts."""
    if x.dtype != y.dtype:
        raise RuntimeError(f"expected matrices of the same dtype, got {x.dtype} and {y.dtype}{user_line()}.")
    return NotImplemented


def _extremum(x: Tensor, dim: int = 0, keepdim: bool = False) -> Any:
    """Raise for an empty axis, which torch's shape rule accepts."""
    if x.ndim and not x.shape[dim]:
        raise IndexError(f"expected an axis that is not empty, got axis {dim} of {tuple(x.shape)}{user_line()}.")
    return NotImplemented


def _tanh_backward(grad: Tensor, y: Tensor) -> Tensor:
    """Compute in the dtype of the tensors, where torch's rule does the same but imports sympy, 0.4 s."""
    return grad * (1 - y * y) if _is_wide(grad, y) else decomposition("tanh_backward")(grad, y)


def _sigmoid_backward(grad: Tensor, y: Tensor) -> Tensor:
    """Compute in the dtype of the tensors, as in `_tanh_backward`."""
    return grad * (y * (1 - y)) if _is_wide(grad, y) else decomposition("sigmoid_backward")(grad, y)


def _is_wide(x: Tensor, y: Tensor) -> bool:
    return x.dtype == y.dtype and x.dtype in (torch.float32, torch.float64)


def _angle(x: Tensor) -> Any:
    """Return 0 or pi for real numbers."""
    if x.is_complex():
        return NotImplemented
    x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
    return torch.where(x < 0, math.pi, torch.where(x.isnan(), x, 0.0))


def _shrink_backward(grad: Tensor, x: Tensor, bound: float) -> Tensor:
    return torch.where((x >= -bound) & (x <= bound), 0.0, grad)


# operations that also write to running statistics; their rules do so with copy_
WRITING = {aten._native_batch_norm_legit.default}

_KEPT = {
    aten.var.correction,
    aten.std.correction,
    aten.var_mean.correction,
}  # kept whole: their rounding depends on the order of the sum

_FURTHER = [
    aten._softmax.default,
    aten._log_softmax.default,
    aten.native_layer_norm.default,
    aten.native_batch_norm.default,
    aten._native_batch_norm_legit.default,
    aten._native_batch_norm_legit.no_stats,
    aten._native_batch_norm_legit_no_training.default,
    aten.native_group_norm.default,
    aten._adaptive_avg_pool2d.default,
    aten.upsample_bilinear2d.default,
    aten.dist.default,
    aten.narrow_copy.default,
    aten.permute_copy.default,
    aten.unbind_copy.int,
    aten.tril_indices.default,
    aten.triu_indices.default,
]

_OWN: dict[Any, Rule] = {
    aten.lift_fresh.default: aten.clone.default,  # a constant made by torch.tensor, which may be written to
    aten._to_copy.default: _to_copy,
    aten._conj.default: _conj,
    aten.full_like.default: _full_like,
    aten.scalar_tensor.default: _scalar_tensor,
    aten.eye.default: _eye,
    aten.eye.m: _eye,
    aten.copy.default: _copy,
    aten.diagonal_scatter.default: _diagonal_scatter,
    aten.pow.Tensor_Scalar: _power,
    aten.mm.default: _product,
    aten.bmm.default: _product,
    aten.max.dim: _extremum,
    aten.min.dim: _extremum,
    aten.max.default: lambda x: _extremum(x.reshape(-1)),
    aten.min.default: lambda x: _extremum(x.reshape(-1)),
    aten.select_scatter.default: _select_scatter,
    aten.slice_scatter.default: _slice_scatter,
    aten._scaled_dot_product_flash_attention_for_cpu.default: attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward.default: attention_backward,
    aten.split_with_sizes.default: _split,
    aten.stack.default: _stack,
    aten.index_put.default: _index_put,
    aten.index_select.default: index_select,
    aten.scatter_reduce.two: indexing.scatter_reduce,
    aten.take.default: take,
    aten.put.default: put,
    aten.angle.default: _angle,
    aten.tanh_backward.default: _tanh_backward,
    aten.sigmoid_backward.default: _sigmoid_backward,
    aten._linalg_det.default: systems.det,
    aten._linalg_slogdet.default: systems.slogdet,
    aten.linalg_lu.default: systems.lu,
    aten.linalg_lstsq.default: systems.lstsq,
    aten.linalg_pinv.atol_rtol_tensor: systems.pinv,
    aten.hardshrink_backward.default: _shrink_backward,
    aten.softshrink_backward.default: _shrink_backward,
    **distances.RULES,
    **exact.RULES,
    **pooling.RULES,
    **resizing.RULES,
    **sampling.RULES,
    **strides.RULES,
}
