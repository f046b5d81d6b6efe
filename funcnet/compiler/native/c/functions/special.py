"""C texts of the error and gamma functions, in the notation of `definitions`."""

from funcnet.compiler.native.c.functions.lanes import each_lane

# erf(x) is x plus x times a polynomial in x², and from |x| = MIDDLE on, 1 minus its distance from 1
ERF = """
static INLINED T erf_S(T x) {
  const T a = abs_S(x), r = fma_S(x * x, K(2.0 / (MIDDLE * MIDDLE)), K(-1.0)), w = fma_S(a, K(8.0 / 11), K(-21.0 / 11));
  const T far = sel_S(a > K(FULL), K(1.0), K(1.0) - ERFDISTANCE);
  return sel_S(a < K(MIDDLE), fma_S(x, ERFSERIES, x), copysign_S(far, x));
}"""
# exp(-a²) (p + pl) (u + error) for a = |x|, the sum of u and error 1 / (a + 3.5), and p = a polynomial in
# v = (a - 3.5) / (a + 3.5); below 1, 1 minus the series of erf
ERFC = """
static INLINED T erfc_S(T x) {
  const T a = abs_S(x), s = x * x, z = sel_S(a > K(FADED), K(FADED), a), t = z + K(3.5), u = K(1.0) / t;
  const T error = u * (fma_S(-u, t, K(1.0)) - u * (z - (t - K(3.5))));
  const T w = K(7.0) * u, b = K(1.0) - w, bl = ((K(1.0) - b) - w) - fma_S(K(7.0), error, product_error_S(u, K(7.0), w));
  const T v = b + bl, vl = bl - (v - b);
  const T c = ERFCSERIES, g = v * c, p = K(ERFCFIRST) + g, m = u * p;
  const T pl = sum_error_S(K(ERFCFIRST), g, p) + fma_S(vl, c, product_error_S(v, c, g) + K(ERFCLOW));
  const T ml = product_error_S(u, p, m) + fma_S(p, error, u * pl);
  const T y = times_decay_S(m, ml, s, sel_S(s < K(FADED), product_error_S(x, x, s), K(0.0))) * K(OVER);
  const T r = fma_S(s, K(2.0), K(-1.0)), far = sel_S(x < K(0.0), K(2.0) - y, y);
  return sel_S(a < K(1.0), (K(1.0) - x) - x * ERFSERIES, far);
}"""

# The same from 1 on, to a few ulp
ERFC_TAIL = """
static INLINED T erfc_tail_S(T a) {
  const T u = K(1.0) / (a + K(3.5)), v = fma_S(u, K(-7.0), K(1.0));
  return exp_S(-a * a) * u * fma_S(v, ERFCSERIES, K(ERFCFIRST));
}"""
# erfc for arguments and results of float32: squares of such arguments are exact
BRIEF_ERFC = """
static INLINED T brief_erfc_S(T x) {
  const T a = abs_S(x), z = sel_S(a > K(10.0), K(10.0), a), s = z * z;
  const T k_ = fma_S(s, K(-0x1.71547652b82fep+0), K(MAGIC));
  const T r = fma_S(k_ - K(MAGIC), K(-0x1.62e42fefa39efp-1), -s), r2 = r * r, u = K(1.0) / (z + K(3.0));
  const T v = fma_S(u, K(-6.0), K(1.0)), y = u * (BRIEFERFCSERIES) * (BRIEFEXPSERIES);
  const T tail = y * float_S((bits_S(k_) - bits_S(K(MAGIC)) + BIAS) << P);
  return sel_S(x < K(0.0), K(2.0) - tail, tail);
}"""
# exp(x²) erfc(x): the polynomial over a + 4 for a = |x|, and its distance from 2 exp(x²) below zero
_ERFCX = """
static INLINED T NAME_S(T x) {
  const T a = abs_S(x), u = K(1.0) / (a + K(4.0)), s = x * x;
  const T v = sel_S(a < K(1.0), fma_S(a * u, K(2.0), K(-1.0)), fma_S(u, K(-8.0), K(1.0))), v2 = v * v, y = u * (SERIES);
  const T e = EXPONENTIAL;
  return sel_S(x < K(0.0), e + e - y, y);
}"""


