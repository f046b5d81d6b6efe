"""Parts of a state by the names of their fields, and the parts that are like the parameters."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from funcnet import tree
from funcnet.optim.base import GradientTransformation, Params, State
from funcnet.tree import Tree
from funcnet.tree.key_paths import DictKey, GetAttrKey, KeyPath, SequenceKey
from funcnet.tree.registration import register_dataclass

Filter = Callable[[KeyPath, Any], bool]


def get_all_with_path(tree: Tree, key: Any, filtering: Filter | None = None) -> list[tuple[KeyPath, Any]]:
    """List all parts of a tree with a name, each with its path.

    Args:
        tree: A state, or another tree of NamedTuples, dicts, lists and tuples.
        key: A field of a NamedTuple, a key of a dict, or the name of a class of NamedTuples.
        filtering: filtering(path, part) -> whether to list the part. None: all are listed.
    Returns:
        Pairs of a path, as in `fn.tree.keystr`, and a part.
    """
    found = ((path, part) for path, part in _parts((), tree) if _has_name(path, part, key))
    return [(path, part) for path, part in found if filtering is None or filtering(path, part)]


def get(tree: Tree, key: Any, default: Any = None, filtering: Filter | None = None) -> Any:
    """Return the part of a tree with a name, as in `get_all_with_path`, or the default if there is none.

    Raises:
        KeyError: Several parts have this name.
    Example:
        >>> state = fn.optim.adam(0.1).init(torch.zeros(2))
        >>> fn.optim.tree.get(state, "mu")
        tensor([0., 0.])
    """
    found = get_all_with_path(tree, key, filtering)
    if len(found) > 1:
        raise KeyError(f"tree.get: expected one part named {key!r}, got {_listed(found)}. Select one by `filtering`.")
    return found[0][1] if found else default


def set(tree: Tree, filtering: Filter | None = None, /, **kwargs: Any) -> Tree:
    """Replace the parts of a tree that have the names of keyword arguments, as in `get_all_with_path`.

    Raises:
        KeyError: No part has one of the names.
    Example:
        >>> state = fn.optim.inject_hyperparams(fn.optim.sgd)(learning_rate=0.1).init(torch.zeros(2))
        >>> fn.optim.tree.set(state, learning_rate=torch.tensor(0.5)).hyperparams
        {'learning_rate': tensor(0.5000)}
    """
    for key in kwargs:
        if not get_all_with_path(tree, key, filtering):
            raise KeyError(f"tree.set: expected a part named {key!r}, got none that `filtering` accepts.")
    return _replaced((), tree, filtering, kwargs)


def map_params(
    initable: GradientTransformation | Callable[[Params], State],
    f: Callable[..., Any],
    state: State,
    /,
    *rest: Tree,
    transform_non_params: Callable[[Any], Any] | None = None,
    is_leaf: Callable[[Any], bool] | None = None,
) -> State:
    """Apply a function to the parts of a state that are like the parameters.

    Args:
        initable: The optimizer of the state, or its `init`.
        f: f(leaf, *others) -> a leaf, for every leaf of such a part.
        state: The state.
        rest: Trees like the parameters, whose leaves are the others.
        transform_non_params: Applied to the other leaves of the state. None: they do not change.
        is_leaf: As in `fn.tree.map`, for the parts that are like the parameters.
    Example:
        >>> optimizer = fn.optim.adam(0.1)
        >>> state = optimizer.init({"w": torch.zeros(2)})
        >>> fn.optim.tree_map_params(optimizer, lambda x, name: name, state, {"w": "name"})[0].mu
        {'w': 'name'}
    """
    init: Any = initable.init if hasattr(initable, "init") else initable

    def apply(mark: Any, part: Any) -> Any:
        if isinstance(mark, _Parameters):
            return tree.map(f, part, *rest, is_leaf=is_leaf)
        return part if transform_non_params is None else transform_non_params(part)

    return tree.map(apply, init(_Parameters()), state, is_leaf=lambda part: isinstance(part, _Parameters))


def _parts(path: KeyPath, part: Any) -> Iterator[tuple[KeyPath, Any]]:
    """Yield a tree and all parts inside it, with their paths."""
    yield path, part
    for key, child in _children(part):
        yield from _parts((*path, key), child)


def _children(part: Any) -> list[tuple[Any, Any]]:
    if isinstance(part, dict):
        return [(DictKey(key), child) for key, child in part.items()]
    if hasattr(part, "_fields"):
        return [(GetAttrKey(name), getattr(part, name)) for name in part._fields]
    return [(SequenceKey(i), child) for i, child in enumerate(part)] if isinstance(part, list | tuple) else []


def _has_name(path: KeyPath, part: Any, key: Any) -> bool:
    named = bool(path) and getattr(path[-1], "key", getattr(path[-1], "name", None)) == key
    return named or (hasattr(part, "_fields") and type(part).__name__ == key)


def _replaced(path: KeyPath, part: Any, filtering: Filter | None, values: dict[str, Any]) -> Any:
    for key, value in values.items():
        if _has_name(path, part, key) and (filtering is None or filtering(path, part)):
            return value
    children = [(key, _replaced((*path, key), child, filtering, values)) for key, child in _children(part)]
    if not children:
        return part
    if isinstance(part, dict):
        return type(part)((key.key, child) for key, child in children)
    return type(part)(*(c for _, c in children)) if hasattr(part, "_fields") else type(part)(c for _, c in children)


def _listed(found: list[tuple[KeyPath, Any]]) -> str:
    return ", ".join(tree.keystr(path) for path, _ in found)


@register_dataclass
@dataclass(frozen=True)
class _Parameters:
    """Stands for a tree of parameters; it has no leaves, so that a function of leaves returns it."""
