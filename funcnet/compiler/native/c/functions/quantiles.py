"""C texts of the inverses of the error function and of the normal distribution, in the notation of `definitions`.

erfinv(x) is x times a function of w = -log(1 - x²): a polynomial in w near 0, and in 1 / sqrt(w), divided by it, above.

Source:
    Giles (2010), Approximating the erfinv function, https://people.maths.ox.ac.uk/gilesm/files/gems_erfinv.pdf, for w.
    The polynomials interpolate at Chebyshev points, computed with fifty digits.
"""

import math
from collections.abc import Sequence

from funcnet.compiler.native.c.functions.series import LOG, halved, polynomial

# With g = erfinv(x) / x, in a multiple of the named variable plus a number, from -1 to 1. For results of float32:
# (g - g(0)) / w in w up to 5, g in sqrt(w) with w from 5 to 16.7, and g / sqrt(w) in 1 / sqrt(w) with w from 5 to 90
_BRIEF_NEAR = (
    0.2460729734983924, 0.0005673055562442265, -0.011010762712455765, 0.0031812227638730833, 0.00023028614175260134,
    -0.00042452128587192755, 8.680218681747069e-05, 2.748769307885286e-05, -1.388536302463459e-05,
    2.5632559445236655e-07,
)  # fmt: skip
_BRIEF_ROOT = (
    2.994779907417617, 0.9291432531076594, 0.0055639035697603745, -0.0037872390976203814, 0.002462542940638341,
    -0.0015309139837909828, 0.0007414746312374376, -0.00019857501573869574, -3.6704738080940386e-05,
    5.600169274676457e-05, -1.584335842980286e-05,
)  # fmt: skip
_BRIEF_FAR = (
    0.9547972695618573, -0.032948860687567964, 0.0036307347890479438, 0.002792768921570945, 0.0004880070775353449,
    0.0017372833618491757, 0.0008554148096615344, -0.0008211392842558215, -0.0012203325062167326,
    0.00029472858689063696, 0.0009078008440648945, -7.265804881342514e-05, -0.0004185080888191171,
    9.9993114662606e-06, 8.803696256798431e-05,
)  # fmt: skip
# the same for results of float64: w from 0 to 8, 8 to 36.8, 8 to 37, and g / sqrt(w) also with w from 37 to 746
_NEAR = (
    0.24313804674355383, -0.014783361405863619, -0.014100878401479658, 0.010837326121437438, -0.0032291476177066613,
    -0.0007427285245053802, 0.0012409479949398864, -0.0005149576948008238, -3.286536630529875e-05,
    0.000154110332982926, -7.782692084309429e-05, 2.5775991699677148e-06, 1.9404347475562374e-05,
    -1.158801421601647e-05, 1.2780212914598518e-06, 2.42228108658701e-06, -1.7317853203216233e-06,
    3.1864992130614877e-07, 3.2197984492237657e-07, -2.745601084249879e-07, 4.093973182186408e-08,
    5.7448031769232295e-08, -2.8501249483029996e-08, -2.682638821752741e-09, 4.091416438942359e-09,
    -5.598020255516597e-10,
)  # fmt: skip
_ROOT = (
    4.2915799075832215, 1.6354411139048841, 0.001042883894411755, -0.0019627241631639536, 0.0010937276325867376,
    -0.0004976425426562656, 0.00022614766318173316, -0.00012798864493427408, 0.00010086158879219102,
    -9.189590439202558e-05, 7.822999052936445e-05, -5.5464978290939424e-05, 2.9429740141557088e-05,
    -8.245044343595319e-06, -3.5310045247932824e-06, 6.5134727357490595e-06, -4.575600431234279e-06,
    1.7578587661345347e-06, -5.906057319141971e-08, -5.156092172973647e-07, 4.6984026142045236e-07,
    -1.6403682454589892e-07, -4.9744290646256074e-08, 5.3446628447131265e-08, -5.925331508458356e-09,
    -2.742329108276375e-09,
)  # fmt: skip
_FAR = (
    0.9581738689794583, -0.018594449269737155, 0.0008557920746602811, 0.0004667489873168159,
    -2.2591444245797142e-05, 5.705918006745572e-05, 3.12774103356303e-05, 4.179433442622e-06,
    -1.0003062430347839e-05, -4.63952207048613e-06, 2.618984515802652e-06, 1.893944928332781e-06,
    -8.88839660927214e-07, -5.918751399967737e-07, 3.725329319288111e-07, 1.3317750903634613e-07,
    -1.510376430418918e-07, -7.696955973833695e-09, 4.904954693925192e-08, -9.197141514238859e-09,
    -1.080465768645568e-08, 4.0080952786676655e-09, 1.182179656714328e-09, -6.083462186352866e-10,
)  # fmt: skip
_FARTHEST = (
    0.9889753007220394, -0.010826039045478637, -0.0014179169128911713, 0.00042504254835884096,
    -6.936871452939984e-05, 1.7084500601206275e-05, -5.546493662563672e-06, 2.0254393177530296e-06,
    -8.042259535138006e-07, 3.406369321568636e-07, -1.5177145088023704e-07, 7.017476395605951e-08,
    -3.258157100813116e-08, 1.586315620055038e-08, -9.980622648729528e-09, 5.189979654968673e-09,
    5.732187140583865e-10, -4.290715085358206e-10, -3.1700630247619695e-09, 1.7879552116238321e-09,
    1.2837628501957996e-09, -7.360643722314755e-10, -4.518860633222829e-10, 2.561813260220717e-10,
)  # fmt: skip
# log(y) for results of float32
_BRIEF_LOG = f"""
  const I e = (bits_S(y) - SQRTHALF) >> P;
  const T f = float_S(bits_S(y) - (e << P)) - K(1.0), k = CONVERT(e, T), h = K(0.5) * f * f;
  const T v = fma_S(k, K(0x1.62e42fefa39efp-1), fma_S(f * h, {polynomial(LOG, "f")}, f - h));"""
