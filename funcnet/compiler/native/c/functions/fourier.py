"""C texts of Fourier transforms, in the notation of `definitions`.

One transform of n numbers is a sequence of passes, each over the n elements in another order (Stockham's). A pass of
radix r with s = the product of the earlier radices and m = n / (r s) reads a_k = x[q + s (p + m k)] and writes

    y[q + s (r p + j)] = w_n^(s p j) sum over k < r of w_r^(j k) a_k,  for p < m, q < s;  w_n = exp(-2 pi i / n)

The roots w hold the powers of w_n, all real parts first; x and z, and y and v, are the real and imaginary parts. An
element is of type T: a scalar, a vector of lanes, or one of neighbours of type E, each of another transform.

Source:
    Van Loan (1992), Computational frameworks for the fast Fourier transform, 1.7 and 2.3.
"""

import re
from collections.abc import Callable

_PASS = """
static inline void fourier{radix}_S(const T *x, const T *z, T *y, T *v, i64 n, i64 s, const R *w) {{
  const i64 m = n / ({radix} * s), h = s * m;
  for (i64 p = 0; p < m; ++p)
    for (i64 q = 0; q < s; ++q) {{
      const i64 from = q + s * p, to = q + s * p * {radix}, turn = s * p;
      {sums}
      y[to] = r0, v[to] = i0;
      if (m == 1) {{
        {plain}
      }} else {{
        {turned}
      }}
    }}
}}"""


def _pass(radix: int, sums: str) -> str:
    """Return a pass with the C text of its sums, which names the coefficients r0, i0, r1, i1, ..."""
    plain, turned = (
        "\n        ".join(line.format(j=j) for j in range(1, radix))
        for line in (
            "y[to + {j} * s] = r{j}, v[to + {j} * s] = i{j};",
            "turn_S(r{j}, i{j}, same_S(w[{j} * turn]), same_S(w[n + {j} * turn]), &y[to + {j} * s], &v[to + {j} * s]);",
        )
    )
    return _PASS.format(radix=radix, sums=_halves(radix) + sums.strip(), plain=plain, turned=turned)


def _halves(radix: int) -> str:
    """Name the sums and differences of the elements k and k + radix / 2: a and b of both parts, and c and d."""
    half, text = radix // 2, ""
    for k in range(half):
        for names, sign in (("ab", "+"), ("cd", "-")):
            re, im = (f"{part}[from + {k} * h] {sign} {part}[from + {k + half} * h]" for part in "xz")
            text += f"const T {names[0]}{k} = {re}, {names[1]}{k} = {im};\n      "
    return text


