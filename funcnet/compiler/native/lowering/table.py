"""The table of lowering rules, from ATen operations, loops and branches to statements."""

from funcnet.compiler.native.lowering import elementwise, indexing, loops, reductions, sorting, views
from funcnet.compiler.native.lowering.lower import Rule

RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **views.RULES,
    **reductions.RULES,
    **indexing.RULES,
    **sorting.RULES,
    **loops.RULES,
}
