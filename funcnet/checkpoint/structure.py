"""The structure of a tree as JSON, and back; classes of nodes are found by name among those already imported.

A node is a dict with one of these entries:
    {"tensor": name}
    {"value": a plain value}
    {"dict": [[key, node], ...]}, in the order of the dict
    {"list": [node, ...]}, {"tuple": [node, ...]}
    {"node": "module:Class", "names": [name, ...], "children": [node, ...], "rest": a plain value}

The rest of a node is what its class keeps besides children, such as the static fields of a dataclass; a named tuple has
none. A rest that is not a plain value, such as a function, is written as {"object": its description}: such a node can
be read with `like` only, from which it is taken.
"""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from funcnet import tree
from funcnet.checkpoint import values
from funcnet.checkpoint.errors import CheckpointError
from funcnet.checkpoint.values import Json
from funcnet.tree import Tree
from funcnet.tree.flattening import is_leaf, one_level
from funcnet.tree.registration import rebuilder

ABSENT = object()  # no rest
Find = Callable[[str, str], type | None]


class Writer:
    """Turns trees into JSON, and collects their tensors by name."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def node(self, value: Tree, path: str = "") -> Json:
        """Return a tree as JSON."""
        if isinstance(value, Tensor):
            return {"tensor": self.name(value, path)}
        if value is None or is_leaf(value):
            return {"value": values.encode(value, path)}
        if type(value) is dict:
            return {"dict": [[values.encode(key, path), self.node(value[key], _join(path, key))] for key in value]}
        children, _, names, _ = one_level(value)
        found = [self.node(child, _join(path, name)) for name, child in zip(names, children, strict=True)]
        if type(value) in (list, tuple):
            return {type(value).__name__: found}
        return {**_header(value, path), "children": found}

    def name(self, tensor: Tensor, path: str) -> str:
        """Return the name of a tensor: its path, with a number if another tensor has the same."""
        name, count = path or "tree", 1
        while name in self.tensors or name == "__metadata__":  # which the format reserves
            count += 1
            name = f"{path}#{count}"
        self.tensors[name] = tensor
        return name


def build(node: Json, tensor: Callable[[str], Tensor], find: Find, path: str = "") -> Tree:
    """Build the tree of JSON.

    Args:
        node: As `Writer` makes it.
        tensor: Returns the tensor of a name.
        find: Returns the class of a name, for a node at a path; None: a dict of the children takes its place.
        path: That of the node, for errors.
    Raises:
        CheckpointError: A class is not imported, or is not a node.
    """
    if "tensor" in node:
        return tensor(node["tensor"])
    if "value" in node:
        return values.decode(node["value"])
    if "dict" in node:
        pairs = ((values.decode(key), child) for key, child in node["dict"])
        return {key: build(child, tensor, find, _join(path, key)) for key, child in pairs}
    for kind in (list, tuple):
        if kind.__name__ in node:
            return kind(build(child, tensor, find, _join(path, i)) for i, child in enumerate(node[kind.__name__]))
    named = zip(node["names"], node["children"], strict=True)
    children = [build(child, tensor, find, _join(path, name)) for name, child in named]
    cls = find(node["node"], path)
    return dict(zip(node["names"], children, strict=True)) if cls is None else _rebuilt(cls, node, children, path)


def _rebuilt(cls: type, node: Json, children: list[Tree], path: str) -> Tree:
    """Build a node of a class."""
    rebuild, rest = rebuilder(cls), node.get("rest", ABSENT)
    if rebuild is None:
        raise _unknown(node["node"], path, "is not a pytree node")
    if isinstance(rest, dict) and "object" in rest:
        raise _unknown(node["node"], path, f"holds {rest['object']}, which is not in the file")
    return rebuild(cls if rest is ABSENT else values.decode(rest), children)


def restore(node: Json, like: Tree, tensor: Callable[[str, Any, str], Tensor], path: str = "") -> Tree:
    """Build the tree of JSON with the structure and the classes of another tree.

    Args:
        node: As `Writer` makes it.
        like: A tree of the same structure.
        tensor: Returns the tensor of a name, for a leaf of `like` at a path.
        path: That of the node, for errors.
    Raises:
        CheckpointError: The structures differ; the message has the path of the first difference.
    """
    if like is None or is_leaf(like):
        return _leaf(node, like, tensor, path)
    if type(like) is dict:
        return _dict(node, like, tensor, path)
    kind = type(like).__name__ if type(like) in (list, tuple) else "node"
    children, rest, names, rebuild = one_level(like)
    found = node.get("children" if kind == "node" else kind)
    header = {**_header(like, path), "children": found} if kind == "node" else {kind: found}
    if found is None or len(found) != len(children) or header not in (node, _with_names(node, names)):
        raise _differing_nodes(path, (tree.describe(like), describe(node)), (header, node))
    parts = zip(names, found, children, strict=True)
    return rebuild(rest, [restore(child, part, tensor, _join(path, name)) for name, child, part in parts])


def _with_names(node: Json, names: Sequence[Any]) -> Json:
    """Return a node with names for its children; earlier versions wrote their positions, for named tuples."""
    is_numbered = node.get("names") == [*map(str, range(len(names)))]
    return {**node, "names": [*map(str, names)]} if is_numbered else node


def _leaf(node: Json, like: Any, tensor: Callable[[str, Any, str], Tensor], path: str) -> Any:
    if hasattr(like, "dtype") and "tensor" in node:
        return tensor(node["tensor"], like, path)
    if "value" not in node or type(found := values.decode(node["value"])) is not type(like):
        raise differing(path, tree.describe(like), describe(node))
    return found


def _dict(node: Json, like: Mapping[Any, Any], tensor: Callable[[str, Any, str], Tensor], path: str) -> Tree:
    found = {values.decode(key): child for key, child in node.get("dict", ())}
    if "dict" not in node or found.keys() != like.keys():
        raise differing(path, tree.describe(like), describe(node))
    return {key: restore(found[key], part, tensor, _join(path, key)) for key, part in like.items()}


def describe(node: Json) -> str:
    """Describe a node of JSON as `tree.describe` describes a tree."""
    if "tensor" in node:
        return "a tensor"
    if "value" in node:
        return repr(values.decode(node["value"]))
    if "node" in node:
        kind, names = node["node"].partition(":")[2], node["names"]
    else:
        ((kind, children),) = node.items()
        keys = (values.decode(key) for key, _ in children) if kind == "dict" else range(len(children))
        names = [*map(str, keys)]
    return f"{kind} with {'entry' if len(names) == 1 else 'entries'} {', '.join(names) or '(none)'}"


def differing(path: str, expected: str, got: str) -> CheckpointError:
    """Return the error for a part of a file that is not like the tree that is expected."""
    return CheckpointError(
        f"checkpoint.load: at {_place(path)}: expected {expected}, as in `like`, got {got} in the file. The file"
        " belongs to another model or optimizer: build `like` as the saved tree was built, or read the file without it."
    )


def _place(path: str) -> str:
    return tree.place(path) if path else "the root"


def _differing_nodes(path: str, texts: tuple[str, str], nodes: tuple[Json, Json]) -> CheckpointError:
    """Return the error for two nodes, with the modules of their classes and their rests if these alone differ."""
    if texts[0] == texts[1]:
        texts = f"{texts[0]}{_details(nodes[0])}", f"{texts[1]}{_details(nodes[1])}"
    return differing(path, *texts)


def _details(node: Json) -> str:
    rest = node.get("rest")
    held = rest["object"] if isinstance(rest, dict) and "object" in rest else repr(values.decode(rest))
    return f" (class {node['node']}{f', holding {held}' if 'rest' in node else ''})"


def class_name(cls: type) -> str:
    """Return the name by which a class is found again."""
    return f"{cls.__module__}:{cls.__qualname__}"


def classes_of(value: Tree) -> dict[str, type]:
    """Return the classes of a tree's nodes by their names."""
    if value is None or is_leaf(value):
        return {}
    found = {class_name(type(value)): type(value)}
    for child in one_level(value)[0]:
        found |= classes_of(child)
    return found


