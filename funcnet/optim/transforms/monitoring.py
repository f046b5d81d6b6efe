"""Measurements of updates inside a chain, kept in the state."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch

from funcnet import tree
from funcnet.optim.base import GradientTransformation, Params, State, Updates, floating, stateless
from funcnet.optim.extra_args import with_extra_args_support
from funcnet.optim.states import with_state
from funcnet.optim.transforms.combining import chain
from funcnet.optim.transforms.ema import ema
from funcnet.reprs import shows_call
from funcnet.tree import Tree

Measure = Callable[[Updates], Tree]


class SnapshotState(NamedTuple):
    """The state of `snapshot`."""

    measurement: dict[str, Tree]  # by name; that of the last updates, or of the parameters before the first


class MonitorState(NamedTuple):
    """The state of `monitor`."""

    measurements: dict[str, Tree]  # by name; those of the last updates, or of the parameters before the first
    measure_states: tuple[State, ...]  # of the transformations that measure


@shows_call
def snapshot(measure_name: str, measure: Measure) -> GradientTransformation:
    """Keep a measurement of the updates in the state, and leave them unchanged.

    Args:
        measure_name: Its name, for `fn.optim.tree.get(state, measure_name)`.
        measure: A function from updates to a tree of tensors.
    Returns:
        The transformation. State: `SnapshotState`.
    Example:
        >>> part = fn.optim.chain(fn.optim.sgd(0.1), fn.optim.snapshot("norm", fn.optim.global_norm))
        >>> _, state = part.update(torch.tensor([3.0, 4.0]), part.init(torch.zeros(2)))
        >>> fn.optim.tree.get(state, "norm")
        tensor(0.5000)
    """
    options: dict[str, Any] = {"name": measure_name, "measure": measure}
    return with_state(SnapshotState, partial(_snapshot_init, **options), partial(_snapshot_update, **options))


@shows_call
def monitor(measures: Mapping[str, Measure | GradientTransformation]) -> GradientTransformation:
    """Keep several measurements of the updates in the state, and leave the updates unchanged.

    Args:
        measures: By name, functions from updates to a tree of tensors, or transformations of updates into one, such as
            `measure_with_ema`, which has a state.
    Returns:
        The transformation. State: `MonitorState`.
    Example:
        >>> mean = fn.optim.measure_with_ema(fn.optim.global_norm, decay=0.5)
        >>> part = fn.optim.monitor({"norm": fn.optim.global_norm, "mean norm": mean})
        >>> _, state = part.update(torch.tensor(1.0), part.init(torch.tensor(0.0)))
        >>> part.update(torch.tensor(4.0), state)[1].measurements
        {'norm': tensor(4.), 'mean norm': tensor(3.)}
    """
    parts = {name: with_extra_args_support(_measuring(measure)) for name, measure in measures.items()}
    return with_state(MonitorState, partial(_monitor_init, parts=parts), partial(_monitor_update, parts=parts))


@shows_call
def measure_with_ema(
    measure: Measure, decay: float, debias: bool = True, accumulator_dtype: torch.dtype | None = None
) -> GradientTransformation:
    """Replace updates by the moving average of a measurement of them: a measure of `monitor`.

    Args:
        measure: A function from updates to a tree of floating-point tensors.
        decay: The decay of the average, in [0, 1).
        debias: Whether to divide by the sum of the weights, because the average starts from 0.
        accumulator_dtype: The dtype of the average. None: that of the measurement of the parameters.
    Returns:
        The transformation. State: a tuple, with an `EmaState` second.
    Example:
        >>> mean = fn.optim.measure_with_ema(fn.optim.global_norm, decay=0.5)
        >>> _, state = mean.update(torch.tensor(1.0), mean.init(torch.tensor(0.0)))
        >>> mean.update(torch.tensor(4.0), state)[0]
        tensor(3.)
    """
    mean = ema(decay, debias, accumulator_dtype)
    averaged = GradientTransformation(partial(_ema_init, mean=mean, measure=measure), mean.update)
    return chain(stateless(partial(_measured, measure=measure)), averaged)


def _measuring(measure: Measure | GradientTransformation) -> GradientTransformation:
    return measure if isinstance(measure, GradientTransformation) else stateless(partial(_measured, measure=measure))


def _snapshot_init(params: Params, *, name: str, measure: Measure) -> SnapshotState:
    return SnapshotState({name: measure(floating(params))})


def _snapshot_update(
    updates: Updates,
    state: SnapshotState,
    params: Params | None = None,
    *,
    name: str,
    measure: Measure,
    **extra: Any,
) -> tuple[Updates, SnapshotState]:
    return updates, SnapshotState(_as_before({name: measure(updates)}, state.measurement))


def _monitor_init(params: Params, *, parts: dict[str, GradientTransformation]) -> MonitorState:
    states = tuple(part.init(params) for part in parts.values())
    first = _measure_all(floating(params), states, params, parts)[0]
    return MonitorState(first, states)


def _monitor_update(
    updates: Updates,
    state: MonitorState,
    params: Params | None = None,
    *,
    parts: dict[str, GradientTransformation],
    **extra: Any,
) -> tuple[Updates, MonitorState]:
    measured, states = _measure_all(updates, state.measure_states, params, parts, **extra)
    return updates, MonitorState(_as_before(measured, state.measurements), states)


def _measure_all(
    updates: Updates,
    states: tuple[State, ...],
    params: Params | None,
    parts: dict[str, GradientTransformation],
    **extra: Any,
) -> tuple[dict[str, Tree], tuple[State, ...]]:
    found = [part.update(updates, state, params, **extra) for part, state in zip(parts.values(), states, strict=True)]
    return dict(zip(parts, (measured for measured, _ in found), strict=True)), tuple(state for _, state in found)


def _as_before(measured: dict[str, Tree], before: dict[str, Tree]) -> dict[str, Tree]:
    """Cast measurements to the dtypes in the state: updates may be wider than the parameters."""
    return tree.map(lambda x, old: x.to(old.dtype) if tree.is_tensor(x) else x, measured, before)


def _ema_init(params: Params, *, mean: GradientTransformation, measure: Measure) -> State:
    return mean.init(measure(floating(params)))


def _measured(updates: Updates, params: Params | None, *, measure: Measure) -> Tree:
    return measure(updates)
