"""Whether a kernel that calls torch for some of its operations is faster than a replay of all of them."""

import math
from collections.abc import Container, Sequence

from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native.target import Target
from funcnet.compiler.program import Apply, Block, Program, Scan, Var, While, blocks


def check_calls_pay(program: Program, calls: Sequence[Apply], target: Target) -> None:
    """Check that a kernel saves more time than its calls of torch take longer than those of a replay.

    Raises:
        UnsupportedError: It does not; the message names an operation that torch would compute.
    """
    others, called = _counts(program.block, {out for op in calls for out in op.outputs}, target)
    if called and others <= target.per_call * called:
        raise UnsupportedError(f"{calls[0].target}: the native backend has no rule for it, and few other operations")


def _counts(block: Block, results: Container[Var], target: Target) -> tuple[int, int]:
    """Count the operations on small tensors, which a kernel makes faster, and those whose results torch computes."""
    others = called = 0
    for op in block.ops:
        if isinstance(op, Apply):
            is_called = any(out in results for out in op.outputs)
            called += is_called
            others += not is_called and not op.target.is_view and _size(op) < target.large
        else:
            steps = op.length if isinstance(op, Scan) else target.steps if isinstance(op, While) else 1
            inner = [_counts(each, results, target) for each in blocks(op)]
            others += steps * (target.per_step + sum(more for more, _ in inner))
            called += steps * sum(more for _, more in inner)
    return others, called


def _size(op: Apply) -> int:
    """Return the number of elements of the largest result."""
    return max((math.prod(out.shape) for out in op.outputs), default=0)
