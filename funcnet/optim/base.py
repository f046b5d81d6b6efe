"""The protocol of an optimizer."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from funcnet import tree
from funcnet.tree import Tree

Params = Tree
Updates = Tree
State = Tree


class GradientTransformation(NamedTuple):
    """An optimizer, or a part of one: `init(params) -> state`, `update(updates, state, params) -> (updates, state)`."""

    init: Callable[[Params], State]
    update: Callable[..., tuple[Updates, State]]


def apply_updates(params: Params, updates: Updates) -> Params:
    """Add updates to parameters, leaf by leaf, in the dtype of the parameters.

    Args:
        params: Any tree.
        updates: Like params; where it is None the parameter stays.
    Returns:
        The new parameters.
    Raises:
        ValueError: The trees differ in structure.
    Example:
        >>> fn.optim.apply_updates({"w": torch.tensor(1.0), "n": 3}, {"w": torch.tensor(0.5), "n": None})
        {'w': tensor(1.5000), 'n': 3}
    """
    return tree.map(_apply, params, updates)


def _apply(param: Any, update: Tensor | None) -> Any:
    return param if update is None else (param + update).to(param.dtype)
