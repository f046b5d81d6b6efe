"""`scan`: a loop that carries state from step to step, written as one function."""

import operator
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from torch import Tensor

from funcnet import tree
from funcnet.compiler import is_differentiating, loop
from funcnet.control_flow.carry import Signature, alike, signature
from funcnet.control_flow.differentiable_scan import differentiable_loop
from funcnet.control_flow.eager_loops import compiled_scan
from funcnet.tracebacks import boundary
from funcnet.transforms.closures import HiddenTensorError
from funcnet.transforms.flatten import Flattener, check_function
from funcnet.transforms.purity import Pure, writes
from funcnet.transforms.refusals import refusal
from funcnet.tree import Tree
from funcnet.tree.conversion import arrays_as_tensors, numbers_as_tensors, scalars_as_tensors

Carry = TypeVar("Carry")
Tensors = tuple[Tensor, ...]


@boundary
def scan(
    f: Callable[[Carry, Any], tuple[Carry, Any]],
    init: Carry,
    xs: Tree = None,
    length: int | None = None,
    reverse: bool = False,
    *,
    unroll: int = 1,
) -> tuple[Carry, Any]:
    """Repeat a step, passing the carry from one step to the next and stacking the outputs.

    Inside `jit` the loop is one operation of the program, and f is traced once. Its derivatives are loops, too; they
    store the carry before each step and recompute the rest of the step. Outputs and carries that do not influence the
    differentiated result are left out of a derivative, even where their own derivative is infinite.

    The carry and the slice belong to the step: `carry += x` writes to the step's own copy. So init and xs never change,
    and the ys are the values that f returned. As in every transformation, f must not write to other tensors.

    Outside of `jit` and of transformations, a scan of 1,000 steps or more is compiled, too, if the Python loop would
    take longer than the compiler. Its results then differ from those of the loop by rounding errors, and denormal
    numbers are zeros, as in `jit`. The loop stays in Python if there is no C compiler, if f reads values of tensors,
    prints or has another effect, or if f depends on anything besides its arguments, tensors, numbers, functions,
    containers and simple objects. `disable_jit` keeps all loops in Python.

    Args:
        f: f(carry, x) -> (carry, y). The carry keeps its structure, shapes and dtypes; y is a tree of tensors, or None.
        init: The first carry. Numbers in it become 0-d tensors, and so do numbers that f returns in their place.
        xs: A tree of tensors or numpy arrays with a common leading axis; step i gets x = xs[i]. None: x is None.
        length: The number of steps; optional if xs is given.
        reverse: Whether to go through xs from its end; the ys stay in the order of xs.
        unroll: How many steps a compiled loop takes per iteration; it affects the speed only.
    Returns:
        (the last carry, the ys stacked along a new leading axis of `length`).
    Raises:
        ValueError: Neither xs nor length is given, or they disagree; the carry changes its structure, shapes or dtypes;
            a leaf of y is not a tensor; unroll is below 1.
        TypeError: f is not callable, or does not return a pair; length or unroll is not an int.
        RuntimeError: f writes in place to a tensor that it closes over, or writes to its carry or slice in some steps
            but not in the first. Outside `jit` the write has already happened; a write through `.data` is not detected.
    Source:
        jax.lax.scan.
    Example:
        >>> fn.scan(lambda total, x: (total + x, total), torch.tensor(0), torch.arange(1, 5))
        (tensor(10), tensor([0, 1, 3, 6]))
    """
    check_function("scan", f)
    if reverse:
        last, ys = scan(f, init, _flipped(arrays_as_tensors(xs)), length, unroll=unroll)
        return last, _flipped(ys)
    init, xs = numbers_as_tensors(arrays_as_tensors(scalars_as_tensors(init))), arrays_as_tensors(xs)
    steps = _scan_length(xs, length)
    if (unroll := _as_int("unroll", unroll)) < 1:
        raise ValueError(f"scan: expected unroll to be at least 1, got {unroll}.")
    return _loop(f, init, xs, steps, unroll)


def kept_scan(f: Callable[[Carry, Any], tuple[Carry, Any]], init: Carry, xs: Tree, length: int) -> tuple[Carry, Any]:
    """Repeat a step as `scan` does, by a loop even for one step, so that the length does not change how it rounds."""
    return _loop(f, init, xs, _scan_length(xs, length), 0)


def _loop(f: Callable[..., Any], init: Any, xs: Tree, steps: int, unroll: int) -> Any:
    if (recorded := loop()) is not None:
        return _flat_loop(recorded, f, init, xs, steps, unroll)
    if is_differentiating() and steps > 1:
        with suppress(HiddenTensorError):
            return _flat_loop(partial(differentiable_loop, scan), f, init, xs, steps, unroll)
    found = compiled_scan(scan, f, init, xs, steps, unroll)
    return _python_loop(f, init, xs, steps) if found is None else found


def _python_loop(f: Callable[..., Any], init: Any, xs: Tree, length: int) -> Any:
    own, carry, ys = _OwnCopies(), init, []
    columns, structure = tree.flatten(xs)
    expected = signature(init)
    with Pure("scan", f, ()):
        for i in range(length):
            carry, x = own.handed((carry, tree.unflatten(structure, [column[i] for column in columns])))
            after, y = _stepped(f, carry, x, expected)
            own.check(i)
            carry = after
            ys.append(_stackable(y))
        return tree.map(_fresh, carry), tree.stack(ys) if ys else _no_outputs(f, init, xs)


