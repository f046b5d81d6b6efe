"""C texts of inverse trigonometric functions, in the notation of `definitions`.

An angle is a multiple of pi / 4 plus or minus a small angle u + low. Multiples of EIGHTH are exact, so that only the
last sum is rounded.
"""

# m pi / 4 + u + low
_SUM = "const T base = m * K(EIGHTH), sum = base + z, angle = sum + ((base - sum) + z + fma_S(m, K(EIGHTHLOW), rest));"
# u + low is the angle whose tangent is (n + nl) / (d + dl)
_OF_RATIO = """
  const T i = K(1.0) / d, u = n * i, s = u * u;
  const T low = fma_S(u * s, ARCTANGENTSERIES, i * (fma_S(-u, d, n) + (nl - u * dl)));"""
# of small / large, less an eighth of a turn if that is nearer
_RATIO = f"""
  const I is_far = small > K(0.41421356) * large;
  const T n = sel_S(is_far, small - large, small), nl = sel_S(is_far, sum_error_S(small, -large, n), K(0.0));
  const T d = sel_S(is_far, small + large, large), dl = sel_S(is_far, (large - d) + small, K(0.0));{_OF_RATIO}
  const T eighths = sel_S(is_far, K(1.0), K(0.0));"""
BLOCKS = {
    "RATIO": _RATIO,
    "ANGLESUM": _SUM,
    # u + low is the angle whose sine is a = |x|, or half the one whose cosine is a if that is less
    "ROOT": """
  const T a = abs_S(x);
  const I is_far = a > K(0.5);
  const T s = sel_S(is_far, fma_S(a, K(-0.5), K(0.5)), a * a), r = sqrt_S(s), u = sel_S(is_far, r, a);
  const T error = sel_S(is_far & (s > K(0.0)), product_error_S(r, r, s) / (r + r), K(0.0));
  const T low = fma_S(u * s, ARCSINESERIES, -error);""",
}
ATAN = """
static INLINED T atan_S(T x) {
  const T a = sel_S(abs_S(x) > K(HUGEST), K(HUGEST), abs_S(x));
  const I is_steep = a > K(1.0);
  const T large = sel_S(is_steep, a, K(1.0)), small = sel_S(is_steep, K(1.0), a); RATIO
  const T m = sel_S(is_steep, K(2.0) - eighths, eighths), z = sel_S(is_steep, -u, u), rest = sel_S(is_steep, -low, low);
  ANGLESUM
  return copysign_S(angle, x);
}"""
ATAN2 = """
static INLINED T atan2_S(T y, T x) {
  const T v = abs_S(x), w = abs_S(y), top = maximum_S(v, w), least = minimum_S(v, w);
  const I is_steep = w > v, is_left = bits_S(x) < 0, is_turned = is_steep ^ is_left, is_infinite = top == K(INFINITY_);
  const T scale = sel_S(top > K(HUGEST), K(SHRINK), sel_S(top < K(1.0 / HUGEST), K(1.0 / SHRINK), K(1.0)));
  const T large = sel_S(is_infinite | (top == K(0.0)), K(1.0), top * scale);
  const T small = sel_S(is_infinite, sel_S(least == top, K(1.0), K(0.0)), least * scale); RATIO
  const T right = sel_S(is_steep, K(2.0) - eighths, eighths), m = sel_S(is_left, K(4.0) - right, right);
  const T z = sel_S(is_turned, -u, u), rest = sel_S(is_turned, -low, low);
  ANGLESUM
  return copysign_S(angle, y);
}"""
ASIN = """
static INLINED T asin_S(T x) { ROOT
  const T m = sel_S(is_far, K(2.0), K(0.0)), factor = sel_S(is_far, K(-2.0), K(1.0));
  const T z = factor * u, rest = factor * low;
  ANGLESUM
  return copysign_S(angle, x);
}"""
ACOS = """
static INLINED T acos_S(T x) { ROOT
  const T m = sel_S(is_far, sel_S(x < K(0.0), K(4.0), K(0.0)), K(2.0));
  const T sign = sel_S((x < K(0.0)) ^ (a <= K(0.5)), K(-1.0), K(1.0)), factor = sel_S(is_far, sign + sign, sign);
  const T z = factor * u, rest = factor * low;
  ANGLESUM
  return angle;
}"""
