"""C texts of the activations and their derivatives, in the notation of cmath.

Each is computed from exp(-|x|), so that nothing overflows. Where the exponential is too small for its type and a result
is not yet, it is scaled by 2^DEPTH until it has been multiplied: denormal numbers are flushed to zero.
"""

# DEPTH: power of two by which decay is scaled; OVER: 2^-DEPTH; FADED: x from which on x exp(-x) is zero; ROOTTAU:
# 1 / sqrt(2 pi); LINEAR, CUBIC: sqrt(8 / pi) and 0.044715 sqrt(8 / pi), with their rounding errors.
BOUNDS = {
    "f32": {
        "DEPTH": "32", "OVER": "0x1p-32", "FADED": "109.0", "POLE": "4.25",
        "ROOTTAU": "0x1.988454p-2",
        "LINEAR": "0x1.988454p+0", "LINEARLOW": "-0x1.857936p-25",
        "CUBIC": "0x1.2444f2p-4", "CUBICLOW": "0x1.49b16ap-29",
    },
    "f64": {
        "DEPTH": "64", "OVER": "0x1p-64", "FADED": "752.0", "POLE": "5.0",
        "ROOTTAU": "0x1.9884533d43651p-2",
        "LINEAR": "0x1.9884533d43651p+0", "LINEARLOW": "-0x1.cbc0d30ebfd15p-54",
        "CUBIC": "0x1.2444f2a4d8b4bp-4", "CUBICLOW": "-0x1.3023b0e5fbc6ep-58",
    },
}  # fmt: skip

# Phi(-x) exp(x^2 / 2) (x + POLE) for x >= 0, a polynomial in 1 - 2 POLE / (x + POLE) through its Chebyshev points
MILLS = {
    "f32": (
        0.7595542073249817, -0.625129759311676, 0.4182276129722595, -0.2205154448747635, 0.08527115732431412,
        -0.019366195425391197, -0.0007469236152246594, 0.0021848692558705807, -0.00037006085040047765,
        -0.00023744763166178018,
    ),
    "f64": (
        0.769193049750063, -0.6653825028900567, 0.49530561596997635, -0.3135331566713044, 0.16502036617038662,
        -0.06911863870631373, 0.020795066799841784, -0.0029933767704736092, -0.0007978693980095831,
        0.0005448990646678446, -5.937573089136816e-05, -4.976281482307444e-05, 1.6681224704561827e-05,
        3.980907801247084e-06, -2.7692923314313877e-06, -3.366354582586469e-07, 4.331742842054343e-07,
        4.231181828708282e-08, -6.596251384555568e-08, -9.348274026727375e-09, 7.662710250060224e-09,
        1.766390996732745e-09, -1.5424596193893088e-10,
    ),
}  # fmt: skip