_TWO = _pass(2, "const T r0 = a0, i0 = b0, r1 = c0, i1 = d0;")
_FOUR = _pass(
    4,
    """
      const T r0 = a0 + a1, i0 = b0 + b1, r2 = a0 - a1, i2 = b0 - b1;
      const T r1 = c0 + d1, i1 = d0 - c1, r3 = c0 - d1, i3 = d0 + c1;""",
)
_EIGHT = _pass(
    8,
    """
      const T e0 = a0 + a2, f0 = b0 + b2, e2 = a0 - a2, f2 = b0 - b2;
      const T e1 = a1 + a3, f1 = b1 + b3, e3 = a1 - a3, f3 = b1 - b3;
      const T r0 = e0 + e1, i0 = f0 + f1, r4 = e0 - e1, i4 = f0 - f1;
      const T r2 = e2 + f3, i2 = f2 - e3, r6 = e2 - f3, i6 = f2 + e3;
      const T g0 = c0 + d2, h0 = d0 - c2, g2 = c0 - d2, h2 = d0 + c2;
      const T g1 = c1 + d3, h1 = d1 - c3, g3 = c1 - d3, h3 = d1 + c3;
      const T half_root = same_S(0x1.6a09e667f3bcdp-1);
      const T k1 = half_root * (g1 + h1), l1 = half_root * (h1 - g1);
      const T k3 = half_root * (h3 - g3), l3 = -(half_root * (g3 + h3));
      const T r1 = g0 + k1, i1 = h0 + l1, r5 = g0 - k1, i5 = h0 - l1;
      const T r3 = g2 + k3, i3 = h2 + l3, r7 = g2 - k3, i7 = h2 - l3;""",
)
_TURNED = """
static INLINED void turn_S(T a, T b, T c, T d, T *y, T *v) {  // (a + i b) (c + i d)
  *y = fma_S(a, c, -(b * d)), *v = fma_S(a, d, b * c);
}"""
_ODD = """
static INLINED void fourier_odd_S(const T *x, const T *z, T *y, T *v, i64 n, i64 s, const R *w, i64 r) {  // odd r <= 61
  const i64 m = n / (r * s), h = s * m, half = r / 2;
  for (i64 p = 0; p < m; ++p)
    for (i64 q = 0; q < s; ++q) {
      const i64 from = q + s * p, to = q + s * p * r;
      T a[30], b[30], c[30], d[30], re = x[from], im = z[from];  // sums and differences of elements k and r - k
      for (i64 k = 1; k <= half; ++k) {
        const i64 at = from + k * h, other = from + (r - k) * h;
        a[k - 1] = x[at] + x[other], b[k - 1] = z[at] + z[other];
        c[k - 1] = x[at] - x[other], d[k - 1] = z[at] - z[other];
        re = re + a[k - 1], im = im + b[k - 1];
      }
      y[to] = re, v[to] = im;
      for (i64 j = 1; j <= half; ++j) {
        T even_re = x[from], even_im = z[from], odd_re = (T){0}, odd_im = (T){0};
        for (i64 k = 1; k <= half; ++k) {
          const i64 root = j * k % r * (n / r);
          const T cosine = same_S(w[root]), sine = same_S(w[n + root]);
          even_re = fma_S(cosine, a[k - 1], even_re), even_im = fma_S(cosine, b[k - 1], even_im);
          odd_re = fma_S(sine, d[k - 1], odd_re), odd_im = fma_S(sine, c[k - 1], odd_im);
        }
        const i64 one = to + j * s, other = to + (r - j) * s, turn = s * p * j, back = s * p * (r - j);
        turn_S(even_re - odd_re, even_im + odd_im, same_S(w[turn]), same_S(w[n + turn]), y + one, v + one);
        turn_S(even_re + odd_re, even_im - odd_im, same_S(w[back]), same_S(w[n + back]), y + other, v + other);
      }
    }
}"""
_READ = """
static inline void fourier_read_S(const E *from, i64 pitch, i64 n, i64 count, T *y) {  // columns
  const i64 whole = sizeof(T) / sizeof(E);
  for (i64 j = 0; j < n; ++j) {
    T x = (T){0};
    if (count == whole) x = *(const T *)(from + j * pitch);
    else for (i64 l = 0; l < count; ++l) ((E *)&x)[l] = from[j * pitch + l];
    y[j] = x;
  }
}"""
_WRITE = """
static inline void fourier_write_S(const T *x, i64 n, E *to, i64 pitch, i64 count) {
  const i64 whole = sizeof(T) / sizeof(E);
  for (i64 j = 0; j < n; ++j)
    if (count == whole) *(T *)(to + j * pitch) = x[j];
    else for (i64 l = 0; l < count; ++l) to[j * pitch + l] = ((const E *)(x + j))[l];
}"""
_TURN = """
static inline void fourier_turns_S(T *x, T *z, i64 n, const R *w, i64 pitch, i64 size, i64 count) {
  const i64 whole = sizeof(T) / sizeof(E);
  for (i64 j = 0; j < n; ++j) {
    T c = (T){0}, d = (T){0};
    if (whole == 1) c = same_S(w[j * pitch]), d = same_S(w[j * pitch + size]);
    else if (count == whole) c = *(const T *)(w + j * pitch), d = *(const T *)(w + j * pitch + size);
    else for (i64 l = 0; l < count; ++l) ((R *)&c)[l] = w[j * pitch + l], ((R *)&d)[l] = w[j * pitch + size + l];
    turn_S(x[j], z[j], c, d, x + j, z + j);
  }
}"""
_ROOT = """
static inline void root_S(i64 k, i64 n, f64 *re, f64 *im) {  // exp(-2 pi i k / n) for k < n, exact at each quarter
  const i64 quarter = (8 * k + n) / (2 * n);
  const f64 angle = 0x1.921fb54442d18p+1 * (f64)(4 * k - quarter * n) / (f64)(2 * n);
  const f64 c = near_cos_f64(angle), d = near_sin_f64(angle);
  *re = quarter % 4 == 0 ? c : quarter % 4 == 1 ? -d : quarter % 4 == 2 ? -c : d;
  *im = quarter % 4 == 0 ? -d : quarter % 4 == 1 ? -c : quarter % 4 == 2 ? d : c;
}"""
_ROOTS = """
static __attribute__((noinline)) void fourier_roots_S(R *w, i64 first, i64 rows, i64 columns, i64 n) {
  for (i64 i = 0; i < rows; ++i)
    for (i64 j = 0; j < columns; ++j) {  // w_n to the power of (first + i) j
      f64 re, im;
      root_f64((first + i) * j % n, n, &re, &im);
      w[i * columns + j] = re, w[rows * columns + i * columns + j] = im;
    }
}"""

