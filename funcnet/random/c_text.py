"""The C text of the generator. All arguments are 64-bit integers: words of the key, sizes and addresses."""

import math
from collections.abc import Sequence

import torch

from funcnet.random.polynomials import LOG, LOG2_HIGH, LOG2_LOW, PIECES, Piece


def c_text() -> str:
    """Return the text of a library for `native`."""
    unit32 = "(int32_t)((x ^ y) >> 9) * 0x1p-23f"
    unit64 = "(int64_t)(((uint64_t)x << 32 | y) >> 12) * 0x1p-52"
    loops = (
        _loop("pairs", "uint64_t", "(uint64_t)y << 32 | x"),  # two words in the order of memory: x, y
        _loop("words32", "uint32_t", "x ^ y"),
        _loop("words64", "uint64_t", "(uint64_t)x << 32 | y"),
        _loop("sign32", "int32_t", "(int32_t)(x ^ y) >> 31 | 1"),
        _loop("sign64", "int64_t", "(int32_t)x >> 31 | 1"),
        _loop("unit32", "float", unit32),
        _loop("unit64", "double", unit64),
        _loop("symmetric32", "float", f"2 * ({unit32}) - 0x1.fffffep-1f"),
        _loop("symmetric64", "double", f"2 * ({unit64}) - 0x1.fffffffffffffp-1"),
    )
    inverses = (
        _quantile("quantile32", "float", PIECES[torch.float32]),
        _quantile("quantile64", "double", PIECES[torch.float64]),
    )
    affine = _affine("affine32", "float"), _affine("affine64", "double")
    return "\n".join((_CIPHER, *loops, _REMAINDERS, _SHUFFLE, *affine, *inverses, _log()))


_CIPHER = r"""
#include <math.h>
#include <stdint.h>

#define MIX(distance) x += y; y = (y << distance | y >> (32 - distance)) ^ x;
#define EVEN MIX(13) MIX(15) MIX(26) MIX(6)
#define ODD MIX(17) MIX(29) MIX(16) MIX(24)
#define INJECT(a, b, i) x += a; y += b + i;
#define CHUNK 512

/* The words of some counters, of which all have the upper half of `start`. It is compiled once, which takes longest. */
__attribute__((noinline))
static void encrypt(int64_t key0, int64_t key1, int64_t start, int64_t size, uint32_t *xs, uint32_t *ys) {
    uint32_t a = (uint32_t)key0, b = (uint32_t)key1, c = a ^ b ^ 0x1BD11BDA;
    uint32_t high = (uint32_t)((uint64_t)start >> 32), low = (uint32_t)start;
    for (int64_t i = 0; i < size; i++) {
        uint32_t x = high + a, y = low + (uint32_t)i + b;
        EVEN INJECT(b, c, 1) ODD INJECT(c, a, 2) EVEN INJECT(a, b, 3) ODD INJECT(b, c, 4) EVEN INJECT(c, a, 5)
        xs[i] = x;
        ys[i] = y;
    }
}
"""


def _loop(name: str, kind: str, number: str) -> str:
    """Compute a number from the words x, y of each counter."""
    return f"""
void {name}(int64_t key0, int64_t key1, int64_t start, int64_t size, int64_t address) {{
    {kind} *out = ({kind} *)address;
    uint32_t xs[CHUNK], ys[CHUNK];
    for (int64_t first = 0; first < size; first += CHUNK) {{
        int64_t count = size - first < CHUNK ? size - first : CHUNK;
        encrypt(key0, key1, start + first, count, xs, ys);
        for (int64_t i = 0; i < count; i++) {{
            uint32_t x = xs[i], y = ys[i];
            out[first + i] = {number};
        }}
    }}
}}"""


# The pairs of words (higher, lower) modulo `span`, with shift = 2^32 modulo `span`, or 0 if the span is above 2^16.
_REMAINDERS = r"""
void remainders(int64_t highers, int64_t lowers, int64_t shift, int64_t span, int64_t size, int64_t offsets) {
    const uint32_t *higher = (const uint32_t *)highers, *lower = (const uint32_t *)lowers;
    uint32_t *offset = (uint32_t *)offsets, s = (uint32_t)span, f = (uint32_t)shift;
    for (int64_t i = 0; i < size; i++)
        offset[i] = s ? (higher[i] % s * f + lower[i] % s) % s : lower[i];  /* s is 0 for a span of 2^32 */
}"""


