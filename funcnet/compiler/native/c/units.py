"""Translation units: the text of a large kernel may be compiled in several units at the same time, and then linked.

A text has groups of functions of about equal size. The number of groups and that of units are powers of two, and each
unit defines the functions of as many groups. The number of units changes neither the text, which is the key of the
cache, nor the results: sections are not inlined into other functions.
"""

import re
from collections.abc import Sequence

_SIZE = 20_000  # characters of a group: gcc takes 80 ms for them, and 20 ms for the rest of each unit

LINKAGE = """#ifndef UNITS  // without these definitions the text is one translation unit
#define UNITS 1
#define UNIT 0
#endif
#define HERE(group) ((group) % UNITS == UNIT)
#define EXTERN
#if UNIT > 0  // the first unit defines the variables
#undef EXTERN
#define EXTERN extern
#endif
#if UNITS > 1
#define SHARED EXTERN __attribute__((visibility("hidden")))
#else
#define SHARED static
#endif
"""


def divided(heading: str, functions: Sequence[str], entry: str) -> str:
    """Return the text after the prelude: a heading, functions, in groups if they are large, and the entry point."""
    sizes = [len(entry), *map(len, functions)]
    count = _power(min(sum(sizes) // _SIZE, sum(sizes) // max(sizes)))
    if count < 2:
        return f"{heading}{''.join(functions)}{entry}"
    groups = _groups(sizes, count)[1:]
    sections = "".join(map(_section, functions, groups))
    return f"#define GROUPS {count}\n{heading}{sections}#if UNIT == 0\n{entry}#endif\n"


def _power(count: int) -> int:
    """Return the largest power of two that is at most a count, and 1 for 0."""
    return 1 << max(0, count.bit_length() - 1)


def _groups(sizes: Sequence[int], count: int) -> list[int]:
    """Deal functions to groups, large ones first, each to the group with the least so far; the first one to group 0."""
    groups, totals = [0] * len(sizes), [sizes[0]] + [0] * (count - 1)
    for index in sorted(range(1, len(sizes)), key=lambda index: -sizes[index]):
        groups[index] = totals.index(min(totals))
        totals[groups[index]] += sizes[index]
    return groups


def _section(text: str, group: int) -> str:
    """Return a function that only the unit with its group defines; one that packs arguments is small and static."""
    head = re.search(r"^SHARED (.*)(?= \{$)", text, re.M)
    return f"\n#if HERE({group}){text}#else\n{head[0]};\n#endif\n" if head else text
