"""A call of a function with a rule for reverse mode: a step of differentiation that keeps the rule's residuals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.transforms.custom_rules import Frozen, Ruled, merged, specs
from funcnet.transforms.flatten import Flattener
from funcnet.transforms.remat import whole
from funcnet.transforms.structural_zeros import Partial, Tensors, pullback
from funcnet.tree import Tree
from funcnet.tree.conversion import is_number, number_as_tensor
from funcnet.tree.nodes import prefix_leaves

NAME = "custom_vjp"


class VjpCall:
    """One call: its flat rule, and the structures of its arguments, result and residuals."""

    def __init__(self, parts: tuple[Any, ...], nondiff: Sequence[int]) -> None:
        self.parts, self.nondiff = parts, nondiff  # fwd, bwd, and the arguments of nondiff_argnums
        self.inputs, self.results, self.residuals = Flattener(), Flattener(), Flattener()
        self.inputs_like: list[Any] = []
        self.results_like: list[Any] = []

    def run(self, args: tuple[Any, ...]) -> Any:
        given = self.inputs.split(args)
        self.frozen = Frozen(NAME, self.parts, given)
        step = _Step(self.forward, self.frozen.level or 0, self)
        found = step(*self.frozen.held, *given)
        return self.results.rebuild(found[: len(self.results_like)])

    def forward(self, *tensors: Tensor) -> Tensors:
        """Apply fwd to the held tensors and the arguments; return the tensors of the result and of the residuals."""
        given = tensors[len(self.frozen.held) :]
        self.inputs_like = specs(given)

        def call(parts: tuple[Any, ...]) -> Any:
            fwd, _, *constants = parts
            return fwd(*merged(constants, self.inputs.rebuild(given), self.nondiff))

        pair = self.frozen.call(call, tensors)
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(
                f"{NAME}: expected fwd to return a pair (result, residuals), got {tree.describe(pair)}. "
                "Return (result, None) for no residuals."
            )
        results = whole(NAME, self.results, pair[0])
        self.results_like = specs(results)
        return *results, *whole(NAME, self.residuals, pair[1])

    def backward(self, held: Tensors, residuals: Tensors, cotangents: Partial) -> Partial:
        """Apply bwd; return one cotangent per held tensor and per tensor of the arguments."""
        _, bwd, *constants = self.frozen.holding(held)
        pairs = zip(cotangents, self.results_like, strict=True)
        cotangent = self.results.without_rest([_or_zeros(c, like) for c, like in pairs])
        found = bwd(*constants, self.residuals.rebuild(residuals), cotangent)
        return *[None] * len(held), *self.matching(found)

    def matching(self, cotangents: Tree) -> list[Tensor | None]:
        """Check the result of bwd, and return one cotangent per tensor of the arguments."""
        like = self.inputs.rebuild(range(len(self.inputs_like)))
        spread = _spread(like, cotangents)
        places = [
            (path, c) for path, c, yes in zip(tree.paths(like), spread, self.inputs.is_chosen, strict=True) if yes
        ]
        pairs = zip(places, self.inputs_like, strict=True)
        return [_matching(path, found, spec) for (path, found), spec in pairs]


def _spread(like: Tree, cotangents: Tree) -> list[Any]:
    """Return the cotangent of each leaf of the arguments."""
    if not isinstance(cotangents, tuple):
        raise TypeError(
            f"{NAME}: expected bwd to return a tuple with one cotangent per argument, got {tree.describe(cotangents)}."
            " Return (cotangent,) for a single argument."
        )
    try:
        spread = prefix_leaves(cotangents, like)
        is_deep = len([c for c in spread if c is not None]) == len(tree.leaves(cotangents))
    except ValueError:
        is_deep = False
    if not is_deep:
        raise TypeError(
            f"{NAME}: expected bwd to return cotangents of the structure of the arguments, but they differ "
            f"{tree.difference(like, cotangents) or 'in a None'}. Return one cotangent per argument that is not among "
            "the nondiff_argnums, with None for zero."
        )
    return spread


def _matching(path: str, cotangent: Any, spec: Any) -> Tensor | None:
    shape, dtype, device = spec
    if cotangent is None or not (dtype.is_floating_point or dtype.is_complex):
        return None
    if is_number(cotangent) and not shape:
        return number_as_tensor(cotangent, dtype).to(device)
    if not isinstance(cotangent, Tensor) or (cotangent.shape, cotangent.dtype) != (shape, dtype):
        raise ValueError(
            f"{NAME}: at {tree.place(path)}: expected bwd to return a cotangent like its argument, a "
            f"{str(dtype).removeprefix('torch.')} tensor of shape {tuple(shape)}, got {tree.describe(cotangent)}."
        )
    return cotangent


def _or_zeros(cotangent: Tensor | None, like: Any) -> Tensor | None:
    shape, dtype, device = like
    if cotangent is None and (dtype.is_floating_point or dtype.is_complex):
        return torch.zeros(shape, dtype=dtype, device=device)
    return cotangent


@dataclass(frozen=True, eq=False)
class _Step(Ruled):
    call: VjpCall

    def kept(self, tensors: Tensors, results: Tensors) -> Tensors:
        """Keep what bwd needs; with torch's autograd, whose backward passes are differentiated again, all."""
        held = len(self.call.frozen.held)
        return *(tensors if self.level == 0 else tensors[:held]), *results[len(self.call.results_like) :]

    def pull(self, kept: Tensors, cotangents: Partial) -> Partial:
        held, count = len(self.call.frozen.held), len(self.call.results_like)
        start = held + len(self.call.inputs_like) if self.level == 0 else held
        found = self.call.backward(kept[:held], kept[start:], cotangents[:count])
        if all(cotangent is None for cotangent in cotangents[count:]):
            return found
        others = pullback(self.f, kept[:start])([*[None] * count, *cotangents[count:]])
        return tuple(map(_total, found, others))

    def push(self, primals: Tensors, tangents: Partial) -> tuple[Tensors, Partial]:
        raise TypeError(
            f"{NAME}: expected reverse-mode differentiation, got forward mode (jvp or jacfwd), for which the function "
            "has no rule. Use vjp, grad or jacrev, or define the function by custom_jvp, which serves both modes."
        )


def _total(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b
