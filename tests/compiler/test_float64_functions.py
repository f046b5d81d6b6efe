"""Functions of float64 in C: their values next to those of torch and of exact arithmetic."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit

nan, inf = math.nan, math.inf

VALUES = {
    torch.sigmoid: {-700.5: 5.980196118639791e-305, -30.25: 7.287724095819161e-14, 31.0: 0.9999999999999656},
    torch.tanh: {1e-09: 1e-09, 0.003: 0.0029999910000324, 0.3: 0.2913126124515909, -1.7: -0.935409070603099},
    F.silu: {-708.5: -1.42134473832723e-305, -30.0: -2.8072868906517896e-12, -0.6: -0.21260621626452272},
    F.mish: {-707.5: -3.85816234117972e-305, -20.25: -3.2505868091418967e-08, 3.5: 3.493990715117519},
    F.gelu: {
        -37.0: -2.1184613523340935e-298,
        -9.5: -9.969789321594476e-21,
        -2.25: -0.027505063473850584,
        0.01: 0.005039893563146316,
        1.75: 1.67989647548832,
    },
    lambda x: F.gelu(x, approximate="tanh"): {
        -20.5: -1.3502940601643873e-280,
        -9.5: -6.678928766783903e-33,
        0.3: 0.18537092354275925,
    },
    torch.erf: {
        -0.3: -0.3286267594591274,
        1.0: 0.8427007929497149,
        1.3: 0.9340079449406524,
        5.5: 0.9999999999999927,
    },
    torch.erfc: {
        -0.7: 1.6778011938374185,
        0.3: 0.6713732405408726,
        0.9: 0.20309178757716786,
        5.5: 7.357847917974399e-15,
        26.0: 5.663192408856143e-296,
    },
    torch.lgamma: {
        1e-300: 690.7755278982137,
        3e-09: 19.624653546546654,
        0.3: 1.0957979948180756,
        0.7: 0.26086724653166654,
        0.71: 0.2488076516175053,
        0.9933633237316328: 0.0038671371078330577,
        1.0000001: -5.772155829918507e-08,
        1.4616321449683622: -0.12148629053584961,
        1.9999999: -4.2278430309861296e-08,
        2.4346046406933706: 0.2397593933316588,
        2.6: 0.35741186354897986,
        5.5: 3.9578139676187165,
        7.99: 8.50501160608848,
        8.0: 8.525161361065415,
        123.25: 468.6144829505166,
        1e17: 3.8143946580898775e18,
        1e300: 6.897755278982137e302,
    },
    torch.special.i0: {
        1e-09: 1.0,
        0.3: 1.022626879351597,
        -5.0: 27.239871823604446,
        8.5: 683.1619269901156,
        100.0: 1.0737517071310738e42,
        712.5: 4.068293090664341e307,
    },
    torch.special.i0e: {
        0.3: 0.7575806251825479,
        -5.0: 0.18354081260932836,
        8.5: 0.13900184305484758,
        1000000.0: 0.00039894233026924577,
    },
    torch.special.i1: {
        1e-09: 5e-10,
        0.3: 0.15169384000359276,
        -5.0: -24.335642142450528,
        8.5: 641.6199025400667,
        -100.0: -1.0683693903381625e42,
        712.5: 4.0654371450013245e307,
    },
    torch.special.i1e: {
        0.3: 0.1123775606398388,
        -5.0: -0.16397226694454237,
        8.5: 0.13054935509459586,
        -1000000.0: -0.0003989421307980308,
    },
    torch.special.erfcx: {
        -26.5: 1.924553162418569e305,
        -5.25: 1867547484791.3345,
        -0.3: 1.4537492328427655,
        0.3: 0.7345993345676551,
        0.999: 0.4278569426214168,
        1.3: 0.3576426690860903,
        25.0: 0.02254957243264136,
    },
    torch.erfinv: {
        -1e-09: -8.86226925452758e-10,
        0.3: 0.2724627147267543,
        -0.7: -0.7328690779592167,
        0.9998: 2.6297417762102926,
        0.9999999990686774: 4.328028275800946,
        -0.9999999999999999: -5.8635847487551676,
    },
    torch.special.ndtri: {
        2.5e-308: -37.51627634149984,
        1e-100: -21.273453560965326,
        1e-17: -8.493793224109599,
        0.0003: -3.431614403623269,
        0.3: -0.5244005127080408,
        0.45: -0.12566134685507402,
        0.75: 0.6744897501960817,
    },
    torch.logit: {1e-300: -690.7755278982137, 0.3: -0.8472978603872037, 0.5000000001: 4.000000330961484e-10},
    lambda x: torch.logaddexp2(x, -x / 2): {-1100.0: 550.0, 0.3: 1.0924746204764515, 7.0: 7.00099588612128},
}


@pytest.mark.parametrize("lanes", [False, True])
def test_float64_values(lanes: bool) -> None:
    """The expected values were computed with fifty digits and rounded."""
    points = [torch.tensor([*values], dtype=torch.float64) for values in VALUES.values()]
    f = lambda *points: [f(x) for f, x in zip(VALUES, points, strict=True)]  # noqa: E731
    if lanes:
        points = [x.repeat(5)[:15] for x in points]
    for got, values in zip(jit(fn.vmap(f) if lanes else f, backend="native")(*points), VALUES.values(), strict=True):
        want = torch.tensor([*values.values()], dtype=torch.float64).repeat(5)[: len(got)]
        torch.testing.assert_close(got, want, rtol=4 * 2.0**-52, atol=0)


def test_float64_logarithms_to_base_two() -> None:
    """Those of powers of two are exact; the others are within 2 ulp of math.log2, which is within 0.6 of the result."""
    whole = torch.arange(-1022, 1024, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    near, scale = (torch.rand(2_000, dtype=torch.float64, generator=generator) - 0.5 for _ in range(2))
    x = torch.cat([1 + near, 1 + near * 1e-6, (1 + near) * torch.exp2((2000 * scale).round())])
    edges = torch.tensor([0.0, -0.0, -1.0, inf, nan], dtype=torch.float64)
    f = lambda x: torch.log2(x)  # noqa: E731
    for run in (jit(f, backend="native"), jit(fn.vmap(f), backend="native")):
        assert torch.equal(run(torch.exp2(whole)), whole)
        want = torch.tensor([math.log2(v) for v in x.tolist()], dtype=torch.float64)
        _, exponent = torch.frexp(want)
        assert ((run(x) - want).abs() <= 2 * torch.exp2(exponent.double() - 53)).all()
        torch.testing.assert_close(run(edges), torch.tensor([-inf, -inf, nan, inf, nan]).double(), equal_nan=True)


def test_float64_angles_and_logarithms() -> None:
    """Small and large arguments, multiples of pi / 2, and far ones; the functions of math are within 1 ulp."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2_000, dtype=torch.float64, generator=generator) * torch.logspace(-8, 5, 2_000, dtype=torch.float64)
    x = torch.cat(
        [x, torch.arange(1, 500, dtype=torch.float64) ** 2 * (math.pi / 2), 10.0 ** torch.arange(5, 300).double()]
    )
    agree({**dict.fromkeys(("sin", "cos", "tan", "atan"), (x,)), "log10": (x.abs(),)})


