"""Operations on a whole batch of which only some examples need the result: no value may raise an error.

The examples of a vmap inside a traced function take branches together, and each selects its result. An index out of
range, which may belong to an example that takes another branch, becomes 0, and a divisor of 0 becomes 1.
"""

from typing import Any

import torch
from torch import Tensor

from funcnet._torch import Operation
from funcnet.compiler.decompositions.fallible import DIVISIONS, INDEXED


def tolerant(func: Operation, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return arguments for which an operation does not fail, and equal ones where it does not fail anyway."""
    name, found = func._schema.name, [*args]
    if name in DIVISIONS and isinstance(args[1], Tensor) and not args[1].is_floating_point():
        found[1] = torch.where(args[1] == 0, 1, args[1])
    elif name in INDEXED:
        at = INDEXED[name]
        if isinstance(args[at], list | tuple):
            found[at] = [_valid(i, size, -size) for i, size in zip(args[at], args[0].shape, strict=False)]
        elif at == 1:
            found[at] = _valid(args[at], args[0].shape[0] if name == "aten::embedding" else args[0].numel(), 0)
        else:
            found[at] = _valid(args[at], args[0].shape[args[1]] if args[0].ndim else 1, 0)
    return tuple(found)


def _valid(index: Any, size: int, least: int) -> Any:
    """Replace the indices that are out of range by 0."""
    if not isinstance(index, Tensor) or index.dtype in (torch.bool, torch.uint8):
        return index
    return torch.where((index >= least) & (index < size), index, 0)