def _fresh(leaf: Any) -> Any:
    """Copy a last carry, which may be one of the scan's arguments, into its own memory, as jit does."""
    return leaf.contiguous().clone() if tree.is_tensor(leaf) else leaf


class _OwnCopies:
    """Give a step its own copies of the carries and slices that it writes to.

    The first step gets copies of all; their version counters tell which it writes to, and later steps copy only these.
    """

    def __init__(self) -> None:
        self.written: list[bool] | None = None
        self.given: list[Any] = []
        self.versions: list[int] = []

    def handed(self, values: Tree) -> Any:
        self.given = tree.leaves(values)
        if self.written is None or any(self.written):
            written = self.written or [True] * len(self.given)
            copied = map(operator.and_, written, map(tree.is_tensor, self.given))
            self.given = [x.clone() if own else x for x, own in zip(self.given, copied, strict=True)]
            values = tree.unflatten(tree.structure(values), self.given)
        self.versions = writes(self.given)
        return values

    def check(self, step: int) -> None:
        """Record the writes of the first step, and raise if a later step writes to a value that was not copied."""
        versions = writes(self.given)
        if self.written is None:
            self.written = list(map(operator.ne, versions, self.versions))
        elif versions != self.versions:
            changed = map(operator.ne, versions, self.versions)
            if any(map(operator.gt, changed, self.written)):
                raise refusal("scan", f"a part of its carry or slice in step {step} that it did not write to in step 0")


def _flat_loop(loop: Any, f: Callable[..., Any], init: Any, xs: Tree, length: int, unroll: int) -> Any:
    """Flatten the step and its arguments, and run `loop`, which takes flat sequences of tensors."""
    carry, slices, outputs = Flattener(), Flattener(), Flattener()

    def step(carries: Sequence[Tensor], rows: Sequence[Tensor]) -> tuple[Tensors, Tensors]:
        before, x = carry.rebuild(_clones(carries)), slices.rebuild(_clones(rows))
        after, y = _stepped(f, before, x, signature(before))
        others = (tree.partition(side, tree.is_tensor)[1] for side in (before, after))
        if message := tree.difference(*others):
            raise ValueError(f"scan: a constant in the carry changes {message}. Inside jit, carry tensors.")
        return Flattener().split(after), outputs.split(_stackable(y))

    carries, ys = loop(step, carry.split(init), slices.split(xs), length, unroll)
    return carry.rebuild(carries), outputs.rebuild(ys)


def _flipped(rows: Tree) -> Any:
    return tree.map(lambda row: row.flip(0) if tree.is_tensor(row) and row.ndim else row, rows)


def _clones(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copy tensors so that a step may write to them; during tracing, a copy is another name of the same value."""
    return [tensor.clone() for tensor in tensors]


def _scan_length(xs: Tree, length: int | None) -> int:
    sizes = {leaf.shape[0] if tree.is_tensor(leaf) and leaf.ndim else -1 for leaf in tree.leaves(xs)}
    sizes |= set() if length is None else {_as_int("length", length)}
    if len(sizes) != 1 or min(sizes) < 0:
        found = tree.map(tree.describe, xs)
        raise ValueError(
            "scan: expected `length`, or an xs of tensors with a common leading axis, and no conflict between the two, "
            f"got length {length} and xs {found}."
        )
    return sizes.pop()


def _as_int(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError as error:
        raise TypeError(f"scan: expected {name} to be an int, got {tree.describe(value)}.") from error


def _stepped(f: Callable[..., Any], carry: Any, x: Any, expected: Signature) -> tuple[Any, Any]:
    """Take one step, and check that the new carry is like the old one."""
    after, y = _pair(f(carry, x))
    return alike("scan", carry, after, expected), y


def _pair(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise TypeError(
            f"scan: expected f to return a pair (carry, y), got {tree.describe(result)}. Return (carry, None) for no y."
        )
    return result[0], result[1]


def _stackable(y: Tree) -> Tree:
    leaves = tree.leaves(y)
    if all(map(tree.is_tensor, leaves)):
        return y
    path, leaf = next(pair for pair in zip(tree.paths(y), leaves, strict=True) if not tree.is_tensor(pair[1]))
    raise ValueError(
        f"scan: in y, at {tree.place(path)}: expected a tensor to stack, got {leaf!r}. "
        "Return the tensor itself, not its .item()."
    )


def _no_outputs(f: Callable[..., Any], init: Any, xs: Tree) -> Any:
    """Return the ys of zero steps; their structure and shapes come from a step on placeholder values."""
    carry = tree.map(lambda leaf: leaf.clone() if tree.is_tensor(leaf) else leaf, init)
    _, y = _stepped(f, carry, tree.map(lambda leaf: leaf.new_zeros(leaf.shape[1:]), xs), signature(carry))
    return tree.map(lambda leaf: leaf[None][:0], _stackable(y))
