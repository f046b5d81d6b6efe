"""C texts of factorisations and triangular systems of shared matrices, by vectors of neighbouring elements.

Matrices are row-major, row i at i ld, with room for W - 1 elements after each row: loops over columns run over whole
vectors. Most of the work is `reduce`, c -= a b, in tiles whose sums stay in registers. Blocks have BLOCK rows or
columns. The arguments of fma are variables, because gcc 12 computes the elements of vectors from memory one by one.
"""

import re
from collections.abc import Callable

from funcnet.compiler.native.c.functions import factors

Text = str | Callable[[str, str], str]

_HEIGHTS = (6, 2, 1)  # rows of tiles
_BLOCK = 32  # a multiple of the length of all vectors

_TILES = """
  for (; i + {m} <= m; i += {m}) {{
    {loads}
    for (i64 p = 0; p < k; ++p) {{
      {steps}
    }}
    {stores}
  }}"""
_PANEL = """
static void panel{v}_S(E *c, i64 ldc, const E *a, i64 ra, i64 ca, const E *b, i64 ldb, i64 m, i64 k) {{
  i64 i = 0;{tiles}
}}"""
_REDUCE = """
static void reduce_S(E *c, i64 ldc, const E *a, i64 ra, i64 ca, const E *b, i64 ldb, i64 m, i64 n, i64 k, int upper) {
  for (i64 j = 0; j < n; j += 2 * W) {  // c -= a b; of a square c, at least the upper triangle
    const i64 rows = upper && j + 2 * W < m ? j + 2 * W : m;
    if (n - j > W) panel2_S(c + j, ldc, a, ra, ca, b + j, ldb, rows, k);
    else panel1_S(c + j, ldc, a, ra, ca, b + j, ldb, rows, k);
  }
}"""
_SUBSTITUTE = """
static void substitute_S(E *x, i64 ld, i64 k, const E *t, i64 ra, i64 ca, i64 n, int upper, int unit) {  // x = t⁻¹ x
  E scales[BLOCK];
  for (i64 i = 0; i < n; ++i) scales[i] = unit ? 1 : 1 / t[i * (ra + ca)];
  for (i64 j = 0; j < k; j += 4 * W) {
    const int count = k - j > 3 * W ? 4 : (k - j + W - 1) / W;
    for (i64 step = 0; step < n; ++step) {
      const i64 i = upper ? n - 1 - step : step, first = upper ? i + 1 : 0, last = upper ? n : i;
      E *row = x + i * ld + j;
      const T scale = scales[i] - (T){0};
      if (count == 4) {
        T s0 = V(row), s1 = V(row + W), s2 = V(row + 2 * W), s3 = V(row + 3 * W);
        for (i64 p = first; p < last; ++p) {
          const E *above = x + p * ld + j;
          const T f = t[i * ra + p * ca] - (T){0};
          const T x0 = V(above), x1 = V(above + W), x2 = V(above + 2 * W), x3 = V(above + 3 * W);
          s0 = fma_S(-f, x0, s0), s1 = fma_S(-f, x1, s1), s2 = fma_S(-f, x2, s2), s3 = fma_S(-f, x3, s3);
        }
        V(row) = s0 * scale, V(row + W) = s1 * scale, V(row + 2 * W) = s2 * scale, V(row + 3 * W) = s3 * scale;
      } else
        for (int w = 0; w < count; ++w) {
          T s = V(row + w * W);
          for (i64 p = first; p < last; ++p) {
            const T f = t[i * ra + p * ca] - (T){0}, above = V(x + p * ld + j + w * W);
            s = fma_S(-f, above, s);
          }
          V(row + w * W) = s * scale;
        }
    }
  }
}"""
_CHOLESKY = """
static void cholesky_S(E *a, i64 n, i64 ld, E *info, volatile int *control) {  // a = uᵀ u, from the upper triangle of a
  E failed = 0;
  for (i64 first = 0; first < n && failed == 0 && !control[0]; first += BLOCK) {
    const i64 size = n - first < BLOCK ? n - first : BLOCK, rest = n - first - size;
    E *block = a + first * ld + first, *right = block + size, *below = block + size * ld + size;
    for (i64 i = 0; i < size; ++i) {  // below its diagonal, the block may hold anything
      E *row = block + i * ld;
      if (!(row[i] > 0)) {
        failed = first + i + 1;
        break;
      }
      const E root = sqrt_U(row[i]);
      const T scale = 1 / root - (T){0};
      for (i64 c = 0; c < size; c += W) V(row + c) *= scale;
      row[i] = root;
      for (i64 r = i + 1; r < size; ++r) {
        const T f = row[r] - (T){0};
        for (i64 c = 0; c < size; c += W) {
          const T from = V(row + c), to = V(block + r * ld + c);
          V(block + r * ld + c) = fma_S(-f, from, to);
        }
      }
    }
    if (rest && failed == 0) {
      substitute_S(right, ld, rest, block, 1, ld, size, 0, 0);
      reduce_S(below, ld, right, 1, ld, right, ld, rest, rest, size, 1);
    }
  }
  for (i64 i = 0; i < n; ++i)
    for (i64 j = 0; j < i; ++j) a[i * ld + j] = 0;
  *info = failed;
}"""
_LU = """
static void lu_S(E *a, i64 m, i64 n, i64 ld, E *pivots, E *info, volatile int *control) {  // a = p l u
  const i64 count = m < n ? m : n;
  E failed = 0;
  for (i64 first = 0; first < count && !control[0]; first += BLOCK) {
    const i64 size = count - first < BLOCK ? count - first : BLOCK, end = first + size, rest = n - end;
    for (i64 j = first; j < end; ++j) {
      E pivot_row[BLOCK] = {0}, best = 0, *row = a + j * ld;
      i64 at = j;
      for (i64 i = j; i < m; ++i) {
        const E value = abs_U(a[i * ld + j]);
        if (value > best) best = value, at = i;
      }
      pivots[j] = at + 1;
      if (at != j)
        for (i64 c = 0; c < n; c += W) {
          const T x = V(row + c);
          V(row + c) = V(a + at * ld + c), V(a + at * ld + c) = x;
        }
      if (row[j] == 0 && failed == 0) failed = j + 1;
      const E scale = row[j] == 0 ? 1 : 1 / row[j];
      for (i64 c = j + 1; c < end; ++c) pivot_row[c - first] = row[c];
      for (i64 i = j + 1; i < m; ++i) {
        E *to = a + i * ld + first;
        const E f = to[j - first] * scale;
        const T factor = f - (T){0};
        for (i64 c = 0; c < size; c += W) {
          const T from = V(pivot_row + c), old = V(to + c);
          V(to + c) = fma_S(-factor, from, old);
        }
        to[j - first] = f;
      }
    }
    if (rest) {
      E *block = a + first * ld + first, *right = block + size;
      substitute_S(right, ld, rest, block, ld, 1, size, 0, 1);
      reduce_S(right + size * ld, ld, block + size * ld, ld, 1, right, ld, m - end, rest, size, 0);
    }
  }
  *info = failed;
}"""
_SOLVE = """
static void solve_S(
    E *x, i64 n, i64 k, i64 ld, const E *t, i64 ra, i64 ca, int upper, int unit, volatile int *control) {  // x = t⁻¹ x
  for (i64 done = 0; done < n && !control[0]; done += BLOCK) {
    const i64 size = n - done < BLOCK ? n - done : BLOCK, first = upper ? n - done - size : done;
    const i64 to = upper ? 0 : first + size;
    substitute_S(x + first * ld, ld, k, t + first * (ra + ca), ra, ca, size, upper, unit);
    reduce_S(x + to * ld, ld, t + to * ra + first * ca, ra, ca, x + first * ld, ld, n - done - size, k, size, 0);
  }
}"""
_SOLVE_ONE = """
static void solve_one_S(E *x, i64 n, const E *t, i64 ra, i64 ca, int upper, int unit) {  // of rows or columns in memory
  for (i64 done = 0; done < n; done += W) {
    const i64 size = n - done < W ? n - done : W, first = upper ? n - done - size : done;
    const E *y = x + (upper ? first + size : 0);  // the part that is done
    const E *rows = t + first * ra + (y - x) * ca;
    if (ca == 1)
      for (i64 i = 0; i < size; ++i) {
        T s = {0};
        for (i64 p = 0; p < done; p += W) s += V(rows + i * ra + p) * V(y + p);
        E sum = 0;
        for (int w = 0; w < W; ++w) sum += s[w];
        x[first + i] -= sum;
      }
    else if (size == W) {
      T s = V(x + first), s2 = {0};
      for (i64 p = 0; p < done; p += 2) {
        const T y1 = y[p] - (T){0}, y2 = y[p + 1] - (T){0}, t1 = V(rows + p * ca), t2 = V(rows + (p + 1) * ca);
        s = fma_S(-y1, t1, s), s2 = fma_S(-y2, t2, s2);
      }
      V(x + first) = s + s2;
    } else
      for (i64 p = 0; p < done; ++p)
        for (i64 i = 0; i < size; ++i) x[first + i] = fma_U(-y[p], rows[i * ra + p * ca], x[first + i]);
    for (i64 step = 0; step < size; ++step) {
      const i64 i = upper ? first + size - 1 - step : first + step;
      const E v = unit ? x[i] : x[i] / t[i * (ra + ca)];
      x[i] = v;
      const i64 from = upper ? first : i + 1, last = upper ? i : first + size;
      for (i64 r = from; r < last; ++r) x[r] = fma_U(-v, t[r * ra + i * ca], x[r]);
    }
  }
}"""


