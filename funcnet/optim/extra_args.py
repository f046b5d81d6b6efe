"""Extra arguments of update: a part gets those that it names."""

from collections.abc import Callable
from functools import partial
from inspect import CO_VARKEYWORDS
from types import MethodWrapperType
from typing import Any

from funcnet.optim.base import GradientTransformation, Params, State, Updates
from funcnet.reprs import Call


def with_extra_args_support(tx: GradientTransformation) -> GradientTransformation:
    """Make a transformation ignore the extra arguments of update that it does not name.

    Every transformation that is made of others, such as `chain`, `masked` and `MultiSteps`, does so with its parts.

    Example:
        >>> halve = fn.optim.GradientTransformation(lambda params: (), lambda g, state, params=None: (g / 2, ()))
        >>> halve = fn.optim.with_extra_args_support(halve)
        >>> halve.update(torch.tensor(3.0), (), value=torch.tensor(1.0))
        (tensor(1.5000), ())
    """
    names = _argument_names(tx.update)
    if names is None:
        return tx
    by_name = GradientTransformation(tx.init, partial(_update_by_name, update=tx.update, names=names))
    return by_name.made_by(Call("with_extra_args_support", (tx,), {}))


def _argument_names(f: Any) -> tuple[str, ...] | None:
    """Return the names of the arguments of a function; None if it takes any, or if nothing is known about it."""
    while not hasattr(f, "__code__"):
        f = f.func if isinstance(f, partial) else getattr(f, "__wrapped__", None) or f.__call__
        if isinstance(f, MethodWrapperType):
            return None
    code = f.__code__
    return None if code.co_flags & CO_VARKEYWORDS else code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _update_by_name(
    updates: Updates,
    state: State,
    params: Params | None = None,
    *,
    update: Callable[..., tuple[Updates, State]],
    names: tuple[str, ...],
    **extra: Any,
) -> tuple[Updates, State]:
    return update(updates, state, params, **{name: extra[name] for name in names if name in extra})
