"""C texts of the activations and their derivatives, in the notation of `definitions`.

Each is computed from exp(-|x|), which does not overflow. Denormal numbers are flushed to zero, so the exponential is
scaled by 2^DEPTH until it has been multiplied: the product may be a normal number where the exponential is not.
"""

# DEPTH: power of two by which decay is scaled; OVER: 2^-DEPTH; FADED: x from which on x exp(-x) is zero; FARAWAY: z
# with 2^DEPTH exp(-z² / 2) = 2^-BIAS; ROOTTAU: 1 / sqrt(2 pi); LINEAR, CUBIC: sqrt(8 / pi) and 0.044715 sqrt(8 / pi),
# with their rounding errors.
BOUNDS = {
    "f32": {
        "DEPTH": "32", "OVER": "0x1p-32", "FADED": "109.0", "POLE": "3.5", "FARAWAY": "14.8466",
        "ROOTTAU": "0x1.988454p-2",
        "LINEAR": "0x1.988454p+0", "LINEARLOW": "-0x1.857936p-25",
        "CUBIC": "0x1.2444f2p-4", "CUBICLOW": "0x1.49b16ap-29",
    },
    "f64": {
        "DEPTH": "64", "OVER": "0x1p-64", "FADED": "752.0", "POLE": "5.0", "FARAWAY": "38.8188",
        "ROOTTAU": "0x1.9884533d43651p-2",
        "LINEAR": "0x1.9884533d43651p+0", "LINEARLOW": "-0x1.cbc0d30ebfd15p-54",
        "CUBIC": "0x1.2444f2a4d8b4bp-4", "CUBICLOW": "-0x1.3023b0e5fbc6ep-58",
    },
}  # fmt: skip

BLOCKS = {
    # Phi(-a) = (1 + p) u mills power OVER² for a = |x|; from FARAWAY on, power is 0
    "NORMAL": """
  const T a = abs_S(x), z = sel_S(a > K(FARAWAY), K(FARAWAY), a), s = z * z;
  const T k_ = fma_S(s, K(-0x1.71547652b82fep-1), K(MAGIC)), k = k_ - K(MAGIC);
  const T h = fma_S(-k, K(LN2HI), K(-0.5) * s), r = fma_S(-k, K(LN2LO), fma_S(product_error_S(z, z, s), K(-0.5), h));
  const T r2 = r * r, p = fma_S(r2, EXPM1SERIES, r);
  const T power = float_S((bits_S(k_) - bits_S(K(MAGIC)) + DEPTH + BIAS) << P);
  const T u = K(1.0 / OVER) / (z + K(POLE)), w = z * u, v = fma_S(w, K(2.0 * OVER), K(-1.0)), mills = MILLSSERIES;""",
    # w = sqrt(8 / pi) (x + 0.044715 x^3) = x c, to twice the digits, because the exponential loses some
    "WIDE": """
  const T s = x * x, sl = product_error_S(x, x, s), a = s * K(CUBIC);
  const T e = product_error_S(s, K(CUBIC), a) + fma_S(sl, K(CUBIC), s * K(CUBICLOW));
  const T c = a + K(LINEAR), b = c - a, d = (a - (c - b)) + (K(LINEAR) - b) + (e + K(LINEARLOW));
  const T w = x * c, low = sel_S(abs_S(w) < K(FADED), product_error_S(x, c, w) + x * d, K(0.0));""",
}

# 2^DEPTH exp(-a - low) for a >= 0, where low is the rounding error of a
DECAY = """
static INLINED T decay_S(T a, T low) {
  const T x = -a; REDUCE
  const T r2 = r * r;
  const T p = fma_S(r2, EXPM1SERIES, r), q = K(1.0) + fma_S(-low, K(1.0) + p, p);
  return sel_S(a > K(FADED), K(0.0), q * float_S((n + DEPTH + BIAS) << P));
}"""
# 2^DEPTH (m + ml) exp(-a - low)
TIMES_DECAY = """
static INLINED T times_decay_S(T m, T ml, T a, T low) {
  const T x = -a; REDUCE
  const T r2 = r * r;
  const T rest = fma_S(-k_, K(LN2LO), fma_S(-k_, K(LN2HI), x) - r) - low;
  const T q = r2 * (EXPM1SERIES), s = fma_S(rest, K(1.0) + (r + q), q);
  return sel_S(a > K(FADED), K(0.0), (m + fma_S(m, r, fma_S(m, s, ml))) * float_S((n + DEPTH + BIAS) << P));
}"""
# x sigmoid(w + low), where low is the rounding error of w
GATED = """
static INLINED T gated_S(T y, T w, T low) {
  const T x = -w; REDUCE
  const T r2 = r * r;
  const T p = fma_S(r2, EXPM1SERIES, r), q = K(1.0) + fma_S(-low, K(1.0) + p, p);
  const T s = y / fma_S(q, float_S((n - DEPTH + BIAS) << P), K(OVER)) * K(OVER);
  return sel_S(x > K(FADED), y * K(0.0), sel_S(x < K(SMALL), y, s));
}"""
# the derivative of x sigmoid(w + low), where h is x times the derivative of w
GATED_SLOPE = """
static INLINED T gated_slope_S(T h, T w, T low) {
  const T e = decay_S(abs_S(w), sel_S(w < K(0.0), -low, low)), f = e * K(OVER), b = K(1.0) / (K(1.0) + f);
  return sel_S(w < K(0.0), e * b * fma_S(h, b, K(1.0)) * K(OVER), b * fma_S(h, f * b, K(1.0)));
}"""
SILU = """
static INLINED T silu_S(T y) {
  const T x = -y; REDUCE
  const T r2 = r * r;
  const T p = EXPSERIES;
  const T s = y / fma_S(p, float_S((n - DEPTH + BIAS) << P), K(OVER)) * K(OVER);
  return sel_S(x > K(FADED), y * K(0.0), sel_S(x < K(SMALL), y, s));
}"""
MISH = """
static INLINED T mish_S(T x) {
  const T e = decay_S(abs_S(x), K(0.0)), f = e * K(OVER);
  const T y = sel_S(x < K(0.0), x * fma_S(e, f, e + e) * K(OVER), x * fma_S(K(2.0), f, K(1.0)));
  return y / sel_S(x < K(0.0), fma_S(f, f + K(2.0), K(2.0)), fma_S(f + f, f + K(1.0), K(1.0)));
}"""
# x Phi(x)
GELU = """
static INLINED T gelu_S(T x) { NORMAL
  const T y = w * mills;
  return fma_S(fma_S(y, p, y) * power, K(-OVER * OVER), sel_S(x > K(0.0), x, x * K(0.0)));
}"""
GELU_SLOPE = """
static INLINED T gelu_slope_S(T x) { NORMAL
  const T m = u * mills, d = fma_S(-z, K(ROOTTAU / OVER), m), y = fma_S(d, p, d) * power * K(OVER * OVER);
  return sel_S(x < K(0.0), y, K(1.0) - y);
}"""
# x sigmoid(w)
GELU_TANH = """
static INLINED T gelu_tanh_S(T x) { WIDE
  return gated_S(x, w, low);
}"""
GELU_SLOPE_TANH = """
static INLINED T gelu_slope_tanh_S(T x) { WIDE
  const T h = sel_S(abs_S(w) < K(FADED), w + K(2.0) * x * (a + e), x);
  return gated_slope_S(h, w, low);
}"""
