"""The choice of the parameters of a module that are trained; the others are part of its state."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from torch import Tensor

Trainable = bool | str | Collection[str] | Callable[[str], bool] | None


def frozen_names(parameters: Mapping[str, Tensor], trainable: Trainable) -> set[str]:
    """Return the names of the parameters that are not chosen; a tied one is chosen by any of its names.

    Raises:
        TypeError: `trainable` is of another type.
        ValueError: It chooses no parameter, or contains a name that is neither a parameter's nor a submodule's.
    """
    if trainable is None:
        return set()
    chooses = _rule(trainable, parameters)
    chosen = {id(parameter) for name, parameter in parameters.items() if chooses(name)}
    if not chosen:
        raise ValueError(
            f"from_module: trainable={trainable!r} chooses none of the parameters {_listed(parameters)}, expected it to"
            " choose at least one."
        )
    return {name for name, parameter in parameters.items() if id(parameter) not in chosen}


def _rule(trainable: Any, parameters: Mapping[str, Tensor]) -> Callable[[str], bool]:
    if trainable is True:
        return lambda name: parameters[name].requires_grad
    if callable(trainable):
        return lambda name: bool(trainable(name))
    prefixes = (trainable,) if isinstance(trainable, str) else trainable
    if not isinstance(prefixes, Collection) or not all(isinstance(prefix, str) for prefix in prefixes):
        raise TypeError(
            "from_module: expected trainable to be None, True, names of parameters or submodules, or a function of a"
            f" name, got {trainable!r}."
        )
    for prefix in prefixes:
        if not any(_is_in(name, prefix) for name in parameters):
            raise ValueError(
                f'from_module: in trainable: "{prefix}" names neither a parameter nor a submodule with parameters,'
                f" expected a name such as {_listed(parameters)}."
            )
    return lambda name: any(_is_in(name, prefix) for prefix in prefixes)


def _is_in(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _listed(names: Mapping[str, Tensor]) -> str:
    shown = ", ".join([*names][:4])
    return f"{shown}, ..." if len(names) > 4 else shown
