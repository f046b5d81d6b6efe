"""The C functions that kernels call: for a scalar type and for a vector of lanes from one text, without branches.

Where a result is not exact it is within a few ulp, and exact at zeros, infinities and NaN. Arguments out of a series'
range have their results replaced at the end: a clamp at the start would lengthen the chain of dependences. In the texts
T is the type, I the integers of its width, S its name; sel(m, a, b) chooses, K(c) is a constant, fma rounds once.
"""

import re

from funcnet.compiler.errors import InternalError, UnsupportedError
from funcnet.compiler.native.c.functions import activations, integers, rounding, series

# P: width of the fraction; MAGIC: what shifts an integer into the fraction when added; tanh(x) is 1 from FLAT on,
# two terms of its series up to STEEP.
_BOUNDS = {
    "f32": {
        "P": "23", "TOP": "31", "BIAS": "127", "MAGIC": "0x1.8p23", "SQRTHALF": "0x3f3504f3",
        "LN2HI": "0x1.62e4p-1", "LN2LO": "0x1.7f7d1cp-20", "EXPMAX": "89.0", "EXPMIN": "-104.0",
        "TINY": "0x1p-126", "LIFT": "23.0", "LIFTED": "0x1p23", "SMALL": "-20.0", "FLAT": "10.0",
        "STEEP": "0x1p-4", "LEAST": "0x1p-25", "NEAR": "0x1p-60",
        **activations.BOUNDS["f32"],
    },
    "f64": {
        "P": "52", "TOP": "63", "BIAS": "1023", "MAGIC": "0x1.8p52", "SQRTHALF": "0x3fe6a09e667f3bcdLL",
        "LN2HI": "0x1.62e42fefa38p-1", "LN2LO": "0x1.ef35793c7673p-45", "EXPMAX": "710.0", "EXPMIN": "-746.0",
        "TINY": "0x1p-1022", "LIFT": "52.0", "LIFTED": "0x1p52", "SMALL": "-40.0", "FLAT": "20.0",
        "STEEP": "0x1p-9", "LEAST": "0x1p-54", "NEAR": "0x1p-900",
        **activations.BOUNDS["f64"],
    },
}  # fmt: skip
_REDUCE = """
  const T z_ = fma_S(x, K(0x1.71547652b82fep+0), K(MAGIC)), k_ = z_ - K(MAGIC);
  const I n = bits_S(z_) - bits_S(K(MAGIC));
  const T r = fma_S(-k_, K(LN2LO), fma_S(-k_, K(LN2HI), x));"""

_LOG = """
  const I e = (bits_S(y) - SQRTHALF) >> P;
  const T f = float_S(bits_S(y) - (e << P)) - K(1.0), k = CONVERT(e, T) - lift;
  const T s = f / (K(2.0) + f), q = s * s, h = K(0.5) * f * f;
  const T t = fma_S(s, h + q * (LOGSERIES), k * K(LN2LO));
  const T v = fma_S(k, K(LN2HI), f - (h - t));"""

_LIFTS = """
  const I near = (abs_S(x) < K(NEAR)) & (abs_S(y) < K(NEAR));  // whose remainder may be denormal
  const T lift = sel_S(near, K(LIFTED), K(1.0)), a = x * lift, b = y * lift;"""

_BLOCKS = {"REDUCE": _REDUCE, "LOG": _LOG, "LIFTS": _LIFTS, **activations.BLOCKS}

