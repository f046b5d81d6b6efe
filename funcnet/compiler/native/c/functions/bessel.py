"""C texts of the modified Bessel functions of the first kind of orders 0 and 1, in the notation of `definitions`.

For a = |x| up to 8 they are a polynomial in a², times a for order 1; above, exp(a) / sqrt(a) times one in 16 / a - 1.
For the largest a, 1 / a is denormal, hence zero, but 1 / sqrt(a), whose square it is, is not.
The functions whose names end in e are divided by exp(a). As in ATen, the others are NaN at infinities,
and those of order 1 are 0.0 at -0.0.

Source:
    Abramowitz, Stegun (1964), Handbook of Mathematical Functions, 9.6.10 and 9.7.1, for the two forms. The polynomials
    interpolate at Chebyshev points, computed with sixty digits.
"""

from funcnet.compiler.native.c.functions.series import exponential, halved

# I(a) / a^order, in a² up to 64
_SMALL = {  # of each order, for results of float32 and of float64
    (0, "f32"): (
        0.9999999997431299, 0.25000000115556303, 0.015624999140668472, 0.0004340280276997327, 6.781646537440732e-06,
        6.782015176666883e-08, 4.707653445342245e-10, 2.4095807854096087e-12, 9.221437658211749e-15,
        3.1582716592600754e-17, 4.66075445367238e-20, 2.8886773392558603e-22,
    ),
    (0, "f64"): (
        1.0, 0.2500000000000002, 0.015624999999999676, 0.00043402777777794754, 6.7816840277310415e-06,
        6.78168402855519e-08, 4.709502788586949e-10, 2.402807613382039e-12, 9.385963563008623e-15,
        2.8969167561484535e-17, 7.24187672272501e-20, 1.4971317807155651e-22, 2.585792216220012e-25,
        3.9693964093519767e-28, 4.025388035510853e-31, 8.945227286481786e-34,
    ),
    (1, "f32"): (
        0.5000000003840416, 0.06249999854841198, 0.0026041675721136764, 5.425325233734064e-05,
        6.781957300590385e-07, 5.649427522292879e-09, 3.372802420548722e-11, 1.476321529369206e-13,
        5.678116391053078e-16, 9.338660340700415e-19, 6.358902396902893e-21,
    ),
    (1, "f64"): (
        0.5, 0.06250000000000001, 0.0026041666666666574, 5.42534722222271e-05, 6.781684027764357e-07,
        5.651403356704746e-09, 3.3639305668982475e-11, 1.5017547367976848e-13, 5.214425120919993e-16,
        1.448455537254395e-18, 3.2918259018287706e-21, 6.2370206832638684e-24, 9.956969230500738e-27,
        1.408926251589232e-29, 1.3808181584914298e-32, 2.716505589516919e-35,
    ),
}  # fmt: skip
# I(a) sqrt(a) exp(-a), in 16 / a - 1 up to 1
_LARGE = {  # of each order, for results of float32 and of float64
    (0, "f32"): (
        0.4021765094450081, 0.003360555851925354, 0.00013621684311530046, 1.1111525456650673e-05,
        1.4767921099426897e-06, 3.631710305277285e-07, 1.0829898259260847e-07,
    ),
    (0, "f64"): (
        0.4021765094450081, 0.0033605519836677235, 0.00013621607439187193, 1.1143033802583682e-05,
        1.4838475863096976e-06, 2.9735956581528157e-07, 8.872154618944625e-08, 3.932926571091252e-08,
        2.155681110989874e-08, 7.532386417555123e-09, -6.805980075129678e-09, -1.331979859201994e-08,
        -5.162517880939013e-09, 7.323310735122893e-09, 6.789790403895736e-09, -3.11851456121224e-09,
        -4.8482509221176966e-09, 1.0924527246468664e-09, 2.3981927228949238e-09, -2.748111637276033e-10,
        -7.473844621887592e-10, 3.525321019700796e-11, 1.0881994785468934e-10,
    ),
    (1, "f32"): (
        0.38939845902587233, -0.009749581526547915, -0.00021923666942859845, -1.500332306614829e-05,
        -1.8267145046635388e-06, -4.2155543729815765e-07, -1.2212498465941114e-07,
    ),
    (1, "f64"): (
        0.38939845902587233, -0.009749577193235609, -0.000219235763833829, -1.503854721127423e-05,
        -1.8349101539664522e-06, -3.483853071371078e-07, -1.0001220638799958e-07, -4.31323156237458e-08,
        -2.3382691353601083e-08, -8.407326839577817e-09, 6.795073490187386e-09, 1.3952625102162603e-08,
        5.722677527454156e-09, -7.432535335623792e-09, -7.222524178953976e-09, 3.0717395650769477e-09,
        5.094016301574338e-09, -1.0476127785270019e-09, -2.5062162405593894e-09, 2.582169443152386e-10,
        7.79067217908059e-10, -3.2677656089803323e-11, -1.13288885034257e-10,
    ),
}  # fmt: skip


def _text(name: str, order: int, scalar: str, *, is_scaled: bool) -> str:
    """Return a function of float64, with the digits that results of another type need."""
    small, large = (halved(table[order, scalar], variable) for table, variable in ((_SMALL, "t"), (_LARGE, "v")))
    if is_scaled:
        result = "sel_S(a < K(8.0), product * float_S((n + BIAS) << P), m)"
    else:
        power = "float_S((h + BIAS) << P) * float_S((n - h + BIAS) << P)"
        result = f"sel_S(a < K(8.0), m, sel_S(a > K(720.0), m * K(INFINITY_), product * {power}))"
    return f"""
static INLINED T {name}_S(T y) {{
  const T a = abs_S(y), x = {"-" if is_scaled else ""}a, t = a * a, t2 = t * t; REDUCE
  const T u = K(1.0) / sqrt_S(a), v = fma_S(u * u, K(16.0), K(-1.0)), v2 = v * v, small = {small}, large = {large};
  const T r2 = r * r, p = fma_S(r2, {exponential(2, scalar)}, r);
  const T m = sel_S(a < K(8.0), small{" * a" if order else ""}, u * large), product = fma_S(m, p, m);
  const I h = n >> 1;
  const T value = {result};
  return {"sel_S(y < K(0.0), -value, value)" if order else "value"};
}}"""


def _texts(name: str, order: int, *, is_scaled: bool) -> tuple[str, str]:
    """Return a function of float64, and the one for results of float32."""
    return (
        _text(name, order, "f64", is_scaled=is_scaled),
        _text(f"brief_{name}", order, "f32", is_scaled=is_scaled),
    )


I0, BRIEF_I0 = _texts("i0", 0, is_scaled=False)
I0E, BRIEF_I0E = _texts("special_i0e", 0, is_scaled=True)
I1, BRIEF_I1 = _texts("special_i1", 1, is_scaled=False)
I1E, BRIEF_I1E = _texts("special_i1e", 1, is_scaled=True)