def _panel(v: int) -> str:
    """Return the tiles of a panel of v vectors of columns."""
    tiles = ""
    for m in _HEIGHTS:
        at = [(r, c) for r in range(m) for c in range(v)]
        place = {(r, c): f"V(c + (i + {r}) * ldc + {c} * W)" for r, c in at}
        steps = [f"const T b{c} = V(b + p * ldb + {c} * W);" for c in range(v)]
        for r in range(m):
            steps.append(f"const T f{r} = a[(i + {r}) * ra + p * ca] - (T){{0}};")
            steps += [f"s{r}_{c} = fma_S(-f{r}, b{c}, s{r}_{c});" for c in range(v)]
        tiles += _TILES.format(
            m=m,
            loads=" ".join(f"T s{r}_{c} = {place[r, c]};" for r, c in at),
            steps="\n      ".join(steps),
            stores=" ".join(f"{place[r, c]} = s{r}_{c};" for r, c in at),
        )
    return _PANEL.format(v=v, tiles=tiles)


def _text(text: str, kind: str, scalar: str) -> str:
    """Insert the scalar type, the length of vectors, access to them, and the size of blocks."""
    text = re.sub(r"\bV\(", f"VECTOR_{kind}(", text).replace("_U(", f"_{scalar}(")
    for name, value in (("E", scalar), ("W", kind[1:].partition("f")[0]), ("BLOCK", str(_BLOCK))):
        text = re.sub(rf"\b{name}\b", value, text)
    return f"\n#define VECTOR_{kind}(p) (*({kind} *)(p)){text}"


def _blocked(text: str, otherwise: Text = "") -> Text:
    """Return a text for vectors of neighbouring elements, and another one for scalars and lanes."""

    def choose(kind: str, scalar: str) -> str:
        if kind[0] == "w":
            return _text(text, kind, scalar)
        return otherwise if isinstance(otherwise, str) else otherwise(kind, scalar)

    return choose


REDUCE = _blocked(_panel(1) + _panel(2) + _REDUCE)
SUBSTITUTE = _blocked(_SUBSTITUTE)
CHOLESKY = _blocked(_CHOLESKY, factors.CHOLESKY)
LU = _blocked(_LU, factors.LU)
SOLVE = _blocked(_SOLVE, factors.solve)
SOLVE_ONE = _blocked(_SOLVE_ONE)
