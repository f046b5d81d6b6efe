"""Pytrees: nested containers of tensors, as every model, gradient and optimizer state here is one.

A node is whatever optree knows (dict, list, tuple, NamedTuple, None, registered classes); everything else is a leaf.
None is the absent leaf: it is no leaf of its own, and `map` keeps it. Arithmetic acts on floating-point tensors; other
leaves (ints, strings, integer tensors) come through from the first tree as they are.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any, TypeVar

import optree
import torch
from torch import Tensor

Tree = Any
Structure = optree.PyTreeSpec
Class = TypeVar("Class", bound=type[Any])

_NAMESPACE = "funcnet"


def flatten(tree: Tree) -> tuple[list[Any], Structure]:
    """Split a tree into its leaves, dict keys in sorted order, and its structure."""
    leaves, structure = optree.tree_flatten(tree, namespace=_NAMESPACE)
    return leaves, structure


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Tree:
    """Build the tree of this structure with these leaves: the inverse of `flatten`."""
    return optree.tree_unflatten(structure, leaves)


def leaves(tree: Tree) -> list[Any]:
    """List the leaves of a tree, in the order of `paths`."""
    return optree.tree_leaves(tree, namespace=_NAMESPACE)


def structure(tree: Tree) -> Structure:
    """Return what remains of a tree without its leaves; hashable, equal for trees of one form."""
    return optree.tree_structure(tree, namespace=_NAMESPACE)


def paths(tree: Tree) -> list[str]:
    """Name every leaf by the keys, indices and fields that lead to it, joined by dots; a lone leaf is "".

    Example:
        >>> paths(({"w": 1, "b": 2}, [3]))
        ['0.b', '0.w', '1.0']
    """
    return [_join(accessor) for accessor in optree.tree_accessors(tree, namespace=_NAMESPACE)]


def place(path: str) -> str:
    """Say in an error message where a leaf is."""
    return f'path "{path}"' if path else "the tree itself, which is one leaf"


def map(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Apply f to every leaf of a tree together with what stands in its place in the other trees.

    Args:
        f: Called as f(leaf, *others).
        tree: Its structure is the result's. Where it is None the result is None, whatever the others hold.
        rest: Trees of the same structure, or with subtrees where `tree` has leaves.
    Raises:
        ValueError: Another tree differs in structure; the message names the first path where it does.
    Example:
        >>> map(lambda p, g: p - g, {"w": 3, "b": None}, {"w": 1, "b": 2})
        {'w': 2, 'b': None}
    """
    first, spec = optree.tree_flatten(tree, none_is_leaf=True, namespace=_NAMESPACE)
    columns = [_align(spec, tree, other) for other in rest]
    return spec.unflatten(None if row[0] is None else f(*row) for row in zip(first, *columns, strict=True))


