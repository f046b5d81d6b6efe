"""Hyper-parameters in the state, where they can be read, changed, mapped and scheduled."""

import inspect
from collections.abc import Callable, Collection
from functools import partial, wraps
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet.optim.base import (
    Count,
    GradientTransformation,
    Params,
    State,
    Updates,
    device,
    widest_dtype,
    zero_count,
)
from funcnet.optim.extra_args import with_extra_args_support
from funcnet.optim.states import find, with_state
from funcnet.reprs import Call, text


class InjectHyperparamsState(NamedTuple):
    """The hyper-parameters of an optimizer and its own state."""

    count: Count  # 0-d int64, updates seen so far
    hyperparams: dict[str, Tensor]  # those of the last update, or of the first
    inner_state: State


def inject_hyperparams(
    inner_factory: Callable[..., GradientTransformation],
    static_args: str | Collection[str] = (),
    hyperparam_dtype: torch.dtype | None = None,
) -> Callable[..., GradientTransformation]:
    """Make the numbers of an optimizer part of its state, and let any of them be a schedule.

    Args:
        inner_factory: Builds the optimizer, such as `adam`.
        static_args: Names of the arguments that are not hyper-parameters: functions other than schedules, such as a
            mask, and integers such as a number of steps. Bools, strings and trees are always static.
        hyperparam_dtype: The dtype of numbers and schedules. None: the widest of the parameters.
    Returns:
        A function of the arguments of inner_factory that returns a transformation. State: `InjectHyperparamsState`,
        whose hyperparams may be replaced between updates (`state._replace`); a schedule overwrites its own.
    Raises:
        ValueError: inner_factory does not have one of the static arguments.
    Example:
        >>> optimizer = fn.optim.inject_hyperparams(fn.optim.sgd)(fn.optim.linear_schedule(1.0, 0.0, 10))
        >>> state = optimizer.init(torch.tensor(0.0))
        >>> for _ in range(2):
        ...     updates, state = optimizer.update(torch.tensor(1.0), state)
        >>> fn.optim.get_hyperparams(state)
        {'learning_rate': tensor(0.9000)}
    """
    static = {static_args} if isinstance(static_args, str) else set(static_args)
    signature = inspect.signature(inner_factory)
    if unknown := static - set(signature.parameters):
        raise ValueError(
            f"inject_hyperparams: expected static_args among {list(signature.parameters)}, got {sorted(unknown)}."
        )

    @wraps(inner_factory)
    def build(*args: Any, **kwargs: Any) -> GradientTransformation:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = {name: value for name, value in bound.arguments.items() if name not in static}
        schedules = {name: value for name, value in given.items() if callable(value)}
        numbers = {name: value for name, value in given.items() if _is_number(value)}
        rest = {name: value for name, value in bound.arguments.items() if name not in schedules | numbers}
        factory = partial(inner_factory, **rest)
        transformation = with_state(
            InjectHyperparamsState,
            init=partial(_init, factory=factory, numbers=numbers, schedules=schedules, dtype=hyperparam_dtype),
            update=partial(_update, factory=factory, schedules=schedules),
        )
        return transformation.made_by(Call(f"inject_hyperparams({text(inner_factory)})", args, kwargs))

    return build


def get_hyperparams(state: State) -> dict[str, Tensor]:
    """Return the current values of the hyper-parameters that `inject_hyperparams` keeps in a state.

    Raises:
        ValueError: The state holds none.
    Example:
        >>> optimizer = fn.optim.inject_hyperparams(fn.optim.sgd)(learning_rate=0.1)
        >>> fn.optim.get_hyperparams(optimizer.init(torch.ones(2)))
        {'learning_rate': tensor(0.1000)}
    """
    found = find(state, InjectHyperparamsState)
    if found is None:
        raise ValueError("get_hyperparams: the state holds none. Build the optimizer by inject_hyperparams.")
    return found.hyperparams


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Tensor) and not isinstance(value, bool)


def _init(
    params: Params,
    *,
    factory: Callable[..., GradientTransformation],
    numbers: dict[str, Any],
    schedules: dict[str, Any],
    dtype: torch.dtype | None,
) -> InjectHyperparamsState:
    count, dtype = zero_count(params), dtype or widest_dtype(params)
    values = numbers | {name: schedule(count) for name, schedule in schedules.items()}
    tensors = {name: _tensor(value, dtype, device(params)) for name, value in values.items()}
    return InjectHyperparamsState(count, tensors, factory(**tensors).init(params))


def _update(
    updates: Updates,
    state: InjectHyperparamsState,
    params: Params | None = None,
    *,
    factory: Callable[..., GradientTransformation],
    schedules: dict[str, Any],
    **extra: Any,
) -> tuple[Updates, InjectHyperparamsState]:
    values = dict(state.hyperparams)
    for name, schedule in schedules.items():
        values[name] = _tensor(schedule(state.count), values[name].dtype, values[name].device)
    inner = with_extra_args_support(factory(**values))
    updates, inner_state = inner.update(updates, state.inner_state, params, **extra)
    return updates, InjectHyperparamsState(state.count + 1, values, inner_state)


def _tensor(value: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    return torch.full((), value, dtype=torch.int64 if isinstance(value, int) else dtype, device=device)
