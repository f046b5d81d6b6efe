"""Replacements for torch's functions while a module runs, which are pure and work under every transformation.

A torch function mode sees every call. Random functions draw from a key, by the rules in `randomness`; the rules here
replace kernels that write to their arguments, or that torch.func cannot transform or transforms only slowly.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import FunctionType
from typing import Any
from weakref import ref

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from funcnet import _torch, tree
from funcnet.bridge import packing
from funcnet.bridge.randomness import RULES as RANDOM
from funcnet.bridge.randomness import UNKNOWN, Draws, thin
from funcnet.bridge.recurrent import CELLS, recur
from funcnet.transforms import embeddings
from funcnet.transforms.argument_checks import FUNCTIONS

# functions of torch.nn.functional that an enclosing transformation replaces as a whole; none of them draws or writes
_WHOLE = FUNCTIONS.keys() - {functional.embedding, functional.embedding_bag, functional.rrelu}

Reference = ref[Tensor]
Place = tuple[dict[str, Any], str]  # the dict of parameters or buffers that holds a tensor, and its name


class Calls(TorchFunctionMode):
    """A torch function mode that applies the rules.

    Attributes:
        params: The parameters, which must not be written to.
        foreign: Tensors of the module that this one was copied from, by id, which must not be read.
        places: The places of the module's buffers, by id.
    """

    def __init__(
        self, draws: Draws, params: Sequence[Tensor], foreign: dict[int, Reference], places: dict[int, list[Place]]
    ) -> None:
        super().__init__()
        self.draws, self.params, self.places = draws, params, places
        self.foreign = {key: foreign[key] for key in foreign.keys() - map(id, params)}
        self.alive = list[Tensor]()  # keeps tensors alive, so that ids stay unique

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if any(self.is_foreign(leaf) for leaf in tree.leaves((args, kwargs))):
            raise _not_copied(self.draws.name)
        in_python = isinstance(function, FunctionType)
        if in_python and function.__globals__ is vars(functional) and function not in _WHOLE:
            with self:
                return _torch.without_dispatch(function)(*args, **kwargs)
        name = getattr(function, "__name__", "")
        if name in _RULES:
            return _RULES[name](self, function, *args, **kwargs)
        target = args[0] if args and name.endswith("_") and _writes(name) else kwargs.get("out")
        if isinstance(target, Tensor) and _memory(target) in self.memories:
            raise _impure(self.draws.name, name)
        if name in UNKNOWN or (name in RANDOM and in_python):
            raise self.draws.unknown(f"{function.__module__}.{name}" if in_python else name)
        if name in RANDOM:
            return RANDOM[name](self.draws, *args, **kwargs)
        return function(*args, **kwargs)

    @cached_property
    def memories(self) -> set[int]:
        """The storages of the parameters, which their views and their .data share."""
        return {_memory(parameter) for parameter in self.params}

    def is_foreign(self, leaf: Any) -> bool:
        return isinstance(leaf, Tensor) and id(leaf) in self.foreign and self.foreign[id(leaf)]() is leaf


def _memory(tensor: Tensor) -> int:
    """Identify the memory of a tensor; a tensor without memory is identified by its id."""
    tensor = _torch.unwrapped(tensor)
    try:
        return _torch.storage_number(tensor)
    except NotImplementedError:
        return id(tensor)


def _not_copied(module: str) -> ValueError:
    return ValueError(
        f"{module}: forward uses a tensor of the module that was passed to from_module, expected it to use those of the"
        " copy. A closure or hook that holds the module itself cannot be copied: access submodules as attributes in"
        " forward, and in a hook use the module that it is called with."
    )


def _writes(name: str) -> bool:
    if name.startswith("_"):
        return name in ("__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__")
    return name != "requires_grad_"


def _impure(module: str, operation: str) -> ValueError:
    return ValueError(
        f"{module}: {operation} writes to a parameter, expected a pure forward."
        " Compute with the changed values, as in weight.clamp(-1, 1), or change them in the training step."
    )


def _attention(
    calls: Calls,
    function: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Compute attention by plain operations: fused kernels are slow loops under vmap of grad, and ignore keys."""
    if enable_gqa:
        key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], -3) for x in (key, value))
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    weights = torch.ops.aten._safe_softmax(scores, -1)  # 0, not NaN, where all keys are masked
    return thin(calls.draws, weights, dropout_p, True, weights.shape, "dropout of attention") @ value


