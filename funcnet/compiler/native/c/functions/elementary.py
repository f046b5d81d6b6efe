"""C texts of the elementary functions of floats, in the notation of `definitions`."""

from collections.abc import Callable

# Normal results are p times 2^n, by an addition to the exponent of p
EXP = """
static inline T exp_S(T x) { REDUCE
  const T r2 = r * r;
  const T p = EXPSERIES, y = pick_S(x < K(EXPFIRST), K(0.0), float_S(bits_S(p) + (n << P)));
  return pick_S(x == x, pick_S(x > K(EXPLAST), K(INFINITY_), y), x);
}"""
_REDUCED2 = """
  const T z = x + K(MAGIC), r = x - (z - K(MAGIC)), r2 = r * r;
  const T p = fma_S(r, fma_S(r, EXP2SERIES, K(0x1.62e42fefa39efp-1)), K(1.0));
  const I n = bits_S(z) - bits_S(K(MAGIC));"""
EXP2 = f"""
static inline T exp2_S(T x) {{ {_REDUCED2}
  const T y = float_S(bits_S(p) + (n << P));
  return sel_S(x < K(1 - BIAS), K(0.0), sel_S(x < K(BIAS + 1), y, x + K(INFINITY_)));
}}"""
EXPM1 = """
static inline T expm1_S(T x) { REDUCE
  const T r2 = r * r;
  const T p = fma_S(r2, EXPM1SERIES, r), s = float_S((n - 1 + BIAS) << P);
  const T e = fma_S(s, p, s - K(0.5));
  const T y = sel_S(x > K(EXPMAX), K(INFINITY_), sel_S(x < K(SMALL), K(-1.0), e + e));
  return sel_S(abs_S(x) < K(LEAST), x, y);
}"""
SIGMOID = """
static inline T sigmoid_S(T y) {
  const T x = -y; REDUCE
  const T r2 = r * r;
  const T p = EXPSERIES;
  const T s = K(OVER) / fma_S(p, float_S((n - DEPTH + BIAS) << P), K(OVER));
  return sel_S(x > K(FADED), K(0.0), sel_S(x < K(SMALL), K(1.0), s));
}"""
TANH = """
static inline T tanh_S(T y) {
  const T a = abs_S(y), x = a + a; REDUCE
  const T r2 = r * r;
  const T p = fma_S(r2, EXPM1SERIES, r), s = float_S((n - 1 + BIAS) << P);
  const T h = fma_S(s, p, s - K(0.5));
  return copysign_S(sel_S(a > K(FLAT), K(1.0), h / (h + K(1.0))), y);
}"""
LOG = """
static inline T log_S(T x) {
  const T y = sel_S(x < K(TINY), x * K(LIFTED), x), lift = sel_S(x < K(TINY), K(LIFT), K(0.0)); LOG
  const T w = sel_S(x == K(0.0), K(-INFINITY_), sel_S(x < K(INFINITY_), v, x));
  return sel_S(x < K(0.0), K(NAN_), w);
}"""
# log(1 + f) is high + rest, and the second half of the digits of high is zero: products with the first digits of the
# logarithms of e and 2 to another base are exact
_OTHER_LOG = """
static INLINED T logBASE_S(T x) {
  const T y = sel_S(x < K(TINY), x * K(LIFTED), x), lift = sel_S(x < K(TINY), K(LIFT), K(0.0)); LOG
  const T high = float_S((bits_S(f - h) >> HALF) << HALF), rest = fma_S(LOGFACTOR, LOGSERIES, (f - high) - h);
  const T a = k * K(TWOINBASE), b = high * K(EINBASE);
  const T low = fma_S(k, K(TWOINBASELOW), fma_S(rest + high, K(EINBASELOW), rest * K(EINBASE)));
  const T w = sel_S(x == K(0.0), K(-INFINITY_), sel_S(x < K(INFINITY_), a + (b + low), x));
  return sel_S(x < K(0.0), K(NAN_), w);
}"""
LOG2, LOG10 = (_OTHER_LOG.replace("BASE", base) for base in ("2", "10"))
LOGIT = """
static inline T logit_S(T x) {
  const T q = K(1.0) - x, y = x / q, error = fma_S(-y, q, x) - y * ((K(1.0) - q) - x);
  return log_S(y) + sel_S((x > K(TINY)) & (x < K(1.0)), error / x, K(0.0));
}"""
LOG1P = """
static inline T log1p_S(T x) {
  const T y = K(1.0) + x, lift = K(0.0); LOG
  const T w = sel_S(y < K(INFINITY_), v + (x - (y - K(1.0))) / y, y);
  return sel_S(x == K(0.0), x, sel_S(y > K(0.0), w, sel_S(y == K(0.0), K(-INFINITY_), K(NAN_))));
}"""
LOGSUM = """
static inline T logsum_S(T x, T *high, T *sum) {  // log(exp(high) sum + exp(x))
  const T h = maximum_S(*high, x);
  *sum = *sum * exp_S(sel_S(*high == h, K(0.0), *high - h)) + exp_S(sel_S(x == h, K(0.0), x - h));
  *high = h;
  return h + log_S(*sum);
}"""
HYPOT = """
static INLINED T hypot_S(T x, T y) {
  const T v = abs_S(x), w = abs_S(y), top = maximum_S(v, w), least = minimum_S(v, w);
  const I is_large = top > K(1.0 / FAINT), is_small = top < K(FAINT);
  const T scale = sel_S(is_large, K(FAINT * FAINT), sel_S(is_small, K(1.0 / (FAINT * FAINT)), K(1.0)));
  const T back = sel_S(is_large, K(1.0 / (FAINT * FAINT)), sel_S(is_small, K(FAINT * FAINT), K(1.0)));
  const T a = top * scale, b = least * scale, r = sqrt_S(fma_S(a, a, b * b)) * back;
  return sel_S((v == K(INFINITY_)) | (w == K(INFINITY_)), K(INFINITY_), r);
}"""
ABS = """
static inline T abs_S(T x) { return float_S(bits_S(x) & ~(bits_S(K(-0.0)))); }"""
NORMAL = """
static inline T normal_S(T x) { return sel_S(abs_S(x) < K(TINY), copysign_S(K(0.0), x), x); }"""
COPYSIGN = """
static inline T copysign_S(T x, T y) {
  const I sign = bits_S(K(-0.0));
  return float_S((bits_S(x) & ~sign) | (bits_S(y) & sign));
}"""


