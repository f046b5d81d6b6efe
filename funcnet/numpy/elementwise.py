"""Functions of each element: the unary ones."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from funcnet.numpy import kinks
from funcnet.numpy.promotion import ArrayLike, as_tensor, conjugated, inexact, named
from funcnet.numpy.unsigned import in_wider

Unary = Callable[[ArrayLike], Tensor]

__all__ = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "angle",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "around",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "bitwise_count",
    "bitwise_invert",
    "bitwise_not",
    "cbrt",
    "ceil",
    "conj",
    "conjugate",
    "cos",
    "cosh",
    "deg2rad",
    "degrees",
    "exp",
    "exp2",
    "expm1",
    "fabs",
    "fix",
    "floor",
    "frexp",
    "i0",
    "imag",
    "invert",
    "iscomplex",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logical_not",
    "modf",
    "nan_to_num",
    "negative",
    "positive",
    "rad2deg",
    "radians",
    "real",
    "reciprocal",
    "rint",
    "round",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
]  # fmt: skip


def _float(name: str, f: Callable[[Tensor], Tensor], doc: str) -> Unary:
    """Make a function whose result is floating-point; integers count as float32."""

    def function(x: ArrayLike, /) -> Tensor:
        return f(inexact(as_tensor(name, x)))

    return named(function, name, doc)


def _same(name: str, f: Callable[[Tensor], Tensor], doc: str) -> Unary:
    """Make a function that keeps the dtype, or whose result is bool."""

    f = in_wider(f)

    def function(x: ArrayLike, /) -> Tensor:
        return f(as_tensor(name, x))

    return named(function, name, doc)


def _whole(name: str, f: Callable[[Tensor], Tensor], doc: str) -> Unary:
    """Make a function that rounds; whole numbers and bools stay as they are."""
    return _same(name, lambda x: f(x) if x.is_floating_point() else x, doc)


def _sinc(x: Tensor) -> Tensor:
    safe = torch.where(x == 0, 1.0, x) * math.pi
    series = 1 - (math.pi * x).square() / 6  # its second derivative at 0 is that of sinc
    return torch.where(x == 0, series, torch.sin(safe) / safe)


exp = _float("exp", torch.exp, "e to the power x.")
exp2 = _float("exp2", torch.exp2, "2 to the power x.")
expm1 = _float("expm1", torch.expm1, "exp(x) - 1, exact for small x.")
log = _float("log", torch.log, "The natural logarithm.")
log2 = _float("log2", torch.log2, "The logarithm to base 2.")
log10 = _float("log10", torch.log10, "The logarithm to base 10.")
log1p = _float("log1p", torch.log1p, "log(1 + x), exact for small x.")
sqrt = _float("sqrt", torch.sqrt, "The square root.")
cbrt = _float("cbrt", kinks.cbrt, "The cube root, negative for negative x.")
reciprocal = _float("reciprocal", torch.reciprocal, "1 / x.")
sin = _float("sin", torch.sin, "The sine of x radians.")
cos = _float("cos", torch.cos, "The cosine of x radians.")
tan = _float("tan", torch.tan, "The tangent of x radians.")
sinh = _float("sinh", torch.sinh, "The hyperbolic sine.")
cosh = _float("cosh", torch.cosh, "The hyperbolic cosine.")
tanh = _float("tanh", torch.tanh, "The hyperbolic tangent.")
arcsin = asin = _float("arcsin", torch.asin, "The inverse sine, in radians.")
arccos = acos = _float("arccos", torch.acos, "The inverse cosine, in radians.")
arctan = atan = _float("arctan", torch.atan, "The inverse tangent, in radians.")
arcsinh = asinh = _float("arcsinh", torch.asinh, "The inverse hyperbolic sine.")
arccosh = acosh = _float("arccosh", torch.acosh, "The inverse hyperbolic cosine.")
arctanh = atanh = _float("arctanh", torch.atanh, "The inverse hyperbolic tangent.")
degrees = rad2deg = _float("degrees", torch.rad2deg, "Convert radians to degrees.")
radians = deg2rad = _float("radians", torch.deg2rad, "Convert degrees to radians.")
sinc = _float("sinc", _sinc, "sin(pi x) / (pi x), 1 at 0.")
i0 = _float("i0", torch.special.i0, "The modified Bessel function of the first kind of order 0.")
rint = _float("rint", torch.round, "The nearest whole number, the even one of two.")
fabs = _float("fabs", kinks.absolute, "The absolute value, as floating-point numbers.")


def angle(z: ArrayLike, deg: bool = False) -> Tensor:
    """The argument of a complex number, in radians, or in degrees if deg."""
    radians = torch.angle(inexact(as_tensor("angle", z)))
    return torch.rad2deg(radians) if deg else radians


def _sign(x: Tensor) -> Tensor:
    if x.is_complex():
        return torch.sgn(x)
    return torch.where(torch.isnan(x), x, torch.sign(x)) if x.is_floating_point() else torch.sign(x)


def _real(x: Tensor) -> Tensor:
    return torch.real(x) if x.is_complex() else x


def _imag(x: Tensor) -> Tensor:
    return torch.imag(x) if x.is_complex() else torch.zeros_like(x)


def _positive(x: Tensor) -> Tensor:
    return x


def _is_complex(x: Tensor) -> Tensor:
    return _imag(x) != 0


def _is_real(x: Tensor) -> Tensor:
    return _imag(x) == 0


abs = absolute = _same("absolute", kinks.absolute, "The absolute value. Its derivative at 0 is 1.")
negative = _same("negative", torch.neg, "-x.")
positive = _same("positive", _positive, "x.")
square = _same("square", torch.square, "x * x.")
sign = _same("sign", _sign, "-1, 0 or 1 with the sign of x; NaN for NaN. For complex x, x / abs(x).")
floor = _whole("floor", torch.floor, "The largest whole number not above x.")
ceil = _whole("ceil", torch.ceil, "The smallest whole number not below x.")
trunc = fix = _whole("trunc", torch.trunc, "The whole number next to x towards 0.")
conj = conjugate = _same("conjugate", conjugated, "The complex conjugate.")
real = _same("real", _real, "The real part.")
imag = _same("imag", _imag, "The imaginary part.")
isnan = _same("isnan", torch.isnan, "Whether x is NaN.")
isinf = _same("isinf", torch.isinf, "Whether x is infinite.")
isfinite = _same("isfinite", torch.isfinite, "Whether x is neither infinite nor NaN.")
isposinf = _same("isposinf", torch.isposinf, "Whether x is +infinity.")
isneginf = _same("isneginf", torch.isneginf, "Whether x is -infinity.")
iscomplex = _same("iscomplex", _is_complex, "Whether x has an imaginary part other than 0.")
isreal = _same("isreal", _is_real, "Whether x has no imaginary part.")
signbit = _same("signbit", torch.signbit, "Whether the sign is negative, that of -0.0 included.")
logical_not = _same("logical_not", torch.logical_not, "Whether x is 0 or False.")
invert = bitwise_not = bitwise_invert = _same(
    "invert", torch.bitwise_not, "Flip the bits of integers; `not` for bools."
)


def round(a: ArrayLike, decimals: int = 0) -> Tensor:
    """Round to a number of decimals, ties to the even digit."""
    x = as_tensor("round", a)
    if x.is_complex():
        return torch.complex(round(x.real, decimals), round(x.imag, decimals))
    if decimals == 0 or not x.is_floating_point():
        return torch.round(x)
    scale = 10.0**decimals
    return torch.round(x * scale) / scale


around = round


def nan_to_num(
    x: ArrayLike, nan: ArrayLike = 0.0, posinf: ArrayLike | None = None, neginf: ArrayLike | None = None
) -> Tensor:
    """Replace NaN by `nan` and infinities by posinf and neginf, by default the largest and least finite numbers."""
    x = as_tensor("nan_to_num", x)
    if not x.is_floating_point():
        return x
    limits = torch.finfo(x.dtype)
    above, below = limits.max if posinf is None else posinf, limits.min if neginf is None else neginf
    x = torch.where(torch.isnan(x), nan, x)
    x = torch.where(torch.isposinf(x), above, x)
    return torch.where(torch.isneginf(x), below, x)


def modf(x: ArrayLike, /) -> tuple[Tensor, Tensor]:
    """The fractional and the whole part, both with the sign of x; the fractional part of infinity is NaN."""
    x = inexact(as_tensor("modf", x))
    whole = torch.trunc(x)
    return x - whole, whole


def frexp(x: ArrayLike, /) -> tuple[Tensor, Tensor]:
    """The mantissa, of absolute value in [1/2, 1), and the exponent of 2, int32."""
    mantissa, exponent = torch.frexp(inexact(as_tensor("frexp", x)))
    return mantissa, exponent.to(torch.int32)


def bitwise_count(x: ArrayLike, /) -> Tensor:
    """The number of bits of the absolute values of integers that are 1, uint8."""
    given = as_tensor("bitwise_count", x)
    if given.is_floating_point() or given.is_complex():
        raise TypeError(f"bitwise_count: expected integers, got a {given.dtype} tensor.")
    bits = given.to(torch.int64)
    bits = bits.abs() if given.dtype.is_signed else bits
    return count_ones(bits, 8 * given.element_size()).to(torch.uint8)


def count_ones(bits: Tensor, width: int) -> Tensor:
    """Return how many of the lowest bits of int64 numbers are 1."""
    return ((bits[..., None] >> torch.arange(width, device=bits.device)) & 1).sum(-1)
