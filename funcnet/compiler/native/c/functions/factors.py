"""C texts of factorisations and triangular systems, in the notation of `definitions`.

Each works in place on a matrix whose row i begins at i ld. The texts of T serve scalars and vectors of lanes. Those of
vectors of neighbouring elements (`wide`) read and write whole vectors, so that rows have room for W - 1 elements more.
"""

import re

_COLUMNS = 4  # columns for which one pass over the rows above computes sums

_SUMS = """
    for (; j + {n} <= {end}; j += {n}) {{
      T {names};
      for (i64 p = {first}; p < {last}; ++p) {{
        const T f = -({factor});
        {steps}
      }}
      {stores}
    }}"""


def _sums(target: str, row: str, factor: str, value: str, **bounds: str) -> str:
    """Return loops over columns j: target[j] becomes `value` of s = target[j] - Σ_p factor row[j]."""
    text = ""
    for n in (_COLUMNS, 1):
        columns = range(n)
        text += _SUMS.format(
            n=n,
            factor=factor,
            names=", ".join(f"s{c} = {target}[j + {c}]" for c in columns),
            steps=" ".join(f"s{c} = fma_S(f, {row}[j + {c}], s{c});" for c in columns),
            stores=" ".join(f"{target}[j + {c}] = {value.format(s=f's{c}', c=c)};" for c in columns),
            **bounds,
        )
    return text


CHOLESKY = (
    """
static inline void cholesky_S(T *a, i64 n, i64 ld, T *info) {  // a = uᵀ u, from the upper triangle of a
  T failed = K(0.0);
  for (i64 i = 0; i < n; ++i) {
    T *row = a + i * ld, d = row[i];
    for (i64 p = 0; p < i; ++p) {
      const T f = a[p * ld + i];
      d = fma_S(-f, f, d);
    }
    row[i] = sel_S(failed == K(0.0), d, row[i]);  // from the step that fails on, the rest is left unchanged
    failed = sel_S((d > K(0.0)) | (failed != K(0.0)), failed, K(i + 1));
    const I ok = failed == K(0.0);
    const T root = sqrt_S(d), r = K(1.0) / root;
    for (i64 j = 0; j < i; ++j) row[j] = K(0.0);
    row[i] = sel_S(ok, root, row[i]);
    i64 j = i + 1;"""
    + _sums("row", "(a + p * ld)", "a[p * ld + i]", "sel_S(ok, {s} * r, row[j + {c}])", end="n", first="0", last="i")
    + """
  }
  *info = failed;
}"""
)

_SWAP = """
static inline void swap_S(T *x, i64 m, i64 n, i64 ld, i64 j, T at) {  // rows j and at of the first m
  if (at != j)
    for (i64 c = 0; c < n; ++c) {
      const T y = x[j * ld + c];
      x[j * ld + c] = x[(i64)at * ld + c], x[(i64)at * ld + c] = y;
    }
}"""
_SWAP_LANES = """
static inline void swap_S(T *x, i64 m, i64 n, i64 ld, i64 j, T at) {  // rows j and at >= j of the first m
  if (m <= 16)
    for (i64 c = 0; c < n; ++c) {
      const T old = x[j * ld + c];
      T y = old;
      for (i64 i = j + 1; i < m; ++i) {
        const T z = x[i * ld + c];
        y = sel_S(at == K(i), z, y);
        x[i * ld + c] = sel_S(at == K(i), old, z);
      }
      x[j * ld + c] = y;
    }
  else
    for (int lane = 0; lane < L; ++lane) {
      const i64 i = at[lane];
      if (i != j)
        for (i64 c = 0; c < n; ++c) {
          E *p = (E *)(x + j * ld + c) + lane, *q = (E *)(x + i * ld + c) + lane;
          const E y = *p;
          *p = *q, *q = y;
        }
    }
}"""


def swap(kind: str, scalar: str) -> str:
    """Return the exchange of two rows, in lanes of different ones."""
    return _SWAP if kind == scalar else re.sub(r"\bE\b", scalar, _SWAP_LANES)


PERMUTE = """
static inline void permute_S(T *x, i64 n, i64 k, i64 ld, const T *pivots, i64 count, int reverse) {
  for (i64 step = 0; step < count; ++step) {
    const i64 j = reverse ? count - 1 - step : step;
    swap_S(x, n, k, ld, j, pivots[j] - K(1.0));
  }
}"""
LU = """
static inline void lu_S(T *a, i64 m, i64 n, i64 ld, T *pivots, T *info) {  // a = p l u
  T failed = K(0.0);
  for (i64 j = 0; j < (m < n ? m : n); ++j) {
    T *row = a + j * ld, best = abs_S(row[j]), at = K(j);
    for (i64 i = j + 1; i < m; ++i) {
      const T size = abs_S(a[i * ld + j]);
      at = sel_S(size > best, K(i), at);
      best = sel_S(size > best, size, best);
    }
    pivots[j] = at + K(1.0);
    swap_S(a, m, n, ld, j, at);
    const T pivot = row[j];
    failed = sel_S((pivot != K(0.0)) | (failed != K(0.0)), failed, K(j + 1));
    const T r = K(1.0) / sel_S(pivot == K(0.0), K(1.0), pivot);
    for (i64 i = j + 1; i < m; ++i) {
      T *to = a + i * ld;
      const T f = to[j] * r;
      to[j] = f;
      for (i64 c = j + 1; c < n; ++c) to[c] = fma_S(-f, row[c], to[c]);
    }
  }
  *info = failed;
}"""

_SOLVE = (
    """
static inline void NAME_S(T *x, i64 n, i64 k, i64 ld, const U *t, i64 ra, i64 ca, int upper, int unit) {  // x = t⁻¹ x
  for (i64 step = 0; step < n; ++step) {
    const i64 i = upper ? n - 1 - step : step, first = upper ? i + 1 : 0, last = upper ? n : i;
    const T d = unit ? K(1.0) : READ(t[i * (ra + ca)]);
    T *row = x + i * ld;
    i64 j = 0;"""
    + _sums(
        "row", "(x + p * ld)", "READ(t[i * ra + p * ca])", "unit ? {s} : {s} / d", end="k", first="first", last="last"
    )
    + """
  }
}"""
)


def solve(kind: str, scalar: str) -> str:
    """Return the solution of triangular systems, in place."""
    return _SOLVE.replace("NAME", "solve").replace("READ", "").replace("U *", "T *")


def solve_shared(kind: str, scalar: str) -> str:
    """Return the same for lanes with one triangle."""
    return _SOLVE.replace("NAME", "solve_shared").replace("READ", "K").replace("U *", f"{scalar} *")