def _erfcx(name: str, series: str, exponential: str) -> str:
    return _ERFCX.replace("NAME", name).replace("SERIES", series).replace("EXPONENTIAL", exponential)


ERFCX = _erfcx("special_erfcx", "ERFCXSERIES", "exp_of_sum_S(s, product_error_S(x, x, s))")
BRIEF_ERFCX = _erfcx("brief_special_erfcx", "BRIEFERFCXSERIES", "exp_S(s)")


def _lowered(steps: int) -> str:
    """Return steps that subtract 1 from u while it is above 2.5, and collect the product p of the results."""
    step = "const T u{0} = sel_S(u{1} > K(2.5), u{1} - K(1.0), u{1}), p{0} = sel_S(u{1} > K(2.5), p{1} * u{0}, p{1});"
    return "\n  ".join(step.format(k, k - 1) for k in range(1, steps + 1))


# For x >= 0, where d = u - 1 is exact: d (d - 1) times a polynomial, and the logarithm of x below 0.7, or of the
# product of x - 1, x - 2, …, u above 2.5; from 8 on Stirling's series. The logarithm is high + low
NEAR_LGAMMA = f"""
static INLINED T near_lgamma_S(T x) {{
  const I is_small = x < K(0.7), is_large = x >= K(8.0);
  const T u0 = x, p0 = K(1.0);
  {_lowered(6)}
  const T d = sel_S(is_small, x, u6 - K(1.0)), w = fma_S(d, K(10.0 / 9), K(-6.0 / 9)), w2 = w * w;
  const T c = d - K(1.0), m = d * c, ml = fma_S(d, d - (c + K(1.0)), product_error_S(d, c, m));
  const T near = m * K(GAMMAFIRST), error = fma_S(ml, K(GAMMAFIRST), product_error_S(m, K(GAMMAFIRST), near));
  const T rest = fma_S(m, w * (GAMMASERIES), error);
  const T y = sel_S(is_small | is_large, x, p6), lift = K(0.0); LOG
  const T a = k * K(LN2HI), b = a + f, high = b - h, low = ((a - b) + f) + ((b - high) - h) + t;
  const T z = x - K(0.5), i = K(1.0) / x, r = i * i;
  const T far = fma_S(z, high - K(1.0), fma_S(z, low, fma_S(i, STIRLINGSERIES, K(HALFLOGTAU - 0.5))));
  const T result = sel_S(is_large, far, sel_S(is_small, near + (rest - low) - high, near + (rest + low) + high));
  return sel_S((x == K(0.0)) | (x == K(INFINITY_)), K(INFINITY_), result);
}}"""
# For results of float32
BRIEF_LGAMMA = NEAR_LGAMMA.replace("near_", "brief_").replace("GAMMA", "BRIEF")
# The same, and by Euler's reflection below zero
LOG_GAMMA = """
static INLINED T log_gamma_S(T x) {
  const T a = abs_S(x), k = (a + K(MAGIC)) - K(MAGIC);
  const T f = K(2.0) * (a - k), s = f * f, sine = f * MIRRORSERIES, y = K(PI) / (a * abs_S(sine));
  return sel_S(a == K(INFINITY_), a, sel_S(x < K(0.0), log_S(y) - near_lgamma_S(a), brief_lgamma_S(a)));
}"""
IS_NEGATIVE = """
static INLINED I is_negative_S(T x) { return x < K(0.0); }"""


def lgamma(kind: str, scalar: str) -> str:
    """Return log |gamma(x)|, by the C library if x is negative, which fails for denormals that are flushed to zero."""
    if kind != scalar:
        loop = each_lane(f"r[i] = lgamma_{scalar}(x[i]);")
        return f"static inline T lgamma_S(T x) {{ T r; {loop} return r; }}"
    return "static inline T lgamma_S(T x) { return x < 0 ? __builtin_lgamma(normal_S(x)) : near_lgamma_S(x); }"
