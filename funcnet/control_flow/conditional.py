"""`cond`, `switch` and `select`: one of several results, chosen by the value of a tensor."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch, tree
from funcnet.compiler import is_tracing
from funcnet.control_flow.differentiable_switch import Switch, run_switch
from funcnet.tracebacks import boundary
from funcnet.transforms.closures import NoHiddenTensors, closed, rebind
from funcnet.transforms.flatten import Flattener, check_function
from funcnet.transforms.purity import Pure
from funcnet.tree import Tree
from funcnet.tree.conversion import arrays_as_tensors, is_number, number_as_tensor, numbers_as_tensors

Branches = tuple[Callable[..., Any], ...]


@boundary
def cond(
    pred: bool | Tensor,
    true_fun: Callable[..., Any],
    false_fun: Callable[..., Any],
    *operands: Any,
    operand: Any = ...,
) -> Any:
    """Call true_fun(*operands) if pred is true, else false_fun(*operands).

    Only the branch that is taken runs, also in a compiled program. Under `vmap`, with a pred per example, a branch may
    run for examples that do not take it, and each example selects its result; values, errors and infinite derivatives
    of the other branch have no effect on it.

    Args:
        pred: A bool or a 0-d tensor of bools.
        true_fun, false_fun: Functions of the operands; their results have the same structure, shapes and dtypes.
        operands: Trees; numbers in them become 0-d tensors.
        operand: A single operand by keyword, as older programs for JAX pass it.
    Returns:
        The result of the branch; numbers in it become tensors.
    Raises:
        TypeError: pred is not a 0-d bool; a branch is not callable; or operands are given in both ways.
        ValueError: The results of the branches differ in structure, shape, dtype or in a constant; or, inside a
            transformation, a branch takes a tensor that is differentiated or mapped outside from where it cannot be
            found: a global variable, a set, or an object with __slots__.
        RuntimeError: A branch writes in place to an operand or to a tensor that it closes over.
    Source:
        jax.lax.cond.
    Example:
        >>> fn.cond(torch.tensor(True), torch.sin, torch.cos, torch.tensor(0.0))
        tensor(0.)
    """
    pred = arrays_as_tensors(pred)
    if not isinstance(pred, bool) and not (tree.is_tensor(pred) and pred.dtype == torch.bool and not pred.ndim):
        raise TypeError(
            f"cond: expected pred to be a bool or a 0-d tensor of bools, got {tree.describe(pred)}. "
            "Compare, as in x > 0, or reduce with .any() or .all()."
        )
    return _run("cond", ("false_fun", "true_fun"), pred, (false_fun, true_fun), _operands("cond", operands, operand))


@boundary
def switch(index: int | Tensor, branches: Sequence[Callable[..., Any]], *operands: Any, operand: Any = ...) -> Any:
    """Call branches[index](*operands); an index below 0 means the first branch, one that is too large the last.

    Without `vmap`, only one branch runs, as with `cond`.

    Args:
        index: An int or a 0-d tensor of integers.
        branches: At least one function of the operands; their results have the same structure, shapes and dtypes.
        operands: Trees; numbers in them become 0-d tensors.
        operand: A single operand by keyword, as older programs for JAX pass it.
    Returns:
        The result of the branch; numbers in it become tensors.
    Raises:
        TypeError: index is not an integer; a branch is not callable; or operands are given in both ways.
        ValueError: There are no branches, or their results differ in structure, shape, dtype or in a constant.
        RuntimeError: A branch writes in place to an operand or to a tensor that it closes over.
    Source:
        jax.lax.switch.
    Example:
        >>> fn.switch(torch.tensor(7), [torch.neg, torch.abs, torch.square], torch.tensor(-3))
        tensor(9)
    """
    given, count, operands = arrays_as_tensors(index), len(branches), _operands("switch", operands, operand)
    if not count:
        raise ValueError("switch: expected at least one branch, got an empty sequence.")
    names = tuple(f"branches[{i}]" for i in range(count))
    if isinstance(given, int) and not isinstance(given, bool):
        return _run("switch", names, min(max(given, 0), count - 1), tuple(branches), operands)
    if not tree.is_tensor(given) or given.ndim or given.dtype not in _INTEGERS:
        raise TypeError(f"switch: expected index to be an int or a 0-d integer tensor, got {tree.describe(given)}.")
    clamped = 0 if count == 1 else given.clamp(0, count - 1).to(torch.int64)
    return _run("switch", names, clamped, tuple(branches), operands)


_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


@boundary
def select(pred: bool | Tensor, on_true: Any, on_false: Any) -> Tensor:
    """Select elements from two tensors of the same shape and dtype.

    Args:
        pred: A bool, a 0-d tensor of bools, or one of the shape of on_true.
        on_true, on_false: Tensors of the same shape and dtype, both of which are computed; numbers become tensors.
    Raises:
        TypeError: pred is not of bools, or the dtypes differ.
        ValueError: The shapes differ.
    Source:
        jax.lax.select.
    Example:
        >>> fn.select(torch.tensor([True, False]), torch.tensor([1, 2]), torch.tensor([3, 4]))
        tensor([1, 4])
    """
    chosen, on_true, on_false = numbers_as_tensors(arrays_as_tensors((pred, on_true, on_false)))
    for name, value in (("pred", chosen), ("on_true", on_true), ("on_false", on_false)):
        if not tree.is_tensor(value):
            raise TypeError(f"select: expected {name} to be a tensor, got {tree.describe(value)}.")
    if chosen.dtype != torch.bool:
        raise TypeError(f"select: expected pred to be of bools, got {tree.describe(chosen)}. Compare, as in x > 0.")
    if on_true.dtype != on_false.dtype:
        raise TypeError(f"select: expected equal dtypes, got {on_true.dtype} for on_true and {on_false.dtype}.")
    if on_true.shape != on_false.shape or chosen.shape not in ((), on_true.shape):
        raise ValueError(
            f"select: expected equal shapes, and a pred of this shape or 0-d, got pred of {tuple(chosen.shape)},"
            f" on_true of {tuple(on_true.shape)} and on_false of {tuple(on_false.shape)}. torch.where broadcasts."
        )
    return torch.where(chosen, on_true, on_false)


def _operands(name: str, operands: tuple[Any, ...], operand: Any) -> tuple[Any, ...]:
    if operand is ...:
        return operands
    if operands:
        raise TypeError(f"{name}: expected operands by position, or one by the keyword operand, got both.")
    return (operand,)


def _run(name: str, names: Sequence[str], index: int | Tensor, branches: Branches, operands: Any) -> Any:
    for label, branch in zip(names, branches, strict=True):
        check_function(f"{name}: {label}", branch)
    operands = numbers_as_tensors(arrays_as_tensors(operands))
    results = _Results(name, names)
    if not isinstance(index, Tensor) or _is_known(index):
        with Pure(name, partial(_taken, branches), operands):
            i = int(_torch.unwrapped(index))
            return numbers_as_tensors(results.checked(i, branches[i](*operands)))
    if not _torch.is_transforming():
        return results.rebuild(
            run_switch(index, [partial(results.split, i, f, operands) for i, f in enumerate(branches)])
        )
    return _transformed(name, index, branches, operands, results)


def _is_known(index: Tensor) -> bool:
    """Tell whether an index has a value, which all examples share."""
    if is_tracing():
        return False
    while _torch.is_wrapped(index):
        if _torch.is_batched(index):
            return False
        index = _torch.unwrap(index)
    return True


def _transformed(name: str, index: Tensor, branches: Branches, operands: Any, results: "_Results") -> Any:
    """Run a switch as one operation of torch.func, whose rules are those of `Switch`."""
    frozen, held, outside = closed(partial(_taken, branches), operands)
    inputs = Flattener()
    tensors = inputs.split((held, operands))

    def branch(i: int, *tensors: Tensor) -> list[Any]:
        others, operands = inputs.rebuild(tensors)
        with NoHiddenTensors(name, tensors, outside, autograd=not is_tracing()):
            return results.split(i, partial(rebind(frozen, held, others), i), operands)

    flat = Switch([partial(branch, i) for i in range(len(branches))])
    return results.rebuild(flat.values(index, *tensors))


def _taken(branches: Branches, i: int, *operands: Any) -> Any:
    return branches[i](*operands)


class _Results:
    """The results of the branches, which have to agree; tensors and numbers are the parts that may differ."""

    def __init__(self, name: str, names: Sequence[str]) -> None:
        self.name, self.names = name, names
        self.parts = Flattener(lambda leaf: tree.is_tensor(leaf) or is_number(leaf))
        self.first: tuple[int, Tree] | None = None

    def split(self, i: int, f: Callable[..., Any], operands: Any) -> list[Any]:
        return [*self.parts.split(self.checked(i, f(*operands)))]

    def rebuild(self, tensors: Sequence[Any]) -> Any:
        return self.parts.rebuild(tensors)

    def checked(self, i: int, result: Any) -> Any:
        """Return the result of branch i; raise if it is unlike that of another branch that has run."""
        result = arrays_as_tensors(result)
        if self.first is None:
            self.first = i, tree.map(_kind, result)
        elif tree.structure(result) != tree.structure(self.first[1]):
            raise self.different(i, tree.difference(self.first[1], tree.map(_kind, result)))
        else:
            self.compare(i, result)
        return result

    def compare(self, i: int, result: Any) -> None:
        assert self.first is not None
        pairs = zip(tree.leaves(self.first[1]), map(_kind, tree.leaves(result)), strict=True)
        for path, (a, b) in zip(tree.paths(result), pairs, strict=True):
            if not (_fits(a, b) or _fits(b, a)):
                raise self.different(i, f"at {tree.place(path)}: {a} and {b}")

    def different(self, i: int, difference: str | None) -> ValueError:
        assert self.first is not None
        return ValueError(
            f"{self.name}: expected {self.names[self.first[0]]} and {self.names[i]} to return the same structure,"
            f" shapes and dtypes, but they differ {difference}. Convert one of the results, as with .to(dtype)."
        )


@dataclass(frozen=True)
class _Kind:
    """The shape and dtype of a tensor, or of a number, which takes the dtype of a 0-d tensor in another branch."""

    text: str
    dtype: torch.dtype
    shape: tuple[int, ...] | None = None

    def __repr__(self) -> str:
        return self.text


def _kind(leaf: Any) -> Any:
    """Describe a tensor or number; other leaves are constants."""
    if is_number(leaf):
        return _Kind("a number", number_as_tensor(leaf).dtype)
    return _Kind(tree.describe(leaf), leaf.dtype, tuple(leaf.shape)) if tree.is_tensor(leaf) else leaf


def _fits(a: Any, b: Any) -> bool:
    """Tell whether results are alike, or the first is a number that can become the second."""
    if not (isinstance(a, _Kind) and isinstance(b, _Kind) and a.shape is None):
        return bool(a == b)
    return b.shape is None or (not b.shape and torch.can_cast(a.dtype, b.dtype))
