"""The table of lowering rules, from ATen operations, loops and branches to statements."""

from funcnet.compiler.native.lowering import (
    calls,
    convolution,
    elementwise,
    fourier,
    indexing,
    lapack,
    loops,
    matrices,
    pooling,
    reductions,
    searching,
    sorting,
    views,
)
from funcnet.compiler.native.lowering.halves import widened
from funcnet.compiler.native.lowering.lower import Rule

_COMPUTE: dict[str, Rule] = {
    **elementwise.RULES,
    **reductions.RULES,
    **indexing.WRITES,
    **convolution.RULES,
    **pooling.RULES,
    **sorting.RULES,
    **searching.RULES,
    **matrices.RULES,
    **fourier.RULES,
    **lapack.RULES,
}
RULES: dict[str, Rule] = {
    **{name: widened(name, rule) for name, rule in _COMPUTE.items()},
    **views.RULES,
    **indexing.READS,
    **loops.RULES,
    **calls.RULES,
}
