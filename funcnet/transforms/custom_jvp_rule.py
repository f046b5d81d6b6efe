"""A call of a function with a rule for forward mode: reverse mode transposes the rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.transforms.custom_rules import Frozen, Ruled, merged
from funcnet.transforms.flatten import Flattener
from funcnet.transforms.remat import whole
from funcnet.transforms.structural_zeros import Partial, Tensors, materialised, pullback
from funcnet.tree.conversion import is_number

NAME = "custom_jvp"


class JvpCall:
    """One call: its flat function and rule, and the structures of its arguments and result."""

    def __init__(self, parts: tuple[Any, ...], nondiff: Sequence[int]) -> None:
        self.parts, self.nondiff = parts, nondiff  # the function, its rule, and the arguments of nondiff_argnums
        self.inputs, self.results = Flattener(), Flattener()

    def run(self, args: tuple[Any, ...]) -> Any:
        given = self.inputs.split(args)
        self.frozen = Frozen(NAME, self.parts, given)
        found = _Step(self.forward, self.frozen.level or 0, self)(*self.frozen.held, *given)
        return self.results.rebuild(found)

    def forward(self, *tensors: Tensor) -> Tensors:
        """Apply the function to the held tensors and the arguments."""
        given = tensors[len(self.frozen.held) :]

        def call(parts: tuple[Any, ...]) -> Any:
            f, _, *constants = parts
            return f(*merged(constants, self.inputs.rebuild(given), self.nondiff))

        return whole(NAME, self.results, self.frozen.call(call, tensors))

    def rule(self, tensors: Tensors, tangents: Partial) -> tuple[Tensors, Partial]:
        """Apply the rule; return the tensors of the result and their tangents."""
        held = len(self.frozen.held)
        primals = self.inputs.rebuild(tensors[held:])
        dots = tree.unflatten(self.inputs.structure, self.tangents(tensors[held:], tangents[held:]))

        def call(parts: tuple[Any, ...]) -> Any:
            _, rule, *constants = parts
            return rule(*constants, primals, dots)

        result, dot = _pair(self.frozen.call(call, (*tensors, *(t for t in tangents if t is not None))))
        results = Flattener()
        found = whole(NAME, results, result)
        return found, _matching(results, found, dot)

    def tangents(self, tensors: Tensors, tangents: Partial) -> list[Any]:
        """List one tangent per leaf of the arguments: zeros for tensors without one, 0.0 for a number, else None."""
        found = iter(materialised(tensors, tangents))
        leaves = zip(self.inputs.is_chosen, self.inputs.rest, strict=True)
        return [next(found) if yes else 0.0 if is_number(leaf) else None for yes, leaf in leaves]


def _pair(pair: Any) -> tuple[Any, Any]:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"{NAME}: expected the rule to return a pair (result, tangent), got {tree.describe(pair)}.")
    return pair[0], pair[1]


def _matching(results: Flattener, found: Tensors, dot: Any) -> list[Tensor | None]:
    """Check the tangent of a result; return one tangent per tensor, None for integers."""
    like = results.rebuild(found)
    dots: list[Tensor | None] = []

    def check(path: str, primal: Any, tangent: Any) -> None:
        if not tree.is_tensor(primal):
            return
        if not tree.is_inexact(primal):
            dots.append(None)
            return
        if is_number(tangent):
            tangent = torch.full_like(primal, tangent)
        if not tree.is_tensor(tangent) or (tangent.shape, tangent.dtype) != (primal.shape, primal.dtype):
            raise TypeError(
                f"{NAME}: at {tree.place(path)}: expected the rule to return a tangent like its result, a "
                f"{tree.describe(primal)}, got {tree.describe(tangent)}."
            )
        dots.append(tangent)

    try:
        tree.map_with_path(check, like, dot)
    except ValueError as error:
        raise TypeError(f"{NAME}: expected a tangent of the structure of the result: {error}") from error
    return dots


@dataclass(frozen=True, eq=False)
class _Step(Ruled):
    call: JvpCall

    def outer(self, *tensors: Tensor) -> Tensors:
        """Compute the result by the rule, along zero tangents."""
        return self.call.rule(tensors, [None] * len(tensors))[0]

    def pull(self, primals: Tensors, cotangents: Partial) -> Partial:
        """Transpose the rule, which is linear in the tangents."""

        def along(*tangents: Tensor | None) -> Tensors:
            _, found = self.call.rule(primals, tangents)
            return tuple(dot if dot is not None else torch.zeros(()) for dot in found)

        zeros: list[Any] = [torch.zeros_like(x) if tree.is_inexact(x) else None for x in primals]
        return pullback(along, zeros)(cotangents)

    def push(self, primals: Tensors, tangents: Partial) -> tuple[Tensors, Partial]:
        return self.call.rule(primals, tangents)
