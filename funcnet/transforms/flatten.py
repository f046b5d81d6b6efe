"""Flattening of trees and of functions of trees to flat tuples of tensors, which torch.func takes."""

from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch, tree
from funcnet.tree import Tree
from funcnet.tree.conversion import arrays_as_tensors, is_number, number_as_tensor, scalars_as_tensors
from funcnet.tree.flattening import class_name
from funcnet.tree.nodes import map_as

Function = Callable[..., Any]
Argnums = int | Sequence[int]


class Flattener:
    """Flattens a tree to its tensors, and rebuilds a tree of the same structure from others.

    It holds the structure of the last tree that it split; before the first split, that of an empty tree.
    """

    def __init__(self, chosen: Callable[[Any], bool] = tree.is_tensor) -> None:
        self.chosen, self.structure = chosen, _OF_NOTHING
        self.is_chosen: list[bool] = []
        self.rest: list[Any] = []

    def split(self, values: Tree) -> tuple[Tensor, ...]:
        leaves, structure = tree.flatten(values)
        return self.take(leaves, structure, [self.chosen(leaf) for leaf in leaves])

    def take(self, leaves: Sequence[Any], structure: tree.Structure, is_chosen: list[bool]) -> tuple[Tensor, ...]:
        """Split a flattened tree at a mask of its leaves."""
        self.structure, self.is_chosen = structure, is_chosen
        self.rest = [None if chosen else leaf for leaf, chosen in zip(leaves, is_chosen, strict=True)]
        return tuple(leaf for leaf, chosen in zip(leaves, is_chosen, strict=True) if chosen)

    def rebuild(self, tensors: Sequence[Any]) -> Tree:
        return self._fill(tensors, self.rest)

    def without_rest(self, tensors: Sequence[Any]) -> Tree:
        """Rebuild the tree with None for every other leaf."""
        return self._fill(tensors, [None] * len(self.rest))

    def _fill(self, tensors: Sequence[Any], rest: list[Any]) -> Tree:
        given = iter(tensors)
        leaves = [next(given) if chosen else leaf for leaf, chosen in zip(rest, self.is_chosen, strict=True)]
        return tree.unflatten(self.structure, leaves)


_OF_NOTHING = tree.structure(())


class Inputs:
    """Flattens arguments to the floating-point and complex tensors to differentiate, and rebuilds them."""

    def __init__(self, name: str, args: tuple[Any, ...], argnums: Argnums) -> None:
        self.name, self.args, self.single = name, arrays_as_tensors(args), isinstance(argnums, int)
        self.argnums = positions(name, (argnums,) if isinstance(argnums, int) else argnums, len(args))
        own = self.args if self.args is args else arrays_as_tensors(scalars_as_tensors(args))  # with arrays among them
        leaves, structure = tree.flatten(tuple(own[i] for i in self.argnums))
        leaves = [number_as_tensor(leaf) if isinstance(leaf, float | complex) else leaf for leaf in leaves]
        self.floating = Flattener(tree.is_inexact)
        self.tensors = self.floating.take(leaves, structure, [tree.is_inexact(leaf) for leaf in leaves])
        if not self.tensors:
            raise TypeError(_nothing_to_differentiate(name, tree.unflatten(structure, leaves)))

    def rebuild(self, tensors: Sequence[Tensor]) -> list[Any]:
        args = list(self.args)
        for i, arg in zip(self.argnums, self.floating.rebuild(tensors), strict=True):
            args[i] = arg
        return args

    def gradient(self, tensors: Sequence[Any]) -> Any:
        grads = self.floating.without_rest(tensors)
        return grads[0] if self.single else grads

    def given(self, *more: Any) -> list[Tensor]:
        """List the differentiated tensors, and the arguments that are tensors themselves, without a search."""
        return [*self.tensors, *(arg for arg in (*self.args, *more) if isinstance(arg, Tensor))]

    def tangents(self, tangents: tuple[Any, ...]) -> tuple[Tensor, ...]:
        return _matching(self.name, "tangent", self.floating.without_rest(self.tensors), tangents)


