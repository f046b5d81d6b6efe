"""Functions of two arrays, element by element: the operands are promoted to one dtype and broadcast."""

from collections.abc import Callable

import torch
from torch import Tensor

from funcnet.numpy import kinks
from funcnet.numpy.promotion import ArrayLike, as_tensor, floating, inexact, named, promote
from funcnet.numpy.unsigned import in_wider, widened

Binary = Callable[[ArrayLike, ArrayLike], Tensor]

__all__ = [
    "add", "allclose", "arctan2", "array_equal", "array_equiv", "atan2", "bitwise_and", "bitwise_left_shift",
    "bitwise_or", "bitwise_right_shift", "bitwise_xor", "clip", "copysign", "divide", "equal",
    "float_power", "fmax", "fmin", "gcd", "greater", "greater_equal", "heaviside", "hypot",
    "isclose", "lcm", "ldexp", "left_shift", "less", "less_equal", "logaddexp", "logaddexp2", "logical_and",
    "logical_or", "logical_xor", "maximum", "minimum", "multiply", "nextafter", "not_equal", "pow", "power",
    "right_shift", "subtract", "true_divide",
]  # fmt: skip


def _same(name: str, f: Callable[[Tensor, Tensor], Tensor], doc: str) -> Binary:
    """Make a function whose result has the common dtype of the operands, or bool."""

    f = in_wider(f)

    def function(x: ArrayLike, y: ArrayLike, /) -> Tensor:
        return f(*promote(name, x, y))

    return named(function, name, doc)


def _float(name: str, f: Callable[[Tensor, Tensor], Tensor], doc: str) -> Binary:
    """Make a function whose result is floating-point; integers count as float32."""

    def function(x: ArrayLike, y: ArrayLike, /) -> Tensor:
        return f(*floating(name, x, y))

    return named(function, name, doc)


def _truth(name: str, f: Callable[[Tensor, Tensor], Tensor], doc: str) -> Binary:
    """Make a function of bools; other operands are compared with 0."""

    def function(x: ArrayLike, y: ArrayLike, /) -> Tensor:
        return f(widened(as_tensor(name, x)), widened(as_tensor(name, y)))

    return named(function, name, doc)


def _subtract(x: Tensor, y: Tensor) -> Tensor:
    if x.dtype == torch.bool:
        raise TypeError("subtract: expected numbers, got bools. Use logical_xor.")
    return x - y


def _power(x: Tensor, y: Tensor) -> Tensor:
    return torch.pow(x.to(torch.int32), y.to(torch.int32)) if x.dtype == torch.bool else torch.pow(x, y)


def _heaviside(x: Tensor, y: Tensor) -> Tensor:
    step = torch.where(x < 0, 0.0, torch.where(x > 0, 1.0, y))
    return torch.where(torch.isnan(x), x, step).to(x.dtype)


