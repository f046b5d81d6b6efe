"""Steps of differentiation that keep their arguments only, and recompute the rest in the backward pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch, tree
from funcnet.transforms import rule_levels
from funcnet.transforms.batching import vmap
from funcnet.transforms.closures import leads_to_tensors
from funcnet.transforms.flatten import Flattener, Function
from funcnet.transforms.structural_zeros import Partial, Tensors, materialised, pullback, pushforward


def whole(name: str, results: Flattener, result: Any) -> Tensors:
    """Split a result; raise if it holds tensors in objects that are not nodes."""
    tensors = results.split(result)
    for leaf in filter(leads_to_tensors, results.rest):
        raise ValueError(
            f"{name}: expected tensors and trees of them as results, got {tree.describe(leaf)}, which holds tensors "
            "and is not a pytree node, so their gradients would be lost. Return the tensors themselves, in tuples, "
            "dicts or dataclasses registered by fn.tree.register_dataclass."
        )
    return tensors


@dataclass(frozen=True, eq=False)
class Recomputed:
    """f(*tensors) as one step of differentiation that keeps its arguments and nothing else.

    Its methods are the rules that autograd and torch.func ask for, with the outermost level of torch.func peeled off
    the tensors. A cotangent or tangent is None if it is structurally zero, and for integers.
    """

    f: Function

    def __call__(self, *tensors: Tensor) -> Tensors:
        apply: Callable[..., Tensors] = _Remat.apply
        return apply(self, rule_levels.floor_of(tensors), *tensors)

    def here(self) -> "Recomputed":
        """Return the step whose rules apply at the current level of torch.func."""
        return self

    def run(self, *tensors: Tensor) -> Tensors:
        return tuple(out.view_as(out) for out in self.f(*tensors))  # autograd does not accept an argument as a result

    def kept(self, tensors: Tensors, results: Tensors) -> Tensors:
        """Return the tensors that the backward pass receives."""
        return tensors

    def pull(self, primals: Tensors, cotangents: Partial) -> Partial:
        """Pull one cotangent per result back to one per argument, from the tensors kept."""
        weights, results = Flattener(), Flattener()

        def pull(*tensors: Tensor) -> Tensors:
            given = weights.rebuild(tensors[len(primals) :])
            return results.split(pullback(self.f, tensors[: len(primals)])(given))

        # torch.func records the backward pass, to be differentiated in turn, so that has to be rematerialised as well
        pulled = Recomputed(pull)(*primals, *weights.split([*cotangents]))
        return tuple(results.rebuild(pulled))

    def push(self, primals: Tensors, tangents: Partial) -> tuple[Tensors, Partial]:
        """Compute the results, and push one tangent per argument forward to one per result."""
        return pushforward(self.f, primals, tangents)

    def batch(self, size: int, dims: Any, tensors: Tensors) -> tuple[Tensors, tuple[int, ...]]:
        """Compute the results of a batch from the axis of each tensor, if it has one; return them and their axes."""
        # The rule that torch generates adds up the gradient of a result that all examples share once per example.
        results = Recomputed(vmap(self.f, dims))(*tensors)
        return results, (0,) * len(results)


class _Remat(torch.autograd.Function):
    """The call of a step, which is an argument itself, as is the lowest level at which rules inside it apply."""

    @staticmethod
    def forward(step: Recomputed, floor: int, *tensors: Tensor) -> Tensors:
        return step.run(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensors) -> None:
        step, floor, *tensors = inputs
        ctx.step, ctx.is_outer = step.here(), rule_levels.is_outer(floor)
        ctx.save_for_backward(*ctx.step.kept(tensors, output))
        ctx.save_for_forward(*tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        with rule_levels.derivative(is_outer=ctx.is_outer):
            return None, None, *ctx.step.pull(distinct(ctx.saved_tensors), cotangents)

    @staticmethod
    def jvp(ctx: Any, _: None, __: None, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        with _torch.rule_of_forward_mode((*ctx.saved_tensors, *tangents)) as tensors:
            count = len(tensors) - len(tangents)
            with rule_levels.derivative(is_outer=ctx.is_outer):
                return materialised(*ctx.step.push(distinct(tensors[:count]), tensors[count:]))

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, step: Recomputed, floor: int, *tensors: Tensor
    ) -> tuple[Tensors, tuple[int, ...]]:
        with rule_levels.at(floor):
            return step.batch(info.batch_size, in_dims[2:], tensors)


def distinct(tensors: Sequence[Tensor]) -> Tensors:
    """Give each tensor an object of its own, by which a step identifies the tensors that it holds.

    Two that were distinct at a level of torch.func may be one below it. A pullback may also run after its level has
    ended; an operation unwraps the tensors that were saved at it.
    """
    return tuple(tensor.view_as(tensor) for tensor in tensors)
