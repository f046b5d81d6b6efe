"""Derivatives of `scan`, which are scans themselves.

The loop is one custom autograd function. Its backward pass stores the carry before each step and recomputes the step
from it. Carries, outputs and captured tensors whose cotangent or tangent is structurally zero are left out, because
zero times an infinite derivative would be NaN.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.transforms import vmap
from funcnet.transforms.closures import NoHiddenTensors, closed, rebind
from funcnet.transforms.remat import Recomputed, distinct
from funcnet.transforms.structural_zeros import Partial, Tensors, materialised, pullback, pushforward

Step = Callable[[Sequence[Tensor], Sequence[Tensor]], tuple[Tensors, Tensors]]  # (carry, x) -> (carry, y)
Scan = Callable[..., tuple[Any, Any]]


def differentiable_loop(
    scan: Scan, step: Step, init: Tensors, xs: Tensors, length: int, unroll: int
) -> tuple[Tensors, Tensors]:
    """Run the loop with `scan` as one custom autograd function, whose derivatives are loops themselves."""
    step, held, outside = closed(step)
    carries = len(init)
    loop = _Loop(_Step(partial(_keep, step), held, carries), partial(scan, unroll=unroll), outside, length)
    results = loop(*held, *init, *xs)
    return results[:carries], results[2 * carries :]


@dataclass(frozen=True, eq=False)
class _Step:
    """A step as a function of all tensors that it depends on: captured tensors, carry and slices."""

    f: Step
    held: Tensors
    carries: int

    def __call__(self, *tensors: Tensor) -> Tensors:
        held, carry, x = self.cut(tensors)
        after, y = self.holding(held).f(carry, x)
        return *after, *y

    def holding(self, held: Tensors) -> "_Step":
        """Return the step with these tensors instead."""
        return replace(self, f=rebind(self.f, self.held, held), held=held)

    def cut(self, tensors: Sequence[Any]) -> tuple[Any, Any, Any]:
        """Split tensors into those that the step holds, those of the carry and those of the slices."""
        start, end = len(self.held), len(self.held) + self.carries
        return tuple(tensors[:start]), tuple(tensors[start:end]), tuple(tensors[end:])


@dataclass(frozen=True, eq=False)
class _Loop(Recomputed):
    """A loop as a function of all tensors that it depends on, which also returns the carry before each step.

    Attributes:
        f: One step; its outputs begin with the carry before it.
        outside: Tensors at outer levels that are reachable from the step, whether it uses them or not.
    """

    f: _Step
    scan: Scan
    outside: Tensors
    length: int

    def run(self, *tensors: Tensor) -> Tensors:
        held, init, xs = self.f.cut(tensors)
        with NoHiddenTensors("scan", tensors, self.outside, autograd=False):  # a traced program is not recorded
            carry, ys = self.scan(self.f.holding(held).f, init, xs, self.length)
        return *carry, *ys

    def kept(self, tensors: Tensors, results: Tensors) -> Tensors:
        held, init, xs = self.f.cut(tensors)
        return *held, *results[len(init) : 2 * len(init)], *xs

    def pull(self, kept: Tensors, cotangents: Partial) -> Partial:
        held, befores, xs = self.f.cut(kept)
        of_last, of_outputs = cotangents[: self.f.carries], cotangents[self.f.carries :]
        rows = _reversed((befores, xs, of_outputs))
        by_held, by_init, by_xs = _pull_back(self.scan, self.f.holding(held), of_last, rows, self.length)
        return *by_held, *by_init, *_reversed(by_xs)

    def push(self, primals: Tensors, tangents: Partial) -> tuple[Tensors, Partial]:
        held, init, xs = self.f.cut(primals)
        of_held, of_init, of_xs = self.f.cut(tangents)
        push = partial(_push, self.f.holding(held), _Live(_places(of_init)), of_held)
        carry = init, materialised(init, of_init)
        (last, of_last), (ys, of_ys) = self.scan(push, carry, (xs, of_xs), self.length)
        return (*last, *ys), (*of_last, *of_ys)

    def batch(self, size: int, dims: Any, tensors: Tensors) -> tuple[Tensors, tuple[int, ...]]:
        """Loop over the whole batch; all carries are batches, even if their initial values are shared."""
        held, init, xs = self.f.cut(distinct(tensors))
        of_held, of_init, of_xs = self.f.cut(dims)
        many = (x.expand(size, *x.shape) if d is None else x.movedim(d, 0) for x, d in zip(init, of_init, strict=True))
        rows = (x if d is None else x.movedim(d, 1) for x, d in zip(xs, of_xs, strict=True))
        in_dims = of_held, 0, tuple(None if dim is None else 0 for dim in of_xs)
        step = self.f.holding(held)
        results = replace(self, f=replace(step, f=partial(_batched, in_dims, step)))(*held, *many, *rows)
        return results, (0,) * step.carries + (1,) * (len(results) - step.carries)


def _keep(step: Step, carry: Tensors, x: Tensors) -> tuple[Tensors, Tensors]:
    after, y = step(carry, x)
    return after, (*carry, *y)


def _batched(dims: Any, step: _Step, carry: Tensors, x: Tensors) -> Any:
    """Take a step of a whole batch."""

    def take(held: Tensors, carry: Tensors, x: Tensors) -> Any:
        return step.holding(held).f(carry, x)

    return vmap(take, dims)(step.held, carry, x)


@dataclass(eq=False)
class _Live:
    """The carries whose derivative is not structurally zero, at the start and, after the first step, in the loop.

    Attributes:
        held: For each captured tensor, whether a cotangent reaches it.
    """

    carries: set[int]
    settled: bool = False
    held: set[int] = field(default_factory=set)

    def only(self, derivatives: Partial) -> list[Tensor | None]:
        """Replace the structurally zero derivatives of carries by None."""
        return [d if i in self.carries else None for i, d in enumerate(derivatives)]


class _MoreError(Exception):
    """A carry has a cotangent after the last step only; before that, its cotangent is structurally zero."""


def _pull_back(scan: Scan, step: _Step, of_last: Partial, rows: Any, length: int) -> tuple[Partial, Partial, Any]:
    """Pull cotangents back through all steps; return those of captured tensors, the first carry and the slices."""
    live, befores = _Live(_places(of_last)), rows[0]
    last = tuple(x.new_zeros(x.shape[1:]) if c is None else c for x, c in zip(befores, of_last, strict=True))
    start = _floating(last), _floating(tree.zeros_like(step.held))
    try:
        (by_init, sums), by_xs = scan(partial(_pull, step, live), start, rows, length)
    except _MoreError:
        return _pull_back_last(scan, step, of_last, rows, length)
    return [s if i in live.held else None for i, s in enumerate(sums)], live.only(by_init), by_xs


def _pull_back_last(scan: Scan, step: _Step, of_last: Partial, rows: Any, length: int) -> tuple[Partial, Partial, Any]:
    """Pull cotangents back through the last step by itself, then through the others."""
    before, x, of_y = tree.map(lambda row: row[0], rows)
    pull = pullback(step, (*step.held, *before, *x))
    by_held, by_before, by_x = step.cut(pull((*of_last, *of_y)))
    others = tree.map(lambda row: row[1:], rows)
    sums, by_init, by_xs = _pull_back(scan, step, by_before, others, length - 1)
    joined = tuple(map(partial(_joined, length - 1), by_x, by_xs))
    return tuple(map(_sum, sums, by_held)), by_init, joined


def _pull(step: _Step, live: _Live, carry: Any, row: Any) -> Any:
    """Pull cotangents back through a step and accumulate those of the tensors that it captures."""
    (of_after, sums), (before, x, of_y) = carry, row
    pull = pullback(step, (*step.held, *before, *x))
    found = pull((*live.only(of_after), *of_y))
    if not live.settled:
        start, live.carries = live.carries, _places(step.cut(found)[1])
        found = found if live.carries == start else pull((*live.only(of_after), *of_y))
        while more := _places(step.cut(found)[1]) - live.carries:
            live.carries |= more
            found = pull((*live.only(of_after), *of_y))
        if start - live.carries:
            raise _MoreError
        live.settled = True
    by_held, by_before, by_x = step.cut(found)
    live.held |= _places(by_held)
    return (_or_zeros(by_before, of_after), tuple(map(_sum, sums, by_held))), by_x


def _push(step: _Step, live: _Live, of_held: Partial, carry: Any, row: Any) -> Any:
    """Push tangents through a step."""
    (before, of_before), (x, of_x) = carry, row
    while True:
        tangents = (*of_held, *live.only(of_before), *of_x)
        results, found = pushforward(step, (*step.held, *before, *x), tangents)
        if not (more := _places(found[: step.carries]) - live.carries):
            break
        live.carries |= more
    after, y = results[: step.carries], results[step.carries :]
    return (after, _or_zeros(found[: step.carries], of_before)), (y, found[step.carries :])


def _places(derivatives: Partial) -> set[int]:
    return {i for i, derivative in enumerate(derivatives) if derivative is not None}


def _or_zeros(derivatives: Partial, like: Partial) -> tuple[Tensor | None, ...]:
    """Fill in the zeros that a loop carries where a derivative is structurally zero."""
    return tuple(tree.zeros_like(zero) if d is None else d for d, zero in zip(derivatives, like, strict=True))


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def _joined(length: int, first: Tensor | None, others: Tensor | None) -> Tensor | None:
    """Put the derivative with respect to the first slice before those with respect to the others."""
    if first is not None:
        rest = first.new_zeros(length, *first.shape) if others is None else others
        return torch.cat([first[None], rest])
    return None if others is None else torch.cat([torch.zeros_like(others[:1]), others])


def _floating(tensors: Any) -> Any:
    """Replace tensors without a derivative by None."""
    return tree.map(lambda leaf: leaf if tree.is_inexact(leaf) else None, tensors)


def _reversed(rows: Any) -> Any:
    return tree.map(lambda row: row.flip(0), rows)
