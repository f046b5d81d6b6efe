"""Checks that a state belongs to its optimizer and to the parameters, and the search for a part of a state."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from torch import Tensor

from funcnet import tree
from funcnet.optim.base import GradientTransformation, Params, State, Updates
from funcnet.reprs import shows_call
from funcnet.tree import Tree
from funcnet.tree.nodes import map_as

Kind = TypeVar("Kind")


@shows_call
def with_state(
    kind: type[State], init: Callable[..., State], update: Callable[..., Any], *, like: Sequence[str] = ()
) -> GradientTransformation:
    """Make a transformation that refuses a state of another optimizer or of other parameters.

    Args:
        kind: The class of the state.
        init, update: As in `GradientTransformation`.
        like: The fields of the state that hold a tensor per parameter, of the parameter's shape.
    """
    return GradientTransformation(init=init, update=partial(_checked, update=update, kind=kind, like=tuple(like)))


def check_state(kind: type[State], state: State, updates: Updates, *, like: Sequence[str] = ()) -> None:
    """Raise unless a state is of its class and its fields named in `like` fit the updates."""
    if not isinstance(state, kind):
        raise ValueError(
            f"optim: expected the state to be a {kind.__name__}, got {tree.describe(state)}. Pass the state that init "
            "of this optimizer, or its last update, returned."
        )
    if not like:
        return
    tensors, structure = tree.flatten(updates)
    expected = [tensor.shape for tensor in tensors]
    for field in like:
        if _shapes_in(part := getattr(state, field), structure) != expected:
            check_fit(f"{kind.__name__}.{field}", part, updates)


def check_fit(
    name: str, part: Tree, updates: Updates, shape: Callable[[Tensor], Sequence[int] | None] = lambda g: g.shape
) -> None:
    """Raise unless a part of a state fits the updates.

    Args:
        name: The name of the part in the error message.
        part: Like updates; where an update is None, it may hold anything.
        updates: A tree of tensors and None.
        shape: A function from an update to the shape of the corresponding tensor, or to None if there is no tensor.
    """
    tensors, structure = tree.flatten(updates)
    if _shapes(part) == (structure, [shape(g) for g in tensors]):
        return

    def check(path: str, g: Tensor, held: Tensor | None) -> None:
        found, wanted = None if held is None else held.shape, shape(g)
        if found != wanted:
            raise ValueError(
                f"optim: at {tree.place(path)}: expected {name} {_of_shape(wanted)}, for an update of shape "
                f"{tuple(g.shape)}, got one {_of_shape(found)}. {_REMEDY}"
            )

    try:
        map_as(f"optim: the updates and {name}", lambda g, held: None, updates, part)
    except ValueError as error:
        raise ValueError(f"{error} {_REMEDY}") from error
    tree.map_with_path(check, updates, part)


def find(state: State, kind: type[Kind]) -> Kind | None:
    """Find the first part of a given class in a state, searching from the outside in."""
    if isinstance(state, kind):
        return state
    inner = state.values() if isinstance(state, dict) else state if isinstance(state, tuple | list) else ()
    return next((found for part in inner if (found := find(part, kind)) is not None), None)


_REMEDY = "The state belongs to other parameters: call init again with the parameters that are trained now."


def _checked(
    updates: Updates,
    state: State,
    params: Params | None = None,
    *,
    update: Callable[..., tuple[Updates, State]],
    kind: type[State],
    like: Sequence[str],
    **extra: Any,
) -> tuple[Updates, State]:
    check_state(kind, state, updates, like=like)
    return update(updates, state, params, **extra)


def _shapes_in(values: Tree, structure: tree.Structure) -> list[Sequence[int] | None] | None:
    """Return the shapes of the tensors in a tree of a structure; None if it has another one."""
    try:
        return [getattr(part, "shape", None) for part in structure.flatten_up_to(values)]
    except ValueError:
        return None


def _shapes(values: Tree) -> tuple[tree.Structure, list[Sequence[int]]]:
    """Return what trees of tensors that fit together have in common, without a search for paths."""
    leaves, structure = tree.flatten(values)
    return structure, [leaf.shape for leaf in leaves]


def _of_shape(shape: Sequence[int] | None) -> str:
    return "without a tensor" if shape is None else f"of shape {tuple(shape)}"
