"""The functions of float64 that have a shorter one for results of float32: the two C texts of each, by name."""

from funcnet.compiler.native.c.functions import bessel, quantiles, special

TEXTS = {
    "erfc": (special.ERFC, special.BRIEF_ERFC),
    "special_erfcx": (special.ERFCX, special.BRIEF_ERFCX),
    "erfinv": (quantiles.ERFINV, quantiles.BRIEF_ERFINV),
    "special_ndtri": (quantiles.NDTRI, quantiles.BRIEF_NDTRI),
    "i0": (bessel.I0, bessel.BRIEF_I0),
    "special_i0e": (bessel.I0E, bessel.BRIEF_I0E),
    "special_i1": (bessel.I1, bessel.BRIEF_I1),
    "special_i1e": (bessel.I1E, bessel.BRIEF_I1E),
}
