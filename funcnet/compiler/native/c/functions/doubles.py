"""C texts of functions of float64 within 2 ulp, in the notation of `definitions`.

A number with twice the digits is a pair: a rounded value and its rounding error. Pairs come from Knuth's two-sum and
from the error of a product (Dekker, 1971).
"""

from functools import cache
from itertools import takewhile

from funcnet.compiler.native.c.functions.lanes import each_lane

_STEP = 16  # exponents that share the pieces of 2 / pi
_ROWS = (1023 - 52) // _STEP + 1
_DIGITS = 1300  # binary ones of 2 / pi, more than the largest exponent and the pieces need


@cache
def _two_over_pi() -> int:
    """Return 2 / pi times 2 ** _DIGITS, from pi = 16 arctan(1 / 5) - 4 arctan(1 / 239) (Machin, 1706)."""
    one = 1 << (_DIGITS + 64)

    def arctan(n: int) -> int:
        powers = (one // n ** (2 * k + 1) for k in range(_DIGITS))
        return sum((-1) ** k * power // (2 * k + 1) for k, power in enumerate(takewhile(bool, powers)))

    return (2 * one << _DIGITS) // (16 * arctan(5) - 4 * arctan(239))


def _pieces(row: int) -> list[str]:
    """Return 2 ** (_STEP row) 2 / pi modulo 4 as the sum of four floats."""
    rest = (_two_over_pi() << (_STEP * row)) % (4 << _DIGITS)
    found = []
    for _ in range(4):
        shift = max(rest.bit_length() - 53, 0)
        found.append(float.hex((rest >> shift) * 2.0 ** (shift - _DIGITS)))
        rest &= (1 << shift) - 1
    return found


def turns(kind: str, scalar: str) -> str:
    """Return the pieces of 2 / pi from a table, for each element."""
    if kind != scalar:
        head = f"static INLINED {kind} turns_{kind}({kind.replace('f', 'i')} j, int k)"
        return f"{head} {{ {kind} r; {each_lane(f'r[i] = turns_{scalar}(j[i], k);')} return r; }}"
    numbers = ", ".join(piece for row in range(_ROWS) for piece in _pieces(row))
    return f"""static const {scalar} turns_{scalar}_[] = {{{numbers}}};
static INLINED {kind} turns_{kind}({kind.replace("f", "i")} j, int k) {{ return turns_{scalar}_[4 * j + k]; }}"""


def any_lane(kind: str, scalar: str) -> str:
    """Return whether a mask is true in any lane."""
    mask = kind.replace("f", "i")
    if kind == scalar:
        return f"static INLINED i64 any_{kind}({mask} mask) {{ return mask; }}"
    return f"""static INLINED i64 any_{kind}({mask} mask) {{
  i64 any = 0;
  {each_lane("any |= mask[i];")}
  return any;
}}"""


SUM_ERROR = """
static INLINED T sum_error_S(T a, T b, T sum) {
  const T added = sum - a;
  return (a - (sum - added)) + (b - added);
}"""

# x is (q + f + low) pi / 2 modulo 2 pi, |f| about 1/2 at most. Here x = y 2^(16 j), and y is an integer or j is 0, so
# that 2^(16 j) 2 / pi counts modulo 4. The error is 2^-140, and no float is closer than 2^-62 to a multiple of pi / 2
# (Payne, Hanek, 1983). The angle f + low is u + v.
_REDUCED = """
  const I over = (bits_S(abs_S(x)) >> P) - (BIAS + P), j = (over & ~(over >> TOP)) >> 4;
  const T y = x * float_S((BIAS - (j << 4)) << P), p1 = turns_S(j, 0), p2 = turns_S(j, 1), p3 = turns_S(j, 2);
  const T h1 = y * p1, h2 = y * p2, h3 = y * p3, e1 = product_error_S(y, p1, h1), e2 = product_error_S(y, p2, h2);
  const T a = e1 + h2, b = e2 + h3, c = sum_error_S(e1, h2, a), d = c + b;
  const T t = h1 - K(4.0) * round_S(h1 * K(0.25)), q1 = round_S(t), q2 = round_S(a), r1 = t - q1, r2 = a - q2;
  const T r = r1 + r2, q3 = round_S(r), g = r - q3, r3 = sum_error_S(r1, r2, r), e = r3 + d, f = g + e;
  const T low = sum_error_S(g, e, f) + (sum_error_S(r3, d, e) + (sum_error_S(c, b, d) + (sum_error_S(e2, h3, b)
    + (product_error_S(y, p3, h3) + y * turns_S(j, 3)))));
  const I q = bits_S(q1 + q2 + q3 + K(MAGIC)), is_tiny = abs_S(x) < K(0x1p-27);
  const T u = f * K(0x1.921fb54442d18p+0);
  const T v = fma_S(f, K(0x1.1a62633145c07p-54), fma_S(low, K(0x1.921fb54442d18p+0),
    product_error_S(f, K(0x1.921fb54442d18p+0), u)));"""
# The same for |x| up to FARTHEST (Cody, Waite, 1980): pi / 2 is QUARTER less or plus two smaller numbers, and q times
# QUARTERMORE is exact. So is a - u unless u has lost no digits.
_REDUCED_NEAR = """
  const T z = fma_S(x, K(0x1.45f306dc9c883p-1), K(MAGIC)), k = z - K(MAGIC);
  const T a = fma_S(-k, K(QUARTER), x), u = fma_S(-k, K(QUARTERMORE), a);
  const T v = fma_S(-k, K(QUARTERLEAST), fma_S(-k, K(QUARTERMORE), a - u));
  const I q = bits_S(z), is_tiny = x == K(0.0);"""
# the sine and cosine of u + v are u + sine_low and w + cosine_low
_OF_REDUCED = """
  const I is_odd = (q & 1) != 0;
  const T s = u * u, half = K(0.5) * s, w = K(1.0) - half;
  const T sine_low = fma_S(u * s, SINETAIL, v * w);
  const T cosine_low = ((K(1.0) - w) - half) + fma_S(s * s, COSINETAIL, -u * v);
  const T sine = u + sine_low, cosine = w + cosine_low;"""
BLOCKS = {"CIRCLE": _REDUCED + _OF_REDUCED, "NEARBY": _REDUCED_NEAR + _OF_REDUCED}
SIN = """
static INLINED T sin_S(T x) { CIRCLE
  return sel_S(is_tiny, x, float_S(bits_S(sel_S(is_odd, cosine, sine)) ^ ((q & 2) << (TOP - 1))));
}"""
COS = """
static INLINED T cos_S(T x) { CIRCLE
  return float_S(bits_S(sel_S(is_odd, sine, cosine)) ^ (((q + 1) & 2) << (TOP - 1)));
}"""
TAN = """
static INLINED T tan_S(T x) { CIRCLE
  const T sine_rest = sum_error_S(u, sine_low, sine), cosine_rest = cosine_low - (cosine - w);
  const T n = sel_S(is_odd, -cosine, sine), i = K(1.0) / sel_S(is_odd, sine, cosine), m = n * i;
  const T rest = sel_S(is_odd, -cosine_rest, sine_rest) - m * sel_S(is_odd, sine_rest, cosine_rest);
  return sel_S(is_tiny, x, m + i * (fma_S(-m, sel_S(is_odd, sine, cosine), n) + rest));
}"""


def _near(text: str) -> str:
    """Return the function of arguments that are not far, with `near_` before its name."""
    return text.replace("INLINED T ", "INLINED T near_").replace("CIRCLE", "NEARBY")


NEAR_SIN, NEAR_COS, NEAR_TAN = map(_near, (SIN, COS, TAN))
IS_FAR = """
static INLINED I is_far_S(T x) { return (abs_S(x) > K(FARTHEST)) | (bits_S(K(0.0)) - !FUSED); }"""
EXP_OF_SUM = """
static INLINED T exp_of_sum_S(T x, T low) {
  const T z_ = fma_S(x, K(0x1.71547652b82fep+0), K(MAGIC)), k_ = z_ - K(MAGIC);
  const I n = bits_S(z_) - bits_S(K(MAGIC)), h = n >> 1;
  const T a = fma_S(-k_, K(LN2HI), x), b = fma_S(-k_, K(LN2LO), low), r = a + b, r2 = r * r, sum = K(1.0) + r;
  const T p = sum + (((K(1.0) - sum) + r) + fma_S(r2, EXPM1SERIES, (a - r) + b));
  const T y = p * float_S((h + BIAS) << P) * float_S((n - h + BIAS) << P);
  return sel_S(x > K(EXPMAX), K(INFINITY_), sel_S(x < K(EXPMIN), K(0.0), y));
}"""
# a = 2^k m, and log(m) = 2 s + s (2 s² / 3 + …) for s = (m - 1) / (m + 1), as pairs; log(a) is log + low
BLOCKS["PAIR"] = """
  const I e = (bits_S(a) - SQRTHALF) >> P;
  const T m = float_S(bits_S(a) - (e << P)), k = CONVERT(e, T), g = m + K(1.0), i = K(1.0) / g, f = m - K(1.0);
  const T s = f * i, p = s * g, sl = i * (((f - p) - product_error_S(s, g, p)) - s * (m - (g - K(1.0))));
  const T q = s * s, ql = fma_S(s + s, sl, product_error_S(s, s, q));
  const T c = fma_S(q, POWERTAIL, K(TWOTHIRDSLOW)), d = K(TWOTHIRDS) + c;
  const T t = q * d, tl = fma_S(q, c - (d - K(TWOTHIRDS)), fma_S(ql, d, product_error_S(q, d, t)));
  const T u = s * t, ul = fma_S(s, tl, fma_S(sl, t, product_error_S(s, t, u))) + (sl + sl);
  const T v = k * K(LN2HI), w = v + (s + s), h = w + u;
  const T low = fma_S(k, K(LN2LO), ((s + s) - (w - v)) + (u - (h - w)) + ul);
  const T log = sel_S(a == K(0.0), K(-INFINITY_), sel_S(a < K(INFINITY_), h, a)), z = y * log;"""
POW = """
static INLINED T pow_S(T x, T y) {  // from EVEN on, y is even
  const T a = abs_S(x), b = abs_S(y), large = sel_S(b < K(LIFTED), b + K(LIFTED), b); PAIR
  const T r = exp_of_sum_S(z, fma_S(y, low, product_error_S(y, log, z)));
  const I is_whole = (b >= K(LIFTED)) | (large - K(LIFTED) == b);
  const I is_odd = is_whole & (b < K(EVEN)) & bits_S(large) & 1;
  const T even = sel_S(is_whole | (x >= K(0.0)) | (a == K(INFINITY_)), r, K(NAN_));
  const T power = sel_S(is_odd != 0, copysign_S(r, x), even);
  const I is_one = (y == K(0.0)) | ((a == K(1.0)) & ((x > K(0.0)) | (b >= K(EVEN))));
  return sel_S(is_one, K(1.0), sel_S((x == x) & (y == y), power, x + y));
}"""
POWER = """
static INLINED T power_S(T a, T y, T rest) {  // a ** (y + rest), a >= 0
  PAIR
  const T r = exp_of_sum_S(z, fma_S(y, low, fma_S(rest, h, product_error_S(y, log, z))));
  return sel_S(a < K(0.0), K(NAN_), r);
}"""
EXPONENTIAL = """
static INLINED T exponential_S(T x, T y, T rest) {  // exp(x (y + rest))
  const T z = x * y;
  return exp_of_sum_S(z, fma_S(x, rest, product_error_S(x, y, z)));
}"""
ASINH = """
static INLINED T asinh_S(T x) {
  const T a = abs_S(x), s = a * a, t = a + s / (K(1.0) + sqrt_S(s + K(1.0)));
  return copysign_S(sel_S(a < K(0x1p27), log1p_S(t), log_S(a) + K(0x1.62e42fefa39efp-1)), x);
}"""
ACOSH = """
static INLINED T acosh_S(T x) {
  const T y = x - K(1.0), z = fma_S(y, y, y + y), r = sqrt_S(z), t = y + r;
  const T low = sel_S(z > K(0.0), (y - (t - r)) - product_error_S(r, r, z) / (r + r), K(0.0));
  const T near = log1p_S(t) + low / (K(1.0) + t);
  return sel_S(x < K(1.0), K(NAN_), sel_S(x > K(0x1p27), log_S(x) + K(0x1.62e42fefa39efp-1), near));
}"""
