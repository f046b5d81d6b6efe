"""A random program during its generation: each statement is run on real tensors and kept if torch accepts it.

So shapes and dtypes need no rules here, and views are recognised by their storage.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import funcnet as fn

FLOATS = (torch.float64, torch.float32)
INTEGERS = (torch.int64, torch.int32, torch.uint8)
HALVES = (torch.float16, torch.bfloat16)
OTHERS = (*HALVES, torch.int8, torch.int16)  # of intermediate results only
LIBRARIES = {"torch": torch, "F": F, "fn": fn}
LARGEST = 30  # an expression with larger values is bounded
ELEMENTS = 1000

Rule = Callable[["Scope"], str]


class SkipError(Exception):
    """A rule of the grammar has no suitable operand."""


@dataclass(frozen=True)
class Program:
    """The source of a function: the statements between its parameters and its results.

    Attributes:
        args: The arguments by name.
        lines: The statements.
        results: The names of the tensors that are returned.
        known: Shape and dtype of every named tensor, including those in inner functions.
        shared: The arguments that all lanes share.
    """

    args: dict[str, Tensor]
    lines: list[str]
    results: list[str]
    known: dict[str, tuple[tuple[int, ...], torch.dtype]]
    shared: frozenset[str]

    @property
    def text(self) -> str:
        body = "".join(f"    {line}\n" for line in self.lines)
        return f"def f({', '.join(self.args)}):\n{body}    return ({''.join(f'{name}, ' for name in self.results)})\n"

    @property
    def function(self) -> Callable[..., tuple[Tensor, ...]]:
        space: dict[str, Any] = dict(LIBRARIES)
        exec(self.text, space)
        return space["f"]


class Scope:
    """The statements of a function so far, and their variables.

    Attributes:
        grammar: The rules, each of which generates a statement, and their weights.
        values: All named values.
        recent: The names of the tensors, the latest last.
        frozen: The storages that the function must not write to: those of its parameters and of enclosing functions.
        special: Whether the arguments hold special values such as NaN and infinities.
    """

    def __init__(self, rng: random.Random, grammar: Any, params: dict[str, Tensor], special: bool = False) -> None:
        self.rng, self.grammar, self.special = rng, grammar, special
        self.values: dict[str, Any] = {**LIBRARIES, **params}
        self.recent = [name for name in params if name != "key"]
        self.frozen = {storage(value) for value in params.values()}
        self.lines: list[str] = []
        self.names: Iterator[int] = iter(range(10**6))
        self.known = {name: (tuple(value.shape), value.dtype) for name, value in params.items()}
        self.depth = 0

    def inner(self, params: dict[str, Tensor], owned: bool = False) -> "Scope":
        """Return the scope of a function that is defined here; it may write to the parameters if it owns them."""
        scope = Scope(self.rng, self.grammar, params, self.special)
        scope.frozen = set() if owned else scope.frozen
        scope.values = {**self.values, **params}
        scope.recent = self.recent + scope.recent
        scope.frozen |= {storage(self.values[name]) for name in self.recent}
        self.known.update(scope.known)
        scope.names, scope.known, scope.depth = self.names, self.known, self.depth + 1
        return scope

    def fresh(self, prefix: str = "v") -> str:
        return f"{prefix}{next(self.names)}"

    def pick(self, fits: Callable[[Tensor], bool] = lambda _: True) -> str:
        """Choose a tensor, usually a recent one."""
        names = [name for name in self.recent if fits(self.values[name])]
        if not names:
            raise SkipError
        return names[-1 - min(int(self.rng.expovariate(0.45)), len(names) - 1)]

    def writable(self) -> str:
        """Choose a tensor that the function created itself, with no elements that share memory."""
        return self.pick(lambda x: storage(x) not in self.frozen and not overlaps(x))

    def grow(self, count: int) -> None:
        """Add some statements."""
        rules, weights = self.grammar
        for _ in range(12 * count):
            if count and self.add(self.rng.choices(rules, weights)[0]):
                count -= 1

    def add(self, rule: Rule) -> bool:
        """Add a statement by a rule of the grammar, if it has suitable operands and torch accepts it."""
        try:
            text = rule(self)
            return self.write(text[1:]) if text.startswith("!") else self.name(text)
        except (SkipError, RuntimeError, ValueError, IndexError, TypeError, NotImplementedError):
            return False

    def write(self, statement: str) -> bool:
        """Add a statement that writes in place; later statements prefer the tensor that was written to."""
        exec(statement, self.values)
        self.lines.append(statement)
        for name in re.findall(r"^v\d+", statement):
            self.recent.remove(name)
            self.recent.append(name)
        return True

    def name(self, text: str) -> bool:
        """Add names for the tensors of an expression, the last line of the text, if their values are not too large."""
        *before, expression = text.split("\n")
        result = self._result(before, expression)
        if any(map(is_large, flat(result))):
            if not isinstance(result, Tensor):
                return False
            expression = f"({expression}).tanh()" if result.is_floating_point() else f"({expression}) % 17"
            result = self._result(before, expression)
        if not all(is_operand(x) and (self.special or x.isfinite().all()) for x in flat(result)) or not flat(result):
            return False
        names = pattern(result, lambda _: self.fresh())
        exec(f"{names} = result", self.values | {"result": result}, self.values)
        self.lines += [*before, f"{names} = {expression}"]
        new = re.findall(r"v\d+", names)
        self.recent += new
        self.known.update({name: (tuple(self.values[name].shape), self.values[name].dtype) for name in new})
        return True

    def _result(self, before: Sequence[str], expression: str) -> Any:
        space = dict(self.values)
        exec("\n".join((*before, f"result = {expression}")), space)
        return space["result"]


def storage(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()


def overlaps(x: Tensor) -> bool:
    """Tell whether two elements share memory."""
    places = torch.zeros((), dtype=torch.int64)
    for axis, (size, step) in enumerate(zip(x.shape, x.stride(), strict=True)):
        places = places + (torch.arange(size) * step).view(-1, *(1 for _ in x.shape[axis + 1 :]))
    return places.unique().numel() != x.numel()


def is_operand(x: Any) -> bool:
    of_kind = isinstance(x, Tensor) and x.dtype in (*FLOATS, *INTEGERS, *OTHERS, torch.bool)
    return of_kind and x.ndim <= 5 and x.numel() <= ELEMENTS


def is_large(x: Any) -> bool:
    if not is_operand(x) or x.dtype == torch.bool:
        return False
    finite = x[x.isfinite()].double().abs()
    return bool((finite > (LARGEST if x.is_floating_point() else 1000)).any())


def flat(result: Any) -> list[Any]:
    """List the elements of nested tuples and lists."""
    return [leaf for item in result for leaf in flat(item)] if isinstance(result, tuple | list) else [result]


def pattern(result: Any, name: Callable[[Any], str]) -> str:
    """Write the target of an assignment that unpacks nested tuples."""
    if not isinstance(result, tuple | list):
        return name(result)
    return f"({''.join(f'{pattern(item, name)}, ' for item in result)})"
