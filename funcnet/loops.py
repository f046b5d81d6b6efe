"""The loop that repeats a step, as one function."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from operator import index
from typing import Any, TypeVar

import torch
from torch import Tensor

from funcnet import tree
from funcnet.compiler import is_differentiating, loop
from funcnet.transforms import jvp, vjp, vmap
from funcnet.transforms.captures import HiddenTensorError, NoHiddenTensors, frozen, lurking, rebind, wrapped
from funcnet.transforms.flat import Flattener
from funcnet.transforms.purity import Pure, refusal, writes
from funcnet.tree import Tree

Carry = TypeVar("Carry")
Tensors = tuple[Tensor, ...]
Step = Callable[[Sequence[Tensor], Sequence[Tensor]], tuple[Tensors, Tensors]]  # (carry, x) -> (carry, y)


def scan(
    f: Callable[[Carry, Any], tuple[Carry, Any]],
    init: Carry,
    xs: Tree = None,
    length: int | None = None,
    *,
    unroll: int = 1,
) -> tuple[Carry, Any]:
    """Repeat a step, handing the carry from one to the next and stacking the outputs.

    Inside `jit` the loop is one operation of the program, and f runs once, to be staged. Derivatives are loops, too;
    they remember the carry before each step and compute the rest of the step again.

    Args:
        f: f(carry, x) -> (carry, y). The carry keeps its structure, shapes and dtypes; y is a tree of tensors, or None.
        init: The first carry.
        xs: A tree of tensors with a common leading axis; step i gets x = xs[i]. None: x is None.
        length: The number of steps; may be left out when xs tells it.
        unroll: How many steps a compiled loop takes at a time; it changes the speed only.
    Returns:
        (the last carry, the ys stacked along a new leading axis of `length`).
    Raises:
        ValueError: Neither xs nor length, or they disagree; a carry that changes its form; a y that is no tensor;
            an unroll below 1.
        TypeError: f returns no pair; a length or unroll that is no int.
    Source:
        jax.lax.scan.
    Example:
        >>> fn.scan(lambda total, x: (total + x, total), torch.tensor(0), torch.arange(1, 5))
        (tensor(10), tensor([0, 1, 3, 6]))
    """
    steps = _scan_length(xs, length)
    if (unroll := _as_int("unroll", unroll)) < 1:
        raise ValueError(f"scan: expected unroll to be at least 1, got {unroll}.")
    if (staged := loop()) is not None:
        return _flat_loop(staged, f, init, xs, steps, unroll)
    if is_differentiating() and steps > 1:
        with suppress(HiddenTensorError, _ComplexError):
            return _flat_loop(_differentiable_loop, f, init, xs, steps, unroll)
    return _python_loop(f, init, xs, steps)


def _python_loop(f: Callable[..., Any], init: Any, xs: Tree, length: int) -> Any:
    own, carry, ys = _OwnCopies(), init, []
    with Pure("scan", f, ()):
        for i in range(length):
            carry, x = own.handed((carry, tree.map(lambda leaf, i=i: leaf[i], xs)))
            after, y = _pair(f(carry, x))
            own.check(i)
            _check_carry(carry, after)
            carry = after
            ys.append(_stackable(y))
        return carry, tree.stack(ys) if ys else _no_outputs(f, init, xs)


class _OwnCopies:
    """Hand carries and slices to a step as its own: copies of those that it writes to.

    The first step gets copies of all and shows by their versions which it writes to; later steps get copies of these.
    """

    def __init__(self) -> None:
        self.written: list[bool] | None = None
        self.given: list[Tensor] = []
        self.versions: list[int] = []

    def handed(self, values: Tree) -> Any:
        tensors = Flattener()
        self.given = list(tensors.split(values))
        written = [True] * len(self.given) if self.written is None else self.written
        self.given = [x.clone() if copied else x for x, copied in zip(self.given, written, strict=True)]
        self.versions = [writes(x) for x in self.given]
        return tensors.rebuild(self.given)

    def check(self, step: int) -> None:
        """Learn from the first step, and raise if a later one writes to what it did not get a copy of."""
        found = [writes(x) != version for x, version in zip(self.given, self.versions, strict=True)]
        self.written = found if self.written is None else self.written
        if any(now and not first for now, first in zip(found, self.written, strict=True)):
            raise refusal("scan", f"a part of its carry or slice in step {step} to which step 0 did not write")


def _flat_loop(loop: Any, f: Callable[..., Any], init: Any, xs: Tree, length: int, unroll: int) -> Any:
    """Hand a scan over to what loops a step on flat sequences of tensors."""
    carry, slices, outputs = Flattener(), Flattener(), Flattener()

    def step(carries: Sequence[Tensor], rows: Sequence[Tensor]) -> tuple[Tensors, Tensors]:
        before, x = carry.rebuild(_clones(carries)), slices.rebuild(_clones(rows))
        after, y = _pair(f(before, x))
        _check_carry(before, after)
        numbers = (tree.partition(side, tree.is_tensor)[1] for side in (before, after))
        if message := tree.difference(*numbers):
            raise ValueError(f"scan: a number in the carry changes {message}. Inside jit, carry it as a tensor.")
        return Flattener().split(after), outputs.split(_stackable(y))

    carries, ys = loop(step, carry.split(init), slices.split(xs), length, unroll)
    return carry.rebuild(carries), outputs.rebuild(ys)


def _clones(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Make tensors a step's own, to which it may write; while staging, a copy is another name of the same value."""
    return [tensor.clone() for tensor in tensors]


