"""Branches and loops with a condition, recorded as operations of the program.

The operations of a branch, and of a loop that may take no step, stay inside its block, because a run may skip them.
"""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

from funcnet.compiler.program import Block, Switch, While
from funcnet.compiler.tracing.dynamic_index import with_elements
from funcnet.compiler.tracing.nested_vmap import Batches
from funcnet.compiler.tracing.spec import row_major
from funcnet.compiler.tracing.trace import Trace, current
from funcnet.transforms.branches import Branch, joined

Test = Callable[[list[Tensor]], Tensor]
Body = Callable[[list[Tensor]], Sequence[Tensor]]


def is_tracing() -> bool:
    """Tell whether a function is being traced."""
    return current() is not None


def switch_recorder() -> Callable[[Tensor, Sequence[Branch]], list[Tensor | None]] | None:
    """Return the function that records a switch; None outside of tracing and inside a derivative.

    Returns:
        A function (index, branches) -> results, where a branch is a function without arguments. A result of one branch
        that is None is zeros if it is a tensor in another branch.
    """
    tracing, batches = current(), Batches.active()
    if tracing is None or batches is None:
        return None
    return partial(_batched_switch, tracing, batches) if batches.levels else partial(_switch, tracing)


def while_recorder() -> Callable[[Test, Body, Sequence[Tensor]], list[Tensor]] | None:
    """Return the function that records a loop with a condition; None outside of tracing and inside a derivative.

    Returns:
        A function (test, body, init) -> carries, where body(carries) keeps the shapes and dtypes of the carries, and
        test(carries) is a 0-d bool.
    """
    tracing, batches = current(), Batches.active()
    if tracing is None or batches is None:
        return None
    return partial(_batched_while, tracing, batches) if batches.levels else partial(_while, tracing)


def _switch(tracing: Trace, index: Tensor, branches: Sequence[Branch]) -> list[Tensor | None]:
    (at,) = tracing.atoms([index])
    blocks, results = [], []
    for branch in branches:
        block = Block(())
        with tracing.inside(block, conditional=True):
            results.append([*with_elements(branch, tracing.storage)()])
            tracing.atoms([leaf for leaf in results[-1] if isinstance(leaf, Tensor)])  # checks that it may be used
        blocks.append(block)
    columns = joined(results)
    for i, block in enumerate(blocks):
        with tracing.inside(block, conditional=True), tracing.inside_rule():
            block.results = tracing.atoms([column(i) for column in columns if column is not None])
    home = tracing.blocks[-1]
    outputs = [tracing.input(row_major(var, var.shape), home) for var in blocks[0].results]
    home.ops.append(Switch(at, tuple(blocks), tuple(tracer.value for tracer in outputs)))
    rest = iter(outputs)
    return [None if column is None else next(rest) for column in columns]


def _while(tracing: Trace, test: Test, body: Body, init: Sequence[Tensor]) -> list[Tensor]:
    start, blocks = tracing.atoms(init), (Block(()), Block(()))
    for block, f in zip(blocks, (lambda carries: [test(carries)], body), strict=True):
        with tracing.inside(block, conditional=True):
            carries = [tracing.input(row_major(var, var.shape), block, "a carry of while_loop") for var in start]
            block.params = tuple(tracer.value for tracer in carries)
            block.results = tracing.atoms([*with_elements(f, tracing.storage)([*carries])])
    home = tracing.blocks[-1]
    results = [tracing.input(row_major(var, var.shape), home) for var in start]
    home.ops.append(While(start, *blocks, tuple(tracer.value for tracer in results)))
    return [*results]


def _batched_switch(tracing: Trace, batches: Batches, index: Tensor, branches: Sequence[Branch]) -> list[Tensor | None]:
    """Record a switch inside vmaps, which share its index: whole batches are its results."""

    def whole(branch: Branch) -> list[Tensor | None]:
        return [batches.unwrap(leaf) if isinstance(leaf, Tensor) else leaf for leaf in branch()]

    results = _switch(tracing, index, [partial(whole, branch) for branch in branches])
    return [None if leaf is None else batches.wrap(leaf) for leaf in results]


def _batched_while(tracing: Trace, batches: Batches, test: Test, body: Body, init: Sequence[Tensor]) -> list[Tensor]:
    """Record a loop inside vmaps, which runs until no example continues; the body leaves the others unchanged."""

    def any_continues(carries: list[Tensor]) -> Tensor:
        return batches.unwrap(test([*map(batches.wrap, carries)])).any()

    def whole(carries: list[Tensor]) -> list[Tensor]:
        return [*map(batches.unwrap, body([*map(batches.wrap, carries)]))]

    results = _while(tracing, any_continues, whole, [*map(batches.unwrap, init)])
    return [*map(batches.wrap, results)]
