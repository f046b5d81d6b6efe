"""autograd.Functions of the older signature forward(ctx, ...), common in third-party code, under torch.func.

torch.func requires a forward without a context, and setup_context. Here forward gets a record in place of the context;
the tensors that it saves, or keeps in attributes, become further results, which torch.func passes to backward.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch, tree
from funcnet.bridge.backward_hooks import BackwardHook
from funcnet.transforms import grad
from funcnet.transforms.flatten import Flattener

Class = type[Any]


def by_rules() -> AbstractContextManager[None]:
    """Return a context in which Functions go through every transformation, and checkpoints are plain calls."""
    return _torch.functions_by(_applied, BackwardHook)


def _applied(apply: Any, cls: Any, *args: Any, **kwargs: Any) -> Any:
    return _call(cls, args) if _torch.takes_context(cls) else apply(_with_vmap_rule(cls), *args, **kwargs)


@cache
def _with_vmap_rule(cls: Any) -> Class:
    """Let vmap map over a Function that has setup_context and no rule for vmap."""
    if cls.generate_vmap_rule or cls.vmap is not torch.autograd.Function.vmap:
        return cls
    return type(cls.__name__, (cls,), {"generate_vmap_rule": True})


_REFUSALS = ("data pointer", "numpy()", "requires_grad_()", "does not require grad", "saved tensor hooks")


@contextmanager
def _explained(cls: Class, part: str) -> Iterator[None]:
    """Name a remedy if a Function uses operations of other libraries or calls torch.autograd."""
    try:
        yield
    except RuntimeError as error:
        if not any(text in str(error) for text in _REFUSALS):
            raise
        raise ValueError(
            f"from_module: {part} of the autograd.Function {cls.__name__} reads values outside of torch or calls"
            " torch.autograd, expected operations of torch on its tensors. Compute with torch instead of numpy, and in"
            " place of torch.autograd.grad or backward() use torch.func.vjp."
        ) from error


def hooked(tensor: Tensor, hooks: Sequence[Callable[[Tensor], Tensor | None]]) -> Tensor:
    """Let hooks see and replace the gradient with respect to a tensor, whatever transformation computes it."""
    apply: Callable[..., Tensor] = _Hooked.apply
    return apply(tensor, hooks) if hooks else tensor


class _Hooked(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, hooks: Any) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _, ctx.hooks = inputs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        for hook in ctx.hooks:
            replaced = hook(grad)
            grad = grad if replaced is None else replaced
        return grad, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        return tangent.view_as(tangent)


class _Record:
    """Replaces the context of forward or backward, and stores the tensors and attributes that they save."""

    def __init__(self, needs_input_grad: Sequence[bool], attributes: dict[str, Any] | None = None) -> None:
        self.saved_tensors: Sequence[Any] = ()
        self.materialize_grads = True
        vars(self).update(attributes or {})
        self.needs_input_grad = needs_input_grad

    def save_for_backward(self, *tensors: Any) -> None:
        self.saved_tensors = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Keep nothing: forward derivatives follow from backward."""

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Do nothing: backward ignores the cotangents of these outputs."""

    def mark_dirty(self, *tensors: Any) -> None:
        raise ValueError(
            "from_module: an autograd.Function writes to its argument and says so by ctx.mark_dirty, expected a pure"
            " function. Compute a new tensor in its forward, and return that."
        )

    def set_materialize_grads(self, value: bool) -> None:
        self.materialize_grads = value


_MARKS = {"generate_vmap_rule": True, "resumes_modes": True}


def _call(cls: Class, args: tuple[Any, ...]) -> Any:
    """Apply a Function that takes a context through one that does not."""
    call = _Call(cls)
    parts = {name: staticmethod(getattr(call, name)) for name in ("forward", "setup_context", "backward", "jvp")}
    new: Any = type(cls.__name__, (torch.autograd.Function,), parts | _MARKS)
    return call.results.rebuild(call.own(new.apply(*args)))


class _Call:
    """One call of a Function whose forward takes a context; its methods are those of a Function without one.

    Attributes:
        results: The tensors among its results.
        kept: The tensors in the record that forward filled.
        places: The position of each of these among the arguments, the results and the further results.
        like: The shapes and dtypes of the results.
        further: The number of further results.
        modes: The torch function modes around the call, which torch.func switches off inside it.
    """

    def __init__(self, cls: Class) -> None:
        self.cls, self.results, self.kept = cls, Flattener(), Flattener()
        self.places: list[int] = []
        self.like: list[tuple[torch.Size, torch.dtype]] = []
        self.further, self.modes = 0, _torch.function_modes()

    def forward(self, *inputs: Any) -> tuple[Tensor, ...]:
        record, given = _Record([tree.is_inexact(value) for value in inputs]), _tensors(inputs)
        with self.resumed(), _explained(self.cls, "forward"):
            outputs = self.results.split(self.cls.forward(record, *inputs))
        known, held = [*given, *outputs], self.kept.split(vars(record))
        new = [tensor for tensor in held if _position(tensor, known) is None]
        self.further = len(new)
        self.places = [_position(tensor, [*known, *new]) or 0 for tensor in held]
        self.like = [(out.shape, out.dtype) for out in outputs]
        # autograd does not accept an argument as a result
        own = [out if _position(out, given) is None else out.view_as(out) for out in outputs]
        return (*own, *(tensor.detach() for tensor in new))

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """Enable the modes and rules that are active around the call."""
        with by_rules(), _torch.in_function_modes(self.modes):
            yield

    def own(self, outputs: Sequence[Any]) -> Sequence[Any]:
        """Choose the results of the Function itself."""
        return outputs[: sum(self.results.is_chosen)]

    def setup_context(self, ctx: Any, inputs: Any, outputs: Any) -> None:
        available = [*_tensors(inputs), *outputs]
        saved = [available[place] for place in self.places]
        ctx.save_for_backward(*saved)
        ctx.save_for_forward(*saved)
        ctx.set_materialize_grads(self.kept.rebuild(saved)["materialize_grads"])

    def backward(self, ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        return self.pull(ctx.saved_tensors, ctx.needs_input_grad, self.own(cotangents))

    def pull(self, saved: Any, needed: Sequence[bool], cotangents: Sequence[Any]) -> tuple[Tensor | None, ...]:
        given, record = self.results.without_rest(cotangents), _Record(needed, self.kept.rebuild(saved))
        with self.resumed(), _explained(self.cls, "backward"):
            grads = self.cls.backward(record, *(given if isinstance(given, tuple) else (given,)))
        return (grads if isinstance(grads, tuple) else (grads,))[: len(needed)]

    def jvp(self, ctx: Any, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        """Transpose the backward pass, a linear function of the cotangents: the derivative of <backward(v), t> in v."""
        saved, needed = ctx.saved_tensors, [tangent is not None for tangent in tangents]
        device = next(tangent.device for tangent in tangents if tangent is not None)

        def inner(cotangents: Sequence[Any]) -> Tensor:
            pairs = zip(self.pull(saved, needed, cotangents), tangents, strict=False)
            return sum(((g * t).sum() for g, t in pairs if g is not None and t is not None), torch.zeros(()))

        found = grad(inner)([torch.zeros(shape, dtype=dtype, device=device) for shape, dtype in self.like])
        return *found, *[None] * self.further


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    return [value for value in values if isinstance(value, Tensor)]


def _position(tensor: Tensor, others: Sequence[Tensor]) -> int | None:
    return next((i for i, other in enumerate(others) if other is tensor), None)
