"""The C functions that kernels call; one text without branches serves scalars and vectors of lanes.

Results are within a few ulp, and exact at zeros, infinities and NaN. For arguments out of the range of a series the
result is replaced at the end: a clamp at the start would lengthen the chain of dependences. In the texts T is the type,
I the integer type of its width, S its name; sel(m, a, b) is m ? a : b, K(c) a constant, and fma rounds once.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache

from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native.c.functions import activations, angles, arcs, doubles, hyperbolic, series
from funcnet.compiler.native.c.functions.lanes import each_lane
from funcnet.compiler.native.c.primitives import PRIMITIVES, Kind, find

# P: bits of the fraction; MAGIC: added to a float, it rounds it to an integer in the low bits of the fraction; tanh(x)
# is 1 from FLAT on, erf from FULL, and two terms of its series below STEEP; exp is normal from EXPLEAST to
# EXPMOST.
_CONSTANTS = {"PI": "0x1.921fb54442d18p+1", "HALFLOGTAU": "0x1.d67f1c864beb4p-1"}
_CONSTANTS |= {"ERFCFIRST": "0x1.1649466cd0bf1p+0", "ERFCLOW": "0x1.d43b1beb7024ep-54"}
_BOUNDS = {
    "f32": {
        "P": "23", "TOP": "31", "BIAS": "127", "MAGIC": "0x1.8p23", "SQRTHALF": "0x3f3504f3",
        "LN2HI": "0x1.62e4p-1", "LN2LO": "0x1.7f7d1cp-20", "EXPMAX": "89.0", "EXPMIN": "-104.0",
        "EXPLEAST": "-0x1.5d589ep+6", "EXPMOST": "0x1.62e42ep+6",
        "TINY": "0x1p-126", "LIFT": "23.0", "LIFTED": "0x1p23", "SMALL": "-20.0", "FLAT": "10.0",
        "STEEP": "0x1p-4", "MIDDLE": "1.25", "FULL": "4.0", "LEAST": "0x1p-25", "NEAR": "0x1p-60",
        "QUARTER": "0x1.921fb6p+0", "QUARTERMORE": "-0x1.774p-25", "QUARTERLEAST": "-0x1.d2e7bap-36",
        "EIGHTH": "0x1.921fbp-1", "EIGHTHLOW": "0x1.5110b4611a626p-23", "HUGEST": "0x1p90", "SHRINK": "0x1p-30",
        "FAINT": "0x1p-40", "FARTHEST": "12800.0", "EVEN": "0x1p24",
        "TWOTHIRDS": "0x1.555556p-1", "TWOTHIRDSLOW": "-0x1.555556p-26",
        "HALF": "12", "TWOIN10": "0x1.344p-2", "TWOIN10LOW": "0x1.3509f8p-18",
        "EIN10": "0x1.bc8p-2", "EIN10LOW": "0x1.bd8a94p-13", "TWOIN2": "0x1.0p+0", "TWOIN2LOW": "0x0.0p+0",
        "EIN2": "0x1.714p+0", "EIN2LOW": "0x1.47652cp-12",
        **_CONSTANTS, **activations.BOUNDS["f32"],
    },
    "f64": {
        "P": "52", "TOP": "63", "BIAS": "1023", "MAGIC": "0x1.8p52", "SQRTHALF": "0x3fe6a09e667f3bcdLL",
        "LN2HI": "0x1.62e42fefa38p-1", "LN2LO": "0x1.ef35793c7673p-45", "EXPMAX": "710.0", "EXPMIN": "-746.0",
        "EXPLEAST": "-0x1.6232bdd7abcd2p+9", "EXPMOST": "0x1.62e42fefa39efp+9",
        "TINY": "0x1p-1022", "LIFT": "52.0", "LIFTED": "0x1p52", "SMALL": "-40.0", "FLAT": "20.0",
        "STEEP": "0x1p-9", "MIDDLE": "1.0", "FULL": "6.0", "LEAST": "0x1p-54", "NEAR": "0x1p-900",
        "QUARTER": "0x1.921fb54442d18p+0", "QUARTERMORE": "0x1.1a6263314p-54", "QUARTERLEAST": "0x1.701b839a25205p-92",
        "EIGHTH": "0x1.921fb54442d18p-1", "EIGHTHLOW": "0x1.1a62633145c07p-55", "HUGEST": "0x1p900",
        "SHRINK": "0x1p-200", 
        "FAINT": "0x1p-400", "FARTHEST": "0x1p17", "EVEN": "0x1p53",
        "TWOTHIRDS": "0x1.5555555555555p-1", "TWOTHIRDSLOW": "0x1.5555555555555p-55",
        "HALF": "32", "TWOIN10": "0x1.344135p-2", "TWOIN10LOW": "0x1.3ef3fde623e25p-31",
        "EIN10": "0x1.bcb7b1p-2", "EIN10LOW": "0x1.49b9438ca9aaep-28", "TWOIN2": "0x1.0p+0", "TWOIN2LOW": "0x0.0p+0",
        "EIN2": "0x1.715476p+0", "EIN2LOW": "0x1.4ae0bf85ddf44p-26",
        **_CONSTANTS, **activations.BOUNDS["f64"],
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

_LETTERS = "abc"  # names of parameters
_BLOCKS = {"REDUCE": _REDUCE, "LOG": _LOG, "LIFTS": _LIFTS}
_BLOCKS |= activations.BLOCKS | angles.BLOCKS | arcs.BLOCKS | doubles.BLOCKS | hyperbolic.BLOCKS


def define(used: set[tuple[str, str]]) -> str:
    """Return the definitions of these (function, type) pairs and of all functions that they call, callees first."""
    done: dict[tuple[str, str], str] = {}
    for name, kind in sorted(used):
        _define(name, kind, done)
    return "\n".join(done.values())


def outlined(used: set[tuple[str, str]]) -> str:
    """Return functions that call these (function, type) pairs and are not inlined."""
    return "".join(_call_of(name, kind, _LETTERS[: find(name).arity]) for name, kind in sorted(used))


def _call_of(name: str, kind: str, names: str) -> str:
    parameters = ", ".join(f"{kind} {n}" for n in names)
    text = f"{{ return {name}_{kind}({', '.join(names)}); }}"
    return f"\nstatic __attribute__((noinline)) {kind} {name}_{kind}_call({parameters}) {text}"


def _define(name: str, kind: str, done: dict[tuple[str, str], str]) -> None:
    if (name, kind) in done:
        return
    scalar = re.sub(r"^(v|w\d+)", "", kind)
    text = _text(name, kind, scalar)
    for callee, of in re.findall(r"\b(\w+?)_([vw\d]*[fiu]\d+)\(", text):
        if callee in PRIMITIVES and (callee, of) != (name, kind):
            _define(callee, of, done)
    if kind != scalar and f"_{scalar}(" in text:
        _define(name, scalar, done)
    done[name, kind] = text


def _text(name: str, kind: str, scalar: str) -> str:
    """Return the definition of one function for a type, from its row in the table of primitives."""
    row = find(name)
    if scalar in _BOUNDS:
        if row.wide is not None and scalar == "f32":
            return _through_float64(name, kind, scalar, *row.wide)
        if row.kind is Kind.LIBM:
            return _library(name, kind, scalar)
    elif row.by_lane and scalar != "b8":
        return _plain(row.by_lane, kind, scalar) if kind == scalar else _by_lane(name, kind, f"{name}_{scalar}")
    text = row.floats if scalar in _BOUNDS else row.booleans if scalar == "b8" else row.integers
    if not text:
        raise UnsupportedError(f"the native backend has no {name} of {scalar}")
    return _filled(text, kind, scalar) if isinstance(text, str) else _plain(text(kind, scalar), kind, scalar)


def _library(name: str, kind: str, scalar: str) -> str:
    """Return a function that calls one of the C library."""
    row = find(name)
    names = _LETTERS[: row.arity]
    function = f"__builtin_{row.symbol or name}{'f' if scalar == 'f32' else ''}"
    if kind != scalar:
        return _by_lane(name, kind, function)
    return f"{_head(name, kind, names)} {{ return {function}({', '.join(names)}); }}"


def _by_lane(name: str, kind: str, function: str) -> str:
    """Return a function of lanes that calls one of scalars for each lane."""
    names = _LETTERS[: find(name).arity]
    call = f"{function}({', '.join(f'{n}[i]' for n in names)})"
    loop = each_lane(f"r[i] = {call};")
    return f"{_head(name, kind, names)} {{ {kind} r; {loop} return r; }}"


def _head(name: str, kind: str, names: Sequence[str]) -> str:
    return f"static inline {kind} {name}_{kind}({', '.join(f'{kind} {n}' for n in names)})"


def _through_float64(name: str, kind: str, scalar: str, parameters: str, text: str) -> str:
    """Return a function that computes in float64; lanes use arrays, since vectors of float64 fit into no register."""
    names = parameters.split()
    head = _head(name, kind, names)
    if kind == scalar:
        head = head.replace("inline", "INLINED")
        return f"{head} {{ return narrow_f32({text}); }}"
    arrays = ", ".join(f"{n}_[L]" for n in ("r", *names))
    copies = " ".join(f"__builtin_memcpy({n}_, &{n}, sizeof {n});" for n in names)
    call = f"{name}_{scalar}({', '.join(f'{n}_[i]' for n in names)})"
    return f"""{head} {{
  {kind} r;
  {scalar} {arrays};
  {copies}
  VECTORISE
  {each_lane(f"r_[i] = {call};")}
  __builtin_memcpy(&r, r_, sizeof r);
  return r;
}}"""


def _filled(text: str, kind: str, scalar: str) -> str:
    """Insert the blocks, series and constants of a floating type into a text, and the type itself."""
    if scalar in _BOUNDS:
        for fill in _fillings(scalar):
            text = fill(text)
        text = text.replace("INFINITY_", "__builtin_inf()").replace("NAN_", '__builtin_nan("")')
    return _plain(text, kind, scalar)


@cache
def _fillings(scalar: str) -> list[Callable[[str], str]]:
    """Return the substitutions in order: blocks contain series, and both contain constants."""
    return [_substitution(table) for table in (_BLOCKS, series.texts(scalar), _BOUNDS[scalar])]


def _substitution(table: dict[str, str]) -> Callable[[str], str]:
    pattern = re.compile(rf"\b(?:{'|'.join(table)})\b")
    return lambda text: pattern.sub(lambda match: table[match[0]], text)


def _plain(text: str, kind: str, scalar: str) -> str:
    integer = kind.replace("f", "i")
    text = text.replace("CONVERT(e, T)", f"__builtin_convertvector(e, {kind})" if kind != scalar else f"({kind})e")
    text = re.sub(r"\bK\(", f"K_{kind}(", text)
    text = re.sub(r"\bBITS_\b", re.sub(r"\D", "", scalar), text)
    text = re.sub(r"\bT\b", kind, re.sub(r"\bI\b", integer, text))
    return re.sub(r"_S\b", f"_{kind}", text)
