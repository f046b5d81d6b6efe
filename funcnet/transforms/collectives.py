"""Collective operations: sums and other functions of all examples of a vmap that has an axis name."""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch, tree
from funcnet.tracebacks import boundary
from funcnet.transforms import axis_names
from funcnet.transforms.remat import Recomputed
from funcnet.transforms.structural_zeros import Partial, Tensors
from funcnet.tree import Tree
from funcnet.tree.conversion import arrays_as_tensors, is_number

AxisNames = Hashable | tuple[Hashable, ...]


@boundary
def psum(x: Tree, axis_name: AxisNames) -> Any:
    """Sum over all examples of the vmap of this name.

    Its derivative is a sum, too: under vmap(grad(f)), the gradient of psum(x) is the sum of the cotangents of all
    examples.

    Args:
        x: A tree of tensors and numbers; a number is the same for all examples.
        axis_name: The axis_name of a vmap around this call, or a tuple of several.
    Returns:
        A tree like x, the same for all examples: out_dims may be None for it.
    Raises:
        NameError: No vmap of this name runs.
    Source:
        jax.lax.psum.
    Example:
        >>> fn.vmap(lambda x: x / fn.psum(x, "batch"), axis_name="batch")(torch.tensor([1.0, 3.0]))
        tensor([0.2500, 0.7500])
    """
    return _over(_Sum, x, axis_name)


@boundary
def pmean(x: Tree, axis_name: AxisNames) -> Any:
    """Average over all examples of the vmap of this name; see `psum`.

    Example:
        >>> fn.vmap(lambda x: x - fn.pmean(x, "i"), axis_name="i")(torch.tensor([1.0, 2.0, 3.0]))
        tensor([-1.,  0.,  1.])
    """
    size = axis_size(axis_name)
    return tree.map(lambda total: total / size, _over(_Sum, x, axis_name))


@boundary
def pmax(x: Tree, axis_name: AxisNames) -> Any:
    """Return the largest values among all examples of the vmap of this name, without a derivative; see `psum`.

    Example:
        >>> fn.vmap(lambda x: x - fn.pmax(x, "i"), axis_name="i")(torch.tensor([1.0, 2.0, 4.0]))
        tensor([-3., -2.,  0.])
    """
    return _over(partial(_Extreme, reduce=torch.amax), x, axis_name)


@boundary
def pmin(x: Tree, axis_name: AxisNames) -> Any:
    """Return the smallest values among all examples of the vmap of this name, without a derivative; see `psum`.

    Example:
        >>> fn.vmap(lambda x: x - fn.pmin(x, "i"), axis_name="i")(torch.tensor([1.0, 2.0, 4.0]))
        tensor([0., 1., 3.])
    """
    return _over(partial(_Extreme, reduce=torch.amin), x, axis_name)


@boundary
def all_gather(x: Tree, axis_name: Hashable, *, axis: int = 0, tiled: bool = False) -> Any:
    """Collect the values of all examples of the vmap of this name.

    Args:
        x: A tree of tensors and numbers.
        axis_name: The axis_name of a vmap around this call.
        axis: Where the results have the axis of the examples.
        tiled: Whether to concatenate along this axis instead of stacking.
    Returns:
        A tree like x, the same for all examples.
    Raises:
        NameError: No vmap of this name runs.
        ValueError: A tensor does not have the axis.
    Source:
        jax.lax.all_gather.
    Example:
        >>> fn.vmap(lambda x: fn.all_gather(x, "i"), axis_name="i", out_dims=None)(torch.arange(3))
        tensor([0, 1, 2])
    """
    return tree.map(partial(_gathered, axis_names.find(axis_name), axis, tiled), arrays_as_tensors(x))


@boundary
def axis_index(axis_name: Hashable) -> Tensor:
    """Return the position of the example along the vmap of this name, a 0-d int64 tensor.

    Raises:
        NameError: No vmap of this name runs.
    Example:
        >>> fn.vmap(lambda x: x * fn.axis_index("i"), axis_name="i")(torch.ones(3))
        tensor([0., 1., 2.])
    """
    return axis_names.find(axis_name).position


@boundary
def axis_size(axis_name: AxisNames) -> int:
    """Return the number of examples of the vmap of this name; for several names, the product.

    Raises:
        NameError: No vmap of this name runs.
    Example:
        >>> fn.vmap(lambda x: x / fn.transforms.axis_size("i"), axis_name="i")(torch.tensor([1.0, 2.0]))
        tensor([0.5000, 1.0000])
    """
    size = 1
    for name in _names(axis_name):
        size *= axis_names.find(name).size
    return size


