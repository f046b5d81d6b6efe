"""Full backward hooks of modules under torch.func, which does not call torch's.

The inputs and the outputs of a module with hooks go through two Functions. In a backward pass, the second one keeps the
gradients with respect to the outputs, and the first one calls the hooks with these and with those of the inputs.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch, tree
from funcnet.transforms import vmap

Gradients = tuple[Tensor, ...]


class BackwardHook:
    """The hooks in one call of a module; replaces the class of this name in torch."""

    def __init__(self, module: torch.nn.Module, hooks: Sequence[Any], pre_hooks: Sequence[Any]) -> None:
        self.module, self.hooks, self.pre_hooks = module, hooks, pre_hooks
        self.inputs: tuple[Any, ...] = ()
        self.outputs: tuple[Any, ...] = ()
        self.pair = _Pair(self.before, self.after)

    def setup_input_hook(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.inputs = args
        return _through(_Inputs, self.pair, args)

    def setup_output_hook(self, result: Any) -> Any:
        self.outputs = result if isinstance(result, tuple) else (result,)
        outputs = _through(_Outputs, self.pair, self.outputs)
        return outputs if isinstance(result, tuple) else outputs[0]

    def before(self, outputs: Gradients) -> Gradients:
        """Call the hooks that run before the backward pass of the module, with the gradients of its outputs."""
        grads = _filled(self.outputs, outputs)
        for hook in self.pre_hooks:
            grads = _replaced(grads, hook(self.module, grads))
        return _chosen(self.outputs, grads)

    def after(self, inputs: Gradients, outputs: Gradients) -> Gradients:
        """Call the hooks that run after it; without gradients of the inputs if nothing differentiates these."""
        grads = _filled(self.inputs, inputs) if inputs else (None,) * len(self.inputs)
        for hook in self.hooks:
            grads = _replaced(grads, hook(self.module, grads, _filled(self.outputs, outputs)))
        return _chosen(self.inputs, grads) if inputs else ()


def _replaced(grads: tuple[Any, ...], given: Any) -> tuple[Any, ...]:
    given = grads if given is None else given
    given = given if isinstance(given, tuple | list) else (given,)
    if len(given) != len(grads):
        raise ValueError(
            f"from_module: expected a backward hook to return None or {len(grads)} gradients, got {len(given)}."
        )
    return tuple(given)


def _filled(values: Sequence[Any], grads: Gradients) -> tuple[Any, ...]:
    """Return None at the values that have no gradient."""
    rest = iter(grads)
    return tuple(next(rest) if tree.is_inexact(value) else None for value in values)


def _chosen(values: Sequence[Any], grads: Sequence[Any]) -> Gradients:
    pairs = zip(values, grads, strict=True)
    return tuple(torch.zeros_like(x) if grad is None else grad for x, grad in pairs if tree.is_inexact(x))


def _through(function: Any, pair: "_Pair", values: tuple[Any, ...]) -> tuple[Any, ...]:
    tensors = [value for value in values if tree.is_inexact(value)]
    new = iter(function.apply(pair, *tensors) if tensors else ())
    replaced = [next(new) if tree.is_inexact(value) else value for value in values]
    return type(values)(*replaced) if hasattr(values, "_fields") else tuple(replaced)


class _Pass:
    """The state that the two Functions of a call share at one level of torch.func."""

    def __init__(self, is_differentiated: bool = False) -> None:
        self.is_differentiated = is_differentiated
        self.outputs: Gradients | None = None


class _Pair:
    """The hooks as functions of gradients, with the state of the call at each level."""

    def __init__(self, before: Callable[..., Gradients], after: Callable[..., Gradients]) -> None:
        self.before, self.after = before, after
        self.passes: dict[int | None, _Pass] = {}

    @cached_property
    def batched(self) -> "_Pair":
        """The same hooks for all examples of a vmap."""
        return _Pair(vmap(self.before), vmap(self.after))


class _Identity(torch.autograd.Function):
    @staticmethod
    def forward(pair: _Pair, *tensors: Tensor) -> Gradients:
        return tuple(x.view_as(x) for x in tensors)

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor) -> Gradients:
        return tuple(tangent.view_as(tangent) for tangent in tangents)

    @classmethod
    def batch(cls, pair: _Pair, size: int, dims: Sequence[int | None], tensors: Sequence[Tensor]) -> Any:
        """Go through the Function of whole batches."""
        pairs = zip(tensors, dims, strict=True)
        whole = [x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0) for x, dim in pairs]
        apply: Callable[..., Gradients] = cls.apply
        return apply(pair.batched, *whole), (0,) * len(whole)


class _Inputs(_Identity):
    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.pair, *_ = inputs
        ctx.state = ctx.pair.passes[_torch.current_level()] = _Pass(any(ctx.needs_input_grad))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        outputs, ctx.state.outputs = ctx.state.outputs, None
        return None, *(grads if outputs is None else ctx.pair.after(grads, outputs))

    @staticmethod
    def vmap(info: Any, in_dims: Any, pair: _Pair, *tensors: Tensor) -> Any:
        return _Inputs.batch(pair, info.batch_size, in_dims[1:], tensors)


class _Outputs(_Identity):
    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.pair, *_ = inputs
        ctx.state = ctx.pair.passes.get(_torch.current_level(), _Pass())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        outputs = ctx.pair.before(grads)
        if ctx.state.is_differentiated:
            ctx.state.outputs = outputs
        else:
            ctx.pair.after((), outputs)
        return None, *outputs

    @staticmethod
    def vmap(info: Any, in_dims: Any, pair: _Pair, *tensors: Tensor) -> Any:
        if "batched" not in vars(pair) and any(each.is_differentiated for each in pair.passes.values()):
            raise ValueError(
                "from_module: a module with a backward hook got inputs that all examples of a vmap share, and has"
                " outputs that differ, so that the hook has no gradient per example. Map over the inputs as well, such"
                " as over x.expand(n, *x.shape), or remove the hook."
            )
        return _Outputs.batch(pair, info.batch_size, in_dims[1:], tensors)
