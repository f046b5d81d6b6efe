"""The polynomials in the C functions, as C text."""

import math
from collections.abc import Sequence

_TERMS = {"f32": 7, "f64": 13}  # of the exponential's series on [-ln(2)/2, ln(2)/2]
_LOG_TERMS = {"f32": 5, "f64": 10}  # of the series of 2 atanh(s) / s - 2 in s², s up to 0.172
_NORMAL_TERMS = {"f32": 5, "f64": 10}  # of the series of (Phi(x) - 1/2) / x in x², |x| up to 1/2

# Phi(-x) exp(x^2 / 2) (x + POLE) for x >= 0, a polynomial in 1 - 2 POLE / (x + POLE), interpolated at Chebyshev points
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


def texts(scalar: str) -> dict[str, str]:
    """Return the series in the functions of a floating type."""
    root = math.sqrt(2 * math.pi)
    normal = [(-0.5) ** k / (math.factorial(k) * (2 * k + 1) * root) for k in range(_NORMAL_TERMS[scalar])]
    return {
        "EXPSERIES": _exponential(0, scalar),
        "EXPM1SERIES": _exponential(2, scalar),
        "LOGSERIES": _polynomial([2 / (2 * k + 1) for k in range(1, _LOG_TERMS[scalar] + 1)], "q"),
        "NORMALSERIES": _polynomial(normal, "s"),
        "MILLSSERIES": _polynomial(MILLS[scalar], "v"),
    }


def _exponential(first: int, scalar: str) -> str:
    """Return Σ r^(n - first) / n! for n from `first`, by Estrin's scheme, which shortens the chain of dependences."""
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


def _polynomial(coefficients: Sequence[float], variable: str) -> str:
    """Return Σ coefficient variable^k, by Horner's scheme."""
    *others, text = (f"K({c.hex()})" for c in coefficients)
    for c in reversed(others):
        text = f"fma_S({text}, {variable}, {c})"
    return text
