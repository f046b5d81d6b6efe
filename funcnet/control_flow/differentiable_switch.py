"""A switch under transformations: its derivative is a switch over the derivatives of its branches.

So an infinite or invalid derivative of a branch that is not taken has no part in the result. With one index for a whole
batch, a branch runs on the batch. With an index per example, a branch runs on the examples that take it if their values
are known; while tracing, all branches run on the whole batch, and each example selects its result.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet.compiler import is_tracing, switch_recorder
from funcnet.control_flow.batches import Axes, merged
from funcnet.transforms import vmap
from funcnet.transforms.branches import Branch, filled, joined
from funcnet.transforms.flatten import Flattener, Function
from funcnet.transforms.remat import Recomputed, distinct
from funcnet.transforms.structural_zeros import Partial, Tensors, pullback, pushforward
from funcnet.tree import is_inexact


def run_switch(index: Tensor, branches: Sequence[Branch]) -> list[Tensor | None]:
    """Run the branch of an index outside of transformations, or record the switch."""
    if (recorded := switch_recorder()) is not None:
        return recorded(index, branches)
    results = [[*branches[int(index)]()]]
    return [None if column is None else column(0) for column in joined(results)]


@dataclass(frozen=True, eq=False)
class Switch(Recomputed):
    """A switch as a function of its index and of all tensors that its branches depend on.

    Attributes:
        f: The branches; a result is a tensor, a number, or None for a structural zero.
        present: Whether each result is a tensor, not None, after a run.
        axes: For an index per example: the batch axis of each tensor but the index, 0 or None. None: one index.
        specs: Shape, dtype and device of each tensor among the results, after a run.
    """

    f: Any
    present: list[bool] = field(default_factory=list)
    axes: Axes | None = None
    specs: list[Any] = field(default_factory=list, init=False)

    def values(self, index: Tensor, *tensors: Tensor) -> list[Tensor | None]:
        """Return the results; None for structural zeros."""
        found = iter(self(index, *tensors))
        return [next(found) if is_there else None for is_there in self.present]

    def run(self, *tensors: Tensor) -> Tensors:
        index, *others = tensors
        found = self.chosen(index, others)
        self.present[:] = [x is not None for x in found]
        return tuple(x.view_as(x) for x in found if x is not None)  # autograd does not accept an argument as a result

    def chosen(self, index: Tensor, tensors: Sequence[Tensor]) -> list[Tensor | None]:
        """Return the results of the branch, or of the branch that each example takes."""
        if self.axes is None:
            return run_switch(index, [partial(f, *tensors) for f in self.f])
        batched = [vmap(_listed(f), self.axes) for f in self.f]
        return (_selected if is_tracing() else _scattered)(index, batched, tensors, self.axes)

    def kept(self, tensors: Tensors, results: Tensors) -> Tensors:
        self.specs[:] = [(x.shape if self.axes is None else x.shape[1:], x.dtype, x.device) for x in results]
        return tensors

    def branches(self) -> list[Function]:
        """Return the branches with a tensor for each of the results that is one in any branch."""
        return [partial(_completed, f, self.present, self.specs) for f in self.f]

    def pull(self, kept: Tensors, cotangents: Partial) -> Partial:
        """Pull back through the branch taken: per example, so that shared tensors get no cotangents of the others."""
        (index, *tensors), weights = kept, Flattener()
        given, axes = weights.split([*cotangents]), self.axes
        pulled = [partial(_pulled, f, weights, len(tensors)) for f in self.branches()]
        if axes is not None:
            tensors = [_own(x, axis, len(index)) for x, axis in zip(tensors, axes, strict=True)]
            own = [0 if is_inexact(x) else axis for x, axis in zip(tensors, axes, strict=True)]
            found = Switch(pulled, axes=(*own, *[0] * len(given))).values(index, *tensors, *given)
            return None, *(x if x is None or axis == 0 else x.sum(0) for x, axis in zip(found, axes, strict=True))
        return None, *Switch(pulled).values(index, *tensors, *given)

    def push(self, primals: Tensors, tangents: Partial) -> tuple[Tensors, Partial]:
        (index, *tensors), moving = primals, Flattener()
        given, axes = moving.split([*tangents[1:]]), self.axes
        pushed = [partial(_pushed, f, moving, len(tensors)) for f in self.branches()]
        if axes is not None:
            moved = zip(axes, tangents[1:], strict=True)
            axes = (*axes, *(axis for axis, tangent in moved if tangent is not None))
        found = Switch(pushed, axes=axes).values(index, *tensors, *given)
        count = len(self.specs)
        return tuple(x for x in found[:count] if x is not None), found[count:]

    def batch(self, size: int, dims: Any, tensors: Tensors) -> tuple[Tensors, tuple[int, ...]]:
        index, *others = distinct(tensors)
        if self.axes is not None:
            count = index.numel() // (size if size and dims[0] is not None else 1)
            merge = partial(merged, size, count)
            whole = merge(index, 0, dims[0]), *map(merge, others, self.axes, dims[1:])
            axes = tuple(None if a is None and d is None else 0 for a, d in zip(self.axes, dims[1:], strict=True))
            found = Switch(self.f, self.present, axes)(*whole)
            results = tuple(x.reshape(size, count, *x.shape[1:]) for x in found)
        elif dims[0] is not None:
            axes = tuple(None if d is None else 0 for d in dims[1:])
            moved = (x if d is None else x.movedim(d, 0) for x, d in zip((index, *others), dims, strict=True))
            results = Switch(self.f, self.present, axes)(*moved)
        else:
            results = Switch([vmap(_listed(f), tuple(dims[1:])) for f in self.f], self.present)(index, *others)
        return results, (0,) * len(results)


def _completed(f: Function, present: Sequence[bool], specs: Sequence[Any], *tensors: Tensor) -> Tensors:
    """Return the results of a branch that are tensors in any branch, with zeros for None."""
    found = [leaf for leaf, is_there in zip(f(*tensors), present, strict=True) if is_there]
    return tuple(map(filled, found, specs))


def _pulled(f: Function, weights: Flattener, count: int, *tensors: Tensor) -> list[Tensor | None]:
    return pullback(f, tensors[:count])(weights.rebuild(tensors[count:]))


def _pushed(f: Function, moving: Flattener, count: int, *tensors: Tensor) -> list[Tensor | None]:
    results, tangents = pushforward(f, tensors[:count], moving.rebuild(tensors[count:]))
    return [*results, *tangents]


def _listed(f: Function) -> Function:
    """Return a branch that vmap accepts: it has a name, and its results are a list."""
    return lambda *tensors: [*f(*tensors)]


def _own(x: Tensor, axis: int | None, size: int) -> Tensor:
    """Give each example a shared tensor of its own, so that it gets a cotangent of its own."""
    return x.expand(size, *x.shape) if axis is None and is_inexact(x) else x


def _selected(index: Tensor, batched: Sequence[Function], tensors: Sequence[Tensor], _: Axes) -> list[Tensor | None]:
    """Run all branches on the whole batch; each example selects its results."""
    columns = joined([f(*tensors) for f in batched])
    return [None if column is None else _where(index, len(batched), column) for column in columns]


def _where(index: Tensor, count: int, column: Callable[[int], Tensor]) -> Tensor:
    found = column(0)
    for i in range(1, count):
        takes = (index == i).reshape(-1, *[1] * max(found.ndim - 1, 0))
        found = torch.where(takes, column(i), found)
    return found


def _scattered(index: Tensor, batched: Sequence[Function], tensors: Sequence[Tensor], axes: Axes) -> list[Any]:
    """Run each branch on the examples that take it."""
    taken = [(index == i).nonzero()[:, 0] for i in range(len(batched))]
    runs = [(f, at) for f, at in zip(batched, taken, strict=True) if len(at)] or [(batched[0], taken[0])]
    results = [f(*(x if axis is None else x[at] for x, axis in zip(tensors, axes, strict=True))) for f, at in runs]
    return [_put(index, [at for _, at in runs], column) for column in zip(*results, strict=True)]


def _put(index: Tensor, places: Sequence[Tensor], column: Sequence[Any]) -> Tensor | None:
    """Collect one result of all examples from those of the branches, None if it is zero in all."""
    (found,) = joined([[column[i]] for i in range(len(column))])
    if found is None:
        return None
    like = next((leaf for leaf in column if isinstance(leaf, Tensor)), None)
    whole = found(0).new_zeros(len(index), *(() if like is None else like.shape[1:]))
    for leaf, at in zip(column, places, strict=True):
        whole[at] = leaf if isinstance(leaf, Tensor) else leaf or 0
    return whole
