"""C texts of hyperbolic functions and their inverses, in the notation of `definitions`."""

BLOCKS = {
    # exp(a) = 2^n exp(r) for a = |x|, where sinh(r) = r + tail and cosh(r) = 1 + even; n is 0 up to 1, where
    # terms would cancel. Sums of up and near are exact
    "HYPERBOLIC": """
  const T a = abs_S(x), z_ = sel_S(a < K(1.0), K(MAGIC), fma_S(a, K(0x1.71547652b82fep+0), K(MAGIC)));
  const T k_ = z_ - K(MAGIC), b = fma_S(-k_, K(LN2HI), a), r = fma_S(-k_, K(LN2LO), b), s = r * r;
  const I n = bits_S(z_) - bits_S(K(MAGIC));
  const T tail = fma_S(r * s, SINHSERIES, fma_S(-k_, K(LN2LO), b - r)), even = s * COSHSERIES;
  const T up = float_S((BIAS - 2 + n) << P), down = sel_S(a > K(-(SMALL)), K(0.0), float_S((BIAS - 2 - n) << P));
  const T far = sel_S(a > K(4.0), down, K(0.0)), near = down - far;""",
}
SINH = """
static INLINED T sinh_S(T x) { HYPERBOLIC
  const T c = up - near, d = up + down, y = c + fma_S(d, r, fma_S(up - down, even, fma_S(d, tail, -far)));
  return sel_S(a < K(LEAST), x, copysign_S(sel_S(a > K(EXPMAX + 0.6), K(INFINITY_), y + y), x));
}"""
COSH = """
static INLINED T cosh_S(T x) { HYPERBOLIC
  const T c = up + near, d = up - down, y = c + fma_S(d, r, fma_S(up + down, even, fma_S(d, tail, far)));
  return sel_S(a > K(EXPMAX + 0.6), K(INFINITY_), y + y);
}"""
# (1 + a) / (1 - a) = 2^e (1 + s) / (1 - s) for a = |x|, where the numerator and denominator of s are rounded once if a
# is small
ATANH = """
static INLINED T atanh_S(T x) {
  const T a = abs_S(x), p = K(1.0) + a, d = K(1.0) - a;
  const I e = (bits_S(p) - bits_S(d) + (bits_S(K(1.5)) - bits_S(K(1.0)))) >> P, is_small = a < K(0.5);
  const T k = sel_S(a < K(0.25), K(0.0), CONVERT(e, T)), two = sel_S(a < K(0.25), K(1.0), float_S((e + BIAS) << P));
  const T n = sel_S(is_small, fma_S(a, K(1.0) + two, K(1.0) - two), fma_S(-two, d, p));
  const T m = sel_S(is_small, fma_S(a, K(1.0) - two, K(1.0) + two), fma_S(two, d, p));
  const T s = n / m, q = s * s, t = fma_S(s * q, ARTANHSERIES, k * K(LN2LO / 2));
  const T y = fma_S(k, K(LN2HI / 2), s + t);
  return copysign_S(sel_S(a < K(1.0), y, sel_S(a == K(1.0), K(INFINITY_), K(NAN_))), x);
}"""