def _names(axis_name: AxisNames) -> tuple[Hashable, ...]:
    return axis_name if isinstance(axis_name, tuple) else (axis_name,)


def _over(kind: Callable[[axis_names.Axis], "_Collective"], x: Tree, axis_name: AxisNames) -> Any:
    x = arrays_as_tensors(x)
    for name in _names(axis_name):
        x = tree.map(kind(axis_names.find(name)).of, x)
    return x


def _gathered(axis: axis_names.Axis, place: int, tiled: bool, leaf: Any) -> Any:
    x = torch.as_tensor(leaf)
    count = x.ndim + (not tiled)
    if not -count <= place < count:
        raise ValueError(f"all_gather: expected an axis of a result with {count} axes, got {place}.")
    place %= count
    gathered: Tensor = _Gather(axis, place=place).of(x)
    return gathered.flatten(place, place + 1) if tiled else gathered


class _Collective(Recomputed):
    """A step of differentiation whose rule for the vmap of one level is not to map it but to see the whole batch."""

    def __init__(self, axis: axis_names.Axis) -> None:
        super().__init__(self.shared)
        object.__setattr__(self, "axis", axis)

    axis: axis_names.Axis

    def of(self, x: Any) -> Any:
        """Apply the operation to a tensor or number."""
        return self.shared(x)[0] if is_number(x) else self(x)[0] if isinstance(x, Tensor) else x

    def shared(self, x: Any) -> tuple[Any, ...]:
        """Compute the result from a value that all examples share."""
        raise NotImplementedError

    def whole(self, batch: Tensor) -> Tensor:
        """Compute the result from the values of all examples, along the first axis."""
        raise NotImplementedError

    def push(self, primals: Tensors, tangents: Partial) -> tuple[Tensors, Partial]:
        return self(*primals), [None if tangent is None else self.of(tangent) for tangent in tangents]

    def batch(self, size: int, dims: Any, tensors: Tensors) -> tuple[Tensors, Any]:
        (x,), (dim,) = tensors, dims
        if (_torch.current_level() or 0) + 1 == self.axis.level:  # this vmap has been removed already
            return (self.whole(x.movedim(dim, 0)),), (None,)
        (result,) = self(x.movedim(dim, -1))
        return (result,), (result.ndim - 1,)


class _Sum(_Collective):
    def shared(self, x: Any) -> tuple[Any, ...]:
        return (x * self.axis.size,)

    def whole(self, batch: Tensor) -> Tensor:
        return batch.sum(0, dtype=None if batch.dtype == torch.bool else batch.dtype)

    def pull(self, primals: Tensors, cotangents: Partial) -> Partial:
        return tuple(None if c is None else self.of(c) for c in cotangents)


class _Extreme(_Collective):
    reduce: Callable[[Tensor, int], Tensor]

    def __init__(self, axis: axis_names.Axis, reduce: Callable[..., Tensor]) -> None:
        super().__init__(axis)
        object.__setattr__(self, "reduce", reduce)

    def shared(self, x: Any) -> tuple[Any, ...]:
        return (x,)

    def whole(self, batch: Tensor) -> Tensor:
        return self.reduce(batch, 0)

    def pull(self, primals: Tensors, cotangents: Partial) -> Partial:
        raise NotImplementedError(
            "pmax and pmin have no derivative, as in JAX. Apply fn.stop_gradient to their argument, or take the "
            "largest entry of fn.all_gather."
        )

    def push(self, primals: Tensors, tangents: Partial) -> tuple[Tensors, Partial]:
        return primals, self.pull(primals, tangents)


class _Gather(_Collective):
    place: int

    def __init__(self, axis: axis_names.Axis, place: int) -> None:
        super().__init__(axis)
        object.__setattr__(self, "place", place)

    def shared(self, x: Any) -> tuple[Any, ...]:
        return (torch.stack([x] * self.axis.size, self.place),)

    def whole(self, batch: Tensor) -> Tensor:
        return batch.movedim(0, self.place)

    def pull(self, primals: Tensors, cotangents: Partial) -> Partial:
        (cotangent,) = cotangents
        if cotangent is None:
            return (None,)
        total: Tensor = _Sum(self.axis).of(cotangent)
        return (total.index_select(self.place, self.axis.position[None]).squeeze(self.place),)
