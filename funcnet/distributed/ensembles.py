"""`vmap` over the ranks: each computes a part of the examples."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

import torch
from torch import Tensor

from funcnet import tree
from funcnet.compiler.jit import Jit, jit
from funcnet.compiler.tracing.trace import loop
from funcnet.distributed.group import Group, group, sizes
from funcnet.reprs import Shown
from funcnet.transforms import batching, transformed
from funcnet.transforms.batching import Vmap
from funcnet.transforms.flatten import check_function
from funcnet.tree import Tree
from funcnet.tree.conversion import arrays_as_tensors

P = ParamSpec("P")
R = TypeVar("R")


def vmap(
    f: Callable[P, R],
    in_dims: Any = 0,
    out_dims: Any = 0,
    *,
    chunk_size: int | None = None,
    gather: bool = True,
    backend: str = "auto",
) -> "DistributedVmap[P, R]":
    """Transform a function of one example into a function of many that is jitted and runs on all ranks.

    Every rank calls it with the same arguments, computes a part of the examples and gets the results of all. They equal
    those of `jit(vmap(f))` in one process; in native kernels bit for bit, for any number of ranks.

    Args:
        f: Any function of pytrees.
        in_dims: The axis to map over in every tensor: an int, None for an argument that all examples share, or a tree
            of them that is a prefix of the tuple of arguments.
        out_dims: The axis at which results are stacked, likewise a prefix of the result.
        chunk_size: How many examples a rank computes at once; fewer need less memory. None: all.
        gather: Whether to return the results of all examples. If not, a rank returns those of its part, from
            rank * n // size to (rank + 1) * n // size, which may be empty.
        backend: "native", "inductor", "eager" or "auto", which chooses by the device and the operations.
    Raises:
        PeerError: Another rank has failed or died.
        ValueError, TypeError: The axes do not fit the arguments, or the mapped axes differ in size.
    Example:
        >>> fn.distributed.vmap(torch.square)(torch.tensor([1.0, 2.0, 3.0]))
        tensor([1., 4., 9.])
    """
    check_function("distributed.vmap", f)
    return DistributedVmap(Vmap(f, in_dims, out_dims, chunk_size), gather, backend)


class DistributedVmap(Shown, Generic[P, R]):
    """A function mapped over the ranks; made by `vmap`."""

    def __init__(self, mapped: Vmap[P, R], gather: bool, backend: str) -> None:
        update_wrapper(self, mapped, updated=())
        self.mapped, self.gather, self.backend = mapped, gather, backend
        self._jitted: dict[int, Jit[P, R]] = {}  # by the number of examples on all ranks

    def __repr__(self) -> str:
        return f"distributed.{self.mapped!r}"

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run f on this rank's part of the examples."""
        if transformed() or loop() is not None:
            raise RuntimeError(
                "distributed.vmap: expected a call outside of jit, grad and vmap, because results are exchanged between"
                " ranks. Apply the transformation to the function of one example."
            )
        ranks = group()
        with ranks.watching():
            arguments = arrays_as_tensors((args, kwargs))
            dims = batching.argument_axes(self.mapped.in_dims, arguments)
            count = batching.common_size(arguments, dims)
            args, kwargs = ranks.part_of(arguments, dims)
            result = self.jitted(count)(*args, **kwargs)
            return _gathered(ranks, result, self.mapped.out_dims, count) if self.gather else result

    def jitted(self, count: int) -> Jit[P, R]:
        """Return the jitted vmap of a part of a number of examples; the kernel is that for all of them."""
        if count not in self._jitted:
            self._jitted[count] = jit(replace(self.mapped, whole_size=count), backend=self.backend)
        return self._jitted[count]


def _gathered(ranks: Group, result: Tree, out_dims: Any, count: int) -> Any:
    """Join the results of all ranks; those that do not depend on the examples are the same on each."""
    leaves, structure = tree.flatten(result)
    lengths = sizes(count, ranks.size)
    for i, dim in enumerate(batching.axes("the axis of a result", out_dims, result)):
        if dim is not None and tree.is_tensor(leaves[i]):
            leaves[i] = _joined(ranks, leaves[i], dim, lengths)
    return tree.unflatten(structure, leaves)


def _joined(ranks: Group, mine: Tensor, dim: int, lengths: Sequence[int]) -> Tensor:
    rows = mine.movedim(dim, 0)
    padded = torch.cat([rows, rows.new_zeros((max(lengths) - len(rows), *rows.shape[1:]))])
    parts = [each[:length] for each, length in zip(ranks.gather(padded), lengths, strict=True)]
    return torch.cat(parts).movedim(0, dim)