def agree(rows: dict[str, tuple[Tensor, ...]], ulp: float = 2) -> None:
    """Check functions of float64 in one program, without and with lanes; those of math are within 1 ulp."""
    f = lambda *given: [getattr(torch, name)(*args) for name, args in zip(rows, given, strict=True)]  # noqa: E731
    for run in (jit(f, backend="native"), jit(fn.vmap(f), backend="native")):
        for (name, args), got in zip(rows.items(), run(*rows.values()), strict=True):
            numbers = zip(*(x.tolist() for x in args), strict=True)
            want = torch.tensor([getattr(math, name)(*row) for row in numbers], dtype=torch.float64)
            _, exponent = torch.frexp(want)
            assert ((got - want).abs() <= ulp * torch.exp2(exponent.double() - 53)).all(), name


def test_float64_functions_of_bounded_arguments() -> None:
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand(3_000, dtype=torch.float64, generator=generator) * 2 - 1
    wide = torch.randn(3_000, dtype=torch.float64, generator=generator) * torch.tensor([1e-6, 1.0, 100.0]).repeat(1000)
    ends = torch.tensor([0.0, 0.25, 0.5, 1 - 2**-53, 2**-30], dtype=torch.float64)
    unit, wide = torch.cat([unit, ends, -ends]), torch.cat([wide, 1 + ends, ends - 1])
    scale = torch.exp2(torch.randint(-900, 900, wide.shape, generator=generator).double())
    pair = wide * scale, wide.flip(0) * scale
    rows = dict.fromkeys(("asin", "acos", "atanh"), (unit,)) | dict.fromkeys(("sinh", "cosh", "erf"), (wide,))
    agree({**rows, "atan2": pair, "hypot": pair})
    agree({"erfc": (wide.clamp(max=26),)}, ulp=3.5)


def test_float64_zeros_keep_their_sign() -> None:
    x = torch.tensor([0.0, -0.0], dtype=torch.float64)
    for name in ("sin", "tan", "asinh", "atanh"):
        got = jit(getattr(torch, name), backend="native")(x)
        assert torch.equal(got.signbit(), x.signbit()) and not got.any(), name