class Call:
    """A function of pytrees as a function of flat tensors: it returns (tensors to differentiate, all tensors).

    Attributes:
        outputs: The differentiable output tensors of the last call.
    """

    def __init__(self, name: str, f: Function, inputs: Inputs, has_aux: bool = False) -> None:
        self.name, self.f, self.inputs, self.has_aux = name, f, inputs, has_aux
        self.floating, self.results = Flattener(tree.is_inexact), Flattener()
        self.outputs: tuple[Tensor, ...] = ()

    def __call__(self, *tensors: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        out, *aux = value_and_aux(self.name, self.f(*self.inputs.rebuild(tensors)), self.has_aux)
        self.outputs = self.floating.split(out)
        if not self.outputs:
            raise TypeError(
                f"{self.name}: expected f to return a floating-point or complex tensor, got {tree.describe(out)}. "
                "Make integers floating with .to(torch.float32)."
            )
        return self.outputs, self.results.split((out, *aux))

    def rebuild(self, results: Sequence[Tensor]) -> Any:
        """Rebuild (out,) or (out, aux) of the last call."""
        return self.results.rebuild(results)

    def derivative(self, parts: Sequence[Any]) -> Tree:
        """Rebuild a tree like the last result from one part per differentiable tensor, with None elsewhere."""
        return self.floating.without_rest(parts)

    def cotangents(self, cotangent: Tree) -> tuple[Tensor, ...]:
        return _matching(self.name, "cotangent", self.floating.without_rest(self.outputs), cotangent)


class Pairs:
    """A call whose complex tensors are viewed as pairs of real numbers, for which torch computes Jacobians.

    Attributes:
        outputs: The differentiable output tensors of the last call, as pairs.
    """

    def __init__(self, name: str, call: Call, tensors: Sequence[Tensor]) -> None:
        self.name, self.call, self.tensors = name, call, tuple(tensors)
        self.outputs: tuple[Tensor, ...] = ()

    def __call__(self, *tensors: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        outputs, results = self.call(*tree.view_as_complex(tensors, self.tensors))
        complex_ones = [next((x for x in side if x.is_complex()), None) for side in (self.tensors, outputs)]
        if None not in complex_ones:
            raise TypeError(
                f"{self.name}: expected real tensors in the argument or in the result, got a "
                f"{' and a '.join(map(tree.describe, complex_ones))}: such a function has a Jacobian with respect to "
                "the real and imaginary parts only. View the argument with fn.tree.view_as_real, and back in f with "
                "fn.tree.view_as_complex, or use jvp, vjp or hvp."
            )
        self.outputs = tree.view_as_real(outputs)
        return self.outputs, results

    def jacobian(self, rows: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
        """Turn the Jacobian of pairs, by results and by arguments, into one of complex tensors."""
        columns = [[_by_pairs(x, part) for x, part in zip(self.tensors, row, strict=True)] for row in rows]
        outputs = zip(self.call.outputs, columns, strict=True)
        return [[_of_pairs(y, part) for part in row] for y, row in outputs]


def _by_pairs(x: Tensor, part: Tensor) -> Tensor:
    return torch.complex(part[..., 0], part[..., 1]) if x.is_complex() else part


def _of_pairs(y: Tensor, part: Tensor) -> Tensor:
    return torch.complex(part.select(y.ndim, 0), part.select(y.ndim, 1)) if y.is_complex() else part


def value_and_aux(name: str, out: Any, has_aux: bool) -> tuple[Any, ...]:
    """Return (value,), or with has_aux check that f returned a pair and return (value, aux)."""
    if not has_aux:
        return (out,)
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        raise TypeError(
            f"{name}: expected f to return a pair (value, aux), as has_aux=True says, got {tree.describe(out)}. "
            "Put all auxiliary values into one tree."
        )
    return tuple(out)


def check_scalar(name: str, out: Any) -> None:
    """Raise unless f returned a 0-d floating-point tensor."""
    if not tree.is_floating(out) or out.shape:
        is_complex = tree.is_inexact(out) and not tree.is_floating(out)
        raise TypeError(
            f"{name}: expected f to return a 0-d floating-point tensor, got {tree.describe(out)}. "
            + ("Take its .abs() or .real: complex numbers have no minimum. " if is_complex else "")
            + "Reduce it with .mean() or .sum(), or differentiate it with jacrev; set has_aux=True if f returns "
            "(value, aux)."
        )


def check_function(operation: str, f: Any) -> None:
    """Raise unless f can be called."""
    if callable(f):
        return
    apply = f"{class_name(f).lower()}.apply" if hasattr(f, "apply") else ""
    remedy = f"Pass {apply}." if apply else "Pass the function itself, and not its result."
    raise TypeError(f"{operation}: expected f to be callable, got {tree.describe(f)}. {remedy}")


def check_tuple(operation: str, name: str, values: Any) -> None:
    """Raise unless the arguments are a tuple or list: a tensor would be unpacked into its rows."""
    if not isinstance(values, (tuple, list)):
        raise TypeError(f"{operation}: expected {name} to be a tuple of f's arguments, got {tree.describe(values)}.")


def positions(name: str, argnums: Sequence[int], count: int) -> list[int]:
    """Count the arguments from the front."""
    for argnum in argnums:
        if not -count <= argnum < count:
            raise ValueError(
                f"{name}: argnums {argnum} is not the position of an argument; f was called with {count} of them."
            )
    found = [argnum % count for argnum in argnums]
    if len(set(found)) < len(found):
        raise ValueError(f"{name}: expected argnums to name each argument once, got {tuple(argnums)}.")
    return found


def _matching(name: str, kind: str, like: Tree, given: Tree) -> tuple[Tensor, ...]:
    found: list[Tensor] = []

    def add(primal: Tensor, tangent: Any) -> None:
        if is_number(tangent) and not primal.ndim:
            tangent = number_as_tensor(tangent, primal.dtype)
        if not isinstance(tangent, Tensor) or (tangent.shape, tangent.dtype) != (primal.shape, primal.dtype):
            raise ValueError(
                f"{name}: at {tree.place(tree.paths(like)[len(found)])}: expected a {kind} like its value, "
                f"a {tree.describe(primal)}, got {tree.describe(tangent)}."
            )
        found.append(tangent)

    map_as(name, add, like, arrays_as_tensors(given))
    return tuple(found)


def _nothing_to_differentiate(name: str, args: tuple[Any, ...]) -> str:
    leaves = tree.leaves(args)
    found = ", ".join(
        f"{tree.describe(leaf)} at {tree.place(path)}" for path, leaf in zip(tree.paths(args), leaves, strict=True)
    )
    if classes := {type(leaf).__name__ for leaf in leaves if is_dataclass(leaf)}:
        remedy = f"Make {', '.join(sorted(classes))} a node with fn.tree.register_dataclass."
    else:
        remedy = "Make integers floating: 3.0 for 3, .to(torch.float32) for a tensor."
    found = found or "an empty tree"
    return f"{name}: expected a floating-point or complex tensor to differentiate, got {found}. {remedy}"


def unshared(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Give each element its own memory, which torch's forward mode needs: those of x.expand(3) share theirs."""
    shared = [any(n > 1 and not step for n, step in zip(x.shape, x.stride(), strict=True)) for x in tensors]
    return tuple(x.contiguous() if alike else x for x, alike in zip(tensors, shared, strict=True))


def cast(outputs: Sequence[Tensor], tangents: Sequence[Tensor]) -> list[Tensor]:
    """Cast tangents to the dtypes of their outputs: torch's become float64 where a 0-d tensor meets a Python number."""
    return [tangent.to(out.dtype) for out, tangent in zip(outputs, tangents, strict=True)]


def transformed() -> bool:
    """Tell whether a call is inside a transformation, a trace or torch.compile.

    Otherwise the values of tensors are known, and only torch's autograd may differentiate with respect to them.
    """
    return (
        _torch.is_transforming()
        or _torch.is_dispatching()
        or _torch.is_in_dual_level()
        or torch.compiler.is_compiling()
    )
