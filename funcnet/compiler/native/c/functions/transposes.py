"""C text of the transpose of a matrix, by square blocks in registers.

A block of W by W elements is W vectors, its columns in memory. Interleaving vectors i and i + W / 2 for all i, as often
as W has factors of 2, leaves the rows of the block in the vectors, as in a perfect shuffle of cards.
"""

import re

_TEXT = """static inline void transpose_{kind}(const {scalar} *from, i64 ld, {scalar} *to, i64 pitch, i64 m, i64 n) {{
  i64 rows = 0, columns = 0;  // done: to[i pitch + j] = from[i + j ld] for i < m and j < n
#if HAS(__builtin_shufflevector)
  rows = m - m % {width}, columns = n - n % {width};
  for (i64 j = 0; j < columns; j += {width})
    for (i64 i = 0; i < rows; i += {width}) {{
      const {scalar} *const block = from + i + j * ld;
      {block}
    }}
#endif
  for (i64 i = 0; i < m; ++i)
    for (i64 j = i < rows ? columns : 0; j < n; ++j) to[i * pitch + j] = from[i + j * ld];
}}"""


def transpose(kind: str, scalar: str) -> str:
    """Return a function that copies the transpose of a matrix of elements of some size."""
    width = int(re.findall(r"\d+", kind)[0])
    lines = [f"const {kind} a0_{i} = *(const {kind} *)(block + {i} * ld);" for i in range(width)]
    rounds = width.bit_length() - 1
    for step in range(rounds):
        for i in range(width):
            low, half = i // 2, i % 2 * width // 2
            order = ", ".join(f"{half + k}, {width + half + k}" for k in range(width // 2))
            pair = f"a{step}_{low}, a{step}_{low + width // 2}"
            lines.append(f"const {kind} a{step + 1}_{i} = __builtin_shufflevector({pair}, {order});")
    lines += [f"*({kind} *)(to + (i + {i}) * pitch + j) = a{rounds}_{i};" for i in range(width)]
    return _TEXT.format(kind=kind, scalar=scalar, width=width, block="\n      ".join(lines))
