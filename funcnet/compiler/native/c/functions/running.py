"""C texts of running extrema in vectors of neighbouring elements, in the notation of `definitions`.

Each element becomes the extremum of those up to it, over 1, 2, 4, … of them, and of the last one of the vector before.
As in ATen, NaN counts as the largest or least number, and the last of equal numbers counts: zeros may differ in sign.
"""

from collections.abc import Callable, Iterable


def _running(name: str, comparison: str) -> Callable[[str, str], str]:
    """Return the text of a running extremum."""

    def text(kind: str, scalar: str) -> str:
        width = int(kind.removeprefix("w").removesuffix(scalar))
        wins = f"(y {comparison} x)" + (" | (y != y)" if scalar.startswith("f") else "")
        shifts = [1 << i for i in range(width.bit_length() - 1)]
        steps = "".join(_step("x", (max(i - shift, 0) for i in range(width)), wins) for shift in shifts)
        return f"""static inline T running_{name}_S(T x, T before) {{
#if HAS(__builtin_shufflevector)
  T y;
  __typeof__(x < x) m;{steps}{_step("before", [width - 1] * width, wins)}
#else
  for (int i = 0; i < {width}; ++i) {{
    const {scalar} y = i ? x[i - 1] : before[{width - 1}];
    x[i] = (y {comparison} x[i]) | (y != y) ? y : x[i];
  }}
#endif
  return x;
}}"""

    return text


def _step(source: str, positions: Iterable[int], wins: str) -> str:
    """Return the lines that combine each element with an earlier one."""
    return f"""
  y = __builtin_shufflevector({source}, {source}, {", ".join(map(str, positions))}), m = {wins};
  x = (T)(((__typeof__(m))y & m) | ((__typeof__(m))x & ~m));"""


RUNNING_MAXIMUM, RUNNING_MINIMUM = _running("maximum", ">"), _running("minimum", "<")
