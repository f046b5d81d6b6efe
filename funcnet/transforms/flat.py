"""Trees and functions of trees in the form that torch.func takes: flat tuples of tensors."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from funcnet import tree
from funcnet.tree import Tree

Function = Callable[..., Any]
Argnums = int | Sequence[int]


class Flattener:
    """The tensors of a tree on their way through torch.func, and the way back to a tree of its form."""

    def __init__(self) -> None:
        self.structure, self.rest = tree.structure(()), ()

    def split(self, result: Tree) -> tuple[Tensor, ...]:
        tensors, self.rest = tree.partition(result, tree.is_tensor)
        flat, self.structure = tree.flatten(tensors)
        return tuple(flat)

    def rebuild(self, tensors: Sequence[Tensor]) -> Tree:
        return tree.combine(tree.unflatten(self.structure, tensors), self.rest)


class Inputs:
    """The floating-point tensors of some arguments, which are what is differentiated, and the way back."""

    def __init__(self, name: str, args: tuple[Any, ...], argnums: Argnums) -> None:
        self.name, self.args, self.single = name, args, isinstance(argnums, int)
        self.argnums = [_check_argnum(name, i, len(args)) for i in ([argnums] if isinstance(argnums, int) else argnums)]
        picked = tuple(args[i] for i in self.argnums)
        floating, self.rest = tree.partition(picked, tree.is_floating)
        self.tensors, self.structure = tree.flatten(floating)
        if not self.tensors:
            raise TypeError(_nothing_to_differentiate(name, picked))

    def rebuild(self, tensors: Sequence[Tensor]) -> list[Any]:
        args = list(self.args)
        for i, arg in zip(self.argnums, tree.combine(tree.unflatten(self.structure, tensors), self.rest), strict=True):
            args[i] = arg
        return args

    def gradient(self, tensors: Sequence[Any]) -> Any:
        grads = tree.unflatten(self.structure, tensors)
        return grads[0] if self.single else grads

    def tangents(self, tangents: tuple[Any, ...]) -> tuple[Tensor, ...]:
        return _matching(self.name, "tangent", tree.unflatten(self.structure, self.tensors), tangents)


class Call:
    """A function of pytrees as torch.func wants it: it returns (tensors to differentiate, all tensors)."""

    def __init__(self, name: str, f: Function, inputs: Inputs, has_aux: bool = False) -> None:
        self.name, self.f, self.inputs, self.has_aux = name, f, inputs, has_aux
        self.results = Flattener()

    def __call__(self, *tensors: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        out = self.f(*self.inputs.rebuild(tensors))
        self.out, *aux = out if self.has_aux else (out,)
        floating, self.structure = tree.flatten(tree.partition(self.out, tree.is_floating)[0])
        return tuple(floating), self.results.split((self.out, *aux))

    def scalar(self, *tensors: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        floating, results = self(*tensors)
        if not tree.is_floating(self.out) or self.out.shape:
            raise TypeError(_not_scalar(self.name, self.out))
        return floating[0], results

    def rebuild(self, results: Sequence[Tensor]) -> Any:
        """Return (out,) or (out, aux) of the last call."""
        return self.results.rebuild(results)

    def derivative(self, tensors: Sequence[Any]) -> Tree:
        return tree.unflatten(self.structure, tensors)

    def cotangents(self, cotangent: Tree) -> tuple[Tensor, ...]:
        return _matching(self.name, "cotangent", tree.partition(self.out, tree.is_floating)[0], cotangent)


def _check_argnum(name: str, argnum: int, count: int) -> int:
    if not -count <= argnum < count:
        raise ValueError(f"{name}: argnums {argnum} names no positional argument; f was called with {count} of them.")
    return argnum % count


def _matching(name: str, kind: str, like: Tree, given: Tree) -> tuple[Tensor, ...]:
    def check(path: str, primal: Tensor, tangent: Any) -> Tensor:
        if isinstance(tangent, Tensor) and (tangent.shape, tangent.dtype) == (primal.shape, primal.dtype):
            return tangent
        raise ValueError(
            f"{name}: at {tree.place(path)}: expected a {kind} like its value, a {tree.describe(primal)}, "
            f"got {tree.describe(tangent)}."
        )

    return tuple(tree.leaves(tree.map_with_path(check, like, given)))


def _nothing_to_differentiate(name: str, args: tuple[Any, ...]) -> str:
    found = ", ".join(
        f"{tree.describe(leaf)} at {tree.place(path)}"
        for path, leaf in zip(tree.paths(args), tree.leaves(args), strict=True)
    )
    return (
        f"{name}: expected a floating-point tensor to differentiate by, got {found or 'an empty tree'}. "
        "Make numbers tensors with torch.tensor(3.0) and integer tensors floating with .to(torch.float32)."
    )


def _not_scalar(name: str, out: Any) -> str:
    return (
        f"{name}: expected f to return a 0-d floating-point tensor, got {tree.describe(out)}. "
        "Reduce it with .mean() or .sum(), or differentiate it with jacrev; set has_aux=True if f returns (value, aux)."
    )