def _lexical(compare: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Make a comparison of complex numbers, too: by their real parts, and by the imaginary ones of equal real parts."""

    def function(x: Tensor, y: Tensor) -> Tensor:
        if not x.is_complex():
            return compare(x, y)
        return torch.where(x.real == y.real, compare(x.imag, y.imag), compare(x.real, y.real))

    return function


def _maximum(x: Tensor, y: Tensor) -> Tensor:
    return torch.where(torch.isnan(x) | _lexical(torch.ge)(x, y), x, y) if x.is_complex() else torch.maximum(x, y)


def _minimum(x: Tensor, y: Tensor) -> Tensor:
    return torch.where(torch.isnan(x) | _lexical(torch.le)(x, y), x, y) if x.is_complex() else torch.minimum(x, y)


add = _same("add", torch.add, "x + y; `or` for bools.")
subtract = _same("subtract", _subtract, "x - y.")
multiply = _same("multiply", torch.mul, "x * y; `and` for bools.")
divide = true_divide = _float("divide", torch.true_divide, "x / y, in floating-point arithmetic.")
float_power = _float("float_power", torch.pow, "x to the power y, in floating-point arithmetic.")
maximum = _same("maximum", _maximum, "The larger of x and y; NaN if one is NaN.")
minimum = _same("minimum", _minimum, "The smaller of x and y; NaN if one is NaN.")
fmax = _same("fmax", kinks.fmax, "The larger of x and y; the other one if one is NaN.")
fmin = _same("fmin", kinks.fmin, "The smaller of x and y; the other one if one is NaN.")
hypot = _float("hypot", kinks.hypot, "sqrt(x^2 + y^2), without overflow.")
arctan2 = atan2 = _float("arctan2", torch.atan2, "The angle of the point (y, x), in radians; the first argument is y.")
logaddexp = _float("logaddexp", torch.logaddexp, "log(exp(x) + exp(y)), without overflow.")
logaddexp2 = _float("logaddexp2", torch.logaddexp2, "log2(2^x + 2^y), without overflow.")
copysign = _float("copysign", kinks.copysign, "x with the sign of y.")
nextafter = _float("nextafter", torch.nextafter, "The number next to x towards y.")
heaviside = _float("heaviside", _heaviside, "0 for x < 0, 1 for x > 0, and y at 0.")
gcd = _same("gcd", torch.gcd, "The greatest common divisor of integers.")
lcm = _same("lcm", torch.lcm, "The least common multiple of integers.")
equal = _same("equal", torch.eq, "x == y.")
not_equal = _same("not_equal", torch.ne, "x != y.")
less = _same("less", _lexical(torch.lt), "x < y.")
less_equal = _same("less_equal", _lexical(torch.le), "x <= y.")
greater = _same("greater", _lexical(torch.gt), "x > y.")
greater_equal = _same("greater_equal", _lexical(torch.ge), "x >= y.")
logical_and = _truth("logical_and", torch.logical_and, "Whether both are nonzero.")
logical_or = _truth("logical_or", torch.logical_or, "Whether one of them is nonzero.")
logical_xor = _truth("logical_xor", torch.logical_xor, "Whether exactly one of them is nonzero.")
bitwise_and = _same("bitwise_and", torch.bitwise_and, "x & y of integers or bools.")
bitwise_or = _same("bitwise_or", torch.bitwise_or, "x | y of integers or bools.")
bitwise_xor = _same("bitwise_xor", torch.bitwise_xor, "x ^ y of integers or bools.")
left_shift = bitwise_left_shift = _same("left_shift", torch.bitwise_left_shift, "x << y of integers.")
right_shift = bitwise_right_shift = _same("right_shift", torch.bitwise_right_shift, "x >> y of integers.")


def power(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """x to the power y.

    A whole exponent that is a Python number stays one: products then give exact results and derivatives.
    """
    if isinstance(y, int) and not isinstance(y, bool) and not isinstance(x, int | float):
        base = as_tensor("power", x)
        return in_wider(torch.pow)(base if base.dtype != torch.bool else base.to(torch.int32), y)
    return in_wider(_power)(*promote("power", x, y))


pow = power


def ldexp(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """x * 2^y for integers y."""
    x = inexact(as_tensor("ldexp", x))
    return x * torch.exp2(as_tensor("ldexp", y).to(x.dtype))


def clip(a: ArrayLike, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Tensor:
    """Limit the elements of a to [min, max]; None means unlimited. The bounds broadcast against a."""
    x = as_tensor("clip", a)
    x = x if min is None else maximum(min, x)
    return x if max is None else minimum(max, x)


def isclose(a: ArrayLike, b: ArrayLike, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Whether abs(a - b) <= atol + rtol * abs(b), element by element."""
    x, y = promote("isclose", a, b)
    near = (torch.abs(x - y) <= atol + rtol * torch.abs(y)) & torch.isfinite(y)
    same = (x == y) | ((x != x) & (y != y)) if equal_nan else x == y
    return near | same


def allclose(a: ArrayLike, b: ArrayLike, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Whether all elements are close, as a bool tensor."""
    return isclose(a, b, rtol, atol, equal_nan).all()


def array_equal(a1: ArrayLike, a2: ArrayLike, equal_nan: bool = False) -> Tensor:
    """Whether two arrays have the same shape and elements, as a bool tensor."""
    x, y = promote("array_equal", a1, a2)
    if x.shape != y.shape:
        return torch.tensor(False, device=x.device)
    same = x == y
    return (same | ((x != x) & (y != y)) if equal_nan else same).all()


def array_equiv(a1: ArrayLike, a2: ArrayLike) -> Tensor:
    """Whether two arrays have equal elements after broadcasting, as a bool tensor."""
    x, y = promote("array_equiv", a1, a2)
    try:
        torch.broadcast_shapes(x.shape, y.shape)
    except RuntimeError:
        return torch.tensor(False, device=x.device)
    return (x == y).all()