# A stable sort of (word, index) pairs by the bytes of the words; after four passes they are where they were at first.
_SHUFFLE = r"""
void shuffle(int64_t key0, int64_t key1, int64_t size, int64_t words, int64_t indices, int64_t words1,
             int64_t indices1) {
    uint32_t *word = (uint32_t *)words, *next_word = (uint32_t *)words1, *w;
    int64_t *index = (int64_t *)indices, *next_index = (int64_t *)indices1, *x;
    words32(key0, key1, 0, size, words);
    for (int shift = 0; shift < 32; shift += 8) {
        int64_t place[257] = {0};
        for (int64_t i = 0; i < size; i++) place[(word[i] >> shift & 255) + 1]++;
        for (int byte = 0; byte < 256; byte++) place[byte + 1] += place[byte];
        for (int64_t i = 0; i < size; i++) {
            int64_t j = place[word[i] >> shift & 255]++;
            next_word[j] = word[i];
            next_index[j] = index[i];
        }
        w = word, word = next_word, next_word = w;
        x = index, index = next_index, next_index = x;
    }
}"""


def _affine(name: str, kind: str) -> str:
    """Map numbers in [0, 1) to [low, low + span) in place, rounded once to float."""
    return f"""
void {name}(int64_t address, int64_t size, double low, double span) {{
    {kind} *x = ({kind} *)address, least = ({kind})low;
    for (int64_t i = 0; i < size; i++) {{
        {kind} y = ({kind})(x[i] * span + low);
        x[i] = y < least ? least : y;
    }}
}}"""


def _quantile(name: str, kind: str, pieces: list[Piece]) -> str:
    """Compute sqrt(2) erfinv(u) in the place of w = -log(1 - u^2), whose root torch and C round differently.

    The roots may be 0 (none). If a number needs its root then, nothing is computed, and the result is 1.
    """
    first, *tails = pieces
    tail = "".join(
        f"        v = root[i] - ({kind}){piece.centre};\n"
        f"        p = w[i] < ({kind}){piece.start} ? p : {_horner(kind, piece)};\n"
        for piece in tails
    )
    return f"""
int {name}(int64_t us, int64_t ws, int64_t roots, int64_t size) {{
    const {kind} *u = (const {kind} *)us, *root = (const {kind} *)(roots ? roots : ws);
    {kind} *w = ({kind} *)ws;
    for (int64_t i = 0; i < size && !roots; i++)
        if (!(w[i] < ({kind}){tails[0].start})) return 1;
    for (int64_t i = 0; i < size; i++) {{
        {kind} v = w[i] - ({kind}){first.centre};
        {kind} p = {_horner(kind, first)};
{tail}        w[i] = ({kind}){math.sqrt(2)!r} * (u[i] * (w[i] < ({kind})INFINITY ? p : ({kind})INFINITY));
    }}
    return 0;
}}"""


def _horner(kind: str, piece: Piece) -> str:
    highest, *rest = (f"({kind}){c!r}" for c in piece.coefficients)
    return "(" * len(rest) + highest + "".join(f" * v + {c})" for c in rest)


def _log() -> str:
    """Compute `special.log` in float32; FUSED rounds only once, as its product is exact."""
    first, *rest = (_fused_horner(triple) for triple in LOG)
    steps = "".join(f"        p = FUSED(p, cube, {q});\n" for q in rest)
    return f"""
#define FUSED(a, b, c) (float)((double)(a) * (double)(b) + (double)(c))

void log32(int64_t xs, int64_t logs, int64_t size) {{
    const float *x = (const float *)xs;
    float *out = (float *)logs;
    for (int64_t i = 0; i < size; i++) {{
        union {{ float number; int32_t bits; }} word = {{x[i] < 0x1p-126f ? 0x1p-126f : x[i]}};
        int32_t exponent = (word.bits >> 23) - 126;
        word.bits = (word.bits & 0x7FFFFF) | 0x3F000000;
        float m = word.number;
        int32_t is_low = m < (float)0.70710678118654752;
        float z = is_low ? m - 1.0f + m : m - 1.0f, e = (float)(exponent - is_low);
        float square = z * z, cube = square * z, p = {first};
{steps}        float log = z - 0.5f * square + FUSED(p, cube, e * (float){LOG2_LOW}) + e * (float){LOG2_HIGH};
        out[i] = x[i] > 0 ? log : -INFINITY;
    }}
}}
"""


def _fused_horner(coefficients: Sequence[float]) -> str:
    text = f"(float){coefficients[0]}"
    for c in coefficients[1:]:
        text = f"FUSED({text}, z, (float){c})"
    return text