_TEXTS = {
    **activations.TEXTS,
    "exp": """
static inline T exp_S(T x) { REDUCE
  const T r2 = r * r;
  const T p = EXPSERIES;
  const I h = n >> 1;
  const T y = p * float_S((h + BIAS) << P) * float_S((n - h + BIAS) << P);
  return sel_S(x > K(EXPMAX), K(INFINITY_), sel_S(x < K(EXPMIN), K(0.0), y));
}""",
    "expm1": """
static inline T expm1_S(T x) { REDUCE
  const T r2 = r * r;
  const T p = fma_S(r2, EXPM1SERIES, r), s = float_S((n - 1 + BIAS) << P);
  const T e = fma_S(s, p, s - K(0.5));
  const T y = sel_S(x > K(EXPMAX), K(INFINITY_), sel_S(x < K(SMALL), K(-1.0), e + e));
  return sel_S(abs_S(x) < K(LEAST), x, y);
}""",
    "sigmoid": """
static inline T sigmoid_S(T y) {
  const T x = -y; REDUCE
  const T r2 = r * r;
  const T p = EXPSERIES;
  const T s = K(OVER) / fma_S(p, float_S((n - DEPTH + BIAS) << P), K(OVER));
  return sel_S(x > K(FADED), K(0.0), sel_S(x < K(SMALL), K(1.0), s));
}""",
    "tanh": """
static inline T tanh_S(T y) {
  const T a = abs_S(y), x = a + a; REDUCE
  const T r2 = r * r;
  const T p = fma_S(r2, EXPM1SERIES, r), s = float_S((n - 1 + BIAS) << P);
  const T h = fma_S(s, p, s - K(0.5)), q = a * a, small = fma_S(a * q, fma_S(q, K(2.0 / 15), K(-1.0 / 3)), a);
  return copysign_S(sel_S(a > K(FLAT), K(1.0), sel_S(a < K(STEEP), small, h / (h + K(1.0)))), y);
}""",
    "log": """
static inline T log_S(T x) {
  const T y = sel_S(x < K(TINY), x * K(LIFTED), x), lift = sel_S(x < K(TINY), K(LIFT), K(0.0)); LOG
  const T w = sel_S(x == K(0.0), K(-INFINITY_), sel_S(x < K(INFINITY_), v, x));
  return sel_S(x < K(0.0), K(NAN_), w);
}""",
    "logit": """
static inline T logit_S(T x) {
  const T q = K(1.0) - x, y = x / q, error = fma_S(-y, q, x) - y * ((K(1.0) - q) - x);
  return log_S(y) + sel_S((x > K(TINY)) & (x < K(1.0)), error / x, K(0.0));
}""",
    "log1p": """
static inline T log1p_S(T x) {
  const T y = K(1.0) + x, lift = K(0.0); LOG
  const T w = sel_S(y < K(INFINITY_), v + (x - (y - K(1.0))) / y, y);
  return sel_S(x == K(0.0), x, sel_S(y > K(0.0), w, sel_S(y == K(0.0), K(-INFINITY_), K(NAN_))));
}""",
    "logsum": """
static inline T logsum_S(T x, T *high, T *sum) {  // log(exp(high) sum + exp(x))
  const T h = maximum_S(*high, x);
  *sum = *sum * exp_S(sel_S(*high == h, K(0.0), *high - h)) + exp_S(sel_S(x == h, K(0.0), x - h));
  *high = h;
  return h + log_S(*sum);
}""",
    "abs": """
static inline T abs_S(T x) { return float_S(bits_S(x) & ~(bits_S(K(-0.0)))); }""",
    "normal": """
static inline T normal_S(T x) { return sel_S(abs_S(x) < K(TINY), copysign_S(K(0.0), x), x); }""",
    "copysign": """
static inline T copysign_S(T x, T y) {
  const I sign = bits_S(K(-0.0));
  return float_S((bits_S(x) & ~sign) | (bits_S(y) & sign));
}""",
    "maximum": """
static inline T maximum_S(T a, T b) { return sel_S((a > b) | (a != a), a, b); }""",
    "minimum": """
static inline T minimum_S(T a, T b) { return sel_S((a < b) | (a != a), a, b); }""",
    "fmax": """
static inline T fmax_S(T a, T b) { return sel_S((a >= b) | (b != b), a, b); }""",
    "fmin": """
static inline T fmin_S(T a, T b) { return sel_S((a <= b) | (b != b), a, b); }""",
    "nextafter": """
static inline T nextafter_S(T a, T b) {
  const I u = bits_S(a), v = bits_S(b), sign = bits_S(K(-0.0));  // compared as integers: denormals equal zero otherwise
  const I i = ((u & ~sign) ^ (u >> TOP)) - (u >> TOP), j = ((v & ~sign) ^ (v >> TOP)) - (v >> TOP);
  const T least = copysign_S(float_S(bits_S(K(0.0)) + 1), b);
  const T step = sel_S((i < j) ^ (u < 0), float_S(u + 1), float_S(u - 1));
  const T next = sel_S(i == j, b, sel_S(i == 0, least, step));
  return sel_S((a != a) | (b != b), a + b, next);
}""",
    "logaddexp": """
static inline T logaddexp_S(T a, T b) {
  const T high = maximum_S(a, b), d = sel_S(a == b, K(0.0), minimum_S(a, b) - high);
  return high + log1p_S(exp_S(d));
}""",
    "logaddexp2": """
static inline T logaddexp2_S(T a, T b) {
  const T high = maximum_S(a, b), d = sel_S(a == b, K(0.0), minimum_S(a, b) - high);
  return fma_S(log1p_S(exp2_S(d)), K(0x1.71547652b82fep+0), high);
}""",
    "remainder": """
static inline T remainder_S(T x, T y) { LIFTS
  const T m = fmod_S(a, b);
  return sel_S((m != K(0.0)) & ((b < K(0.0)) != (m < K(0.0))), m + b, m) * sel_S(near, K(1.0 / LIFTED), K(1.0));
}""",
    "floordiv": """
static inline T floordiv_S(T x, T y) { LIFTS
  const T m = fmod_S(a, b);
  const T d = (a - m) / b, e = sel_S((m != K(0.0)) & ((b < K(0.0)) != (m < K(0.0))), d - K(1.0), d);
  const T f = floor_S(e), g = sel_S(e - f > K(0.5), f + K(1.0), f);
  return sel_S(b == K(0.0), a / b, sel_S(e == K(0.0), copysign_S(K(0.0), a / b), g));
}""",
}

