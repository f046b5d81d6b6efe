"""Recomputation that stores the results of some matrix products, and does not compute these again.

A product is recognised by its place in the code, the stack of calls that leads to it, and by how often that has been
reached. Where a derivative runs other code, such as the rule of a custom_vjp, products are computed again.
"""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any, cast

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from funcnet import _torch
from funcnet.transforms.checkpoint_policies import Policy, named
from funcnet.transforms.custom_rules import Ruled, batch_of
from funcnet.transforms.flatten import Flattener
from funcnet.transforms.purity import writes
from funcnet.transforms.remat import Recomputed
from funcnet.transforms.rule_levels import innermost
from funcnet.transforms.structural_zeros import Partial, Tensors, pullback

Flat = Callable[..., Tensors]
Place = tuple[Any, ...]


@dataclass
class _Stored:
    """The places in the code of the products stored by the last forward pass, and the number of its other results."""

    places: list[Place] = field(default_factory=list)
    results: int = 0


@dataclass(frozen=True, eq=False)
class KeepingProducts(Recomputed):
    """f(*tensors) as a step that keeps its arguments, and the results of products that a policy selects."""

    plain: Flat
    policy: Policy
    stored: _Stored

    @classmethod
    def of(cls, f: Flat, policy: Policy) -> "KeepingProducts":
        stored = _Stored()
        return cls(partial(_storing, f, policy, stored), f, policy, stored)

    def kept(self, tensors: Tensors, results: Tensors) -> Tensors:
        return *tensors, *results[self.stored.results :]

    def pull(self, kept: Tensors, cotangents: Partial) -> Partial:
        count, places = len(kept) - len(self.stored.places), list(self.stored.places)
        weights, found = Flattener(), Flattener()

        def pull(*tensors: Tensor) -> Tensors:
            known = dict(zip(places, tensors[count : len(kept)], strict=True))
            given = weights.rebuild(tensors[len(kept) :])
            return found.split(pullback(partial(_reusing, self.plain, known), tensors[:count])(given))

        pulled = Recomputed(pull)(*kept, *weights.split([*cotangents]))
        return tuple(found.rebuild(pulled))

    def batch(self, size: int, dims: Any, tensors: Tensors) -> tuple[Tensors, tuple[int, ...]]:
        return batch_of(self, dims, tensors)


def _storing(f: Flat, policy: Policy, stored: _Stored, /, *tensors: Tensor) -> Tensors:
    """Return the results of f and those of its products that the policy selects."""
    with _Storing(policy) as products:
        results = f(*tensors)
    kept = {place: y for place, (y, version) in products.selected.items() if writes([y]) == version}
    stored.places, stored.results = [*kept], len(results)
    return *results, *kept.values()


def _reusing(f: Flat, known: dict[Place, Tensor], /, *tensors: Tensor) -> Tensors:
    """Return the results of f, and the stored results of products, which are not computed again."""
    with _Reusing(known) as products:
        results = f(*tensors)
    return *results, *(products.reused.get(place, y) for place, y in known.items())


class _Products(TorchFunctionMode):
    """Sees the matrix products of a function, each with its place."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = Counter[Place]()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is named:
            return self.name(*args, **kwargs)
        if (rule := _rule(function, args, kwargs)) is None:
            return function(*args, **kwargs)
        if (place := _stack()) is None:
            return function(*args, **kwargs)
        self.reached[place] += 1
        return self.product((*place, self.reached[place]), rule, function, args)

    def name(self, x: Tensor, name: str) -> Tensor:
        return x

    def product(self, place: Place, rule: Any, function: Any, args: Any) -> Tensor:
        raise NotImplementedError


class _Storing(_Products):
    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy, self.level = policy, _torch.current_level() or 0
        self.places = WeakIdKeyDictionary()
        self.selected: dict[Place, tuple[Tensor, list[int]]] = {}

    def product(self, place: Place, rule: Any, function: Any, args: Any) -> Tensor:
        result: Tensor = function(*args)
        if _torch.level(result) <= self.level:  # other results belong to a transformation inside
            self.places[result] = place
            self.select(result, None)
        return result

    def name(self, x: Tensor, name: str) -> Tensor:
        if x in self.places:
            self.select(x, name)
        return x

    def select(self, result: Tensor, name: str | None) -> None:
        if self.policy(result, name):
            self.selected[self.places[result]] = result, writes([result])


class _Reusing(_Products):
    def __init__(self, known: dict[Place, Tensor]) -> None:
        super().__init__()
        self.known, self.reused = known, dict[Place, Tensor]()

    def product(self, place: Place, rule: Any, function: Any, args: Any) -> Tensor:
        stored = self.known.get(place)
        level = None if stored is None else innermost(args)
        if stored is None or level is None:
            result: Tensor = function(*args) if stored is None else stored
            return result
        (self.reused[place],) = _Product(_first, level, rule, function)(stored, *args)
        return self.reused[place]


def _first(stored: Tensor, *_: Tensor) -> Tensors:
    return (stored,)


@dataclass(frozen=True, eq=False)
class _Product(Ruled):
    """A product whose result is given as the first argument: an inner level differentiates it without computing it."""

    rule: Callable[..., Partial]
    function: Callable[..., Tensor]

    def pull(self, primals: Tensors, cotangents: Partial) -> Partial:
        return None, *([None] * (len(primals) - 1) if cotangents[0] is None else self.rule(cotangents[0], *primals[1:]))

    def push(self, primals: Tensors, tangents: Partial) -> tuple[Tensors, Partial]:
        stored, *args = primals
        parts = [
            self.function(*args[:i], tangent, *args[i + 1 :])
            for i, tangent in enumerate(tangents[1:])
            if tangent is not None
        ]
        return (stored,), (sum(parts[1:], parts[0]) if parts else None,)


def _stack() -> Place | None:
    """Return the places in the code of all calls from the function that is recomputed to the current one.

    Return None inside the body of a loop, whose values exist in one step only.
    """
    places, frame = list[Any](), sys._getframe(2)
    while frame.f_code not in _ENDS:
        if frame.f_globals.get("__name__", "").startswith(_LOOPS):
            return None
        places.append((frame.f_code, frame.f_lasti))
        frame = cast(FrameType, frame.f_back)
    return tuple(places)


_LOOPS = ("funcnet.scan", "funcnet.control_flow", "funcnet.compiler.tracing")
_ENDS = (_storing.__code__, _reusing.__code__)


def _rule(function: Any, args: Any, kwargs: Any) -> Any:
    """Return how a matrix product is transposed; None for another operation."""
    are_tensors = len(args) == 2 and not kwargs and all(isinstance(arg, Tensor) for arg in args)
    return _transposed if are_tensors and getattr(function, "__name__", "") in _NAMES else None


_NAMES = ("matmul", "__matmul__", "mm", "bmm", "mv")


def _transposed(cotangent: Tensor, a: Tensor, b: Tensor) -> Partial:
    """Pull the cotangent of a @ b back to both factors."""
    rows, columns = torch.atleast_2d(a), b[:, None] if b.ndim == 1 else b
    if b.ndim == 1:
        cotangent = cotangent[..., None]
    if a.ndim == 1:
        cotangent = cotangent[..., None, :]
    by_a, by_b = cotangent @ columns.mH, rows.mH @ cotangent
    return by_a.sum_to_size(rows.shape).reshape(a.shape), by_b.sum_to_size(columns.shape).reshape(b.shape)