_LOG = """
  const T lift = K(0.0); LOG"""


def _scaled(variable: str, low: float, high: float) -> str:
    return f"fma_S({variable}, K({2 / (high - low)}), K({-(low + high) / (high - low)}))"


def _near(end: float, coefficients: Sequence[float]) -> str:
    """Return g for w up to `end`."""
    return f"""
  const T t0 = {_scaled("w", 0, end)}, t02 = t0 * t0, slope = {halved(coefficients, "t0")};
  const T near = fma_S(w, slope, K(0x1.c5bf891b4ef6bp-1));"""


def _by_root(low: float, high: float, coefficients: Sequence[float]) -> str:
    """Return g for w between two numbers, by a polynomial in the root of w."""
    return f"""
  const T t1 = {_scaled("root", math.sqrt(low), math.sqrt(high))}, t12 = t1 * t1, far = {halved(coefficients, "t1")};"""


def _by_inverse(name: str, low: float, high: float, coefficients: Sequence[float]) -> str:
    """Return g for w between two numbers that may differ much, by a polynomial in the inverse of the root."""
    t = f"t_{name}"
    return f"""
  const T {t} = {_scaled("inverse", 1 / math.sqrt(high), 1 / math.sqrt(low))}, {t}2 = {t} * {t};
  const T {name} = root * {halved(coefficients, t)};"""


def _text(name: str, factor: str, rest: str, pieces: str, result: str) -> str:
    """Return a multiple of erfinv(u) for u = factor, where 1 - u² = rest is known with all digits."""
    return f"""
static INLINED T {name}_S(T x) {{
  const T u = {factor}, y = {rest};{pieces}
  return u * sel_S(y > K(0.0), {result}, sel_S(y == K(0.0), K(INFINITY_), K(NAN_)));
}}"""


_ROOTS = """
  const T w = -v, root = sqrt_S(w), inverse = K(1.0) / root;"""
_ERFINV = "x", "(K(1.0) - x) * (K(1.0) + x)"
_NDTRI = "x + x - K(1.0)", "K(4.0) * x * (K(1.0) - x)"
_UP_TO_5 = "sel_S(w < K(5.0), near, far)"
_UP_TO_8 = "sel_S(w < K(8.0), near, far)"
_ROOT_OF_2 = "K(0x1.6a09e667f3bcdp+0) * "
ERFINV = _text("erfinv", *_ERFINV, _LOG + _ROOTS + _near(8, _NEAR) + _by_root(8, 36.8, _ROOT), _UP_TO_8)
BRIEF_ERFINV = _text(
    "brief_erfinv", *_ERFINV, _BRIEF_LOG + _ROOTS + _near(5, _BRIEF_NEAR) + _by_root(5, 16.7, _BRIEF_ROOT), _UP_TO_5
)
NDTRI = _text(
    "special_ndtri",
    *_NDTRI,
    _LOG + _ROOTS + _near(8, _NEAR) + _by_inverse("far", 8, 37, _FAR) + _by_inverse("farthest", 37, 746, _FARTHEST),
    f"{_ROOT_OF_2}sel_S(w < K(37.0), {_UP_TO_8}, farthest)",
)
BRIEF_NDTRI = _text(
    "brief_special_ndtri",
    *_NDTRI,
    _BRIEF_LOG + _ROOTS + _near(5, _BRIEF_NEAR) + _by_inverse("far", 5, 90, _BRIEF_FAR),
    _ROOT_OF_2 + _UP_TO_5,
)
