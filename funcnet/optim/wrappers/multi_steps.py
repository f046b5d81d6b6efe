"""Gradient accumulation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.optim import moments
from funcnet.optim.base import (
    GradientTransformation,
    Params,
    Scalar,
    State,
    Updates,
    as_dtype,
    select,
    zero_count,
)
from funcnet.optim.extra_args import with_extra_args_support
from funcnet.optim.ranges import check_count, check_parts
from funcnet.optim.states import check_state
from funcnet.tree import Tree

SkipFunction = Callable[[Updates, Tensor, Params | None], tuple[Tensor, Tree]]


class MultiStepsState(NamedTuple):
    """The state of `MultiSteps`."""

    mini_step: Tensor  # 0-d int64, gradients accumulated since the last step
    gradient_step: Tensor  # 0-d int64, steps taken so far
    inner_opt_state: State
    acc_grads: Params  # like params, in accumulator_dtype: the mean or the sum of the accumulated gradients
    skip_state: Tree = ()  # the tree that should_skip_update_fn returned for the last gradient


@dataclass(frozen=True)
class MultiSteps:
    """Accumulate the gradients of several minibatches for one step of an optimizer; other updates are zero.

    Args:
        opt: The optimizer that takes the step.
        every_k_schedule: The number of gradients per step: a number, or a function of the steps taken so far.
        use_grad_mean: Whether the optimizer gets the mean of the gradients instead of their sum.
        should_skip_update_fn: A function from a gradient, the steps taken so far and the parameters to a 0-d bool,
            whether to ignore this gradient, and a tree that is kept in the state; such as `skip_not_finite`, or a
            partial of `skip_large_updates` with its bound. None: no gradient is skipped.
        accumulator_dtype: The dtype of the accumulated gradients. None: that of the parameters.
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
    should_skip_update_fn: SkipFunction | None = None
    accumulator_dtype: torch.dtype | None = torch.float32

    def __post_init__(self) -> None:
        check_parts("MultiSteps", [self.opt])
        if not callable(self.every_k_schedule):
            check_count("MultiSteps", every_k_schedule=self.every_k_schedule)

    def init(self, params: Params) -> MultiStepsState:
        """Return the state before the first gradient."""
        gathered, count = moments.zeros(params, self.accumulator_dtype), zero_count(params)
        _, skip_state = self._judge(moments.zeros(params), count, params)
        return MultiStepsState(count, count, self.opt.init(params), gathered, skip_state)

    def update(
        self, updates: Updates, state: MultiStepsState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, MultiStepsState]:
        """Accumulate one gradient, and take a step if it is the last of its block."""
        check_state(MultiStepsState, state, updates, like=("acc_grads",))
        steps = self.every_k_schedule
        length = steps(state.gradient_step) if callable(steps) else steps
        skip, skip_state = self._judge(updates, state.gradient_step, params)
        gathered = self._gather(updates, state, skip)
        last = (state.mini_step + 1 >= length) & ~skip
        step, inner = with_extra_args_support(self.opt).update(
            tree.map(lambda g, a: as_dtype(a, g.dtype), updates, gathered), state.inner_opt_state, params, **extra
        )
        after = MultiStepsState(
            mini_step=torch.where(last, 0, state.mini_step + ~skip),
            gradient_step=state.gradient_step + last,
            inner_opt_state=select(last, inner, state.inner_opt_state),
            acc_grads=tree.map(lambda a, b: as_dtype(torch.where(last, 0, b), a.dtype), state.acc_grads, gathered),
            skip_state=skip_state,
        )
        return tree.map(lambda u: torch.where(last, u, 0), step), after

    def has_updated(self, state: MultiStepsState) -> Tensor:
        """Tell, by a 0-d bool, whether the last update took a step."""
        return (state.mini_step == 0) & (state.gradient_step > 0)

    def gradient_transformation(self) -> GradientTransformation:
        """Return this as a transformation that can be part of a chain."""
        return GradientTransformation(init=self.init, update=self.update)

    def _judge(self, updates: Updates, gradient_step: Tensor, params: Params | None) -> tuple[Tensor, Tree]:
        """Return whether to skip a gradient, and the tree to keep in the state."""
        if self.should_skip_update_fn is None:
            return torch.zeros_like(gradient_step, dtype=torch.bool), ()
        return self.should_skip_update_fn(updates, gradient_step, params)

    def _gather(self, updates: Updates, state: MultiStepsState, skip: Tensor) -> Params:
        count = state.mini_step + 1

        def gather(a: Tensor, g: Tensor | None) -> Tensor:
            if g is None:
                return a
            return torch.where(skip, a, a + (g - a) / count if self.use_grad_mean else a + g)

        return tree.map(gather, state.acc_grads, updates)


def skip_not_finite(updates: Updates, gradient_step: Tensor, params: Params | None) -> tuple[Tensor, Tree]:
    """Tell `MultiSteps` to skip a gradient that holds NaN or infinity.

    Returns:
        Whether to skip, a 0-d bool; and {"should_skip": the same, "num_not_finite": the number of non-finite entries}.
    Example:
        >>> fn.optim.skip_not_finite(torch.tensor([1.0, torch.nan]), torch.tensor(0), None)[0]
        tensor(True)
    """
    counts = [(~g.isfinite()).sum() for g in tree.leaves(updates)]
    count = torch.stack(counts).sum() if counts else torch.zeros_like(gradient_step)
    return count > 0, {"should_skip": count > 0, "num_not_finite": count}


def skip_large_updates(
    updates: Updates, gradient_step: Tensor, params: Params | None, max_squared_norm: Scalar
) -> tuple[Tensor, Tree]:
    """Tell `MultiSteps` to skip a gradient whose squared norm is not below a bound; set the bound with `partial`.

    Returns:
        Whether to skip, a 0-d bool; and {"should_skip": the same, "norm_squared": the squared norm}.
    Example:
        >>> fn.optim.skip_large_updates(torch.tensor([3.0, 4.0]), torch.tensor(0), None, max_squared_norm=9.0)[0]
        tensor(True)
    """
    squared = tree.dot(updates, updates)
    skip = ~(squared < max_squared_norm)
    return skip, {"should_skip": skip, "norm_squared": squared}