def _extremum(name: str, comparison: str) -> Callable[[str, str], str]:
    """Return the text of maximum or minimum; gcc vectorises its scalars from conditional expressions."""

    def text(kind: str, scalar: str) -> str:
        chosen = (
            f"a {comparison} b ? a : a != a ? a : b"
            if kind == scalar
            else f"sel_S((a {comparison} b) | (a != a), a, b)"
        )
        return f"static inline T {name}_S(T a, T b) {{ return {chosen}; }}"

    return text


MAXIMUM, MINIMUM = _extremum("maximum", ">"), _extremum("minimum", "<")
FMAX = """
static inline T fmax_S(T a, T b) { return sel_S((a >= b) | (b != b), a, b); }"""
FMIN = """
static inline T fmin_S(T a, T b) { return sel_S((a <= b) | (b != b), a, b); }"""
NEXTAFTER = """
static inline T nextafter_S(T a, T b) {
  const I u = bits_S(a), v = bits_S(b), sign = bits_S(K(-0.0));  // compared as integers: denormals equal zero otherwise
  const I i = ((u & ~sign) ^ (u >> TOP)) - (u >> TOP), j = ((v & ~sign) ^ (v >> TOP)) - (v >> TOP);
  const T least = copysign_S(float_S(bits_S(K(0.0)) + 1), b);
  const T step = sel_S((i < j) ^ (u < 0), float_S(u + 1), float_S(u - 1));
  const T next = sel_S(i == j, b, sel_S(i == 0, least, step));
  return sel_S((a != a) | (b != b), a + b, next);
}"""
# log(1 + e) = 2 artanh(e / (2 + e)) for e up to 1, the exponential of x. From LEAST on it is
# zero, as for two infinities, whose difference is NaN
_LOGADDEXP = """
static INLINED T NAME_S(T a, T b) {
  const T high = maximum_S(a, b), d = -abs_S(a - b), x = sel_S(d > K(LEAST), d, K(LEAST)); REDUCED
  const T e = p * float_S((n + BIAS) << P), s = e / (K(2.0) + e), q = s * s, t = s * K(TWICE);
  return high + fma_S(t * q, LONGARTANHSERIES, t);
}"""
_REDUCED = "REDUCE\n  const T r2 = r * r, p = EXPSERIES;"


def _logaddexp(name: str, least: str, reduced: str, twice: str) -> str:
    """Return log(base^a + base^b) for a base: its exponential from `least` on, and 2 / log(base)."""
    text = _LOGADDEXP.replace("NAME", name).replace("REDUCED", reduced)
    return text.replace("LEAST", least).replace("TWICE", twice)


LOGADDEXP = _logaddexp("logaddexp", "-708.4", _REDUCED, "2.0")
LOGADDEXP2 = _logaddexp("logaddexp2", "-1022.5", _REDUCED2, "2 * 0x1.71547652b82fep+0")