def find_if_known(classes: Mapping[str, type], name: str, path: str) -> type | None:
    """Find a class among given ones, or as `find` does; warn if there is none."""
    if name in classes:
        return classes[name]
    try:
        return find(name, path)
    except CheckpointError as error:
        warnings.warn(f"{error} The node is read as a dict.", stacklevel=2)
        return None


def find(name: str, path: str) -> type:
    """Find an imported class. Nothing is imported, because that would run code which the file chooses."""
    module, _, qualified = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualified.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type):
        raise _unknown(name, path, "is not defined there" if module in sys.modules else "is not imported")
    return found


def _unknown(name: str, path: str, problem: str) -> CheckpointError:
    module, _, qualified = name.partition(":")
    return CheckpointError(
        f"checkpoint.load: at {_place(path)}: expected the class {qualified} of the module {module}, but it"
        f" {problem}. Import the module that defines it, outside of functions, before loading; or pass `like`, a tree"
        " of the same structure."
    )


def _header(value: Tree, path: str) -> dict[str, Json]:
    """Return the class of a node, the names of its children, and its rest."""
    _, rest, names, _ = one_level(value)
    header = {"node": class_name(type(value)), "names": [*map(str, names)]}
    return header if rest is type(value) else {**header, "rest": _rest(rest, path)}


def _rest(value: Any, path: str) -> Json:
    try:
        return values.encode(value, path)
    except CheckpointError:
        parts = value if isinstance(value, tuple | list) else (value,)
        return {"object": ", ".join(getattr(part, "__name__", None) or type(part).__name__ for part in parts)}


def _join(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)
