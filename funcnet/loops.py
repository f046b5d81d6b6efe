"""The loop that repeats a step, as one function."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from funcnet import tree
from funcnet.compiler import is_differentiating, loop
from funcnet.transforms.derivatives import jvp, vjp
from funcnet.transforms.flat import Flattener
from funcnet.transforms.rematerialisation import holds_differentiated
from funcnet.tree import Tree

Carry = TypeVar("Carry")
Tensors = Sequence[Tensor]
Step = Callable[[Tensors, Tensors, Tensors], tuple[Tensors, Tensors]]  # (consts, carry, x) -> (carry, y)


def scan(
    f: Callable[[Carry, Any], tuple[Carry, Any]],
    init: Carry,
    xs: Tree = None,
    length: int | None = None,
    *,
    unroll: int = 1,
) -> tuple[Carry, Any]:
    """Repeat a step, handing the carry from one to the next and stacking the outputs.

    Inside `jit` the loop is one operation of the program, and f runs once, to be staged.

    Args:
        f: f(carry, x) -> (carry, y). The carry keeps its structure, shapes and dtypes; y is a tree of tensors, or None.
        init: The first carry.
        xs: A tree of tensors with a common leading axis; step i gets x = xs[i]. None: x is None.
        length: The number of steps; may be left out when xs tells it.
        unroll: How many steps a compiled loop takes at a time; it changes the speed only.
    Returns:
        (the last carry, the ys stacked along a new leading axis of `length`).
    Raises:
        ValueError: Neither xs nor length, or they disagree; a carry that changes its form; a y that is no tensor.
        TypeError: f returns no pair.
    Source:
        jax.lax.scan.
    Example:
        >>> fn.scan(lambda total, x: (total + x, total), torch.tensor(0), torch.arange(1, 5))
        (tensor(10), tensor([0, 1, 3, 6]))
    """
    steps = _scan_length(xs, length)
    if (staged := loop()) is not None:
        return _staged_loop(staged, f, init, xs, steps, unroll)
    carry, ys = init, []
    for i in range(steps):
        after, y = _pair(f(carry, tree.map(lambda leaf, i=i: leaf[i], xs)))
        _check_carry(carry, after)
        carry = after
        ys.append(_stackable(y))
    return carry, tree.stack(ys) if ys else _no_outputs(f, init, xs)


def _staged_loop(staged: Any, f: Callable[..., Any], init: Any, xs: Tree, length: int, unroll: int) -> Any:
    """Hand a scan over to the program that is being staged, as a step on flat lists of tensors."""
    carry, slices, outputs = Flattener(), Flattener(), Flattener()

    def step(carries: list[Tensor], rows: list[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        before = carry.rebuild(carries)
        after, y = _pair(f(before, slices.rebuild(rows)))
        _check_carry(before, after)
        numbers = (tree.partition(side, tree.is_tensor)[1] for side in (before, after))
        if message := tree.difference(*numbers):
            raise ValueError(f"scan: a number in the carry changes {message}. Inside jit, carry it as a tensor.")
        return Flattener().split(after), outputs.split(_stackable(y))

    carries, ys = staged(step, carry.split(init), slices.split(xs), length, unroll)
    return carry.rebuild(carries), outputs.rebuild(ys)


def _scan_length(xs: Tree, length: int | None) -> int:
    sizes = {leaf.shape[0] if tree.is_tensor(leaf) and leaf.ndim else -1 for leaf in tree.leaves(xs)}
    sizes |= set() if length is None else {length}
    if len(sizes) != 1 or min(sizes) < 0:
        found = tree.map(tree.describe, xs)
        raise ValueError(
            "scan: expected `length`, or an xs of tensors with a common leading axis, and no other length beside it, "
            f"got length {length} and xs {found}."
        )
    return sizes.pop()


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
    _, y = _pair(f(init, tree.map(lambda leaf: leaf.new_zeros(leaf.shape[1:]), xs)))
    return tree.map(lambda leaf: leaf[None][:0], _stackable(y))


def closed_scan(f: Step, consts: Tensors, init: Tensors, xs: Tensors) -> tuple[Tensors, Tensors]:
    """Scan with a step that closes over no tensor: f(consts, carry, x) -> (carry, y).

    All are flat sequences of floating-point tensors. The derivatives of such a loop are loops of the same kind, so that
    it stays one operation of a program that differentiates it; of `scan` that is true only where nothing does. Should
    the step close over a tensor that is differentiated after all, the loop is a `scan`.
    """
    if not is_differentiating() or holds_differentiated(f):
        return scan(partial(f, consts), tuple(init), tuple(xs))
    apply: Callable[..., tuple[Tensor, ...]] = _Scan.apply
    results = apply(partial(_keep, f), len(consts), len(init), *consts, *init, *xs)
    return results[: len(init)], results[2 * len(init) :]


class _Scan(torch.autograd.Function):
    """A closed scan as one step of differentiation, which remembers the carry before each step."""

    generate_vmap_rule = True

    @staticmethod
    def forward(f: Step, consts: int, carries: int, *tensors: Tensor) -> Any:
        carry, ys = closed_scan(f, *_cut(tensors, consts, carries))
        return *carry, *ys

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: tuple[Tensor, ...]) -> None:
        ctx.f, *ctx.counts = inputs[:3]
        consts, carries = ctx.counts
        ctx.save_for_backward(*inputs[3 : 3 + consts], *output[carries : 2 * carries], *inputs[3 + consts + carries :])
        ctx.save_for_forward(*inputs[3:])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        # A pullback may run after its level of torch.func has ended; an operation unwraps what was saved at it.
        saved = [tensor.view_as(tensor) for tensor in ctx.saved_tensors]
        count, carries = ctx.counts
        consts, befores, xs = _cut(saved, count, carries)
        init = (*cotangents[:carries], *(torch.zeros_like(const) for const in consts))
        rows = [row.flip(0) for row in (*befores, *xs, *cotangents[carries:])]
        pull = partial(_pull, ctx.f, carries, len(xs))
        carry, by_xs = closed_scan(pull, consts, init, rows)
        return None, None, None, *carry[carries:], *carry[:carries], *(row.flip(0) for row in by_xs)

    @staticmethod
    def jvp(ctx: Any, _f: None, _consts: None, _carries: None, *tangents: Tensor) -> Any:
        parts = zip(_cut(ctx.saved_tensors, *ctx.counts), _cut(tangents, *ctx.counts), strict=True)
        carry, ys = closed_scan(partial(_push, ctx.f), *((*primals, *along) for primals, along in parts))
        return *_halves(carry)[1], *_halves(ys)[1]


def _keep(f: Step, consts: Tensors, carry: Tensors, x: Tensors) -> tuple[Tensors, Tensors]:
    """Take a step that also puts out the carry before it."""
    after, y = f(consts, carry, x)
    return after, (*carry, *y)


def _pull(f: Step, carries: int, count: int, consts: Tensors, carry: Tensors, x: Tensors) -> tuple[Tensors, Tensors]:
    """Pull cotangents back through a step, adding up those of the constants."""
    cotangent, sums = carry[:carries], carry[carries:]
    before, row, of_y = _cut(x, carries, count)
    _, pullback = vjp(f, tuple(consts), tuple(before), tuple(row))
    by_consts, by_carry, by_row = pullback((tuple(cotangent), tuple(of_y)))
    return (*by_carry, *(total + part for total, part in zip(sums, by_consts, strict=True))), by_row


def _push(f: Step, consts: Tensors, carry: Tensors, x: Tensors) -> tuple[Tensors, Tensors]:
    """Take a step with tangents, which stand behind the values."""
    primals, tangents = zip(*(_halves(part) for part in (consts, carry, x)), strict=True)
    (after, y), (along, of_y) = jvp(f, primals, tangents)
    return (*after, *along), (*y, *of_y)


def _halves(values: Tensors) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    return tuple(values[: len(values) // 2]), tuple(values[len(values) // 2 :])


def _cut(values: Tensors, first: int, second: int) -> tuple[Tensors, Tensors, Tensors]:
    return values[:first], values[first : first + second], values[first + second :]
