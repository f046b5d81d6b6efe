"""Calls of Python functions from inside jitted and transformed functions."""

import builtins
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.debug.operations import PythonCall
from funcnet.tracebacks import boundary
from funcnet.transforms.custom_derivatives import stop_gradient
from funcnet.transforms.custom_rules import batch_of
from funcnet.transforms.flatten import Flattener, check_function
from funcnet.transforms.remat import Recomputed
from funcnet.transforms.structural_zeros import Partial, Tensors
from funcnet.tree import ShapeDtypeStruct, Tree
from funcnet.tree.conversion import arrays_as_tensors, is_number, number_as_tensor

_METHODS = (None, "sequential", "expand_dims", "broadcast_all")


def print(fmt: str, *args: Any, ordered: bool = False, **kwargs: Any) -> None:
    """Print values while a function runs, also inside `jit`, `vmap`, `grad` and `scan`; see `callback`.

    Args:
        fmt: A format string, as for `str.format`.
        args, kwargs: Trees of tensors and other values for it.
        ordered: Accepted as in JAX; prints are always in order.
    Source:
        jax.debug.print.
    Example:
        >>> fn.vmap(lambda x: fn.debug.print("x = {x:.1f}", x=x))(torch.tensor([1.0, 2.0]))
        x = 1.0
        x = 2.0
    """
    callback(partial(_print, fmt), *args, ordered=ordered, **kwargs)


def _print(fmt: str, *args: Any, **kwargs: Any) -> None:
    builtins.print(fmt.format(*args, **kwargs))


@boundary
def callback(f: Callable[..., Any], *args: Any, ordered: bool = False, **kwargs: Any) -> None:
    """Call a Python function with the values of tensors while a jitted or transformed function runs.

    Under `vmap` f is called for each example, and under a derivative with the values that are differentiated. Where a
    derivative recomputes its function, as that of `scan` and `remat` does, f is called again. In a loop, a call that
    depends on nothing in the loop is made once, before it. If the examples of a `vmap` in a jitted function take
    different branches of a `cond`, or stop a `while_loop` at different steps, all branches and steps are computed for
    all examples, and f is called in each for all of them. A native kernel calls f within its run, in a long run from a
    thread of its own; `explain` of a jitted function lists the operation funcnet.callback among its calls.

    Args:
        f: Its result is ignored.
        args, kwargs: Trees of tensors and other values.
        ordered: Accepted as in JAX; calls are always in order.
    Source:
        jax.debug.callback.
    Example:
        >>> seen = []
        >>> fn.jit(lambda x: fn.debug.callback(seen.append, x.sum()))(torch.ones(3))
        >>> seen
        [tensor(3.)]
    """
    check_function("debug.callback", f)
    inputs = Flattener()
    tensors = inputs.split(_values((args, kwargs)))

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        args, kwargs = inputs.rebuild(tensors[:-1])
        f(*args, **kwargs)
        return ()

    PythonCall(run).apply([*stop_gradient(tensors), torch.zeros(())])  # a program keeps calls with tensors only


def _values(arguments: Tree) -> Any:
    """Replace arrays and traced numbers by tensors."""
    return tree.map(lambda leaf: number_as_tensor(leaf) if _is_traced(leaf) else leaf, arrays_as_tensors(arguments))


def _is_traced(leaf: Any) -> bool:
    return is_number(leaf) and type(leaf) not in (bool, int, float, complex)