_WIDE = {  # functions of float32 by way of float64
    "power": ("x high low", "exp_f64(log_f64(x) * ((f64)high + low))"),  # x ** (high + low) for x >= 0
    "exponential": ("x high low", "exp_f64(x * ((f64)high + low))"),
    "logaddexp": ("x y", "logaddexp_f64(x, y)"),
    "logaddexp2": ("x y", "logaddexp2_f64(x, y)"),
}
_SORT = """
static i64 NAME_S(T *keys, i64 *order, i64 n) {  // by merging; where in keys and order the result begins
  i64 at = 0, to = n;
  for (i64 width = 1; width < n; width *= 2, at = n - at, to = n - to)
    for (i64 low = 0; low < n; low += 2 * width) {
      const i64 middle = low + width < n ? low + width : n, high = middle + width < n ? middle + width : n;
      for (i64 i = low, j = middle, k = low; k < high; ++k) {
        const T a = keys[at + i], b = keys[at + j];
        const i64 from = at + (i == middle || (j < high && (BEFORE)) ? j++ : i++);
        keys[to + k] = keys[from];
        order[to + k] = order[from];
      }
    }
  return at;
}"""
_SORTS = {"ascending": "b < a || (b == b && a != a)", "descending": "b > a || (b != b && a == a)"}
_UNARY = """sqrt floor ceil trunc round sin cos tan asin acos atan sinh cosh asinh acosh atanh
erf erfc lgamma exp2 log2 log10"""
_LIBRARY = dict.fromkeys(_UNARY.split(), 1) | dict.fromkeys(("pow", "atan2", "fmod", "hypot"), 2)
_SYMBOLS = {"round": "rint"}
_SCALING = ("pow", "log2", "log10", "lgamma", "atan2")  # scale a denormal first, and are wrong where that gives zero
FUNCTIONS = {*_TEXTS, *_WIDE, *integers.TEXTS, *integers.SCALARS, *_LIBRARY, "fma", "product_error"}


def define(used: set[tuple[str, str]]) -> str:
    """The definitions of these (function, type) pairs and of all that they call, callees first."""
    done: dict[tuple[str, str], str] = {}
    for name, kind in sorted(used):
        _define(name, kind, done)
    return "\n".join(done.values())


def _define(name: str, kind: str, done: dict[tuple[str, str], str]) -> None:
    if (name, kind) in done:
        return
    scalar = re.sub(r"^(v|w\d+)", "", kind)
    text = _text(name, kind, scalar)
    for callee, of in re.findall(r"\b(\w+?)_([vw\d]*[fiu]\d+)\(", text):
        if callee in FUNCTIONS and (callee, of) != (name, kind):
            _define(callee, of, done)
    if kind != scalar and f"_{scalar}(" in text:
        _define(name, scalar, done)
    done[name, kind] = text


