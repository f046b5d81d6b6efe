"""Gradients that recompute instead of remember."""

from collections.abc import Iterator, Sequence
from functools import partial, update_wrapper
from inspect import isbuiltin, isfunction, ismethod
from types import CellType, ModuleType
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import TransformType, get_interpreter_stack, maybe_current_level, maybe_get_level
from torch.overrides import TorchFunctionMode

from funcnet import tree
from funcnet.transforms.derivatives import jvp, vjp
from funcnet.transforms.flat import Flattener, Function
from funcnet.tree import Tree

_FOREIGN = (
    "remat: the function uses a tensor that is differentiated outside and is no argument of it, "
    "so that its gradient would be lost. Pass that tensor as an argument."
)


def remat(f: Function) -> Function:
    """Make a function recompute its intermediate values in the backward pass instead of keeping them.

    Values and derivatives are unchanged at every nesting; memory falls, and the forward pass runs once more.

    Args:
        f: Any function of pytrees. Tensors that are differentiated outside must reach it as arguments.
    Returns:
        A function of the same arguments.
    Raises:
        ValueError: f uses a tensor that is differentiated outside and is no argument of it.
        TypeError: f is no function; of a layer, its `apply` is.
    Source:
        Chen, Xu, Zhang, Guestrin (2016), Training Deep Nets with Sublinear Memory Cost,
        https://arxiv.org/abs/1604.06174; named as in JAX.
    Example:
        >>> fn.grad(fn.remat(lambda x: x.sin().exp()))(torch.tensor(0.0))
        tensor(1.)
    """
    if not callable(f):
        raise TypeError(
            f"remat: expected a function, got {f!r}. Of a layer, wrap what applies it: "
            "layer._replace(apply=fn.remat(layer.apply))."
        )
    return update_wrapper(partial(_rematerialised, f), f)


def _rematerialised(f: Function, /, *args: Any, **kwargs: Any) -> Any:
    _check_captures(f)
    inputs, results = Flattener(), Flattener()
    tensors = inputs.split((args, kwargs))

    def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
        args, kwargs = inputs.rebuild(tensors)
        with _NoCapture(tensors):
            return results.split(f(*args, **kwargs))

    apply: Function = _Remat.apply
    return results.rebuild(apply(flat, *tensors))


class _Remat(torch.autograd.Function):
    """f(*tensors) as one step of differentiation that keeps its arguments and nothing else."""

    generate_vmap_rule = True

    @staticmethod
    def forward(f: Function, *tensors: Tensor) -> Any:
        given = {id(tensor) for tensor in tensors}  # autograd takes no argument back as a result
        return tuple(out.view_as(out) if id(out) in given else out for out in f(*tensors))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: tuple[Tensor, ...]) -> None:
        ctx.f, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        # A pullback may run after its level of torch.func has ended; an operation unwraps what was saved at it.
        primals = [tensor.view_as(tensor) for tensor in ctx.saved_tensors]
        results = Flattener()

        def pull(*tensors: Tensor) -> tuple[Tensor, ...]:
            _, pullback = vjp(ctx.f, *tensors[: len(primals)])
            return results.split(pullback(tensors[len(primals) :]))

        # torch.func records the backward pass, to be differentiated in turn, so that has to be rematerialised as well
        apply: Function = _Remat.apply
        return None, *results.rebuild(apply(pull, *primals, *cotangents))

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor) -> Any:
        return jvp(ctx.f, ctx.saved_tensors, tangents)[1]


class _NoCapture(TorchFunctionMode):
    """Refuse tensors that carry an outer transformation into a rematerialised function other than as arguments.

    Inside `_Remat` the outer levels are peeled off the arguments; a captured tensor keeps its own, and its derivative
    would be lost without a word.
    """

    def __init__(self, arguments: Sequence[Tensor]) -> None:
        super().__init__()
        self.known = {id(tensor) for tensor in arguments}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(self.is_foreign(leaf) for leaf in tree.leaves((args, kwargs))):
            raise ValueError(_FOREIGN)
        return function(*args, **(kwargs or {}))

    def is_foreign(self, leaf: Any) -> bool:
        """Tell whether a tensor belongs to a level of torch.func, or of autograd, that is peeled off here."""
        if not isinstance(leaf, Tensor) or id(leaf) in self.known:
            return False
        level = maybe_get_level(leaf)
        return leaf.requires_grad if level < 0 else level > (maybe_current_level() or 0)


def _check_captures(f: Function) -> None:
    """Refuse tensors held by f that carry a level of torch.func which `_Remat` will peel off, or one above it.

    `_NoCapture` can't tell them once f begins a transformation of its own, whose level takes a peeled one's number.
    """
    if holds_differentiated(f):
        raise ValueError(_FOREIGN)


def holds_differentiated(f: Function) -> bool:
    """Tell whether f holds a tensor that a transformation around this call differentiates, or one of its level."""
    levels = [i.level() for i in get_interpreter_stack() or () if i.key() in (TransformType.Grad, TransformType.Jvp)]
    return bool(levels) and any(maybe_get_level(tensor) >= min(levels) for tensor in _captured(f, {}))


def _captured(value: Tree, seen: dict[int, Any]) -> Iterator[Tensor]:
    """Go through the tensors that a tree holds, and through those that its functions and objects hold."""
    for leaf in tree.leaves(value):
        if isinstance(leaf, Tensor):
            yield leaf
        elif id(leaf) not in seen:
            seen[id(leaf)] = leaf
            yield from _captured(_parts(leaf), seen)


def _parts(leaf: Any) -> Tree:
    """What a function or object holds: closure and defaults, arguments given early, owner, attributes."""
    if isfunction(leaf):
        cells = [cell.cell_contents for cell in leaf.__closure__ or () if cell != CellType()]  # a new cell is empty
        return cells, leaf.__defaults__, leaf.__kwdefaults__
    if isinstance(leaf, partial):
        return leaf.func, leaf.args, leaf.keywords
    if ismethod(leaf) or isbuiltin(leaf):
        return getattr(leaf, "__func__", None), leaf.__self__
    return None if isinstance(leaf, (type, ModuleType)) else getattr(leaf, "__dict__", None)
