"""C functions that convert between float32 and the floats of 16 bits, which kernels store and do not compute with.

A number of 16 bits is an integer with its bits, because few compilers and machines have such floats. Conversions use
no branches, so that they are vectorised; they round to the nearest, ties to even, and keep NaN. In the texts W is the
unsigned integer of 32 bits, M(c) is all ones where the condition c holds, and the argument x is a W or a float.
"""

from collections.abc import Callable

from funcnet.compiler.errors import UnsupportedError

Text = Callable[[str, str], str]

_FROM_BF16 = "return float_S((I)(x << 16));"
_TO_BF16 = """
  const W b = (W)bits_S(x), nan = M(x != x);
  return (((b + 0x7fff + ((b >> 16) & 1)) >> 16) & ~nan) | (nan & 0x7fc0);"""

# float16 has 10 bits of fraction and a bias of 15, float32 has 23 and 127; a denormal float16 is a multiple of 2^-24
_FROM_F16 = """
  const W size = x & 0x7fff, tiny = M(size < 0x400);
  const W normal = (size << 13) + (112 << 23) + (M(size >= 0x7c00) & (112 << 23)) | (M(size > 0x7c00) & (1 << 22));
  const T denormal = FLOAT((I)size) * K(0x1p-24);
  return float_S((I)((normal & ~tiny) | ((W)bits_S(denormal) & tiny) | ((x & 0x8000) << 16)));"""
_TO_F16 = """
  const W b = (W)bits_S(x), size = b & 0x7fffffff, tiny = M(size < 0x38800000), large = M(size >= 0x477ff000);
  const W normal = (size - (112 << 23) + 0xfff + ((size >> 13) & 1)) >> 13;
  const W denormal = (W)bits_S(float_S((I)size) + K(0.5)) - 0x3f000000;
  const W finite = (normal & ~tiny) | (denormal & tiny);
  const W nan = M(x != x) & (0x0200 | (size >> 13 & 0x03ff));
  return (finite & ~large) | (large & 0x7c00) | nan | ((b >> 16) & 0x8000);"""


def _from(half: str, body: str) -> Text:
    """Return the text of a conversion to float32 or lanes of it."""

    def text(kind: str, scalar: str) -> str:
        lanes = _lanes(kind, scalar, f"from_{half}")
        bits = _converted("x", f"{lanes}u32")
        return f"""static inline {kind} from_{half}_bits_{kind}({lanes}u32 x) {{{_filled(body, lanes)}
}}
static inline {kind} from_{half}_{kind}({lanes}{half} x) {{ return from_{half}_bits_{kind}({bits}); }}"""

    return text


def _to(half: str, body: str) -> Text:
    """Return the text of a conversion from float32 or lanes of it."""

    def text(kind: str, scalar: str) -> str:
        lanes = _lanes(kind, scalar, f"to_{half}")
        rounded = _converted(f"to_{half}_bits_{kind}(x)", f"{lanes}u16")
        return f"""static inline {lanes}u32 to_{half}_bits_{kind}({kind} x) {{{_filled(body, lanes)}
}}
static inline {lanes}{half} to_{half}_{kind}({kind} x) {{ return {rounded}; }}"""

    return text


def _lanes(kind: str, scalar: str, name: str) -> str:
    if scalar != "f32":
        raise UnsupportedError(f"the native backend has no {name} of {scalar}")
    return "v" if kind != scalar else ""


def _filled(body: str, lanes: str) -> str:
    body = body.replace("FLOAT((I)size)", _converted("(I)size", f"{lanes}f32"))
    return body.replace("W", f"{lanes}u32").replace("M(", "(vu32)(" if lanes else "-(u32)(")


def _converted(text: str, to: str) -> str:
    return f"__builtin_convertvector({text}, {to})" if to.startswith("v") else f"({to})({text})"


FROM_BF16, TO_BF16 = _from("bf16", _FROM_BF16), _to("bf16", _TO_BF16)
FROM_F16, TO_F16 = _from("f16", _FROM_F16), _to("f16", _TO_F16)

# The instructions give the same bits, those of NaN included, and treat denormals of float16 as numbers in any mode.
_INSTRUCTIONS = """#if defined(__F16C__) && HAS(__builtin_ia32_vcvtph2ps256) && HAS(__builtin_ia32_vcvtps2ph256)
#define HAS_F16C
typedef short short8_ __attribute__((vector_size(16)));
typedef float float8_ __attribute__((vector_size(32)));
#if defined(__AVX512F__) && HAS(__builtin_ia32_vcvtph2ps512_mask)
#define HAS_F16C_512
typedef short short16_ __attribute__((vector_size(32)));
typedef float float16_ __attribute__((vector_size(64)));
#endif
#endif
"""


def _of_arrays(name: str, parameters: str, types: tuple[str, str], texts: tuple[str, str, str]) -> Text:
    """Return the text of a conversion of n elements, a multiple of 16: by 16, by 8 or one by one."""

    def loop(size: int, text: str) -> str:
        source, to = (f"{kind}{size}_" for kind in types)
        return f"""  for (int i = 0; i < n; i += {size}) {{
    {source} x;
    __builtin_memcpy(&x, from + i, sizeof x);
    const {to} y = {text};
    __builtin_memcpy(to + i, &y, sizeof y);
  }}"""

    def text(kind: str, scalar: str) -> str:
        _lanes(kind, scalar, name)
        return f"""{_INSTRUCTIONS}static inline void {name}_{kind}({parameters}, int n) {{
#if defined(HAS_F16C_512)
{loop(16, texts[0])}
#elif defined(HAS_F16C)
{loop(8, texts[1])}
#else
  for (int i = 0; i < n; ++i) to[i] = {texts[2]};
#endif
}}"""

    return text


WIDEN = _of_arrays(
    "widen",
    "f32 *to, const f16 *from",
    ("short", "float"),
    (
        "__builtin_ia32_vcvtph2ps512_mask(x, (float16_){0}, -1, 4)",
        "__builtin_ia32_vcvtph2ps256(x)",
        "from_f16_f32(from[i])",
    ),
)
SHORTEN = _of_arrays(
    "shorten",
    "f16 *to, const f32 *from",
    ("float", "short"),
    (
        "__builtin_ia32_vcvtps2ph512_mask(x, 0, (short16_){0}, -1)",
        "__builtin_ia32_vcvtps2ph256(x, 0)",
        "to_f16_f32(from[i])",
    ),
)