def _scan_length(xs: Tree, length: int | None) -> int:
    sizes = {leaf.shape[0] if tree.is_tensor(leaf) and leaf.ndim else -1 for leaf in tree.leaves(xs)}
    sizes |= set() if length is None else {_as_int("length", length)}
    if len(sizes) != 1 or min(sizes) < 0:
        found = tree.map(tree.describe, xs)
        raise ValueError(
            "scan: expected `length`, or an xs of tensors with a common leading axis, and no other length beside it, "
            f"got length {length} and xs {found}."
        )
    return sizes.pop()


def _as_int(name: str, value: Any) -> int:
    try:
        return index(value)
    except TypeError as error:
        raise TypeError(f"scan: expected {name} to be an int, got {tree.describe(value)}.") from error


def _pair(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise TypeError(
            f"scan: expected f to return a pair (carry, y), got {tree.describe(result)}. Return (carry, None) for no y."
        )
    return result[0], result[1]


def _check_carry(before: Tree, after: Tree) -> None:
    if _forms(before) != _forms(after):
        kinds = (
            tree.map(lambda x: tree.describe(x) if tree.is_tensor(x) else type(x), side) for side in (before, after)
        )
        raise ValueError(
            f"scan: expected f to return a carry like the one it got, they differ {tree.difference(*kinds)}. "
            "Give init the structure, shapes and dtypes that f returns."
        )


def _forms(carry: Tree) -> tuple[Any, list[Any]]:
    leaves, structure = tree.flatten(carry)
    return structure, [(x.shape, x.dtype, x.device) if tree.is_tensor(x) else type(x) for x in leaves]


def _stackable(y: Tree) -> Tree:
    for path, leaf in zip(tree.paths(y), tree.leaves(y), strict=True):
        if not tree.is_tensor(leaf):
            raise ValueError(
                f"scan: in y, at {tree.place(path)}: expected a tensor to stack, got {leaf!r}. "
                "Return the tensor itself, not its .item()."
            )
    return y


def _no_outputs(f: Callable[..., Any], init: Any, xs: Tree) -> Any:
    """The ys of zero steps, whose form only a step on made-up values can tell."""
    carry = tree.map(lambda leaf: leaf.clone() if tree.is_tensor(leaf) else leaf, init)
    after, y = _pair(f(carry, tree.map(lambda leaf: leaf.new_zeros(leaf.shape[1:]), xs)))
    _check_carry(init, after)
    return tree.map(lambda leaf: leaf[None][:0], _stackable(y))


def _differentiable_loop(step: Step, init: Tensors, xs: Tensors, length: int, unroll: int) -> tuple[Tensors, Tensors]:
    """Loop in one step of differentiation, whose derivatives are loops again."""
    step, carries = frozen(step), len(init)
    held, outside = tuple(wrapped(step)), tuple(lurking(step))
    apply: Callable[..., Tensors] = _Scan.apply
    results = apply(_Loop(partial(_keep, step), held, outside, carries, length, unroll), *held, *init, *xs)
    return results[:carries], results[2 * carries :]


class _ComplexError(Exception):
    """The loop is over complex numbers, which `vjp` and `jvp` pass by."""


@dataclass(frozen=True, eq=False)
class _Loop:
    """A step that puts out the carry before it too, and the tensors that it holds of levels outside."""

    step: Step
    held: Tensors
    outside: Tensors
    carries: int
    length: int
    unroll: int

    def cut(self, tensors: Sequence[Any]) -> tuple[Any, Any, Any]:
        """Tell the tensors of the step, of the carry and of the slices apart."""
        held, end = len(self.held), len(self.held) + self.carries
        return tuple(tensors[:held]), tuple(tensors[held:end]), tuple(tensors[end:])

    def holding(self, held: Tensors) -> Step:
        """Return the step with these tensors instead."""
        return rebind(self.step, self.held, held)


class _Scan(torch.autograd.Function):
    """A loop as a function of all tensors that it depends on, which also returns the carry before each step."""

    @staticmethod
    def forward(loop: _Loop, *tensors: Tensor) -> Tensors:
        held, init, xs = loop.cut(tensors)
        with NoHiddenTensors("scan", tensors, loop.outside, autograd=False):  # a program that is staged is not recorded
            carry, ys = scan(loop.holding(held), init, xs, loop.length, unroll=loop.unroll)
        if any(tensor.is_complex() for tensor in (*tensors, *ys)):
            raise _ComplexError
        return *carry, *ys

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensors) -> None:
        ctx.loop, *tensors = inputs
        held, init, xs = ctx.loop.cut(tensors)
        ctx.save_for_backward(*held, *output[len(init) : 2 * len(init)], *xs)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        held, befores, xs = ctx.loop.cut(_apart(ctx.saved_tensors))
        carries = len(befores)
        pull = partial(_pull, ctx.loop.holding(held), held)
        last = _floating(cotangents[:carries]), _floating(tree.zeros_like(held))
        rows = _reversed((befores, xs, _floating(cotangents[carries:])))
        (by_init, by_held), by_xs = scan(pull, last, rows, ctx.loop.length, unroll=ctx.loop.unroll)
        return None, *by_held, *by_init, *_reversed(by_xs)

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor) -> tuple[Tensor | None, ...]:
        held, init, xs = ctx.loop.cut(_apart(ctx.saved_tensors))
        of_held, of_init, of_xs = ctx.loop.cut(_floating(tangents))
        push = partial(_push, ctx.loop.holding(held), held, of_held)
        (_, of_carry), of_ys = scan(push, (init, of_init), (xs, of_xs), ctx.loop.length, unroll=ctx.loop.unroll)
        return *of_carry, *of_ys

    @staticmethod
    def vmap(info: Any, in_dims: Any, loop: _Loop, *tensors: Tensor) -> tuple[Tensors, tuple[int, ...]]:
        """Loop over the whole batch; the carries are batches all, whatever they begin from."""
        held, init, xs = loop.cut(_apart(tensors))
        of_held, of_init, of_xs = loop.cut(in_dims[1:])
        many = (
            x.expand(info.batch_size, *x.shape) if d is None else x.movedim(d, 0)
            for x, d in zip(init, of_init, strict=True)
        )
        rows = (x if d is None else x.movedim(d, 1) for x, d in zip(xs, of_xs, strict=True))
        dims = of_held, 0, tuple(None if dim is None else 0 for dim in of_xs)
        step = partial(_batched, dims, loop.holding(held), held)
        apply: Callable[..., Tensors] = _Scan.apply
        results = apply(replace(loop, step=step, held=held), *held, *many, *rows)
        return results, (0,) * loop.carries + (1,) * (len(results) - loop.carries)