TEXTS = {
    # 2^DEPTH exp(-a - low) for a >= 0, where low is the rounding error of a
    "decay": """
static inline T decay_S(T a, T low) {
  const T x = -a; REDUCE
  const T r2 = r * r;
  const T p = fma_S(r2, EXPM1SERIES, r), q = K(1.0) + fma_S(-low, K(1.0) + p, p);
  return sel_S(a > K(FADED), K(0.0), q * float_S((n + DEPTH + BIAS) << P));
}""",
    # Phi(-x) exp(x^2 / 2) for x from 0 to FADED
    "mills": """
static inline T mills_S(T y) {
  const T x = sel_S(y < K(FADED), y, K(FADED));
  const T t = x + K(POLE), u = K(1.0) / t, error = u * (fma_S(-u, t, K(1.0)) - u * (x - (t - K(POLE))));
  const T v = fma_S(u, K(-2.0 * POLE), K(1.0)) - K(2.0 * POLE) * error;
  return u * (MILLSSERIES);
}""",
    # x sigmoid(w + low), where low is the rounding error of w
    "gated": """
static inline T gated_S(T y, T w, T low) {
  const T x = -w; REDUCE
  const T r2 = r * r;
  const T p = fma_S(r2, EXPM1SERIES, r), q = K(1.0) + fma_S(-low, K(1.0) + p, p);
  const T s = y / fma_S(q, float_S((n - DEPTH + BIAS) << P), K(OVER)) * K(OVER);
  return sel_S(x > K(FADED), y * K(0.0), sel_S(x < K(SMALL), y, s));
}""",
    # its derivative, where h is x times that of w
    "gated_slope": """
static inline T gated_slope_S(T h, T w, T low) {
  const T e = decay_S(abs_S(w), sel_S(w < K(0.0), -low, low)), f = e * K(OVER), b = K(1.0) / (K(1.0) + f);
  return sel_S(w < K(0.0), e * b * fma_S(h, b, K(1.0)) * K(OVER), b * fma_S(h, f * b, K(1.0)));
}""",
    "silu": """
static inline T silu_S(T y) {
  const T x = -y; REDUCE
  const T r2 = r * r;
  const T p = EXPSERIES;
  const T s = y / fma_S(p, float_S((n - DEPTH + BIAS) << P), K(OVER)) * K(OVER);
  return sel_S(x > K(FADED), y * K(0.0), sel_S(x < K(SMALL), y, s));
}""",
    "silu_slope": "static inline T silu_slope_S(T x) { return gated_slope_S(x, x, K(0.0)); }",
    "mish": """
static inline T mish_S(T x) {
  const T e = decay_S(abs_S(x), K(0.0)), f = e * K(OVER);
  const T y = sel_S(x < K(0.0), x * e * (f + K(2.0)) * K(OVER), x * fma_S(K(2.0), f, K(1.0)));
  return y / sel_S(x < K(0.0), fma_S(f, f + K(2.0), K(2.0)), fma_S(f + f, f + K(1.0), K(1.0)));
}""",
    "mish_slope": """
static inline T mish_slope_S(T x) {
  const T e = decay_S(abs_S(x), K(0.0)), f = e * K(OVER), g = K(1.0) + f, x4 = K(4.0) * x;
  const T low = fma_S(f, f + K(2.0), K(2.0)), high = fma_S(f + f, g, K(1.0));
  const T below = e * fma_S(f + K(2.0), low, x4 * g) * K(OVER), above = fma_S(f + g, high, x4 * f * f * g);
  return sel_S(x < K(0.0), below / (low * low), above / (high * high));
}""",
    # x Phi(x)
    "gelu": """
static inline T gelu_S(T x) {
  const T a = abs_S(x), s = a * a, low = sel_S(s < K(4.0 * FADED), fma_S(a, a, -s), K(0.0));
  const T e = decay_S(K(0.5) * s, K(0.5) * low);
  const T q = e * mills_S(a);
  return sel_S(x < K(0.0), x * q * K(OVER), x * (K(1.0) - q * K(OVER)));
}""",
    "gelu_slope": """
static inline T gelu_slope_S(T x) {
  const T a = abs_S(x), s = a * a, low = sel_S(s < K(4.0 * FADED), fma_S(a, a, -s), K(0.0));
  const T e = decay_S(K(0.5) * s, K(0.5) * low);
  const T y = e * fma_S(-a, K(ROOTTAU), mills_S(a)) * K(OVER);
  return sel_S(x < K(0.0), y, K(1.0) - y);
}""",
    # x sigmoid(w), w = sqrt(8 / pi) (x + 0.044715 x^3), to twice the digits, of which an exponential takes some
    "gelu_tanh": """
static inline T gelu_tanh_S(T x) { WIDE
  return gated_S(x, w, low);
}""",
    "gelu_slope_tanh": """
static inline T gelu_slope_tanh_S(T x) { WIDE
  const T h = sel_S(abs_S(w) < K(FADED), w + K(2.0) * x * (a + e), x);
  return gated_slope_S(h, w, low);
}""",
}

WIDE = """
  const T s = x * x, sl = fma_S(x, x, -s), a = s * K(CUBIC), e = fma_S(s, K(CUBIC), -a) + fma_S(sl, K(CUBIC), s * K(CUBICLOW));
  const T c = a + K(LINEAR), b = c - a, d = (a - (c - b)) + (K(LINEAR) - b) + (e + K(LINEARLOW));
  const T w = x * c, low = sel_S(abs_S(w) < K(FADED), fma_S(x, c, -w) + x * d, K(0.0));"""
