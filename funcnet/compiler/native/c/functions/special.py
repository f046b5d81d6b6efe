"""C texts of the error and gamma functions, in the notation of `definitions`."""

# erf(x) is x plus x times a polynomial in x², and from |x| = MIDDLE on, 1 minus its distance from 1
ERF = """
static INLINED T erf_S(T x) {
  const T a = abs_S(x), r = fma_S(x * x, K(2.0 / (MIDDLE * MIDDLE)), K(-1.0)), w = fma_S(a, K(8.0 / 11), K(-21.0 / 11));
  const T far = sel_S(a > K(FULL), K(1.0), K(1.0) - ERFDISTANCE);
  return sel_S(a < K(MIDDLE), fma_S(x, ERFSERIES, x), copysign_S(far, x));
}"""
# exp(-a²) p(v) / (a + 3.5) for a = |x| and v = (a - 3.5) / (a + 3.5); below 1/2, 1 minus the series of erf
ERFC = """
static INLINED T erfc_S(T x) {
  const T a = abs_S(x), s = x * x, e = decay_S(s, sel_S(s < K(FADED), product_error_S(x, x, s), K(0.0)));
  const T z = sel_S(a > K(FADED), K(FADED), a), t = z + K(3.5), u = K(1.0) / t;
  const T error = u * (fma_S(-u, t, K(1.0)) - u * (z - (t - K(3.5))));
  const T v = fma_S(u, K(-7.0), K(1.0)) - K(7.0) * error, p = ERFCSERIES, m = fma_S(p, error, u * p);
  const T r = fma_S(s, K(2.0), K(-1.0)), y = e * m * K(OVER), far = sel_S(x < K(0.0), K(2.0) - y, y);
  return sel_S(a < K(0.5), (K(1.0) - x) - x * ERFSERIES, far);
}"""
# For floats of type float32: (a - 1) (a - 2) times a polynomial below 2.5, Stirling's series of a + 4 above, and
# Euler's reflection below zero
LOG_GAMMA = """
static INLINED T log_gamma_S(T x) {
  const T a = abs_S(x), b = sel_S(a < K(1.0), a + K(1.0), a), w = fma_S(b, K(4.0 / 3), K(-7.0 / 3));
  const T c = b + K(4.0), i = K(1.0) / c, q = i * i;
  const T product = b * (b + K(1.0)) * ((b + K(2.0)) * (b + K(3.0)));
  const T stirling = fma_S(c - K(0.5), log_S(c), K(HALFLOGTAU) - c) + i * STIRLINGSERIES;
  const T above = sel_S(a > K(1e17), a * (log_S(a) - K(1.0)), stirling - log_S(product));
  const T near = fma_S((b - K(1.0)) * (b - K(2.0)), GAMMASERIES, K(0.0));
  const T y = sel_S(a < K(1.0), near - log_S(a), sel_S(a < K(2.5), near, above));
  const T k = (a + K(MAGIC)) - K(MAGIC), f = K(2.0) * (a - k), s = f * f, sine = f * MIRRORSERIES;
  const T mirror = log_S(K(PI) / (a * abs_S(sine))) - y;
  return sel_S(a == K(INFINITY_), a, sel_S(x < K(0.0), mirror, y));
}"""
