"""C texts of sorts, in the notation of `definitions`: stable, by merging, NaN last."""

_STEP = """{
          const T a = keys[at + i], b = keys[at + j];
          const i64 from = at + (i == middle || (j < high && (BEFORE)) ? j++ : i++);
          keys[to + k] = keys[from];
          order[to + k] = order[from];
        }"""
_MERGE = """
static i64 NAME_S(T *keys, i64 *order, i64 n, volatile int *control) {  // where in keys and order the result begins
  i64 at = 0, to = n;  // by merging, until control stops it
  for (i64 width = 1; width < n; width *= 2, at = n - at, to = n - to)
    for (i64 low = 0; low < n; low += 2 * width) {
      const i64 middle = low + width < n ? low + width : n, high = middle + width < n ? middle + width : n;
      i64 i = low, j = middle, k = low;
      if (!(low & 0xffff) && control[0]) return at;
      if (width <= 0x8000)
        for (; k < high; ++k) STEP
      else
        while (k < high) {
        const i64 end = high - k < 0x10000 ? high : k + 0x10000;
        if (control[0]) return at;
        for (; k < end; ++k) STEP
      }
    }
  return at;
}""".replace("STEP", _STEP)

ASCENDING = _MERGE.replace("NAME", "ascending").replace("BEFORE", "b < a || (b == b && a != a)")
DESCENDING = _MERGE.replace("NAME", "descending").replace("BEFORE", "b > a || (b != b && a == a)")
