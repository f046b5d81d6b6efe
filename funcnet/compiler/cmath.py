"""The C functions that kernels call: for a scalar type and for a vector of lanes from one text, without branches.

Where a result is not exact it is within a few ulp, and exact at zeros, infinities and NaN. Arguments out of a series'
range have their results replaced at the end: a clamp at the start would lengthen the chain of dependences. In the texts
T is the type, I the integers of its width, S its name; sel(m, a, b) chooses, K(c) is a constant, fma rounds once.
"""

import re

from funcnet.compiler import rounding
from funcnet.compiler.graph import UnsupportedError

# P: width of the fraction; MAGIC: what shifts an integer into the fraction when added; FLAT: tanh is 1 from here on;
# HALFMAX: where exp(x) / 2 is infinite once its power of two is.
_BOUNDS = {
    "f32": {
        "P": "23", "BIAS": "127", "MAGIC": "0x1.8p23", "SQRTHALF": "0x3f3504f3",
        "LN2HI": "0x1.62e4p-1", "LN2LO": "0x1.7f7d1cp-20", "EXPMAX": "89.0", "EXPMIN": "-104.0",
        "TINY": "0x1p-126", "LIFT": "23.0", "LIFTED": "0x1p23", "SMALL": "-20.0", "FLAT": "10.0", "HALFMAX": "89.5",
    },
    "f64": {
        "P": "52", "BIAS": "1023", "MAGIC": "0x1.8p52", "SQRTHALF": "0x3fe6a09e667f3bcdLL",
        "LN2HI": "0x1.62e42fefa38p-1", "LN2LO": "0x1.ef35793c7673p-45", "EXPMAX": "710.0", "EXPMIN": "-746.0",
        "TINY": "0x1p-1022", "LIFT": "52.0", "LIFTED": "0x1p52", "SMALL": "-40.0", "FLAT": "20.0", "HALFMAX": "710.5",
    },
}  # fmt: skip
_TERMS = {"f32": 7, "f64": 13}  # of the exponential's series on [-ln(2)/2, ln(2)/2]
_LOG_TERMS = {"f32": 5, "f64": 10}  # of the series of 2 atanh(s) / s - 2 in s², s up to 0.172

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

_TEXTS = {
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
  return sel_S(x == K(0.0), x, y);
}""",
    "sigmoid": """
static inline T sigmoid_S(T y) {
  const T x = -y; REDUCE
  const T r2 = r * r;
  const T p = EXPSERIES;
  const T s = K(0.5) / fma_S(p, float_S((n - 1 + BIAS) << P), K(0.5));
  return sel_S(x > K(HALFMAX), K(0.0), sel_S(x < K(SMALL), K(1.0), s));
}""",
    "tanh": """
static inline T tanh_S(T x) {
  const T a = abs_S(x), e = expm1_S(a + a);
  return copysign_S(sel_S(a > K(FLAT), K(1.0), e / (e + K(2.0))), x);
}""",
    "log": """
static inline T log_S(T x) {
  const T y = sel_S(x < K(TINY), x * K(LIFTED), x), lift = sel_S(x < K(TINY), K(LIFT), K(0.0)); LOG
  const T w = sel_S(x == K(0.0), K(-INFINITY_), sel_S(x < K(INFINITY_), v, x));
  return sel_S(x < K(0.0), K(NAN_), w);
}""",
    "log1p": """
static inline T log1p_S(T x) {
  const T y = K(1.0) + x, lift = K(0.0); LOG
  const T w = sel_S(y < K(INFINITY_), v + (x - (y - K(1.0))) / y, y);
  return sel_S(x == K(0.0), x, sel_S(y > K(0.0), w, sel_S(y == K(0.0), K(-INFINITY_), K(NAN_))));
}""",
    "compensate": """
static inline T compensate_S(T sum, T x, T *error) {  // Knuth's two-sum: sum + x, and what that leaves out
  const T next = sum + x, added = next - sum;
  *error += (sum - (next - added)) + (x - added);
  return next;
}""",
    "abs": """
static inline T abs_S(T x) { return float_S(bits_S(x) & ~(bits_S(K(-0.0)))); }""",
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
  const I u = bits_S(a);
  const T least = copysign_S(float_S(bits_S(K(0.0)) + 1), b);
  const T step = sel_S((a < b) ^ (a < K(0.0)), float_S(u + 1), float_S(u - 1));
  const T next = sel_S(a == b, b, sel_S(a == K(0.0), least, step));
  return sel_S((a != a) | (b != b), a + b, next);
}""",
    "logaddexp": """
static inline T logaddexp_S(T a, T b) {
  const T high = maximum_S(a, b), d = minimum_S(a, b) - high;
  return sel_S((a == b) & (d != d), high, high + log1p_S(exp_S(d)));
}""",
    "remainder": """
static inline T remainder_S(T a, T b) {
  const T m = fmod_S(a, b);
  return sel_S((m != K(0.0)) & ((b < K(0.0)) != (m < K(0.0))), m + b, m);
}""",
    "floordiv": """
static inline T floordiv_S(T a, T b) {
  const T m = fmod_S(a, b);
  const T d = (a - m) / b, e = sel_S((m != K(0.0)) & ((b < K(0.0)) != (m < K(0.0))), d - K(1.0), d);
  const T f = floor_S(e), g = sel_S(e - f > K(0.5), f + K(1.0), f);
  return sel_S(b == K(0.0), a / b, sel_S(e == K(0.0), copysign_S(K(0.0), a / b), g));
}""",
}

