"""Gradient accumulation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.base import GradientTransformation, Params, State, Updates, as_dtype, select, zero_count


class MultiStepsState(NamedTuple):
    """What is gathered so far."""

    mini_step: Tensor  # 0-d int64, gradients gathered since the last step
    gradient_step: Tensor  # 0-d int64, steps taken so far
    inner_opt_state: State
    acc_grads: Params  # like params, in accumulator_dtype: the mean or the sum of the gathered gradients


@dataclass(frozen=True)
class MultiSteps:
    """Gather the gradients of several minibatches for one step of an optimizer; the updates between are zero.

    Args:
        opt: The optimizer that takes the step.
        every_k_schedule: How many gradients make a step: a number, or a function of the steps taken so far.
        use_grad_mean: Whether the optimizer gets the mean of the gradients, or their sum.
        accumulator_dtype: Of what is gathered. None: that of the parameters.
    Example:
        >>> optimizer = fn.optim.MultiSteps(fn.optim.sgd(1.0), 2)
        >>> state = optimizer.init(torch.tensor(0.0))
        >>> updates, state = optimizer.update(torch.tensor(1.0), state)
        >>> updates, optimizer.has_updated(state)
        (tensor(0.), tensor(False))
        >>> optimizer.update(torch.tensor(3.0), state)[0]
        tensor(-2.)
    """

    opt: GradientTransformation
    every_k_schedule: int | Callable[[Tensor], int | Tensor]
    use_grad_mean: bool = True
    accumulator_dtype: torch.dtype | None = torch.float32

    def init(self, params: Params) -> MultiStepsState:
        """Return the state before the first gradient."""
        gathered = moments.zeros(params, self.accumulator_dtype)
        return MultiStepsState(zero_count(params), zero_count(params), self.opt.init(params), gathered)

    def update(
        self, updates: Updates, state: MultiStepsState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, MultiStepsState]:
        """Gather one gradient, and take a step if it is the last of its block."""
        steps = self.every_k_schedule
        length = steps(state.gradient_step) if callable(steps) else steps
        gathered = self._gather(updates, state)
        last = state.mini_step + 1 >= length
        step, inner = self.opt.update(
            tree.map(lambda g, a: as_dtype(a, g.dtype), updates, gathered), state.inner_opt_state, params, **extra
        )
        after = MultiStepsState(
            mini_step=torch.where(last, 0, state.mini_step + 1),
            gradient_step=state.gradient_step + last,
            inner_opt_state=select(last, inner, state.inner_opt_state),
            acc_grads=tree.map(lambda a, b: as_dtype(torch.where(last, 0, b), a.dtype), state.acc_grads, gathered),
        )
        return tree.map(lambda u: torch.where(last, u, 0), step), after

    def has_updated(self, state: MultiStepsState) -> Tensor:
        """Tell, by a 0-d bool, whether the last update took a step."""
        return (state.mini_step == 0) & (state.gradient_step > 0)

    def gradient_transformation(self) -> GradientTransformation:
        """Return this as a transformation, to be part of a chain."""
        return GradientTransformation(init=self.init, update=self.update)

    def _gather(self, updates: Updates, state: MultiStepsState) -> Params:
        count = state.mini_step + 1

        def gather(a: Tensor, g: Tensor | None) -> Tensor:
            if g is None:
                return a
            return a + (g - a) / count if self.use_grad_mean else a + g

        return tree.map(gather, state.acc_grads, updates)
