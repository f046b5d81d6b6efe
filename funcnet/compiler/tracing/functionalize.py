"""Functionalization: in-place operations become new values, and views reflect the writes to their tensor.

A write to a tensor gives it a new value. A write to a view also writes to its parent, and a view whose parent was
written to is recomputed when it is next read.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch
from funcnet._torch import Operation
from funcnet.compiler.errors import StagingError, user_line
from funcnet.compiler.program import Var
from funcnet.compiler.tracing import shape_inference
from funcnet.compiler.tracing.recorder import Recorder
from funcnet.compiler.tracing.spec import META
from funcnet.compiler.tracing.tracer import Tracer, ViewOrigin
from funcnet.transforms.refusals import REMEDY

aten = torch.ops.aten


class Storage:
    """The current values of a trace's tensors: owns `value`, `lineage`, `seen` and `taken` of its tracers.

    Attributes:
        lost: Copies x[i] that were written to, where torch would write to x, each with the line of the user's code.
        part_written: The line that wrote to a real or imaginary part of a complex tensor, if any.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.lost: dict[int, tuple[Tracer, str]] = {}
        self.part_written: str | None = None

    def note_view(self, results: list[Any], func: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Record that a result is a view of the first argument."""
        (result,) = results
        result.lineage, result.seen = ViewOrigin(args[0], args[0].meta, func, args[1:], kwargs), args[0].value

    def read(self, tensor: Tracer) -> Var:
        """Return the current value of a tensor."""
        if tensor.taken and isinstance(tensor.taken[0], Tracer) and self.read(tensor.taken[0]) is not tensor.taken[1]:
            raise StagingError(
                f"jit: x[i], for a tensor i, is used{user_line()} after a write to x, but it is a copy from before that"
                " write. Take x[i].clone() before the write, or x[i] after it."
            )
        if tensor.lineage is not None:
            parent = self.read(tensor.lineage.parent)
            if parent is not tensor.seen:
                view, device = tensor.lineage, tensor.device
                (value,) = self.recorder.apply(view.func, (parent, *view.args), view.kwargs, [tensor.meta], device)
                if self.recorder.home[value] in self.recorder.conditional:
                    return value  # of this branch; others compute the view again
                tensor.value, tensor.seen = value, parent
        return tensor.value

    def check_lost(self) -> None:
        """Raise for a write to a copy x[i], where torch would have written to x."""
        for target, line in self.lost.values():
            raise StagingError(
                f"jit: x[i], for a tensor i, is written to in place{line}; it is a copy of its part of x, a"
                f" {target}. Write x[i] = y, or x[i, j] = y for a part of it; use x[i].clone() to leave x unchanged."
            )

    def update(self, func: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Trace an in-place or out= operation: compute the new values, then write them."""
        args, kwargs = self.recorder.lift(args), self.recorder.lift(kwargs)
        if torch.Tag.inplace_view in func.tags:
            return self._reshape_in_place(func, args, kwargs)
        bound = _bind(func, args, kwargs)
        written = [argument.name for argument in func._schema.arguments if _is_written(argument)]
        targets = [tensor for name in written for tensor in _as_list(bound[name])]
        self._check_shapes(func, args, kwargs, targets)
        out = {a.name for a in func._schema.arguments if a.kwarg_only and _is_written(a)}
        with self.recorder.inside_rule():
            values = _functional(func)(*args, **{name: v for name, v in kwargs.items() if name not in out})
            fitted = [v.to(t.dtype).expand(t.shape) for v, t in zip(_as_list(values), targets, strict=False)]
        for target, value in zip(targets, fitted, strict=True):
            self.write(func, target, self.read(value))
        returned = [bound[name] for name in written][: len(func._schema.returns)]
        return returned[0] if len(returned) == 1 else tuple(returned) or None

    def check_strided(self) -> None:
        """Raise where autograd would write to the wrong elements of a gradient."""
        if self.part_written is not None:
            raise StagingError(
                "jit: cannot differentiate a write through the real part, the imaginary part or the conjugate of a"
                f" tensor{self.part_written}. Build the tensor with torch.complex, or write to the whole."
            )

    def write(self, func: Operation, target: Tracer, value: Var) -> None:
        """Give a new value to a tensor, and to the tensor that it is a view of."""
        if target.source or target.depth < len(self.recorder.blocks):
            raise StagingError(
                f"jit: {func} writes to {target.source or 'a tensor from outside the scan body'} in place{user_line()}."
                f" A traced function is pure. {REMEDY}"
            )
        if target.taken:
            self.lost[id(target)] = target, user_line()
        if target.lineage is not None:
            parent = target.lineage.parent
            self.write(func, parent, self._insert(target.lineage, target, value))
            target.seen = parent.value
        target.value = value

    def _reshape_in_place(self, func: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tracer:
        """Trace squeeze_ and similar operations: the tensor becomes a view of its former self."""
        target, functional = args[0], _functional(func)
        if not any(getattr(functional, name).is_view for name in functional.overloads()):
            raise StagingError(f"jit: {func} changes a tensor's size in place{user_line()}, so it cannot be traced.")
        before = self.recorder.wrap(target.meta, target.value, target.source)
        before.lineage, before.seen, before.depth = target.lineage, target.seen, target.depth
        with self.recorder.inside_rule():
            after = functional(before, *args[1:], **kwargs)
        _torch.run_on_metadata(func, args, kwargs)
        target.meta, target.value, target.lineage, target.seen = after.meta, after.value, after.lineage, after.seen
        return target

    def _insert(self, view: ViewOrigin, target: Tracer, value: Var) -> Var:
        """Return the value of the parent with the elements of the view replaced."""
        before = self.recorder.wrap(view.parent.meta, self.read(view.parent))
        part = self.recorder.wrap(torch.zeros(target.shape, dtype=target.dtype, device=META), value)
        if view.func not in _INSERT:
            raise StagingError(
                f"jit: cannot write through a view made by {view.func}{user_line()}. Write to the whole."
            )
        if view.func in _OF_COMPLEX:
            self.part_written = user_line()
        with self.recorder.inside_rule():
            inserted = _INSERT[view.func](before, part, *view.args, **view.kwargs)
        return self.read(inserted)

    def _check_shapes(
        self, func: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], targets: list[Tracer]
    ) -> None:
        """Let torch check the arguments, and raise if a tensor would change its shape."""
        copies = {id(t): self.recorder.wrap(t.meta.detach(), t.value) for t in targets}
        shape_inference.infer(func, _swap(args, copies), _swap(kwargs, copies))
        for copy, target in zip(copies.values(), targets, strict=True):
            if (shape := copy.meta.shape) != target.shape:
                raise RuntimeError(  # in the words of torch, which vmap looks for
                    f"output with shape {[*target.shape]} doesn't match the broadcast shape {[*shape]}{user_line()}."
                    f" {func} cannot change a tensor's shape in a traced function."
                )


def root(tensor: Tracer) -> Tracer:
    """Return the tensor that owns the memory of a view."""
    while tensor.lineage is not None:
        tensor = tensor.lineage.parent
    return tensor


def _reshape(before: Tensor, part: Tensor, *_: object) -> Tensor:
    return part.reshape(before.shape)


def _unpermute(before: Tensor, part: Tensor, dims: list[int]) -> Tensor:
    return part.permute([[d % before.ndim for d in dims].index(i) for i in range(before.ndim)])


def _shrink(before: Tensor, part: Tensor, *_: object, **__: object) -> Tensor:
    """Undo an expand along axes of size 1. A write to several copies of an element is an error in torch, too."""
    if part.numel() not in (0, before.numel()):
        raise StagingError(
            f"jit: a write through an expand, from {tuple(before.shape)} to {tuple(part.shape)}, to elements that share"
            f" memory{user_line()}. Write to expanded.clone(), or to the tensor before."
        )
    return part.reshape(before.shape) if part.numel() == before.numel() else before


def _fold(before: Tensor, part: Tensor, dim: int, size: int, step: int) -> Tensor:
    """Undo unfold. Windows must not overlap: torch does not define which of two writes to an element counts."""
    if part.shape[dim % max(before.ndim, 1)] > 1 and step < size:
        raise StagingError(
            f"jit: a write through windows of {size} elements, {step} apart, which share elements{user_line()}."
            " Write to windows.clone(), or take a step of at least the size."
        )
    places = torch.arange(before.numel(), device=before.device).reshape(before.shape).unfold(dim, size, step)
    return before.reshape(-1).index_put((places,), part).reshape(before.shape)


_INSERT: dict[Any, Callable[..., Any]] = {
    aten.alias.default: _reshape,
    aten.view.default: _reshape,
    aten.unsqueeze.default: _reshape,
    aten.squeeze.dims: _reshape,
    aten.permute.default: _unpermute,
    aten.select.int: torch.select_scatter,
    aten.slice.Tensor: torch.slice_scatter,
    aten.diagonal.default: torch.diagonal_scatter,
    aten.expand.default: _shrink,
    aten.unfold.default: _fold,
    aten.as_strided.default: torch.as_strided_scatter,
    aten._conj.default: lambda _, part: part.conj(),
    aten._neg_view.default: lambda _, part: -part,
    aten.view_as_real.default: lambda _, part: torch.view_as_complex(part),
    aten.view_as_complex.default: lambda _, part: torch.view_as_real(part),
}


# torch 2.13: to write to a traced gradient, autograd applies as_strided instead of repeating these views
_OF_COMPLEX = (
    aten._conj.default,
    aten._neg_view.default,
    aten.view_as_real.default,
    aten.view_as_complex.default,
)


def _functional(func: Operation) -> Any:
    """Find the functional variant of an in-place or out= operation."""
    if func is aten.polygamma_.default:
        return lambda x, n: aten.polygamma.default(n, x)  # the only one whose arguments are in another order
    written = func._schema.name.removeprefix("aten::")
    name = written.removesuffix("_")
    also_other = any(_is_written(a) and not a.kwarg_only for a in func._schema.arguments)
    if not hasattr(aten, name) or (name == written and also_other):
        raise StagingError(
            f"jit: {func} works in place and has no functional variant{user_line()}, so it cannot be traced."
        )
    return getattr(aten, name)


def _swap(value: Any, copies: dict[int, Tracer]) -> Any:
    if isinstance(value, tuple | list):
        return type(value)([_swap(item, copies) for item in value])
    if isinstance(value, dict):
        return {key: _swap(item, copies) for key, item in value.items()}
    return copies.get(id(value), value)


def _bind(func: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    names = [argument.name for argument in func._schema.arguments]
    return dict(zip(names, args, strict=False)) | kwargs


def _is_written(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def _as_list(value: object) -> list[Any]:
    return list(value) if isinstance(value, tuple | list) else [value]
