"""C texts of sorts, in the notation of `definitions`: stable, by merging, NaN last."""

_MERGE = """
static i64 NAME_S(T *keys, i64 *order, i64 n) {  // by merging; where in keys and order the result begins
  i64 at = 0, to = n;
  for (i64 width = 1; width < n; width *= 2, at = n - at, to = n - to)
    for (i64 low = 0; low < n; low += 2 * width) {
      const i64 middle = low + width < n ? low + width : n, high = middle + width < n ? middle + width : n;
      for (i64 i = low, j = middle, k = low; k < high; ++k) {
        const T a = keys[at + i], b = keys[at + j];
        const i64 from = at + (i == middle || (j < high && (BEFORE)) ? j++ : i++);
        keys[to + k] = keys[from];
        order[to + k] = order[from];
      }
    }
  return at;
}"""

ASCENDING = _MERGE.replace("NAME", "ascending").replace("BEFORE", "b < a || (b == b && a != a)")
DESCENDING = _MERGE.replace("NAME", "descending").replace("BEFORE", "b > a || (b != b && a == a)")
