"""Trees as leaves and structure: flattening, paths, descriptions, and where two structures differ."""

from collections.abc import Callable, Iterable
from typing import Any

import optree
from torch import Tensor

Tree = Any
Structure = optree.PyTreeSpec

NAMESPACE = "funcnet"  # optree also finds globally registered classes there


def flatten(tree: Tree, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], Structure]:
    """Split a tree into its leaves, dict keys in sorted order, and its structure.

    Args:
        tree: Any tree.
        is_leaf: Makes every subtree for which it is true a leaf, None included.
    Example:
        >>> leaves, structure = fn.tree.flatten({"w": 1, "b": (2, 3)})
        >>> leaves, fn.tree.unflatten(structure, [20, 30, 10])
        ([2, 3, 1], {'w': 10, 'b': (20, 30)})
    """
    try:
        leaves, structure = optree.tree_flatten(tree, is_leaf, namespace=NAMESPACE)
    except RecursionError as error:
        raise too_deep() from error
    return leaves, structure


def too_deep() -> RecursionError:
    return RecursionError(
        "a pytree is nested too deeply: expected at most about 1,000 levels. Does a container hold itself? Otherwise"
        " keep its parts in a list, or stack equal ones with tree.stack."
    )


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Tree:
    """Build the tree of this structure with these leaves: the inverse of `flatten`.

    Example:
        >>> fn.tree.unflatten(fn.tree.structure({"w": 1, "b": (2, 3)}), [20, 30, 10])
        {'w': 10, 'b': (20, 30)}
    """
    return optree.tree_unflatten(structure, leaves)


def leaves(tree: Tree, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """List the leaves of a tree, in the order of `paths`; is_leaf as in `flatten`.

    Example:
        >>> fn.tree.leaves({"w": 1, "b": (2, 3)})
        [2, 3, 1]
    """
    try:
        return optree.tree_leaves(tree, is_leaf, namespace=NAMESPACE)
    except RecursionError as error:
        raise too_deep() from error


def structure(tree: Tree, is_leaf: Callable[[Any], bool] | None = None) -> Structure:
    """Return the structure of a tree without its leaves: hashable, and equal for trees of equal structure.

    Example:
        >>> fn.tree.structure({"w": 1, "b": 2}) == fn.tree.structure({"b": "x", "w": "y"})
        True
    """
    try:
        return optree.tree_structure(tree, is_leaf, namespace=NAMESPACE)
    except RecursionError as error:
        raise too_deep() from error


def paths(tree: Tree) -> list[str]:
    """List the path of every leaf: the keys, indices and fields that lead to it, joined by dots; "" for a lone leaf.

    Example:
        >>> fn.tree.paths(({"w": 1, "b": 2}, [3]))
        ['0.b', '0.w', '1.0']
    """
    try:
        return [_join(accessor) for accessor in optree.tree_accessors(tree, namespace=NAMESPACE)]
    except RecursionError as error:
        raise too_deep() from error


def place(path: str) -> str:
    """Describe the place of a leaf in an error message.

    Example:
        >>> fn.tree.place("hidden.w")
        'path "hidden.w"'
    """
    return f'path "{path}"' if path else "the tree itself, which is one leaf"


def describe(tree: Tree) -> str:
    """Describe a tree in an error message: dtype, shape and device of a tensor, the entries of a node.

    Example:
        >>> fn.tree.describe(torch.zeros(2, 3)), fn.tree.describe({"w": 0, "b": 0})
        ('float32 tensor of shape (2, 3) on cpu', 'dict with entries b, w')
    """
    if is_tensor(tree):
        return f"{str(tree.dtype).removeprefix('torch.')} tensor of shape {tuple(tree.shape)} on {tree.device}"
    if tree is None or is_leaf(tree):
        return repr(tree)
    names = [str(name) for name in one_level(tree)[2]]
    return f"{class_name(tree)} with {'entry' if len(names) == 1 else 'entries'} {', '.join(names) or '(none)'}"


def class_name(value: Any) -> str:
    """Return the name of a value's class, or of its first base class that is public."""
    return next(kind.__name__ for kind in type(value).__mro__ if not kind.__name__.startswith("_"))


def is_tensor(leaf: Any) -> bool:
    """Tell whether a leaf is a tensor.

    Example:
        >>> fn.tree.is_tensor(torch.tensor(1)), fn.tree.is_tensor(1)
        (True, False)
    """
    return isinstance(leaf, Tensor)


def mismatch(a: Tree, b: Tree, *, prefix: bool = False) -> str | None:
    """Describe where two structures first differ; with `prefix`, a leaf or None in `a` matches anything in `b`."""
    rest: list[tuple[Path, Tree, Tree]] = [((), a, b)]  # without recursion, which deep trees would exhaust
    while rest:
        path, x, y = rest.pop()
        if (prefix and (x is None or is_leaf(x))) or (is_leaf(x) and is_leaf(y)):
            continue
        children = _common_children(x, y)
        if children is None:
            return f"at {place('.'.join(_names(path))) if path else 'the root'}: {describe(x)} and {describe(y)}"
        rest.extend(((path, name), *pair) for name, *pair in reversed(children))
    return None


Path = tuple[Any, ...]  # (the path of the parent, a name), or () for the root


def _names(path: Path) -> list[str]:
    names = []
    while path:
        path, name = path
        names.append(str(name))
    return names[::-1]


def _common_children(a: Tree, b: Tree) -> list[tuple[Any, Tree, Tree]] | None:
    """Return the names and children of two nodes of one kind; None if they differ."""
    if is_leaf(a) or is_leaf(b) or type(a) is not type(b):
        return None
    (children_a, meta_a, names, _), (children_b, meta_b, names_b, _) = one_level(a), one_level(b)
    same = names == names_b and meta_a == meta_b
    return list(zip(names, children_a, children_b, strict=True)) if same else None


def is_leaf(tree: Tree) -> bool:
    return optree.tree_is_leaf(tree, namespace=NAMESPACE)


def one_level(tree: Tree) -> Any:
    """Return the children of a node, what else it holds, the names of the children, and a function that rebuilds it."""
    children, rest, names, rebuild = optree.tree_flatten_one_level(tree, namespace=NAMESPACE)
    if optree.is_namedtuple(tree):
        names = optree.namedtuple_fields(tree)
    elif optree.is_structseq(tree):
        names = optree.structseq_fields(tree)
    return children, rest, names, rebuild


def _join(accessor: optree.PyTreeAccessor) -> str:
    return ".".join(str(getattr(entry, "field", entry.entry)) for entry in accessor)
