"""C texts of trigonometric and hyperbolic functions, in the notation of `definitions`.

They are functions of float64 for arguments and results of float32: exact products of 24 by 29 digits replace the
hundreds of digits of pi that large angles need, and series of half the length suffice. They are for scalars: gcc
vectorises `pick`, a conditional expression of constants, to fewer instructions than `sel`.
"""


def _pick(kind: str, scalar: str) -> str:
    """Return the text of pick, which is `sel` in lanes."""
    mask, chosen = ("int", "m ? a : b") if kind == scalar else ("I", "sel_S(m, a, b)")
    return f"static inline T pick_S({mask} m, T a, T b) {{ return {chosen}; }}"


PICK = _pick

# f and q: x is (q + f) pi / 2 modulo 2 pi, with |f| <= 1/2. Here x = y 2^(26 j), where y is an integer or j is 0, so
# that 2^(26 j) 2 / pi counts modulo 4: it is high + middle + low with |high| < 2, a multiple of 2^-27, and middle one
# of 2^-56. No product with high or middle is rounded, nor is a difference that may cancel.
_PIECES = (
    ("1.0", "0x1p-26", "0x1p-52", "0x1p-78"),
    ("0x1.45f306cp-1", "0x1.b939106p+0", "0x1.529fc28p+0", "0x1.d5f47d4p+0"),
    ("0x1.c9c882ap-29", "-0x1.6b01ec6p-29", "-0x1.505c15ap-29", "0x1.a6ee06ep-29"),
    ("0x1.4fe13abe8fa9ap-59", "0x1.7d1f534ddc0dbp-58", "0x1.377036d8a5665p-58", "-0x1.3ad4cd8778df8p-59"),
)


def _piece(numbers: tuple[str, ...]) -> str:
    first, second, third, fourth = (f"K({number})" for number in numbers)
    return f"pick_S(a < K(0x1p76), pick_S(a < K(0x1p50), {first}, {second}), pick_S(a < K(0x1p102), {third}, {fourth}))"


BLOCKS = {
    "ANGLE": f"""
  const T a = abs_S(x), y = x * {_piece(_PIECES[0])};
  const T high = {_piece(_PIECES[1])};
  const T middle = {_piece(_PIECES[2])};
  const T low = {_piece(_PIECES[3])};
  const T p = y * high, n = p + K(MAGIC), g = (p - (n - K(MAGIC))) + y * middle, m = g + K(MAGIC);
  const T f = (g - (m - K(MAGIC))) + y * low, s = f * f, sine = f * SINESERIES, cosine = COSINESERIES;
  const I q = bits_S(n) + bits_S(m);""",
}
SINE = """
static INLINED T sine_S(T x) { ANGLE
  return float_S(bits_S(sel_S((q & 1) != 0, cosine, sine)) ^ ((q & 2) << (TOP - 1)));
}"""
COSINE = """
static INLINED T cosine_S(T x) { ANGLE
  return float_S(bits_S(sel_S((q & 1) != 0, sine, cosine)) ^ (((q + 1) & 2) << (TOP - 1)));
}"""
TANGENT = """
static INLINED T tangent_S(T x) { ANGLE
  return sel_S((q & 1) != 0, -cosine, sine) / sel_S((q & 1) != 0, sine, cosine);
}"""
AREA_SINE = """
static inline T area_sine_S(T x) {
  const T a = abs_S(x), s = a * a;
  return copysign_S(log1p_S(a + sel_S(a < K(1e18), s / (K(1.0) + sqrt_S(s + K(1.0))), a)), x);
}"""
AREA_COSINE = """
static inline T area_cosine_S(T x) {
  const T y = x - K(1.0);
  return log1p_S(y + sqrt_S(y * (x + K(1.0)))) + sel_S(y < K(0.0), K(NAN_), K(0.0));
}"""
