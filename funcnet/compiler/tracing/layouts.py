"""Operations of a program on tensors of any memory layout.

A program is traced with row-major layouts. The tensors of a run, and the values that are known during tracing, may have
others.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten


def on_any_layout(target: Any) -> Callable[..., Any]:
    """Return an operation that takes tensors of any strides.

    Public operations make tensors contiguous before they call an internal one, with an underscore. Traces drop such
    copies, and without them some kernels read wrong elements.
    """
    internal = target._schema.name.startswith("aten::_") and target not in _RULES
    return partial(_in_order, target) if internal else _RULES.get(target, target)


def _in_order(target: Any, *args: Any, **kwargs: Any) -> Any:
    return target(*map(_contiguous, args), **kwargs)


def _contiguous(value: Any) -> Any:
    if isinstance(value, list):
        return [_contiguous(item) for item in value]
    return value.contiguous() if isinstance(value, Tensor) else value


def _as_strided(x: Tensor, size: list[int], stride: list[int], offset: int | None = None) -> Tensor:
    """Apply strides to a row-major copy: the strides of a program refer to row-major order, whatever the layout of x.

    The copy is also required to trace this for all lanes at once, where x is a carry or a slice.
    """
    return torch.as_strided(x.clone(memory_format=torch.contiguous_format), size, stride, offset or 0)


def _index_put(x: Tensor, *args: Any) -> Tensor:
    """Copy x: if vmap has expanded it, torch.compile writes to all lanes (github.com/pytorch/pytorch/issues/183986)."""
    return aten.index_put(x.contiguous(), *args)


def _to_copy(x: Tensor, *, memory_format: Any = None, **options: Any) -> Tensor:
    """Drop memory_format: a program is row-major, and channels_last fails with a lane axis."""
    return aten._to_copy.default(x, **options)


def _view_as_complex(x: Tensor) -> Tensor:
    return torch.complex(x[..., 0], x[..., 1])


# replacements of operations that depend on the memory layout, or on the bits of conjugate and negative views
_RULES: dict[Any, Callable[..., Any]] = {
    aten._to_copy.default: _to_copy,
    aten.view.default: torch.reshape,
    aten.as_strided.default: _as_strided,
    aten.index_put.default: _index_put,
    aten.view_as_complex.default: _view_as_complex,
    aten._conj.default: lambda x: x.conj().resolve_conj(),  # not a lazy conjugate view
    aten._neg_view.default: aten.neg.default,
}
