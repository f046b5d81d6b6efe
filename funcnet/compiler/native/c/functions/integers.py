"""C texts of the functions of integers, in the notation of `definitions`.

The last ones are for scalars only. Division by zero, an error in eager mode, gives 0 and sets the error flag.
"""

ABS = "static inline T abs_S(T x) { return sel_S(x < K(0), -x, x); }"
MAXIMUM = "static inline T maximum_S(T a, T b) { return sel_S(a > b, a, b); }"
MINIMUM = "static inline T minimum_S(T a, T b) { return sel_S(a < b, a, b); }"
FMAX = "static inline T fmax_S(T a, T b) { return sel_S(a > b, a, b); }"
FMIN = "static inline T fmin_S(T a, T b) { return sel_S(a < b, a, b); }"
FMA = "static inline T fma_S(T a, T b, T c) { return a * b + c; }"
SHL = """static inline T shl_S(T a, T b) {
  return sel_S((b >= K(0)) & (b < K(BITS_)), a << (b & K(BITS_ - 1)), K(0));
}"""
_SHR_OF_BYTES = "static inline T shr_S(T a, T b) { return sel_S(b < K(8), a >> (b & K(7)), K(0)); }"
_SHR = """static inline T shr_S(T a, T b) {
  return a >> sel_S((b >= K(0)) & (b < K(BITS_)), b, K(BITS_ - 1));
}"""


def shift_right(kind: str, scalar: str) -> str:
    """Shift right and keep the sign; unsigned bytes have none."""
    return _SHR_OF_BYTES if scalar == "u8" else _SHR


QUOTIENT = "static T quotient_S(T a, T b) { return b == 0 ? (flags_ |= 2, 0) : b == -1 ? -a : a / b; }"
FMOD = "static T fmod_S(T a, T b) { return b == 0 ? (flags_ |= 2, 0) : b == -1 ? 0 : a % b; }"
REMAINDER = """static T remainder_S(T a, T b) {
  const T m = fmod_S(a, b);
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}"""
FLOORDIV = """static T floordiv_S(T a, T b) {
  const T q = quotient_S(a, b);
  return b != 0 && fmod_S(a, b) != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}"""
POW = """static T pow_S(T a, T b) {
  T r = 1;
  if (b < 0) return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
  for (; b; b >>= 1, a *= a) if (b & 1) r *= a;
  return r;
}"""
