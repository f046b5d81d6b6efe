"""C texts of the division of floats with a remainder, in the notation of `definitions`.

If the quotient has few digits, the remainder of the truncated quotient is exact with one rounding: all numbers in
x - q y are multiples of the last digit of y. The rounded quotient may be the next integer, and then the remainder is
negative. These functions, whose names begin with near, are vectorised; those of any quotients call the C library.
"""

NEAR_FMOD = """
static inline T near_fmod_S(T x, T y) {
  const T a = abs_S(x), b = abs_S(y), r = fma_S(-trunc_S(a / b), b, a), s = sel_S(r < K(0.0), r + b, r);
  return copysign_S(sel_S(a < b, a, s), x);  // for an infinite y, too
}"""
# a quotient with more digits, or a remainder that may be denormal
IS_LONG_QUOTIENT = """
static INLINED I is_long_quotient_S(T x, T y) {
  const T a = abs_S(x), b = abs_S(y);
  const I is_long = ((a / b >= K(EVEN / 4)) & (a < K(INFINITY_))) | (b < K(NEAR));
  return (is_long & (b != K(0.0))) | (bits_S(K(0.0)) - !FUSED);
}"""
_REMAINDER = """
static inline T remainder_S(T x, T y) { LIFTS
  const T m = fmod_S(a, b), r = sel_S((m != K(0.0)) & ((b < K(0.0)) != (m < K(0.0))), m + b, m);
  return BACK;
}"""
FLOORDIV = """
static inline T floordiv_S(T x, T y) { LIFTS
  const T m = fmod_S(a, b);
  const T d = (a - m) / b, e = sel_S((m != K(0.0)) & ((b < K(0.0)) != (m < K(0.0))), d - K(1.0), d);
  const T f = floor_S(e), g = sel_S(e - f > K(0.5), f + K(1.0), f);
  return sel_S(b == K(0.0), a / b, sel_S(e == K(0.0), copysign_S(K(0.0), a / b), g));
}"""


def _near(text: str) -> str:
    """Return the function of near quotients; none of its remainders is denormal."""
    text = text.replace("inline T ", "inline T near_").replace("fmod_S", "near_fmod_S")
    return text.replace("LIFTS", "const T a = x, b = y;").replace("BACK", "r")


NEAR_REMAINDER, NEAR_FLOORDIV = _near(_REMAINDER), _near(FLOORDIV)
REMAINDER = _REMAINDER.replace("BACK", "r * sel_S(near, K(1.0 / LIFTED), K(1.0))")
