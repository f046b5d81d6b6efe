"""The table of scalar operations, one row each: lowering checks them, `body` prints them, `definitions` defines them.

A text is in the notation of `definitions`, or a function that returns one for a C type and its scalar type.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import torch

from funcnet.compiler.errors import InternalError, UnsupportedError
from funcnet.compiler.native.c.functions import (
    activations,
    angles,
    arcs,
    blocks,
    brief,
    doubles,
    elementary,
    exponentials,
    factors,
    fourier,
    halves,
    hyperbolic,
    integers,
    lapack,
    quotients,
    rounding,
    running,
    sorting,
    special,
    transposes,
)
from funcnet.compiler.native.loop_ir import Gather, Node, Part

Text = str | Callable[[str, str], str]
_LINES, _WIDE_LINES = 16, 64  # of a function with a series, and of one through float64


class Kind(Enum):
    """How a primitive is written in C."""

    INFIX = auto()  # an operator between two operands
    COMPARISON = auto()  # an infix operator with a result of dtype bool
    SYNTAX = auto()  # another expression, which `body` prints
    TEXT = auto()  # a call of a function with a text in this table
    LIBM = auto()  # a call of the C library for floats, of a text in this table for integers


@dataclass(frozen=True)
class Primitive:
    """A scalar operation.

    Attributes:
        arity: Number of operands.
        kind: How it is written in C.
        symbol: The operator, or the name in the C library if it differs.
        boolean: The primitive with the same result for bools, if this one does not apply to them.
        masked: The same for bools in lanes, where true is -1.
        floats, integers, booleans: The C texts for these kinds of numbers.
        by_lane: The C text for integers if it is for scalars only; lanes call it one by one.
        wide: Parameters and value of the function of float32 that computes in float64.
        near, far: The primitive that computes the same faster for floats, and that of the arguments where it does not.
        is_whole: Whether this primitive computes near arguments by `near`, too.
    """

    arity: int
    kind: Kind
    symbol: str = ""
    boolean: str = ""
    masked: str = ""
    floats: Text = ""
    integers: Text = ""
    booleans: Text = ""
    by_lane: str = ""
    wide: tuple[str, str] | None = None
    near: str = ""
    far: str = "is_far"
    is_whole: bool = False

    @property
    def lines(self) -> int:
        """Estimate the lines of C of one use for floats, whose function the C compiler inlines."""
        text = self.floats if isinstance(self.floats, str) else ""
        return _WIDE_LINES if self.wide else _LINES if text.count(";") + text.count("_S(") > _LINES // 4 else 1


def _infix(symbol: str, boolean: str) -> Primitive:
    return Primitive(2, Kind.INFIX, symbol, boolean)


def _comparison(symbol: str, masked: str) -> Primitive:
    return Primitive(2, Kind.COMPARISON, symbol, masked=masked)


def _text(arity: int, floats: Text = "", integers: Text = "", *, boolean: str = "", by_lane: str = "") -> Primitive:
    return Primitive(arity, Kind.TEXT, "", boolean, floats=floats, integers=integers, by_lane=by_lane)


def _through_float64(
    arity: int, parameters: str, value: str, floats: Text = "", by_lane: str = "", *, near: str = ""
) -> Primitive:
    return Primitive(arity, Kind.TEXT, floats=floats, by_lane=by_lane, wide=(parameters, value), near=near)


def _libm(arity: int = 1, symbol: str = "", by_lane: str = "") -> Primitive:
    return Primitive(arity, Kind.LIBM, symbol, by_lane=by_lane)


def _quotient(name: str, floats: str, by_lane: str) -> Primitive:
    """Return the row of a division with a remainder."""
    kind = Kind.TEXT if floats else Kind.LIBM
    return Primitive(2, kind, floats=floats, by_lane=by_lane, near=f"near_{name}", far="is_long_quotient")


def _sort(text: str, arity: int, integers: str = "") -> Primitive:
    return Primitive(arity, Kind.TEXT, floats=text, integers=integers or text, booleans=integers or text)


OF_ATEN: dict[str, Primitive] = {  # primitives that compute the ATen operation of the same name
    "mul": _infix("*", "and"),
    "neg": Primitive(1, Kind.SYNTAX),
    "exp": _text(1, elementary.EXP),
    "exp2": _text(1, elementary.EXP2),
    "expm1": _text(1, elementary.EXPM1),
    "log": _text(1, elementary.LOG),
    "log2": _text(1, elementary.LOG2),
    "log10": _text(1, elementary.LOG10),
    "log1p": _text(1, elementary.LOG1P),
    "sqrt": _libm(),
    "sigmoid": _text(1, elementary.SIGMOID),
    "tanh": _text(1, elementary.TANH),
    "sin": _through_float64(1, "x", "sine_f64(x)", doubles.SIN, near="near_sin"),
    "cos": _through_float64(1, "x", "cosine_f64(x)", doubles.COS, near="near_cos"),
    "tan": _through_float64(1, "x", "tangent_f64(x)", doubles.TAN, near="near_tan"),
    "asin": _text(1, arcs.ASIN),
    "acos": _text(1, arcs.ACOS),
    "atan": _text(1, arcs.ATAN),
    "sinh": _text(1, hyperbolic.SINH),
    "cosh": _text(1, hyperbolic.COSH),
    "asinh": _through_float64(1, "x", "area_sine_f64(x)", doubles.ASINH),
    "acosh": _through_float64(1, "x", "area_cosine_f64(x)", doubles.ACOSH),
    "atanh": _text(1, hyperbolic.ATANH),
    "erf": _text(1, special.ERF),
    **{name: _through_float64(1, "x", f"brief_{name}_f64(x)", text) for name, (text, _) in brief.TEXTS.items()},
    "lgamma": Primitive(
        1,
        Kind.TEXT,
        floats=special.lgamma,
        wide=("x", "log_gamma_f64(x)"),
        near="near_lgamma",
        far="is_negative",
        is_whole=True,
    ),
    "abs": _text(1, elementary.ABS, integers.ABS),
    "maximum": _text(2, elementary.MAXIMUM, integers.MAXIMUM, boolean="or"),
    "minimum": _text(2, elementary.MINIMUM, integers.MINIMUM, boolean="and"),
    "fmax": _text(2, elementary.FMAX, integers.FMAX, boolean="or"),
    "fmin": _text(2, elementary.FMIN, integers.FMIN, boolean="and"),
    "fmod": _quotient("fmod", "", integers.FMOD),
    "remainder": _quotient("remainder", quotients.REMAINDER, integers.REMAINDER),
    "atan2": _text(2, arcs.ATAN2),
    "hypot": _text(2, elementary.HYPOT),
    "copysign": _text(2, elementary.COPYSIGN),
    "nextafter": _text(2, elementary.NEXTAFTER),
    "logaddexp": _through_float64(2, "x y", "logaddexp_f64(x, y)", elementary.LOGADDEXP),
    "logaddexp2": _through_float64(2, "x y", "logaddexp2_f64(x, y)", elementary.LOGADDEXP2),
}

PRIMITIVES: dict[str, Primitive] = {
    **OF_ATEN,
    "add": _infix("+", "or"),
    "sub": _infix("-", ""),
    "div": _infix("/", ""),
    "and": _infix("&", "and"),
    "or": _infix("|", "or"),
    "xor": _infix("^", "xor"),
    "lt": _comparison("<", "gt"),
    "le": _comparison("<=", "ge"),
    "gt": _comparison(">", "lt"),
    "ge": _comparison(">=", "le"),
    "eq": _comparison("==", "eq"),
    "ne": _comparison("!=", "ne"),
    "not": Primitive(1, Kind.SYNTAX),
    "where": Primitive(3, Kind.SYNTAX),
    "cast": Primitive(1, Kind.SYNTAX),
    "floor": _libm(),
    "ceil": _libm(),
    "trunc": _libm(),
    "round": _libm(symbol="rint"),
    "shl": _text(2, integers=integers.SHL),
    "shr": _text(2, integers=integers.shift_right),
    "quotient": _text(2, by_lane=integers.QUOTIENT),
    "floordiv": _quotient("floordiv", quotients.FLOORDIV, integers.FLOORDIV),
    "fma": _text(3, rounding.fma, integers.FMA),
    "product_error": _text(3, rounding.product_error),
    "pow": _text(2, doubles.POW, by_lane=integers.POW),
    "power": _text(3, doubles.POWER),
    "exponential": _text(3, doubles.EXPONENTIAL),
    "logit": _text(1, elementary.LOGIT),
    "silu": _text(1, activations.SILU),
    "mish": _text(1, activations.MISH),
    "gelu": _text(1, activations.GELU),
    "gelu_slope": _text(1, activations.GELU_SLOPE),
    "gelu_tanh": _text(1, activations.GELU_TANH),
    "gelu_slope_tanh": _text(1, activations.GELU_SLOPE_TANH),
    "gated": _text(3, activations.GATED),
    # called by other texts and by the printers of statements
    "near_sin": _text(1, doubles.NEAR_SIN),
    "near_cos": _text(1, doubles.NEAR_COS),
    "near_tan": _text(1, doubles.NEAR_TAN),
    "is_far": _text(1, doubles.IS_FAR),
    "near_fmod": _text(2, quotients.NEAR_FMOD),
    "near_remainder": _text(2, quotients.NEAR_REMAINDER),
    "near_floordiv": _text(2, quotients.NEAR_FLOORDIV),
    "is_long_quotient": _text(2, quotients.IS_LONG_QUOTIENT),
    "any": _text(1, doubles.any_lane),
    "turns": _text(2, doubles.turns),
    "sum_error": _text(3, doubles.SUM_ERROR),
    "exp_of_sum": _text(2, doubles.EXP_OF_SUM),
    "pick": _text(3, angles.PICK),
    "sine": _text(1, angles.SINE),
    "cosine": _text(1, angles.COSINE),
    "tangent": _text(1, angles.TANGENT),
    "area_sine": _text(1, angles.AREA_SINE),
    "area_cosine": _text(1, angles.AREA_COSINE),
    "near_lgamma": _through_float64(1, "x", "brief_lgamma_f64(x)", special.NEAR_LGAMMA),
    "brief_lgamma": _text(1, special.BRIEF_LGAMMA),
    "erfc_tail": _text(1, special.ERFC_TAIL),
    **{f"brief_{name}": _text(1, text) for name, (_, text) in brief.TEXTS.items()},
    "is_negative": _text(1, special.IS_NEGATIVE),
    "log_gamma": _text(1, special.LOG_GAMMA),
    "gated_slope": _text(3, activations.GATED_SLOPE),
    "times_decay": _text(4, activations.TIMES_DECAY),
    "decay": _text(2, activations.DECAY),
    "normal": _text(1, elementary.NORMAL),
    "logsum": _text(3, elementary.LOGSUM),
    "narrow": _text(1, rounding.narrow),
    "from_bf16": _text(1, halves.FROM_BF16),
    "to_bf16": _text(1, halves.TO_BF16),
    "from_f16": _text(1, halves.FROM_F16),
    "to_f16": _text(1, halves.TO_F16),
    "widen": _text(3, halves.WIDEN),
    "shorten": _text(3, halves.SHORTEN),
    "transpose": _text(6, *[transposes.transpose] * 2),
    "compensate": _text(3, rounding.compensate),
    "total": _text(2, rounding.total),
    "running_maximum": _text(2, *[running.RUNNING_MAXIMUM] * 2),
    "running_minimum": _text(2, *[running.RUNNING_MINIMUM] * 2),
    "gemm": _text(13, rounding.gemm),
    **{name: _text(arity, text) for name, (arity, text) in lapack.TEXTS.items()},
    "matrix_exp": _text(3, exponentials.MATRIX_EXP),
    "ascending": _sort(sorting.ASCENDING[0], 4, sorting.ASCENDING[1]),
    "descending": _sort(sorting.DESCENDING[0], 4, sorting.DESCENDING[1]),
    "smallest": _sort(sorting.SMALLEST, 5),
    "largest": _sort(sorting.LARGEST, 5),
    "reduce": _text(11, blocks.REDUCE),
    "substitute": _text(9, blocks.SUBSTITUTE),
    "cholesky": _text(4, blocks.CHOLESKY),
    "lu": _text(6, blocks.LU),
    "swap": _text(6, factors.swap),
    "permute": _text(7, factors.PERMUTE),
    "solve": _text(9, blocks.SOLVE),
    "solve_shared": _text(9, factors.solve_shared),
    "solve_one": _text(7, blocks.SOLVE_ONE),
    "nth_smallest": _sort(sorting.NTH_SMALLEST, 5),
    **{name: _text(arity, text) for name, (arity, text) in fourier.TEXTS.items()},
}


def find(name: str) -> Primitive:
    """Return the row of a primitive.

    Raises:
        InternalError: There is no primitive of this name.
    """
    if name not in PRIMITIVES:
        raise InternalError(f"there is no primitive {name}")
    return PRIMITIVES[name]


def applied(name: str, dtype: torch.dtype, varying: bool) -> tuple[str, Primitive]:
    """Return the name and row of the primitive that computes `name` for a dtype, in lanes if the operands vary.

    Raises:
        UnsupportedError: The operator does not apply to bools.
    """
    row = find(name)
    if dtype != torch.bool:
        return name, row
    other = (varying and row.masked) or row.boolean
    if row.kind is Kind.INFIX and not other:
        raise UnsupportedError(f"the native backend has no {name} of bool")
    return other or name, find(other or name)


def lines(body: Sequence[Part]) -> int:
    """Estimate the lines of C of the body of a nest, with the functions that the C compiler inlines."""
    return sum(find(part.op).lines if isinstance(part, Node) and not isinstance(part, Gather) else 1 for part in body)
