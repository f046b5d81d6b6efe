"""Implicit differentiation: derivatives of the solutions of equations, without those of the solver's steps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from funcnet import tree
from funcnet.tracebacks import boundary
from funcnet.transforms.closures import NoHiddenTensors, closed, rebind
from funcnet.transforms.custom_derivatives import stop_gradient
from funcnet.transforms.custom_rules import batch_of
from funcnet.transforms.derivatives import jvp, vjp
from funcnet.transforms.flatten import Flattener, Function, check_function
from funcnet.transforms.remat import Recomputed, whole
from funcnet.transforms.structural_zeros import Partial, Tensors, materialised, pullback, pushforward
from funcnet.tree import Tree
from funcnet.tree.conversion import arrays_as_tensors, numbers_as_tensors

Solve = Callable[[Function, Any], Any]


@boundary
def custom_linear_solve(
    matvec: Function,
    b: Tree,
    solve: Solve,
    transpose_solve: Solve | None = None,
    *,
    symmetric: bool = False,
    has_aux: bool = False,
) -> Any:
    """Solve A x = b by a given solver, and differentiate the solution implicitly: dx = A⁻¹ (db - dA x).

    Derivatives of any order and mode call the solvers again; none goes through their steps.

    Args:
        matvec: v -> A v, linear, from trees like b to trees like b; derivatives are taken with respect to the tensors
            that it closes over.
        b: The right-hand side: a tree of floating-point or complex tensors.
        solve: solve(matvec, b) -> x, a tree like b; it may iterate and branch on values outside of `jit` and `vmap`.
        transpose_solve: transpose_solve(vecmat, b) -> x for the adjoint matrix, which reverse mode needs.
        symmetric: Whether A is symmetric (for complex numbers Hermitian); then solve takes the place of
            transpose_solve.
        has_aux: Whether the solvers return (x, aux); aux has no derivative.
    Returns:
        x, or (x, aux).
    Raises:
        TypeError: b or x holds a leaf that is not a floating-point or complex tensor; or reverse mode without
            transpose_solve for a matrix that is not symmetric.
        ValueError: x differs from b in structure, shapes or dtypes; or matvec uses a tensor that is differentiated or
            mapped outside and takes it from where it cannot be found, such as a global variable.
    Source:
        jax.lax.custom_linear_solve.
    Example:
        >>> b = torch.tensor([2.0, 4.0])
        >>> def solution(a):
        ...     return fn.custom_linear_solve(lambda v: a * v, b, lambda matvec, b: b / matvec(1.0), symmetric=True)
        >>> fn.jvp(solution, (torch.tensor(2.0),), (torch.tensor(1.0),))
        (tensor([1., 2.]), tensor([-0.5000, -1.0000]))
    """
    for f in (matvec, solve, *([] if transpose_solve is None else [transpose_solve])):
        check_function("custom_linear_solve", f)
    backwards = solve if symmetric else transpose_solve
    return _solved(_System, (matvec, solve, backwards, symmetric, has_aux), b)


@boundary
def custom_root(f: Function, initial_guess: Tree, solve: Solve, tangent_solve: Solve, *, has_aux: bool = False) -> Any:
    """Find a root f(x) = 0 by a given solver, and differentiate it implicitly: dx = -(∂f/∂x)⁻¹ df.

    Derivatives of any order and mode call tangent_solve; none goes through the solver's steps.

    Args:
        f: From trees like initial_guess to trees like it; derivatives are taken with respect to the tensors that it
            closes over.
        initial_guess: Where the solver starts; the root does not depend on it.
        solve: solve(f, initial_guess) -> x; it may iterate and branch on values outside of `jit` and `vmap`.
        tangent_solve: tangent_solve(g, y) -> x with g(x) = y for a linear function g from trees like x to trees like x:
            the derivative of f at the root, or its adjoint. For a scalar, `lambda g, y: y / g(1.0)`.
        has_aux: Whether solve returns (x, aux); aux has no derivative.
    Returns:
        x, or (x, aux).
    Raises:
        TypeError: initial_guess or x holds a leaf that is not a floating-point or complex tensor.
        ValueError: x differs from initial_guess in structure, shapes or dtypes; or f uses a tensor that is
            differentiated or mapped outside and takes it from where it cannot be found, such as a global variable.
    Source:
        jax.lax.custom_root; implicit function theorem.
    Example:
        >>> def square_root(a):
        ...     newton = lambda f, x: fn.scan(lambda x, _: (x - f(x) / (2 * x), None), x, length=6)[0]
        ...     return fn.custom_root(lambda x: x * x - a, a, newton, lambda g, y: y / g(1.0))
        >>> fn.grad(square_root)(torch.tensor(4.0))
        tensor(0.2500)
    """
    for each in (f, solve, tangent_solve):
        check_function("custom_root", each)
    return _solved(_Root, (f, solve, tangent_solve, has_aux), stop_gradient(initial_guess))


def _solved(kind: "type[_Implicit]", parts: tuple[Any, ...], start: Tree) -> Any:
    flat, results = Flattener(), Flattener()
    tensors = flat.split(numbers_as_tensors(arrays_as_tensors(start)))
    _check_inexact(kind.name, flat.rebuild(tensors))
    kept, held, outside = closed(partial(_never, *parts), tensors)
    step = kind(_never, kept, held, outside, flat, results)
    found = results.rebuild(step(*held, *tensors))
    return found if parts[-1] else found[0]


def _never(*_: Any) -> Any:
    """Stand for the function of a partial that only holds its arguments."""


def _check_inexact(name: str, values: Tree) -> None:
    for path, leaf in zip(tree.paths(values), tree.leaves(values), strict=True):
        if not tree.is_inexact(leaf):
            raise TypeError(
                f"{name}: at {tree.place(path)}: expected a floating-point or complex tensor, got {tree.describe(leaf)}"
                ". Make integers floating with .to(torch.float32)."
            )


@dataclass(frozen=True, eq=False)
class _Implicit(Recomputed):
    """The solution x of an equation, as a function of the tensors that the equation holds and of the solver's start.

    Attributes:
        parts: A partial that holds the functions of the equation and its solvers.
        held: The tensors that they hold and that are differentiated or mapped outside.
        outside: Tensors at outer levels that are reachable from them.
        flat: The structure of x.
        results: The structure of (x, aux).
    """

    parts: partial[Any]
    held: Tensors
    outside: Tensors
    flat: Flattener
    results: Flattener
    name = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "f", self.solution)

    def holding(self, tensors: Sequence[Tensor]) -> tuple[Any, ...]:
        """Return the functions of the equation for tensors that begin with the held ones."""
        return rebind(self.parts, self.held, tensors[: len(self.held)]).args

    def cut(self, tensors: Any) -> tuple[Any, Any]:
        """Split tensors into the held ones and a tree like x."""
        return tuple(tensors[: len(self.held)]), self.flat.rebuild(tensors[len(self.held) :])

    def solution(self, *tensors: Tensor) -> Tensors:
        """Return the tensors of (x, aux)."""
        with NoHiddenTensors(self.name, tensors, self.outside):
            found = self.solve(self.holding(tensors), self.cut(tensors)[1])
        x, aux = found if self.parts.args[-1] else (found, None)
        x = numbers_as_tensors(x)
        _check_inexact(self.name, x)
        like = self.flat.rebuild(tensors[len(self.held) :])
        if message := tree.difference(*(tree.map(tree.describe, side) for side in (like, x))):
            raise ValueError(f"{self.name}: expected solve to return a tree like its start, but they differ {message}.")
        return whole(self.name, self.results, (x, aux))

    def solve(self, parts: Any, start: Tree) -> Any:
        """Return x, or (x, aux)."""
        raise NotImplementedError

    def equation(self, parts: Any, x: Tree) -> Tree:
        """Return the side of the equation whose derivative with respect to the held tensors moves the solution."""
        return parts[0](x)

    def kept(self, tensors: Tensors, results: Tensors) -> Tensors:
        return *tensors[: len(self.held)], *results[: len(tensors) - len(self.held)]

    def batch(self, size: int, dims: Any, tensors: Tensors) -> tuple[Tensors, tuple[int, ...]]:
        return batch_of(self, dims, tensors)

    def with_aux(self, x: Tensors, results: Tensors) -> tuple[Tensors, Partial]:
        """Return all results, and tangents of x followed by those of aux, which are zero."""
        return results, (*x, *[None] * (len(results) - len(x)))

    def by_held(self, held: Tensors, x: Tree, weights: Tree) -> Partial:
        """Pull weights of the equation back to the held tensors, at the solution."""

        def at(*held: Tensor) -> Tensors:
            return self.flat.split(self.equation(self.holding(held), x))

        return pullback(at, held)(self.flat.split(weights))

    def along_held(self, held: Tensors, x: Tree, tangents: Partial) -> Partial:
        """Push tangents of the held tensors forward to the equation, at the solution."""
        flat = Flattener()
        results, found = pushforward(lambda *held: flat.split(self.equation(self.holding(held), x)), held, tangents)
        return materialised(results, found)


class _System(_Implicit):
    """A linear system: parts are matvec, solve, the solver of the adjoint, symmetric and has_aux; start is b."""

    name = "custom_linear_solve"

    def solve(self, parts: Any, start: Tree) -> Any:
        matvec, solve, *_ = parts
        return solve(matvec, start)

    def pull(self, kept: Tensors, cotangents: Partial) -> Partial:
        held, x = self.cut(kept)
        matvec, solve, backwards, symmetric, has_aux = self.holding(held)
        if backwards is None:
            raise TypeError(
                "custom_linear_solve: expected transpose_solve, which reverse mode needs, got None. Pass it, or "
                "symmetric=True for a symmetric matrix."
            )
        given = self.flat.rebuild(materialised(self.flat.split(x), cotangents[: len(kept) - len(held)]))
        vecmat = matvec if symmetric else partial(_pulled, matvec, tree.zeros_like(x))
        weights = _first(has_aux, _solved(_System, (vecmat, backwards, solve, symmetric, has_aux), given))
        return *self.by_held(held, x, tree.scale(-1, weights)), *self.flat.split(weights)

    def push(self, primals: Tensors, tangents: Partial) -> tuple[Tensors, Partial]:
        held, b = self.cut(primals)
        parts = self.holding(held)
        results = _solved_flat(_System, parts, b)
        x = self.flat.rebuild(results[: len(primals) - len(held)])
        moved = self.flat.rebuild(self.along_held(held, x, tangents[: len(held)]))
        given = self.flat.rebuild(materialised(primals[len(held) :], tangents[len(held) :]))
        dx = _solved_flat(_System, parts, tree.sub(given, moved))
        return self.with_aux(dx[: len(primals) - len(held)], results)


class _Root(_Implicit):
    """A root: parts are f, solve, tangent_solve and has_aux; start is the initial guess."""

    name = "custom_root"

    def solve(self, parts: Any, start: Tree) -> Any:
        f, solve, *_ = parts
        return solve(f, start)

    def pull(self, kept: Tensors, cotangents: Partial) -> Partial:
        held, x = self.cut(kept)
        f, _, tangent_solve, _ = self.holding(held)
        given = self.flat.rebuild(materialised(self.flat.split(x), cotangents[: len(kept) - len(held)]))
        system = partial(_pulled, f, x), tangent_solve, tangent_solve, False, False
        weights = _solved(_System, system, given)
        return *self.by_held(held, x, tree.scale(-1, weights)), *[None] * (len(kept) - len(held))

    def push(self, primals: Tensors, tangents: Partial) -> tuple[Tensors, Partial]:
        held, guess = self.cut(primals)
        f, _, tangent_solve, _ = parts = self.holding(held)
        results = _solved_flat(_Root, parts, guess)
        x = self.flat.rebuild(results[: len(primals) - len(held)])
        moved = self.flat.rebuild(self.along_held(held, x, tangents[: len(held)]))
        dx = _solved(_System, (partial(_pushed, f, x), tangent_solve, tangent_solve, False, False), moved)
        return self.with_aux(self.flat.split(tree.scale(-1, dx)), results)


def _solved_flat(kind: type[_Implicit], parts: tuple[Any, ...], start: Tree) -> Tensors:
    return Flattener().split(_solved(kind, parts, start))


def _first(has_aux: bool, found: Any) -> Any:
    return found[0] if has_aux else found


def _pulled(f: Function, x: Tree, weights: Tree) -> Tree:
    """Pull weights back through f at x; f runs again, so that the derivative of this function is known."""
    return vjp(f, x)[1](weights)[0]


def _pushed(f: Function, x: Tree, tangents: Tree) -> Tree:
    return jvp(f, (x,), (tangents,))[1]