_CHIRP = """
static __attribute__((noinline)) void fourier_chirp_S(R *w, i64 n) {  // exp(-pi i k^2 / n)
  for (i64 k = 0; k < n; ++k) {
    f64 re, im;
    root_f64(k * k % (2 * n), 2 * n, &re, &im);
    w[k] = re, w[n + k] = im;
  }
}"""
_FILTER = """
static __attribute__((noinline)) void fourier_filter_S(const R *w, i64 n, R *y, i64 m) {  // 1 / w, divided by m
  for (i64 k = 0; k < m; ++k) {
    const i64 from = k < n ? k : m - k;
    y[k] = from < n ? w[from] / m : 0, y[m + k] = from < n ? -w[n + from] / m : 0;
  }
}"""
_TIMES = """
static void fourier_times_S(const R *x, const R *z, const R *w, i64 n, R *y, R *v, i64 m) {
  VECTORISE
  for (i64 j = 0; j < n; ++j) {
    const R a = x[j], b = z[j], c = w[j], d = w[n + j];
    y[j] = fma_S(a, c, -(b * d)), v[j] = fma_S(a, d, b * c);
  }
  for (i64 j = n; j < m; ++j) y[j] = 0, v[j] = 0;
}"""
_SAME = """
static INLINED T same_S(R x) { return x - (T){0}; }"""


def _text(text: str) -> Callable[[str, str], str]:
    """Name the types of the elements and of the roots."""

    def filled(kind: str, scalar: str) -> str:
        element = scalar if kind[0] == "w" else kind
        return re.sub(r"\bR\b", scalar, re.sub(r"\bE\b", element, text))

    return filled


TEXTS = {
    "fourier2": (7, _text(_TWO)),
    "fourier4": (7, _text(_FOUR)),
    "fourier8": (7, _text(_EIGHT)),
    "fourier_odd": (8, _text(_ODD)),
    "fourier_read": (5, _text(_READ)),
    "fourier_write": (5, _text(_WRITE)),
    "fourier_turns": (7, _text(_TURN)),
    "fourier_roots": (5, _text(_ROOTS)),
    "fourier_chirp": (2, _text(_CHIRP)),
    "fourier_filter": (4, _text(_FILTER)),
    "fourier_times": (7, _text(_TIMES)),
    "root": (4, _text(_ROOT)),
    "turn": (6, _text(_TURNED)),
    "same": (1, _text(_SAME)),
}
