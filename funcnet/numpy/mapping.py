"""Functions of parts of arrays, applied to all parts by `vmap`."""

import re
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor

from funcnet import transforms, tree
from funcnet.numpy.axes import one_axis
from funcnet.numpy.promotion import ArrayLike, as_tensor

__all__ = ["apply_along_axis", "apply_over_axes", "vectorize"]

Cores = list[tuple[str, ...]]  # names of the axes that the function sees, for each argument


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Sequence[int] = (), signature: str | None = None
) -> Callable[..., Any]:
    """Make a function of numbers, or of small arrays, one that broadcasts over the leading axes.

    Args:
        pyfunc: A function of tensors.
        excluded: The positions of arguments that are passed unchanged.
        signature: The axes that the function sees, such as "(n),(n)->()"; without it, none.
    Raises:
        ValueError: The signature is not one, or an argument lacks its axes.
    Example:
        >>> from funcnet import numpy as jnp
        >>> distance = jnp.vectorize(lambda a, b: abs(a - b).sum(), signature="(n),(n)->()")
        >>> distance(jnp.ones((2, 3)), jnp.zeros(3))
        tensor([3., 3.])
    """

    @wraps(pyfunc)
    def vectorized(*args: Any, **kwargs: Any) -> Any:
        given = {i: as_tensor("vectorize", arg) for i, arg in enumerate(args) if i not in excluded}
        cores: Cores = [()] * len(given) if signature is None else _cores(signature, len(given))
        f = _placed(partial(pyfunc, **kwargs), args, list(given))
        return _broadcast(f, list(given.values()), cores)

    return vectorized


def _placed(f: Callable[..., Any], args: Sequence[Any], positions: Sequence[int]) -> Callable[..., Any]:
    """Return f as a function of the arguments at some positions."""

    def function(*values: Tensor) -> Any:
        every = list(args)
        for position, value in zip(positions, values, strict=True):
            every[position] = value
        return f(*every)

    return function


def _cores(signature: str, count: int) -> Cores:
    groups = re.findall(r"\(([^()]*)\)", signature.split("->")[0])
    if "->" not in signature or len(groups) != count:
        raise ValueError(
            f"vectorize: expected a signature of {count} arguments such as '(n),()->()', got {signature!r}."
        )
    return [tuple(name.strip() for name in group.split(",") if name.strip()) for group in groups]


def _broadcast(f: Callable[..., Any], args: list[Tensor], cores: Cores) -> Any:
    for arg, core in zip(args, cores, strict=True):
        if arg.ndim < len(core):
            raise ValueError(f"vectorize: expected an array with axes {core}, got shape {tuple(arg.shape)}.")
    leading = [arg.shape[: arg.ndim - len(core)] for arg, core in zip(args, cores, strict=True)]
    shape = torch.broadcast_shapes(*leading)
    for axis in reversed(range(len(shape))):
        back = len(shape) - axis
        dims = tuple(0 if len(own) >= back and own[-back] == shape[axis] > 1 else None for own in leading)
        args = [_without(arg, own, back, shape[axis]) for arg, own in zip(args, leading, strict=True)]
        f = _mapped(f, dims, shape[axis])
    return f(*args)


def _without(arg: Tensor, own: Sequence[int], back: int, size: int) -> Tensor:
    """Drop a leading axis of length 1 that the others broadcast."""
    return arg.squeeze(len(own) - back) if len(own) >= back and own[-back] == 1 else arg


def _mapped(f: Callable[..., Any], dims: tuple[int | None, ...], size: int) -> Callable[..., Any]:
    if set(dims) != {None}:
        return transforms.vmap(f, in_dims=dims)
    return lambda *args: tree.map(lambda y: y[None], f(*args))  # the axis has length 1


def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: ArrayLike, *args: Any, **kwargs: Any) -> Tensor:
    """Apply a function of vectors along an axis; the axes of its result take the place of the axis."""
    x = as_tensor("apply_along_axis", arr)
    axis = one_axis("apply_along_axis", axis, x.ndim)

    def of_row(row: Tensor) -> Any:
        return func1d(row, *args, **kwargs)

    f: Callable[..., Any] = of_row
    for _ in range(x.ndim - 1):
        f = transforms.vmap(f)
    result = f(torch.movedim(x, axis, -1))
    count = result.ndim - (x.ndim - 1)
    return torch.movedim(result, tuple(range(x.ndim - 1, result.ndim)), tuple(range(axis, axis + count)))


def apply_over_axes(func: Callable[[Tensor, int], Tensor], a: ArrayLike, axes: int | Sequence[int]) -> Tensor:
    """Apply func(x, axis) over several axes, one after the other; an axis that a result lacks is put back.

    Raises:
        ValueError: A result has neither as many axes as its argument nor one less.
    """
    x = as_tensor("apply_over_axes", a)
    for axis in axes if isinstance(axes, Sequence) else (axes,):
        place = one_axis("apply_over_axes", axis, x.ndim)
        result = func(x, place)
        if result.ndim not in (x.ndim - 1, x.ndim):
            raise ValueError(
                f"apply_over_axes: expected func to return {x.ndim - 1} or {x.ndim} axes, got {result.ndim}."
            )
        x = result if result.ndim == x.ndim else result.unsqueeze(place)
    return x
