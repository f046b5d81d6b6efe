"""The polynomials in the C functions, as C text."""

import math
from collections.abc import Sequence

_TERMS = {"f32": 7, "f64": 13}  # of the exponential's series on [-ln(2)/2, ln(2)/2]
_LOG_TERMS = {"f32": 5, "f64": 10}  # of the series of 2 atanh(s) / s - 2 in s², s up to 0.172
_POWER_TERMS = {"f32": 7, "f64": 13}  # of the same series, for the logarithm of a power
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


# Polynomials that interpolate at Chebyshev points, computed with sixty digits
# erf(a) / a - 1, a up to 1.25 and 1, in r = 2 s / max(s) - 1 for s = a²
ERF = {
    "f32": (
        -0.1076872985516273, -0.18785153670044394, 0.03998833488082794, -0.007047492129678465, 0.001034496716053461,
        -0.00012914816652745937, 1.3986525496014987e-05, -1.3552137501225242e-06, 1.1527715369147427e-07,
    ),
    "f64": (
        -0.03453126133013269, -0.1405360890227171, 0.019852496688983708, -0.0022854855611441132,
        0.00021751715604159932, -1.7537169441124866e-05, 1.223382738359897e-06, -7.511569286591727e-08,
        4.115800583208149e-09, -2.035228405815769e-10, 9.167619596865806e-12, -3.8078824063194953e-13,
        1.4543887079465116e-14,
    ),
}  # fmt: skip
# erfc(a) exp(a²) (a + 3.5), a from 0 to 27.3, in v = (a - 3.5) / (a + 3.5)
ERFC = (
    1.08705558926226, -0.9377997245671118, 0.6941136466346437, -0.43525602671690855, 0.22573862164744848,
    -0.09231870663790175, 0.026518619880946708, -0.0031770503507182885, -0.001305354685303784, 0.0007145317478356335,
    -4.206219536929104e-05, -7.477738095741624e-05, 1.8647260327317784e-05, 7.245016466507934e-06,
    -3.3920554780830865e-06, -7.979459331746498e-07, 5.503076872495901e-07, 1.1789133152916635e-07,
    -8.299525550808625e-08, -2.2859537326169232e-08, 8.570219487658117e-09, 3.5978020378122224e-09,
    1.6224103720913517e-10,
)  # fmt: skip
# erfc(a), a from 1.25 to 4, in w = (8 a - 21) / 11, for float32
ERF_DISTANCE = (
    0.00020537573614121745, -0.0015782945886326403, 0.0056967653632629765, -0.012714457547143048, 0.019353693311560307,
    -0.020716777982185172, 0.015178540313683498, -0.0063918354500261685, -0.0004157917622650682, 0.002840502691493728,
    -0.0018550643728691436, 0.0001335398295673634, 0.0004020931133887366, -0.00012260724262912784,
    -1.5667426054660608e-05,
)  # fmt: skip
# (atan(u) / u - 1) / u², u up to tan(pi / 8), in u², for float32
ARCTANGENT = (
    -0.3333333333144073, 0.1999999891728858, -0.14285612511387016, 0.11107495135714474, -0.09028983500350463,
    0.07135325122330678, -0.04043224825887161,
)  # fmt: skip
# log(gamma(b)) / ((b - 1) (b - 2)), b from 1 to 2.5, in w = (4 b - 7) / 3, for float32
GAMMA = (
    0.4501393121092563, -0.08961118996893311, 0.025042751549162134, -0.00803838845954295, 0.0027768984548258886,
    -0.0010028956787642247, 0.0003729600104545318, -0.000141568453304411, 5.455121330560112e-05,
    -2.1263467064013624e-05, 8.363586741323295e-06, -3.3130906689825706e-06, 1.320725999941348e-06,
    -5.312603855472408e-07, 2.1383305090572204e-07, -8.286822591982841e-08, 3.3565940217404054e-08,
    -1.7581907982441744e-08, 7.1872542068929135e-09, -1.7644775477054702e-10, 6.386579640929145e-11,
    -1.1302420350205355e-09, 4.661890010001074e-10,
)  # fmt: skip
# (sin(u) / u - 1) / s and (cos(u) - 1 + s / 2) / s², |u| up to pi / 4, in s = u²
SINE = {
    "f32": (-0.16666664650292082, 0.008332745936380422, -0.00019587387068464455),
    "f64": (
        -0.16666666666666666, 0.008333333333330925, -0.00019841269836722418, 2.755731608381636e-06,
        -2.5051127944014188e-08, 1.5917848524808262e-10,
    ),
}  # fmt: skip
COSINE = {
    "f32": (0.04166666464745738, -0.00138883006969039, 2.45474372101932e-05),
    "f64": (
        0.041666666666666664, -0.0013888888888887382, 2.480158729874307e-05, -2.7557317260008837e-07,
        2.0876143827993133e-09, -1.1382456778061306e-11,
    ),
}  # fmt: skip
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400, 43867 / 244188)


def texts(scalar: str) -> dict[str, str]:
    """Return the series in the functions of a floating type."""
    root = math.sqrt(2 * math.pi)
    normal = [(-0.5) ** k / (math.factorial(k) * (2 * k + 1) * root) for k in range(_NORMAL_TERMS[scalar])]
    angle = [(-1) ** (k // 2) * (math.pi / 2) ** k / math.factorial(k) for k in range(20)]
    return {
        "EXPSERIES": _exponential(0, scalar),
        "EXP2SERIES": _exponential(2, scalar, math.log(2)),
        "EXPM1SERIES": _exponential(2, scalar),
        "LOGSERIES": _polynomial([2 / (2 * k + 1) for k in range(1, _LOG_TERMS[scalar] + 1)], "q"),
        "NORMALSERIES": _polynomial(normal, "s"),
        "MILLSSERIES": _polynomial(MILLS[scalar], "v"),
        "ERFSERIES": _polynomial(ERF[scalar], "r"),
        "ERFDISTANCE": _polynomial(ERF_DISTANCE, "w") if scalar == "f32" else "erfc_S(a)",
        "ERFCSERIES": _polynomial(ERFC, "v"),
        "GAMMASERIES": _polynomial(GAMMA, "w"),
        "STIRLINGSERIES": _polynomial(STIRLING, "q"),
        "SINESERIES": _polynomial(angle[1:12:2], "s"),
        "MIRRORSERIES": _polynomial(angle[1::2], "s"),
        "COSINESERIES": _polynomial(angle[:12:2], "s"),
        "SINETAIL": _polynomial(SINE[scalar], "s"),
        "COSINETAIL": _polynomial(COSINE[scalar], "s"),
        "POWERTAIL": _polynomial([2 / (2 * k + 1) for k in range(2, _POWER_TERMS[scalar])], "q"),
        "ARCTANGENTSERIES": _polynomial(ARCTANGENT, "s"),
    }


def _exponential(first: int, scalar: str, rate: float = 1.0) -> str:
    """Return Σ rate^n r^(n - first) / n! for n from `first`, by Estrin's scheme, with a short chain of dependences."""
    last = _TERMS[scalar]
    factorial, terms = 1, list[str]()
    for n in range(last + 1):
        factorial *= max(n, 1)
        if n >= first:
            terms.append(f"K({(rate**n / factorial).hex()})")
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
