"""Checks of derivatives against finite differences, of trees against each other, and of data for non-finite values."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import random, tree
from funcnet.random import Key
from funcnet.transforms import jvp, vjp
from funcnet.transforms.flatten import check_tuple
from funcnet.tree import Tree

__all__ = ["LeafComparison", "check_finite", "check_grads", "compare"]

# by dtype: (finite step, about the cube root of the rounding error; tolerance)
_DEFAULTS = {torch.float64: (1e-5, 1e-6), torch.float32: (1e-2, 2e-2)}


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 1,
    modes: Sequence[str] = ("fwd", "rev"),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
) -> None:
    """Check the derivatives of f at args, up to a given order, against central finite differences.

    Along a random direction v, forward mode is compared entry by entry with (f(x + eps v) - f(x - eps v)) / (2 eps),
    and reverse mode by the product of both with a random cotangent. The derivative of each mode is then checked in the
    same way, up to the given order.

    Args:
        f: Any function of pytrees, smooth around args.
        args: The tuple of its arguments.
        order: The highest order of derivative to check.
        modes: "fwd" for jvp, "rev" for vjp.
        atol, rtol: |difference| <= atol + rtol |numerical|; by default 1e-6 in float64, 2e-2 in float32.
        eps: The finite step; by default 1e-5 in float64, 1e-2 in float32.
    Raises:
        AssertionError: A derivative disagrees; the message names the modes, the path and the numbers.
        TypeError: args is not a tuple or list.
        ValueError: No mode is given, or one that is neither "fwd" nor "rev"; order is below 1; f has no result to
            differentiate; or a finite difference is not finite.
    Source:
        jax.test_util.check_grads, which has the same arguments.
    Example:
        >>> fn.checking.check_grads(torch.sin, (torch.tensor(0.5, dtype=torch.float64),), order=3)
    """
    check_tuple("check_grads", "args", args)
    if not modes or not set(modes) <= {"fwd", "rev"}:
        raise ValueError(f'check_grads: expected modes among "fwd" and "rev", got {modes!r}.')
    if order < 1:
        raise ValueError(f"check_grads: expected an order of at least 1, got {order}.")
    dtypes = {leaf.dtype.to_real() for leaf in tree.leaves(tuple(args)) if tree.is_inexact(leaf)}
    step, tolerance = _DEFAULTS[torch.float64 if dtypes == {torch.float64} else torch.float32]
    options = _Options(
        modes=modes,
        atol=tolerance if atol is None else atol,
        rtol=tolerance if rtol is None else rtol,
        eps=step if eps is None else eps,
    )
    _check(f, tuple(args), order, (), options)


class _Options(NamedTuple):
    modes: Sequence[str]
    atol: float
    rtol: float
    eps: float


def _check(f: Callable[..., Any], args: tuple[Any, ...], order: int, done: tuple[str, ...], options: _Options) -> None:
    """Check one derivative of f in each mode, then the derivatives of that derivative; `done` are the modes so far."""
    key = random.key(order)
    direction = _normal_like(random.fold_in(key, 0), args)
    numerical = _central_difference(f, args, direction, options.eps)
    check_finite(numerical, "the finite difference of f")
    if not tree.leaves(numerical):
        raise ValueError(
            "check_grads: expected f to return a floating-point or complex tensor, got no tensor to differentiate."
        )
    cotangent = _normal_like(random.fold_in(key, 1), numerical)

    def forward(*args: Any) -> Any:
        return jvp(f, args, direction)[1]

    def reverse(*args: Any) -> Any:
        return vjp(f, *args)[1](cotangent)

    for mode in options.modes:
        modes = (*done, mode)
        if mode == "fwd":
            _expect(forward(*args), numerical, modes, options)
        else:
            _expect(tree.dot(reverse(*args), direction), tree.dot(numerical, cotangent), modes, options)
        if order > 1:
            _check(forward if mode == "fwd" else reverse, args, order - 1, modes, options)


def _expect(automatic: Tree, numerical: Tree, modes: tuple[str, ...], options: _Options) -> None:
    if message := tree.difference(automatic, numerical, rtol=options.rtol, atol=options.atol):
        raise AssertionError(
            f"check_grads: mode {' of '.join(reversed(modes))} and the finite difference disagree {message}."
        )


def _central_difference(f: Callable[..., Any], args: tuple[Any, ...], direction: Tree, eps: float) -> Tree:
    above, below = (f(*tree.map(partial(_move, by=sign * eps), args, direction)) for sign in (1, -1))
    return tree.scale(0.5 / eps, tree.map(torch.sub, tree.partition(above, tree.is_inexact)[0], below))


def _move(leaf: Any, along: Tensor | None, by: float) -> Any:
    return leaf if along is None else leaf + by * along


def _normal_like(key: Key, like: Tree) -> Tree:
    inexact = tree.partition(like, tree.is_inexact)[0]
    tensors, structure = tree.flatten(tree.view_as_real(inexact))
    keys = random.split(key, max(len(tensors), 1))
    normals = (random.normal(k, x.shape, x.dtype).to(x.device) for k, x in zip(keys, tensors, strict=False))
    return tree.view_as_complex(tree.unflatten(structure, normals), inexact)


class LeafComparison(NamedTuple):
    """The largest differences between two leaves."""

    path: str
    shape: tuple[int, ...]
    max_absolute: float  # max |a - b|
    max_relative: float  # max |a - b| / |b|, 0 where both are 0


def compare(a: Tree, b: Tree) -> list[LeafComparison]:
    """Compare two trees leaf by leaf, such as gradients derived by hand and by `grad`.

    Args:
        a, b: Trees of equal structure with tensors of equal shapes; b is the reference.
    Returns:
        One row per floating-point or complex leaf: path, shape, largest absolute and largest relative difference.
    Raises:
        ValueError: The structures or shapes differ; the message names the path of the first difference.
    Example:
        >>> fn.checking.compare({"w": torch.tensor([1.0, 2.5])}, {"w": torch.tensor([1.0, 2.0])})
        [LeafComparison(path='w', shape=(2,), max_absolute=0.5, max_relative=0.25)]
    """
    a, b = (tree.partition(side, tree.is_inexact)[0] for side in (a, b))
    shapes = (tree.map(lambda leaf: str(tuple(leaf.shape)), side) for side in (a, b))
    if message := tree.difference(*shapes):
        raise ValueError(f"compare: expected trees of equal structure and shapes, but they differ {message}.")
    rows = zip(tree.paths(a), tree.leaves(a), tree.leaves(b), strict=True)
    return [_compare(path, *(z.to(torch.promote_types(z.dtype, torch.float64)) for z in pair)) for path, *pair in rows]


def _compare(path: str, x: Tensor, y: Tensor) -> LeafComparison:
    apart = torch.where(x == y, 0.0, (x - y).abs())  # equal infinities are 0 apart
    relative = torch.where(apart == 0, 0.0, apart / y.abs())
    largest, largest_relative = (v.max().item() if v.numel() else 0.0 for v in (apart, relative))
    return LeafComparison(path, tuple(x.shape), largest, largest_relative)


def check_finite(values: Tree, name: str = "data") -> None:
    """Check that no floating-point or complex leaf holds a NaN or an infinity.

    Args:
        values: Any tree of tensors whose values are known (not inside vmap or jit).
        name: The name of the values in the error message.
    Raises:
        ValueError: A leaf holds a NaN or an infinity; the message names the path and the first index.
    Example:
        >>> fn.checking.check_finite({"x": torch.ones(2)})
        >>> fn.checking.check_finite({"x": torch.tensor([1.0, float("nan")])})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: check_finite: at path "x": ... got nan at index (1,). Clean or drop it before training.
    """
    for path, leaf in zip(tree.paths(values), tree.leaves(values), strict=True):
        if tree.is_inexact(leaf) and not leaf.isfinite().all():
            index = tuple((~leaf.isfinite()).nonzero()[0].tolist())
            raise ValueError(
                f"check_finite: at {tree.place(path)}: expected finite numbers in {name}, "
                f"got {leaf[index].item()} at index {index}. Clean or drop it before training."
            )


def __dir__() -> list[str]:
    return __all__