def _keep(step: Step, carry: Tensors, x: Tensors) -> tuple[Tensors, Tensors]:
    after, y = step(carry, x)
    return after, (*carry, *y)


def _batched(dims: Any, step: Step, held: Tensors, carry: Tensors, x: Tensors) -> Any:
    """Take a step of a whole batch."""
    return vmap(partial(_step_of, step, held), dims)(held, carry, x)


def _pull(step: Step, held: Tensors, carry: Any, x: Any) -> Any:
    """Pull cotangents back through a step, adding up those of the tensors that it holds."""
    (of_after, sums), (before, row, of_y) = carry, x
    _, pullback = vjp(partial(_step_of, step, held), held, before, row)
    by_held, by_before, by_row = pullback((of_after, of_y))
    return (by_before, tree.add(sums, by_held)), by_row


def _push(step: Step, held: Tensors, of_held: Tensors, carry: Any, x: Any) -> Any:
    """Take a step with tangents."""
    (before, of_before), (row, of_row) = carry, x
    primals, tangents = (held, before, row), (of_held, of_before, of_row)
    (after, _), (of_after, of_y) = jvp(partial(_step_of, step, held), primals, tangents)
    return (after, of_after), of_y


def _step_of(step: Step, held: Tensors, others: Tensors, carry: Tensors, x: Tensors) -> tuple[Tensors, Tensors]:
    """Take a step as a function of the tensors that it holds, too."""
    return rebind(step, held, others)(carry, x)


def _floating(tensors: Any) -> Any:
    """Put None in the place of what has no derivative."""
    return tree.map(lambda leaf: leaf if tree.is_floating(leaf) else None, tensors)


def _reversed(rows: Any) -> Any:
    return tree.map(lambda row: row.flip(0), rows)


def _apart(tensors: Sequence[Tensor]) -> Tensors:
    """Give each its own object, by which a step that holds it knows it.

    Two that were apart at a level of torch.func may be one below it. A pullback may also run after its level has ended;
    an operation unwraps what was saved at it.
    """
    return tuple(tensor.view_as(tensor) for tensor in tensors)