_INTEGER_TEXTS = {
    "abs": "static inline T abs_S(T x) { return sel_S(x < K(0), -x, x); }",
    "maximum": "static inline T maximum_S(T a, T b) { return sel_S(a > b, a, b); }",
    "minimum": "static inline T minimum_S(T a, T b) { return sel_S(a < b, a, b); }",
    "fmax": "static inline T fmax_S(T a, T b) { return sel_S(a > b, a, b); }",
    "fmin": "static inline T fmin_S(T a, T b) { return sel_S(a < b, a, b); }",
    "shl": """static inline T shl_S(T a, T b) {
  return sel_S((b >= K(0)) & (b < K(BITS_)), a << (b & K(BITS_ - 1)), K(0));
}""",
    "shr": """static inline T shr_S(T a, T b) {
  return a >> sel_S((b >= K(0)) & (b < K(BITS_)), b, K(BITS_ - 1));
}""",
}
_INTEGER_SCALARS = {  # division by zero, an error in eager mode, gives 0 here and raises the flag
    "quotient": "static T quotient_S(T a, T b) { return b == 0 ? (flags_ |= 2, 0) : b == -1 ? -a : a / b; }",
    "fmod": "static T fmod_S(T a, T b) { return b == 0 ? (flags_ |= 2, 0) : b == -1 ? 0 : a % b; }",
    "remainder": """static T remainder_S(T a, T b) {
  const T m = fmod_S(a, b);
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}""",
    "floordiv": """static T floordiv_S(T a, T b) {
  const T q = quotient_S(a, b);
  return b != 0 && fmod_S(a, b) != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}""",
    "pow": """static T pow_S(T a, T b) {
  T r = 1;
  if (b < 0) return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
  for (; b; b >>= 1, a *= a) if (b & 1) r *= a;
  return r;
}""",
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
FUNCTIONS = {*_TEXTS, *_INTEGER_TEXTS, *_INTEGER_SCALARS, *_LIBRARY, "fma"}


def definitions(used: set[tuple[str, str]]) -> str:
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
    for callee, _ in re.findall(r"\b(\w+?)_(v?[fiu]\d+)\(", text):
        if callee in FUNCTIONS and callee != name:
            _define(callee, kind, done)
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
    if scalar in _BOUNDS and name in _TEXTS:
        return _fill(_TEXTS[name], kind, scalar)
    if scalar not in _BOUNDS and name in _INTEGER_TEXTS:
        return _plain(_INTEGER_TEXTS[name], kind, scalar)
    if name == "gemm":  # a pointer to torch's, set when the kernel is loaded
        matrix = f"const {kind} *, const int *"
        sizes = "const char *, const char *, const int *, const int *, const int *"
        return (
            f"void (*gemm_{kind})({sizes}, const {kind} *, {matrix}, {matrix}, const {kind} *, {kind} *, const int *);"
        )
    if name == "fma":
        return rounding.fma(kind, scalar)
    if name == "total":
        return rounding.total(kind, scalar)
    if name == "narrow":
        return rounding.narrow(kind, scalar)
    arity = _LIBRARY.get(name, 2) if scalar in _BOUNDS else 2
    names = ["a", "b"][:arity]
    head = f"static inline {kind} {name}_{kind}({', '.join(f'{kind} {n}' for n in names)})"
    if kind != scalar:
        call = f"{name}_{scalar}({', '.join(f'{n}[i]' for n in names)})"
        return f"{head} {{ {kind} r; for (int i = 0; i < L; ++i) r[i] = {call}; return r; }}"
    if scalar not in _BOUNDS:
        if name not in _INTEGER_SCALARS or scalar == "b8":
            raise UnsupportedError(f"the native backend has no {name} of {scalar}")
        return _plain(_INTEGER_SCALARS[name], kind, scalar)
    symbol = "__builtin_" + _SYMBOLS.get(name, name) + ("f" if scalar == "f32" else "")
    return f"{head} {{ return {symbol}({', '.join(names)}); }}"


def _fill(text: str, kind: str, scalar: str) -> str:
    """Put the constants and series of a floating type into a text."""
    series = {"EXPSERIES": _series(0, scalar), "EXPM1SERIES": _series(2, scalar), "LOGSERIES": _log_series(scalar)}
    for key, value in {"REDUCE": _REDUCE, "LOG": _LOG, **series, **_BOUNDS[scalar]}.items():
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


def _series(first: int, scalar: str) -> str:
    """Σ r^(n - first) / n! for n from `first`, in pairs and pairs of pairs, which shortens the chain of dependences."""
    last = _TERMS[scalar]
    factorial, terms = 1, list[str]()
    for n in range(last + 1):
        factorial *= max(n, 1)
        if n >= first:
            terms.append(f"K({(1 / factorial).hex()})")
    power = "r"
    while len(terms) > 1:
        pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
        terms = [f"fma_S({pair[1]}, {power}, {pair[0]})" if len(pair) == 2 else pair[0] for pair in pairs]
        power = "r2" if power == "r" else f"({power} * {power})"
    return terms[0]


def _log_series(scalar: str) -> str:
    """Σ 2 q^(k-1) / (2k + 1), by Horner."""
    text = f"K({(2 / (2 * _LOG_TERMS[scalar] + 1)).hex()})"
    for k in range(_LOG_TERMS[scalar] - 1, 0, -1):
        text = f"fma_S({text}, q, K({(2 / (2 * k + 1)).hex()}))"
    return text