def _text(name: str, kind: str, scalar: str) -> str:
    if name == "shr" and scalar == "u8":
        return _plain(
            "static inline T shr_S(T a, T b) { return sel_S(b < K(8), a >> (b & K(7)), K(0)); }", kind, scalar
        )
    if name in _SORTS:
        return _plain(_SORT.replace("NAME", name).replace("BEFORE", _SORTS[name]), kind, scalar)
    if scalar == "f32" and name in _WIDE:
        return _through_float64(name, kind, scalar)
    if scalar in _BOUNDS and name in _TEXTS:
        return _fill(_TEXTS[name], kind, scalar)
    if scalar not in (*_BOUNDS, "b8") and name in integers.TEXTS:
        return _plain(integers.TEXTS[name], kind, scalar)
    if name == "gemm":  # a pointer to torch's, set when the kernel is loaded
        matrix = f"const {kind} *, const int *"
        sizes = "const char *, const char *, const int *, const int *, const int *"
        return (
            f"void (*gemm_{kind})({sizes}, const {kind} *, {matrix}, {matrix}, const {kind} *, {kind} *, const int *);"
        )
    if name == "fma":
        return rounding.fma(kind, scalar)
    if name == "product_error":
        return rounding.product_error(kind, scalar)
    if name == "compensate":
        return rounding.compensate(kind, scalar)
    if name == "total":
        return rounding.total(kind, scalar)
    if name == "narrow":
        return rounding.narrow(kind, scalar)
    if name not in FUNCTIONS:
        raise InternalError(f"there is no C text for the primitive {name}, of {scalar}")
    if name not in (_LIBRARY if scalar in _BOUNDS else integers.SCALARS) or scalar == "b8":
        raise UnsupportedError(f"the native backend has no {name} of {scalar}")
    arity = _LIBRARY.get(name, 2) if scalar in _BOUNDS else 2
    names = ["a", "b"][:arity]
    head = f"static inline {kind} {name}_{kind}({', '.join(f'{kind} {n}' for n in names)})"
    symbol = "__builtin_" + _SYMBOLS.get(name, name) + ("f" if scalar == "f32" else "")
    flushed = "".join(f"{n} = normal_{kind}({n}); " for n in names if name in _SCALING and scalar in _BOUNDS)
    if kind != scalar:
        function = symbol if scalar in _BOUNDS else f"{name}_{scalar}"
        call = f"{function}({', '.join(f'{n}[i]' for n in names)})"
        return f"{head} {{ {flushed}{kind} r; for (int i = 0; i < L; ++i) r[i] = {call}; return r; }}"
    if scalar not in _BOUNDS:
        return _plain(integers.SCALARS[name], kind, scalar)
    return f"{head} {{ {flushed}return {symbol}({', '.join(names)}); }}"


def _through_float64(name: str, kind: str, scalar: str) -> str:
    """A function of scalars, which lanes run through arrays: vectors of float64 would be too wide for registers."""
    names, text = _WIDE[name][0].split(), _WIDE[name][1]
    head = f"static inline {kind} {name}_{kind}({', '.join(f'{kind} {n}' for n in names)})"
    if kind == scalar:
        return f"{head} {{ return (f32)({text}) + 0.0f; }}"  # gcc 12 drops a rounding right before a widening
    arrays = ", ".join(f"{n}_[L]" for n in ("r", *names))
    copies = " ".join(f"__builtin_memcpy({n}_, &{n}, sizeof {n});" for n in names)
    call = f"{name}_{scalar}({', '.join(f'{n}_[i]' for n in names)})"
    return f"""{head} {{
  {kind} r;
  {scalar} {arrays};
  {copies}
  VECTORISE
  for (int i = 0; i < L; ++i) r_[i] = {call};
  __builtin_memcpy(&r, r_, sizeof r);
  return r;
}}"""


def _fill(text: str, kind: str, scalar: str) -> str:
    """Put the blocks, series and constants of a floating type into a text."""
    for key, value in {**_BLOCKS, **series.texts(scalar), **_BOUNDS[scalar]}.items():
        text = re.sub(rf"\b{key}\b", value, text)
    text = text.replace("INFINITY_", "__builtin_inf()").replace("NAN_", '__builtin_nan("")')
    return _plain(text, kind, scalar)


def _plain(text: str, kind: str, scalar: str) -> str:
    integer = kind.replace("f", "i")
    text = text.replace("CONVERT(e, T)", f"__builtin_convertvector(e, {kind})" if kind != scalar else f"({kind})e")
    text = re.sub(r"\bK\(", f"K_{kind}(", text)
    text = re.sub(r"\bBITS_\b", re.sub(r"\D", "", scalar), text)
    text = re.sub(r"\bT\b", kind, re.sub(r"\bI\b", integer, text))
    return re.sub(r"_S\b", f"_{kind}", text)