class Average(float):
    """Marks the momentum of a BatchNorm with cumulative statistics, for which torch reads num_batches_tracked."""


@contextmanager
def averaging(norms: Sequence[Any]) -> Iterator[None]:
    """Make BatchNorms whose momentum is None pass `Average` to batch_norm."""
    try:
        for norm in norms:
            norm.momentum = Average()
        yield
    finally:
        for norm in norms:
            norm.momentum = None


def _normalise(calls: Calls, function: Any, *args: Any) -> Tensor:
    """Make batch_norm and instance_norm write to copies of the statistics, which are batched by vmap if x is."""
    x, weight, bias, mean, var, by_batch, momentum, *rest = args
    if not by_batch or mean is None:
        return function(*args)
    after = [stat + x.new_zeros(stat.shape, dtype=stat.dtype) for stat in (mean, var)]
    is_average = isinstance(momentum, Average)
    y: Tensor = function(x, weight, bias, *after, by_batch, 1.0 if is_average else momentum, *rest)
    if is_average:
        ((store, _), *_) = calls.places[id(mean)]
        part = 1 / store["num_batches_tracked"].to(torch.float64)
        after = [part * new + (1 - part) * stat for stat, new in zip((mean, var), after, strict=True)]
    for stat, new in zip((mean, var), after, strict=True):
        places = calls.places.get(id(stat))
        if places is None:  # part of a buffer, or not a buffer of the module
            stat.copy_(new)
            continue
        calls.places[id(new)] = places
        calls.alive.append(new)
        for store, name in places:
            store[name] = new
    return y


def _recur(calls: Calls, function: Any, *args: Any) -> tuple[Tensor, ...]:
    return recur(calls.draws, function, *args)


def _with_plain(rule: Any) -> Any:
    """Turn a function into a rule, which also receives the mode and the replaced function."""
    return lambda calls, function, *args, **kwargs: rule(*args, **kwargs)


def _weight_norm(calls: Calls, function: Any, v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """Compute g v / ||v|| by plain operations: torch's kernel has no forward derivative."""
    axes = None if dim == -1 else [axis for axis in range(v.ndim) if axis != dim]
    return v * (g / torch.linalg.vector_norm(v, dim=axes, keepdim=True))


def _require_grad(calls: Calls, function: Any, x: Tensor, requires_grad: bool = True) -> Tensor:
    """Allow the call under torch.func; a derivative inside forward makes it, and transformers' checkpoints do."""
    return _torch.require_grad(x) if requires_grad else function(x, requires_grad)


def _no_renorm(calls: Calls, *_: Any) -> Tensor:
    raise ValueError(
        f"{calls.draws.name}: an embedding with max_norm writes to its parameter, expected a pure forward."
        " Set max_norm=None, and scale the rows in the training step."
    )


_RULES: dict[str, Any] = {
    "scaled_dot_product_attention": _attention,
    "batch_norm": _normalise,
    "instance_norm": _normalise,
    "lstm": _recur,
    "gru": _recur,
    "rnn_tanh": _recur,
    "rnn_relu": _recur,
    **{name: _with_plain(rule) for name, rule in (packing.RULES | CELLS).items()},
    "embedding": _with_plain(embeddings.embedding),
    "embedding_bag": _with_plain(embeddings.embedding_bag),
    "requires_grad_": _require_grad,
    "_weight_norm": _weight_norm,
    "embedding_renorm_": _no_renorm,
}
