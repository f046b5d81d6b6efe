"""C texts of the elementary functions of floats, in the notation of `definitions`."""

from collections.abc import Callable

# results below the least normal number are flushed to zero, as all in a kernel are: n is added to the exponent of p
EXP = """
static inline T exp_S(T x) { REDUCE
  const T r2 = r * r;
  const T p = EXPSERIES;
  const T y = float_S(bits_S(p) + (bits_S(z_) << P)), u = pick_S(x < K(EXPLEAST), K(0.0), y);
  const T v = pick_S(x > K(EXPMOST), K(INFINITY_), u);
  return pick_S(x == x, v, x);
}"""
EXP2 = """
static inline T exp2_S(T x) {
  const T z = x + K(MAGIC), r = x - (z - K(MAGIC)), r2 = r * r;
  const T p = fma_S(r, fma_S(r, EXP2SERIES, K(0x1.62e42fefa39efp-1)), K(1.0));
  const I n = bits_S(z) - bits_S(K(MAGIC)), h = n >> 1;
  const T y = p * float_S((h + BIAS) << P) * float_S((n - h + BIAS) << P);
  return sel_S(x >= K(BIAS + 1), K(INFINITY_), sel_S(x < K(-BIAS - P), K(0.0), y));
}"""
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
  const T h = fma_S(s, p, s - K(0.5)), q = a * a, small = fma_S(a * q, fma_S(q, K(2.0 / 15), K(-1.0 / 3)), a);
  return copysign_S(sel_S(a > K(FLAT), K(1.0), sel_S(a < K(STEEP), small, h / (h + K(1.0)))), y);
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
  const T high = float_S((bits_S(f - h) >> HALF) << HALF), rest = ((f - high) - h) + s * (h + q * (LOGSERIES));
  const T a = k * K(TWOINBASE), b = high * K(EINBASE), sum = a + b;
  const T low = fma_S(k, K(TWOINBASELOW), fma_S(rest + high, K(EINBASELOW), rest * K(EINBASE)));
  const T w = sel_S(x == K(0.0), K(-INFINITY_), sel_S(x < K(INFINITY_), sum + (((a - sum) + b) + low), x));
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
# log(1 + e) = 2 artanh(e / (2 + e)) for e up to 1
LOGADDEXP = """
static INLINED T logaddexp_S(T a, T b) {
  const T high = maximum_S(a, b), d = sel_S(a == b, K(0.0), minimum_S(a, b) - high);
  const T e = exp_S(d), s = e / (K(2.0) + e), q = s * s, t = s + s;
  return high + fma_S(t * q, LONGARTANHSERIES, t);
}"""
LOGADDEXP2 = """
static INLINED T logaddexp2_S(T a, T b) {
  const T high = maximum_S(a, b), d = sel_S(a == b, K(0.0), minimum_S(a, b) - high);
  const T e = exp2_S(d), s = e / (K(2.0) + e), q = s * s, t = s * K(2 * 0x1.71547652b82fep+0);
  return high + fma_S(t * q, LONGARTANHSERIES, t);
}"""
