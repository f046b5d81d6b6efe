"""C texts of sorts, in the notation of `definitions`: stable, NaN as the largest.

Keys and order have room for 2 n elements; each function returns the position in them at which its result begins. Long
lines are sorted by their digits, from the last to the first, and short ones by merging. The first k elements are found
with a heap of k, and the k-th by partitions.
"""

_STEP = """{
          const T a = keys[at + i], b = keys[at + j];
          const i64 from = at + (i == middle || (j < high && (BEFORE)) ? j++ : i++);
          keys[to + k] = keys[from];
          order[to + k] = order[from];
        }"""
_MERGE = """
static i64 NAME_merged_S(T *keys, i64 *order, i64 n, volatile int *control) {
  i64 at = 0, to = n;
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

# a byte is a digit; all NaN are equal, and so are the zeros
_DIGITS = """
static inline u64 NAME_rank_S(T x) {  // smaller for a key that is before
  const I i = INTEGER;
  return FLIP((u64)i ^ ((I)-1 < 0 ? 1ULL << (8 * sizeof i - 1) : 0));
}
static i64 NAME_S(T *keys, i64 *order, i64 n, volatile int *control) {  // until control stops it
  if (n < 32 * (i64)sizeof(T)) return NAME_merged_S(keys, order, n, control);
  i64 starts[sizeof(T)][256] = {{0}}, at = 0, to = n;
  for (i64 i = 0; i < n; ++i) {
    const u64 rank = NAME_rank_S(keys[i]);
    if (!(i & 0xffff) && control[0]) return at;
    for (int d = 0; d < (int)sizeof(T); ++d) ++starts[d][rank >> 8 * d & 255];
  }
  for (int d = 0; d < (int)sizeof(T); ++d) {
    i64 *const start = starts[d], sum = 0;
    if (start[NAME_rank_S(keys[at]) >> 8 * d & 255] == n) continue;  // the digit of all keys is the same
    for (int v = 0; v < 256; ++v) {
      const i64 count = start[v];
      start[v] = sum;
      sum += count;
    }
    for (i64 i = at; i < at + n; ++i) {
      const i64 place = to + start[NAME_rank_S(keys[i]) >> 8 * d & 255]++;
      if (!(i & 0xffff) && control[0]) return at;
      keys[place] = keys[i];
      order[place] = order[i];
    }
    at = n - at;
    to = n - to;
  }
  return at;
}"""
_OF_FLOAT = "x != x ? ~bits_S(K(-0.0)) : x == K(0.0) ? 0 : bits_S(x) ^ (bits_S(x) >> TOP & ~bits_S(K(-0.0)))"

_ORDERED = """
static inline int NAME_before_S(T b, i64 j, T a, i64 i) {  // a total order, since no two positions are equal
  return (BEFORE) | (!(AFTER) & (j < i));
}"""
_HEAP = (
    _ORDERED
    + """
static inline void NAME_sink_S(T *keys, i64 *order, i64 n, i64 i, T key, i64 at) {
  for (i64 j; (j = 2 * i + 1) < n; i = j) {
    if (j + 1 < n && NAME_before_S(keys[j], order[j], keys[j + 1], order[j + 1])) ++j;
    if (!NAME_before_S(key, at, keys[j], order[j])) break;
    keys[i] = keys[j], order[i] = order[j];
  }
  keys[i] = key, order[i] = at;
}
static i64 NAME_S(T *keys, i64 *order, i64 n, i64 k, volatile int *control) {
  T *heap = keys + n;  // the first k so far, the last of them at the root
  i64 *at = order + n;
  for (i64 i = 0; i < k; ++i) heap[i] = keys[i], at[i] = i;
  for (i64 i = k / 2; i-- > 0;) NAME_sink_S(heap, at, k, i, heap[i], at[i]);
  for (i64 i = k, end; i < n; i = end) {
    const T a = heap[0];
    unsigned candidates = ~0u;  // a bit per element that may be one of the first k
    end = n - i < 32 ? n : i + 32;
    if (end == i + 32) {
      candidates = 0;
      VECTORISE UNROLL(1)
      for (int w = 0; w < 32; ++w) {
        const T b = keys[i + w];
        candidates |= (unsigned)(BEFORE) << w;
      }
    } else
      candidates >>= 32 - (end - i);
    for (; candidates; candidates &= candidates - 1) {
      const i64 j = i + __builtin_ctz(candidates);
      const T a = heap[0], b = keys[j];
      if (BEFORE) NAME_sink_S(heap, at, k, 0, b, j);
    }
    if (!((i - k) & 0xffff) && control[0]) return n;
  }
  for (i64 i = k; i-- > 1;) {
    const T key = heap[i];
    const i64 j = at[i];
    heap[i] = heap[0], at[i] = at[0];
    NAME_sink_S(heap, at, i, 0, key, j);
  }
  return n;
}"""
)
_SELECT = (
    _ORDERED
    + """
static i64 NAME_S(T *keys, i64 *order, i64 n, i64 k, volatile int *control) {  // sorts the element at k into its place
  i64 low = 0, high = n - 1;
  while (low < high && !control[0]) {
    const i64 middle = low + (high - low) / 2, at = order[middle];
    const T key = keys[middle];
    i64 i = low, j = high;
    while (i <= j) {
      while (NAME_before_S(keys[i], order[i], key, at)) ++i;
      while (NAME_before_S(key, at, keys[j], order[j])) --j;
      if (i > j) break;
      const T a = keys[i];
      const i64 b = order[i];
      keys[i] = keys[j], order[i] = order[j], keys[j] = a, order[j] = b;
      ++i, --j;
    }
    if (k <= j) high = j;
    else if (k >= i) low = i;
    else break;
  }
  return 0;
}"""
)
_SMALLER = "(b < a) || ((b == b) && (a != a))", "(a < b) || ((a == a) && (b != b))"  # b is before a; a is before b
_LARGER = "(b > a) || ((b != b) && (a == a))", "(a > b) || ((a != a) && (b == b))"


def _text(text: str, name: str, before: tuple[str, str]) -> str:
    """Insert a name and an order into a text; without branches, so that the search for candidates is vectorised."""
    plain = [order.replace("||", "|").replace("&&", "&") for order in before]
    return text.replace("NAME", name).replace("BEFORE", plain[0]).replace("AFTER", plain[1])


def _line(name: str, before: str, flip: str) -> tuple[str, str]:
    """Return the texts of a sort of a line of floats and of integers."""
    text = (_MERGE + _DIGITS).replace("NAME", name).replace("BEFORE", before).replace("FLIP", flip)
    return text.replace("INTEGER", _OF_FLOAT), text.replace("INTEGER", "x")


ASCENDING, DESCENDING = _line("ascending", _SMALLER[0], ""), _line("descending", _LARGER[0], "~")
SMALLEST = _text(_HEAP, "smallest", _SMALLER)
LARGEST = _text(_HEAP, "largest", _LARGER)
NTH_SMALLEST = _text(_SELECT, "nth_smallest", _SMALLER)