def map_with_path(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Apply f(path, leaf, *others) as `map` does, with the path of `paths` in front."""
    return map(f, unflatten(structure(tree), paths(tree)), tree, *rest)


def is_tensor(leaf: Any) -> bool:
    """Tell whether a leaf is a tensor."""
    return isinstance(leaf, Tensor)


def is_floating(leaf: Any) -> bool:
    """Tell whether a leaf is a floating-point tensor: what is differentiated, and what arithmetic acts on."""
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def partition(tree: Tree, predicate: Callable[[Any], bool] | Tree) -> tuple[Tree, Tree]:
    """Split a tree in two of the same form: the leaves that satisfy the predicate, and the others, None elsewhere.

    Args:
        tree: Any tree.
        predicate: A function of a leaf, or a tree of bools like `tree` (or a prefix of it, such as one bool a layer).
    Example:
        >>> partition({"w": 1.0, "name": "out"}, lambda leaf: isinstance(leaf, float))
        ({'w': 1.0, 'name': None}, {'w': None, 'name': 'out'})
    """
    mask = map(predicate, tree) if callable(predicate) else broadcast_prefix(predicate, tree)
    chosen = map(lambda leaf, keep: leaf if keep else None, tree, mask)
    return chosen, map(lambda leaf, keep: None if keep else leaf, tree, mask)


def combine(*trees: Tree) -> Tree:
    """Merge trees of one form by taking, at each place, the first leaf that is not None: the inverse of `partition`."""
    flat, spec = optree.tree_flatten(trees[0], none_is_leaf=True, namespace=_NAMESPACE)
    columns = [flat, *(_align(spec, trees[0], other) for other in trees[1:])]
    return spec.unflatten(next((x for x in row if x is not None), None) for row in zip(*columns, strict=True))


def broadcast_prefix(prefix: Tree, tree: Tree) -> Tree:
    """Repeat every leaf of a prefix, None included, over the subtree of `tree` that stands in its place.

    Raises:
        ValueError: `prefix` is no prefix of `tree`.
    Example:
        >>> broadcast_prefix((0, None), ({"w": 1.0, "b": 2.0}, 3.0))
        ({'w': 0, 'b': 0}, None)
    """
    spec = optree.tree_structure(tree, none_is_leaf=True, namespace=_NAMESPACE)
    return spec.unflatten(optree.broadcast_prefix(prefix, tree, none_is_leaf=True, namespace=_NAMESPACE))


def stack(trees: Sequence[Tree]) -> Tree:
    """Stack the tensors of equal trees along a new leading axis, the form in which `vmap` takes an ensemble.

    Leaves that are no tensors are taken from the first tree.
    """
    if not trees:
        raise ValueError("tree.stack: expected at least one tree, got none. An empty stack has no structure.")
    return map(lambda *column: torch.stack(column) if is_tensor(column[0]) else column[0], *trees)


def unstack(tree: Tree) -> list[Tree]:
    """Split the leading axis of every tensor: the inverse of `stack`. Other leaves are repeated."""
    sizes = {path: leaf.shape[:1] for path, leaf in zip(paths(tree), leaves(tree), strict=True) if is_tensor(leaf)}
    if len(set(sizes.values())) != 1 or () in sizes.values():
        raise ValueError(f"tree.unstack: expected one leading axis common to all tensors, got {_by_path(sizes)}.")
    (size,) = next(iter(sizes.values()))
    return [map(lambda leaf, i=i: leaf[i] if is_tensor(leaf) else leaf, tree) for i in range(size)]


def ravel(tree: Tree) -> tuple[Tensor, Callable[[Tensor], Tree]]:
    """Concatenate the floating-point tensors of a tree into one vector.

    Args:
        tree: Any tree; other leaves are kept aside.
    Returns:
        The vector, in the tensors' common dtype, and the function that turns such a vector back into a tree with the
        original shapes and dtypes. An empty tree gives a vector of length 0.
    """
    floating, rest = partition(tree, is_floating)
    tensors, spec = flatten(floating)
    sizes, total = [leaf.numel() for leaf in tensors], sum(leaf.numel() for leaf in tensors)

    def unravel(vector: Tensor) -> Tree:
        if vector.shape != (total,):
            raise ValueError(f"tree.unravel: expected a vector of shape ({total},), got {tuple(vector.shape)}.")
        parts = zip(torch.split(vector, sizes), tensors, strict=True) if tensors else ()
        return combine(unflatten(spec, [part.reshape(like.shape).to(like.dtype) for part, like in parts]), rest)

    return torch.cat([leaf.reshape(-1) for leaf in tensors]) if tensors else torch.zeros(0), unravel


def add(a: Tree, b: Tree) -> Tree:
    """Add two trees leaf by leaf."""
    return _arithmetic(torch.add, a, b)


def sub(a: Tree, b: Tree) -> Tree:
    """Subtract the second tree from the first leaf by leaf."""
    return _arithmetic(torch.sub, a, b)


def scale(scalar: float | Tensor, tree: Tree) -> Tree:
    """Multiply every leaf by a number."""
    return _arithmetic(lambda leaf: scalar * leaf, tree)


def zeros_like(tree: Tree) -> Tree:
    """Return the tree with every floating-point tensor replaced by zeros."""
    return _arithmetic(torch.zeros_like, tree)


def dot(a: Tree, b: Tree) -> Tensor:
    """Sum the products of corresponding entries over all leaves, as a 0-d tensor."""
    products = leaves(map(lambda x, y: (x * y).sum(), partition(a, is_floating)[0], b))
    return reduce(torch.add, products) if products else torch.zeros(())


def norm(tree: Tree) -> Tensor:
    """Return the Euclidean norm of all entries together, as a 0-d tensor; its gradient at 0 is 0."""
    norms = [torch.linalg.vector_norm(leaf) for leaf in leaves(tree) if is_floating(leaf)]
    return torch.linalg.vector_norm(torch.stack(norms)) if norms else torch.zeros(())


def equal(a: Tree, b: Tree) -> bool:
    """Tell whether two trees have the same structure, dtypes and values, bit for bit but for NaN, which equals NaN."""
    return difference(a, b) is None


def allclose(a: Tree, b: Tree, *, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
    """Tell whether two trees agree: |a - b| <= atol + rtol |b| at every entry, structure and dtypes equal."""
    return difference(a, b, rtol=rtol, atol=atol) is None


def difference(a: Tree, b: Tree, *, rtol: float = 0.0, atol: float = 0.0) -> str | None:
    """Describe the first difference between two trees, with its path; None when they agree.

    Example:
        >>> difference({"w": torch.ones(2)}, {"w": torch.tensor([1.0, 3.0])})
        'at path "w": values differ by at most 2, at index (1,): 1.0 and 3.0'
        >>> difference([1, 2], [1])
        'at the root: list with entries 0, 1 and list with entry 0'
    """
    if structure(a) != structure(b):
        return _mismatch(a, b)
    for path, x, y in zip(paths(a), leaves(a), leaves(b), strict=True):
        if message := _leaf_difference(x, y, rtol, atol):
            return f"at {place(path)}: {message}"
    return None


def register_dataclass(cls: Class) -> Class:
    """Make a dataclass a node: its fields are the children, those with metadata {"static": True} part of the structure.

    Rebuilding skips `__init__` and `__post_init__`, so that a node may hold any leaf.

    Example:
        >>> @register_dataclass
        ... @dataclasses.dataclass(frozen=True)
        ... class Affine:
        ...     w: float
        ...     name: str = dataclasses.field(default="out", metadata={"static": True})
        >>> map(lambda w: 2 * w, Affine(3.0))
        Affine(w=6.0, name='out')
    """
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"register_dataclass: expected a dataclass, got {cls.__name__}. Put @dataclass below it.")
    fields = dataclasses.fields(cls)
    static = tuple(field.name for field in fields if field.metadata.get("static"))
    children = tuple(field.name for field in fields if field.name not in static)

    def flatten_node(node: Any) -> tuple[Any, Any, Any]:
        return [getattr(node, n) for n in children], tuple(getattr(node, n) for n in static), children

    def unflatten_node(metadata: Any, values: Any) -> Any:
        node = object.__new__(cls)
        for name, value in (*zip(children, values, strict=True), *zip(static, metadata, strict=True)):
            object.__setattr__(node, name, value)
        return node

    entry = optree.GetAttrEntry
    optree.register_pytree_node(cls, flatten_node, unflatten_node, path_entry_type=entry, namespace=_NAMESPACE)
    return cls


def _arithmetic(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    return map(lambda leaf, *others: f(leaf, *others) if is_floating(leaf) else leaf, tree, *rest)


def _align(spec: Structure, tree: Tree, other: Tree) -> list[Any]:
    """Flatten `other` down to the leaves of `tree`; where `tree` is None, `other` may hold anything."""
    try:
        return spec.flatten_up_to(other)
    except (ValueError, TypeError) as error:
        raise ValueError(f"tree.map: the trees differ in structure {_mismatch(tree, other, prefix=True)}.") from error


def _mismatch(a: Tree, b: Tree, path: str = "", *, prefix: bool = False) -> str | None:
    """Say where two structures first differ; with `prefix`, a leaf or None in `a` stands for anything in `b`."""
    if (prefix and (a is None or _is_leaf(a))) or (_is_leaf(a) and _is_leaf(b)):
        return None
    here = f"at {place(path)}" if path else "at the root"
    if _is_leaf(a) or _is_leaf(b) or type(a) is not type(b):
        return f"{here}: {_describe(a)} and {_describe(b)}"
    (children_a, meta_a, names, _), (children_b, meta_b, names_b, _) = _one_level(a), _one_level(b)
    if names != names_b or meta_a != meta_b:
        return f"{here}: {_describe(a)} and {_describe(b)}"
    inner = (
        _mismatch(x, y, f"{path}.{name}" if path else str(name), prefix=prefix)
        for name, x, y in zip(names, children_a, children_b, strict=True)
    )
    return next((message for message in inner if message), None)


def _leaf_difference(x: Any, y: Any, rtol: float, atol: float) -> str | None:
    if not (is_tensor(x) and is_tensor(y)):
        return None if type(x) is type(y) and x == y else f"{_describe(x)} and {_describe(y)}"
    if (x.shape, x.dtype, x.device) != (y.shape, y.dtype, y.device):
        return f"{_describe(x)} and {_describe(y)}"
    apart = ~torch.isclose(x, y, rtol=rtol, atol=atol, equal_nan=True)
    if not apart.any():
        return None
    index = tuple(apart.nonzero()[0].tolist())
    largest = (x.double() - y.double()).abs().max().item()
    return f"values differ by at most {largest:.3g}, at index {index}: {x[index].item()} and {y[index].item()}"


def _is_leaf(tree: Tree) -> bool:
    return optree.tree_is_leaf(tree, namespace=_NAMESPACE)


def _one_level(tree: Tree) -> Any:
    return optree.tree_flatten_one_level(tree, namespace=_NAMESPACE)


def _describe(tree: Tree) -> str:
    if is_tensor(tree):
        return f"{str(tree.dtype).removeprefix('torch.')} tensor of shape {tuple(tree.shape)} on {tree.device}"
    if tree is None or _is_leaf(tree):
        return repr(tree)
    names = [str(name) for name in _one_level(tree)[2]]
    return f"{type(tree).__name__} with {'entry' if len(names) == 1 else 'entries'} {', '.join(names) or '(none)'}"


def _by_path(values: dict[str, Any]) -> str:
    return ", ".join(f'"{path}": {tuple(value)}' for path, value in values.items()) or "no tensor"


def _join(accessor: optree.PyTreeAccessor) -> str:
    return ".".join(str(getattr(entry, "field", entry.entry)) for entry in accessor)