@boundary
def pure_callback(
    f: Callable[..., Any], result_shape_dtypes: Tree, *args: Any, vmap_method: str | None = None, **kwargs: Any
) -> Any:
    """Compute a result by a Python function that cannot be traced, such as one of numpy or scipy.

    f must be pure: its calls may be repeated, shared or dropped. It has no derivative; give it one by `custom_vjp` or
    `custom_jvp`. A native kernel calls f within its run, in a long run from a thread of its own; `explain` of a jitted
    function lists the operation funcnet.pure_callback among its calls.

    Args:
        f: Takes tensors with values; returns a tree of tensors, arrays or numbers.
        result_shape_dtypes: A tree like its result of `ShapeDtypeStruct`s, or of tensors like those of the result.
        args, kwargs: Trees of tensors and other values.
        vmap_method: How `vmap` calls f: "sequential", once per example; "broadcast_all", once, with a leading batch
            axis in all arguments and results; "expand_dims", likewise, of size 1 in arguments that are not mapped; or
            None, not at all.
    Returns:
        The result of f, as tensors.
    Raises:
        ValueError: The result has another structure or other shapes; vmap_method is not one of these.
        NotImplementedError: The call is differentiated, or mapped with vmap_method None.
    Source:
        jax.pure_callback.
    Example:
        >>> like = fn.ShapeDtypeStruct((), torch.float32)
        >>> fn.jit(lambda x: 2 * fn.pure_callback(lambda x: x.item() ** 2, like, x))(torch.tensor(3.0))
        tensor(18.)
    """
    check_function("pure_callback", f)
    if vmap_method not in _METHODS:
        raise ValueError(f"pure_callback: expected vmap_method to be one of {_METHODS}, got {vmap_method!r}.")
    inputs, results = Flattener(), Flattener(lambda leaf: isinstance(leaf, Tensor | ShapeDtypeStruct))
    tensors, like = inputs.split(_values((args, kwargs))), results.split(result_shape_dtypes)

    def run(*tensors: Tensor) -> list[Tensor]:
        args, kwargs = inputs.rebuild(tensors)
        batch = tensors[0].shape[: tensors[0].ndim - ranks[0]] if tensors else ()
        return _converted(results.rebuild(like), f(*args, **kwargs), batch)

    ranks = [tensor.ndim for tensor in tensors]
    call = PythonCall(run, like, vmap_method)
    return results.rebuild(_Underivable(lambda *tensors: tuple(call.apply(tensors)))(*tensors))


def _converted(like: Tree, found: Tree, batch: tuple[int, ...]) -> list[Tensor]:
    found = arrays_as_tensors(found)
    if message := tree.difference(*(tree.map(lambda _: 0, side) for side in (like, found))):
        raise ValueError(f"pure_callback: expected a result like result_shape_dtypes, but they differ {message}.")
    pairs = zip(tree.paths(like), tree.leaves(like), tree.leaves(found), strict=True)
    return [_like(path, struct, leaf, batch) for path, struct, leaf in pairs]


def _like(path: str, struct: Any, leaf: Any, batch: tuple[int, ...]) -> Tensor:
    tensor = torch.as_tensor(leaf, device=struct.device)
    if tensor.shape[tensor.ndim - len(struct.shape) :] != tuple(struct.shape) or (
        tensor.ndim != len(struct.shape) + len(batch)
    ):
        raise ValueError(
            f"pure_callback: at {tree.place(path)}: expected a result of shape {(*batch, *struct.shape)}, as "
            f"result_shape_dtypes says, got {tree.describe(leaf)}."
        )
    return tensor.to(struct.dtype)


@dataclass(frozen=True, eq=False)
class _Underivable(Recomputed):
    """A step without derivatives."""

    def pull(self, primals: Tensors, cotangents: Partial) -> Partial:
        raise NotImplementedError(
            "pure_callback: expected a call that is not differentiated; a Python function has no derivative. Wrap the "
            "call in a function with fn.custom_vjp or fn.custom_jvp, or apply fn.stop_gradient to its arguments."
        )

    def push(self, primals: Tensors, tangents: Partial) -> tuple[Tensors, Partial]:
        return (), self.pull(primals, tangents)

    def batch(self, size: int, dims: Any, tensors: Tensors) -> tuple[Tensors, tuple[int, ...]]:
        return batch_of(self, dims, tensors)
