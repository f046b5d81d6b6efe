"""Pytrees: nested containers of tensors. Every model, gradient and optimizer state in this package is a pytree.

A node is any container that optree knows (dict, list, tuple, NamedTuple, None, registered classes); everything else is
a leaf. None marks an absent leaf: it does not count as a leaf, and `map` keeps it. Arithmetic acts on floating-point
and complex tensors; other leaves (ints, strings, integer tensors) are taken unchanged from the first tree.
"""

from funcnet.tree.arithmetic import (
    add,
    dot,
    norm,
    scale,
    sub,
    zeros_like,
)
from funcnet.tree.comparison import (
    allclose,
    difference,
    equal,
)
from funcnet.tree.flattening import (
    Structure,
    Tree,
    describe,
    flatten,
    is_tensor,
    leaves,
    paths,
    place,
    structure,
    unflatten,
)
from funcnet.tree.folding import (
    all,
    reduce,
    transpose,
)
from funcnet.tree.key_paths import (
    flatten_with_path,
    keystr,
    leaves_with_path,
)
from funcnet.tree.nodes import (
    broadcast_prefix,
    combine,
    is_floating,
    is_inexact,
    map,
    map_with_path,
    partition,
    ravel,
    stack,
    unstack,
    view_as_complex,
    view_as_real,
)
from funcnet.tree.registration import (
    register_dataclass,
)
from funcnet.tree.specs import (
    ShapeDtypeStruct,
)

__all__ = [
    "ShapeDtypeStruct",
    "Structure",
    "Tree",
    "add",
    "all",
    "allclose",
    "broadcast_prefix",
    "combine",
    "describe",
    "difference",
    "dot",
    "equal",
    "flatten",
    "flatten_with_path",
    "is_floating",
    "is_inexact",
    "is_tensor",
    "keystr",
    "leaves",
    "leaves_with_path",
    "map",
    "map_with_path",
    "norm",
    "partition",
    "paths",
    "place",
    "ravel",
    "reduce",
    "register_dataclass",
    "scale",
    "stack",
    "structure",
    "sub",
    "transpose",
    "unflatten",
    "unstack",
    "view_as_complex",
    "view_as_real",
    "zeros_like",
]


def __dir__() -> list[str]:
    return __all__
