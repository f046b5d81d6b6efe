"""C functions with a defined rounding, which C compilers would optimise away: gcc and clang need different texts."""

import re

from funcnet.compiler.native.c.functions.lanes import each_lane

_BYTES, _PACKED = {"f32": 4, "f64": 8}, {"f32": "ps", "f64": "pd"}


def fma(kind: str, scalar: str) -> str:
    """Return a b + c with one rounding.

    For vectors, gcc needs a builtin: that of one instruction where there is one, because it takes long to make it from
    those of the lanes; clang needs an expression. For scalars, clang may pack the product with another one into a
    vector, and then rounds it.
    """
    builtin = "__builtin_fma" + ("f" if scalar == "f32" else "")
    count = re.findall(r"w(\d+)", kind)
    lanes = count[0] if count else "L"
    loop = each_lane(f"r[i] = {builtin}(a[i], b[i], c[i]);", lanes)
    if kind == scalar:
        return f"""static inline {kind} fma_{kind}({kind} a, {kind} b, {kind} c) {{
#if defined(__FMA__) || defined(__aarch64__)
  return {builtin}(a, b, c);
#else
  return a * b + c;
#endif
}}"""
    return f"""static inline {kind} fma_{kind}({kind} a, {kind} b, {kind} c) {{
#if defined(__clang__) && (defined(__FMA__) || defined(__aarch64__))
#pragma clang fp contract(fast)
  return a * b + c;
{_instructions(scalar, lanes)}#elif defined(__FMA__) || defined(__aarch64__)
  {kind} r;
  {loop}
  return r;
#else
  return a * b + c;
#endif
}}"""


def _instructions(scalar: str, lanes: str) -> str:
    """Return the cases of vectors for which gcc has a builtin of one instruction; L is a macro."""
    vectors = ((64, "512_mask", "AVX512F", ", -1, 4"), (32, "256", "FMA", ""), (16, "", "FMA", ""))
    return "".join(
        f"#elif defined(__{needed}__) && {lanes} == {size // _BYTES[scalar]} && "
        f"HAS({(name := f'__builtin_ia32_vfmadd{_PACKED[scalar]}{width}')})\n  return {name}(a, b, c{rest});\n"
        for size, width, needed, rest in vectors
        if lanes in ("L", str(size // _BYTES[scalar]))
    )


def product_error(kind: str, scalar: str) -> str:
    """Return a b - p, exactly, where p is a b rounded: by fma, or by splitting the digits in halves (Dekker, 1971).

    clang must not see fma(a, b, -p): it recognises p as the product a b and returns zero.
    """
    builtin = "__builtin_fma" + ("f" if scalar == "f32" else "")
    loop = each_lane(f"r[i] = {builtin}(a[i], b[i], -p[i]);")
    lanes = f"{kind} r; {loop} return r;"
    exact = f"return {builtin}(a, b, -p);" if kind == scalar else lanes
    split = "4097.0f" if scalar == "f32" else "134217729.0"
    return f"""static inline {kind} product_error_{kind}({kind} a, {kind} b, {kind} p) {{
#if defined(__FMA__) || defined(__aarch64__)
  {exact}
#else
  const {kind} c = {split} * a, d = {split} * b, ah = c - (c - a), bh = d - (d - b), al = a - ah, bl = b - bh;
  return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
#endif
}}"""


def narrow(kind: str, scalar: str) -> str:
    """Return float64 as float32; gcc 12 drops a rounding that directly precedes a widening.

    A scalar gets the addition of 0, which loses the sign of zero, since gcc vectorises no loop with an opaque register.
    """
    if kind == scalar:
        return f"""static inline {kind} narrow_{kind}(f64 x) {{
  const {kind} r = (f32)x;
  return copysign_{kind}(r + 0.0f, r);
}}"""
    return f"""static inline {kind} narrow_{kind}({kind.replace("32", "64")} x) {{
  {kind} r = __builtin_convertvector(x, {kind});
#if defined(__clang__)
#elif defined(__x86_64__)
  __asm__("" : "+x"(r));
#elif defined(__aarch64__)
  __asm__("" : "+w"(r));
#else
  __asm__("" : "+m"(r));
#endif
  return r;
}}"""


def compensate(kind: str, scalar: str) -> str:
    """Return sum + x and add its rounding error to *error, by Knuth's two-sum.

    The pair is normalised: the error is below the last digit of the sum. It is NaN for an infinite sum.
    """
    return f"""static inline {kind} compensate_{kind}({kind} sum, {kind} x, {kind} *error) {{
  const {kind} next = sum + x, added = next - sum, rest = *error + ((sum - (next - added)) + (x - added));
  const {kind} valid = {_valid("rest", kind, scalar)}, total = next + valid;
  *error = valid - (total - next);
  return total;
}}"""


def total(kind: str, scalar: str) -> str:
    """Return sum + error."""
    valid = _valid("error", kind, scalar)
    return f"static inline {kind} total_{kind}({kind} sum, {kind} error) {{ return sum + {valid}; }}"


def _valid(name: str, kind: str, scalar: str) -> str:
    """Return a number, or 0 for NaN."""
    if kind == scalar:
        return f"sel_{kind}({name} == {name}, {name}, 0)"  # without branches
    return f"({kind})((__typeof__({name} == {name})){name} & ({name} == {name}))"


def gemm(kind: str, scalar: str) -> str:
    """Declare a pointer to torch's matrix product, set when the kernel is loaded."""
    sizes, number = "const char *, const char *, const int *, const int *, const int *", f"const {kind} *"
    matrix = f"{number}, const int *"
    return f"EXTERN void (*gemm_{kind})({sizes}, {number}, {matrix}, {matrix}, {number}, {kind} *, const int *);"
