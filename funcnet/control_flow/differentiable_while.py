"""A loop with a condition under transformations: its forward derivative is a loop, and it has no reverse one.

A batch runs until no example continues. An example that has stopped keeps its carry bit by bit. If values are known,
the body runs on the examples that continue; while tracing, it runs on the whole batch, and each example selects between
its old and new carry.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet.compiler import is_tracing, while_recorder
from funcnet.control_flow.batches import Axes, merged
from funcnet.transforms import vmap
from funcnet.transforms.flatten import Function
from funcnet.transforms.remat import Recomputed, distinct
from funcnet.transforms.structural_zeros import Partial, Tensors, pushforward
from funcnet.tree import is_inexact

Test = Callable[[Sequence[Tensor]], Tensor]
Body = Callable[[Sequence[Tensor]], Sequence[Tensor]]


def run_while(test: Test, body: Body, init: Sequence[Tensor]) -> list[Tensor]:
    """Run a loop outside of transformations, or record it."""
    if (recorded := while_recorder()) is not None:
        return recorded(test, body, init)
    carries = [*init]
    while test(carries):
        carries = [*body(carries)]
    return carries


@dataclass(frozen=True, eq=False)
class While(Recomputed):
    """A loop as a function of the tensors that it captures and of its first carries.

    Attributes:
        f: The body: (*captured, *carries) -> carries.
        test: (*captured, *carries) -> whether to continue.
        count: The number of captured tensors.
        axes: For a batch along the first axis of all carries: the axis of each captured tensor, 0 or None.
    """

    test: Function
    count: int
    axes: Axes | None = None

    def run(self, *tensors: Tensor) -> Tensors:
        held, init = tensors[: self.count], [x.clone() for x in tensors[self.count :]]
        if self.axes is None:
            return tuple(run_while(lambda c: self.test(*held, *c), lambda c: self.f(*held, *c), init))
        axes = (*self.axes, *[0] * len(init))
        test, body = vmap(self.test, axes), vmap(lambda *tensors: [*self.f(*tensors)], axes)
        return tuple((_masked if is_tracing() else _compacted)(test, body, held, init, self.axes))

    def kept(self, tensors: Tensors, results: Tensors) -> Tensors:
        return ()

    def pull(self, kept: Tensors, cotangents: Partial) -> Partial:
        raise ValueError(
            "while_loop: reverse-mode differentiation (grad, vjp, backward) does not work for while_loop, nor for"
            " fori_loop with bounds that are tensors, because the number of steps is not known. Use scan, or fori_loop"
            " with Python ints as bounds, or forward mode (jvp, jacfwd)."
        )

    def push(self, primals: Tensors, tangents: Partial) -> tuple[Tensors, Partial]:
        """Carry the tangents of the floating-point carries, zeros at first if they have none."""
        held, init = primals[: self.count], primals[self.count :]
        of_held, of_init = tangents[: self.count], tangents[self.count :]
        floating = [i for i, x in enumerate(init) if is_inexact(x)]
        step = _Push(
            self.f, [t is not None for t in of_held], floating, {i for i in floating if of_init[i] is not None}
        )
        moving = [t for t in of_held if t is not None]
        start = [torch.zeros_like(init[i]) if (t := of_init[i]) is None else t for i in floating]
        axes = self.axes and (*self.axes, *(a for a, t in zip(self.axes, of_held, strict=True) if t is not None))
        loop = While(step, partial(step.continues, self.test), len(held) + len(moving), axes)
        results = loop(*held, *moving, *init, *start)
        found = dict(zip(floating, results[len(init) :], strict=True))
        return results[: len(init)], [found[i] if i in step.live else None for i in range(len(init))]

    def batch(self, size: int, dims: Any, tensors: Tensors) -> tuple[Tensors, tuple[int, ...]]:
        """Loop over the whole batch; all carries are batches, even if their initial values are shared."""
        tensors = distinct(tensors)
        old = (None,) * len(tensors) if self.axes is None else (*self.axes, *[0] * (len(tensors) - self.count))
        count = 1 if self.axes is None else tensors[self.count].shape[int(dims[self.count] == 0)]
        merge = partial(merged, size, count)
        held = map(merge, tensors[: self.count], old, dims)
        pairs = list(zip(tensors, old, dims, strict=True))[self.count :]
        init = [x.expand(size, *x.shape) if a is None and d is None else merge(x, a, d) for x, a, d in pairs]
        axes = tuple(None if a is None and d is None else 0 for a, d in zip(old[: self.count], dims, strict=False))
        found = While(self.f, self.test, self.count, axes)(*held, *init)
        inner = (size,) if self.axes is None else (size, count)
        return tuple(x.reshape(*inner, *x.shape[1:]) for x in found), (0,) * len(found)


@dataclass(frozen=True, eq=False)
class _Push:
    """A step of a loop that carries tangents, too: (*captured, *their tangents, *carries, *tangents).

    Attributes:
        f: The step without tangents.
        moving: Whether each captured tensor has a tangent.
        floating: The positions of the floating-point carries; each has a tangent in the loop.
        live: The positions of the carries whose tangent is not structurally zero, which grows in the first step.
    """

    f: Function
    moving: Sequence[bool]
    floating: Sequence[int]
    live: set[int]

    def __call__(self, *tensors: Tensor) -> Tensors:
        held, of_held, carry, tangents = self.cut(tensors)
        of_carry = dict(zip(self.floating, tangents, strict=True))
        while True:
            of_live = (of_carry[i] if i in self.live else None for i in range(len(carry)))
            results, found = pushforward(self.f, (*held, *carry), (*of_held, *of_live))
            if not (more := {i for i, tangent in enumerate(found) if tangent is not None} - self.live):
                break
            self.live.update(more)
        moved = ((results[i], found[i]) for i in self.floating)
        return *results, *(torch.zeros_like(x) if tangent is None else tangent for x, tangent in moved)

    def cut(self, tensors: Tensors) -> tuple[Tensors, Partial, Tensors, Tensors]:
        """Split the tensors into those captured, their tangents, the carries and their tangents."""
        count, end = len(self.moving), len(tensors) - len(self.floating)
        start = count + sum(self.moving)
        rest = iter(tensors[count:start])
        return tensors[:count], [next(rest) if m else None for m in self.moving], tensors[start:end], tensors[end:]

    def continues(self, test: Function, *tensors: Tensor) -> Tensor:
        held, _, carry, _ = self.cut(tensors)
        result: Tensor = test(*held, *carry)
        return result


def _compacted(test: Function, body: Function, held: Sequence[Tensor], init: list[Tensor], axes: Axes) -> list[Tensor]:
    """Run each step on the examples that continue."""
    places, rows = torch.arange(len(init[0]), device=init[0].device), init
    while len(places):
        going = test(*held, *rows)
        if not going.all():
            for x, row in zip(init, rows, strict=True):
                x[places[~going]] = row[~going]
            places, rows = places[going], [row[going] for row in rows]
            held = [x if axis is None else x[going] for x, axis in zip(held, axes, strict=True)]
        if len(places):
            rows = body(*held, *rows)
    return init


def _masked(test: Function, body: Function, held: Sequence[Tensor], init: list[Tensor], _: Axes) -> list[Tensor]:
    """Run each step on the whole batch; the examples that have stopped keep their carries."""

    def step(carries: Sequence[Tensor]) -> list[Tensor]:
        *old, going = carries
        new = [_where(going, *pair) for pair in zip(body(*held, *old), old, strict=True)]
        return [*new, going & test(*held, *new)]

    return run_while(lambda carries: carries[-1].any(), step, [*init, test(*held, *init)])[:-1]


def _where(going: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(going.reshape(-1, *[1] * (old.ndim - 1)), new, old)
