"""The C text of a whole kernel: types, functions, the block function and its entry point."""

from collections.abc import Sequence

from funcnet.compiler.native.buffers import Buffer
from funcnet.compiler.native.c import definitions, matmul, units
from funcnet.compiler.native.c.functions.lanes import each_lane
from funcnet.compiler.native.c.sections import Sections, pointer
from funcnet.compiler.native.c.statements import Statements
from funcnet.compiler.native.c.writer import NAMES, Writer
from funcnet.compiler.native.loop_ir import LoopProgram
from funcnet.compiler.native.memory import Plan
from funcnet.compiler.native.outlining import outermost
from funcnet.compiler.native.target import Target

FAILED = 4  # the flags contain the code of a failed check times this

_SCALARS = """typedef float f32;
typedef double f64;
typedef __INT64_TYPE__ i64;
typedef __INT32_TYPE__ i32;
typedef __INT16_TYPE__ i16;
typedef signed char i8;
typedef unsigned char u8, b8;
typedef __UINT64_TYPE__ u64;
typedef __UINT32_TYPE__ u32;
typedef __UINT16_TYPE__ u16, bf16, f16;  // the bits of floats, which are converted to compute
#define PRAGMA(text) _Pragma(#text)
#define INLINED inline __attribute__((always_inline))  // gcc would call a long function, and not vectorise its loop
#ifdef __clang__
#define VECTORISE _Pragma("clang loop vectorize(assume_safety)")
#define UNROLL(n) PRAGMA(clang loop unroll_count(n))
#define OUTLINED __attribute__((noinline))
#define KEEP_SCALAR
#define WRITTEN
#define IN_REGISTER(x)
#else
#define VECTORISE _Pragma("GCC ivdep")
#define UNROLL(n) PRAGMA(GCC unroll n)
#define OUTLINED __attribute__((noinline, noclone))  // gcc would copy a function for each constant argument
#define KEEP_SCALAR __asm__ volatile("");  // without effect, but no loop around it becomes one of vectors
#define WRITTEN __asm__ volatile("" : : : "memory");  // else gcc 12 may find a function pure, and drop its calls
#ifdef __x86_64__
#define IN_REGISTER(x) __asm__("" : "+v"(x));  // else gcc 12 loads a whole vector to repeat its first element
#else
#define IN_REGISTER(x)
#endif
#endif
#ifdef __has_builtin
#define HAS(name) __has_builtin(name)
#else
#define HAS(name) 0
#endif
#define IN_MEMORY(x) __asm__("" : "+m"(x));
#if defined(__FMA__) || defined(__aarch64__)
#define FUSED 1  // fma rounds once
#else
#define FUSED 0
#endif
#if defined(__x86_64__)  // flush-to-zero and denormals-are-zero of MXCSR; flush-to-zero, which is both, of FPCR
#define FLUSHED 0x8040
static inline u64 mode(void) { return __builtin_ia32_stmxcsr(); }
static inline void set_mode(u64 m) { __builtin_ia32_ldmxcsr((unsigned)m); }
#elif defined(__aarch64__)
#define FLUSHED (1 << 24)
static inline u64 mode(void) { u64 m; __asm__ volatile("mrs %0, fpcr" : "=r"(m)); return m; }
static inline void set_mode(u64 m) { __asm__ volatile("msr fpcr, %0" : : "r"(m)); }
#else
#define FLUSHED 0
static inline u64 mode(void) { return 0; }
static inline void set_mode(u64 m) {}
#endif
SHARED _Thread_local u64 mode_;  // the floating-point mode of the caller
#define FAILED {FAILED}
SHARED _Thread_local int flags_;  // 1: an index out of range; 2: a division by zero; FAILED times the code of a check
static inline i64 hidden(i64 i) {  // gcc 12 reads at wrong indices if they are a vector of comparisons
#ifndef __clang__
  __asm__("" : "+r"(i));
#endif
  return i;
}
static inline i64 within(i64 i, i64 n, i64 *wrong) {  // without branches, so that it can be vectorised
  i = i < 0 ? i + n : i;
  const i64 out = (u64)i >= (u64)n;
  *wrong |= out;
  return out ? 0 : i;
}
static inline i64 within_one(i64 i, i64 n, i64 *wrong) {  // faster where nothing is vectorised
  i = i < 0 ? i + n : i;
  if ((u64)i < (u64)n) return i;
  *wrong = 1;
  return 0;
}
"""
_SCALAR = """#define K_{t}(c) (({t})(c))
static inline {t} sel_{t}(int m, {t} a, {t} b) {{ return m ? a : b; }}
"""
_SCALAR_FLOAT = """#define K_{t}(c) (({t})(c))
static inline {t} sel_{t}(int m, {t} a, {t} b) {{  // without branches, into which gcc would move the arms
  const {i} k = -({i})(m != 0);
  return float_{t}((bits_{t}(a) & k) | (bits_{t}(b) & ~k));
}}
"""
_SCALAR_BITS = """static inline {i} bits_{t}({t} x) {{ {i} r; __builtin_memcpy(&r, &x, sizeof r); return r; }}
static inline {t} float_{t}({i} x) {{ {t} r; __builtin_memcpy(&r, &x, sizeof r); return r; }}
"""
_VECTOR = "typedef {t} v{t} __attribute__((vector_size({n}), aligned({a})));\n"
_CHOICE = """typedef {i} mask_v{t};
#define K_v{t}(c) (({t})(c) - (v{t}){{0}})
static inline v{t} sel_v{t}({i} m, v{t} a, v{t} b) {{ return (v{t})((({i})a & m) | (({i})b & ~m)); }}
"""
_VECTOR_BITS = """#define bits_v{t}(x) ((v{i})(x))
#define float_v{t}(x) ((v{t})(x))
"""


_TORCH_CALLS = """typedef int (*TorchCall)(i64 position, void **arrays);
SHARED _Thread_local TorchCall torch_call_;
static int torch_call(volatile int *control, i64 position, void **arrays) {  // tells whether the run goes on
  if (control[0]) return 0;
  set_mode(mode_);
  if (!torch_call_(position, arrays)) control[0] = 1;  // which another thread may have set meanwhile
  set_mode(mode_ | FLUSHED);
  return !control[0];
}
"""
# The work of loops with a condition is counted in the control block. Now and then Python is called: in the main thread
# it handles signals. It returns the token that it got if the run goes on. A failed call of Python may return anything,
# such as the result of the call before, so tokens alternate.
_INTERRUPTS = """typedef int (*GoesOn)(i64);
SHARED _Thread_local GoesOn goes_on_;
static __attribute__((noinline)) int asked(volatile int *control) {
  control[4] = 0;
  if (!goes_on_) return 1;
  const int token = control[5] = control[5] == 1 ? 2 : 1;
  set_mode(mode_);
  if (goes_on_(token) != token) control[0] = 1;
  set_mode(mode_ | FLUSHED);
  return !control[0];
}
static INLINED int goes_on(volatile int *control, int work) {
  return !control[0] && ((control[4] += work) < {POLL} || asked(control));
}
"""


_FUNCTIONS = {"torch_call": "TorchCall", "goes_on": "GoesOn"}  # those of Python that a kernel may call, and their types


def _state(functions: Sequence[str]) -> tuple[str, str]:
    """Return the texts before and after a run: one that Python starts within another one restores the state of that."""
    if not functions:
        return "", ""
    before, after = "\n  const int outer_flags = flags_;", "\n  flags_ = outer_flags;"
    for name in functions:
        before += f"\n  const {_FUNCTIONS[name]} outer_{name} = {name}_;\n  {name}_ = call->{name};"
        after += f"\n  {name}_ = outer_{name};"
    return before, after


_INTEGERS = {f"{sign}{8 * size}": size for sign in "iu" for size in (8, 4, 2, 1)}  # bytes of each


_RUNS = """char *in[{inputs} + 1], *out[{outputs} + 1];
    for (int i = 0; strides && i < {inputs}; ++i) in[i] = inputs[i] + b * strides[i];
    for (int i = 0; strides && i < {outputs}; ++i) out[i] = outputs[i] + b * strides[{inputs} + i];
    block(strides ? in : inputs, strides, strides ? out : outputs, arena, control, 0, 1, 1, threads);"""


def emit(program: LoopProgram, plan: Plan, target: Target, *, counted: bool = False) -> str:
    """Return a program as C text for a machine; with `counted` the kernel counts its finished steps."""
    writer, sections = Writer(plan.lanes, target), Sections(plan, target)
    _block(writer, program, Statements(writer, sections, {*outermost(program.statements)} if counted else ()))
    prelude = _prelude(plan, target, lanes=program.lanes) + _wide(writer) + definitions.define(writer.used)
    prelude += definitions.outlined(writer.kept_out)
    prelude += _TORCH_CALLS if program.calls else ""
    prelude += _INTERRUPTS.replace("{POLL}", str(target.poll)) if program.repeats else ""
    return f"{prelude}\n{units.divided(sections.heading(), sections.functions(), _entry(writer, program))}"


def _prelude(plan: Plan, target: Target, *, lanes: bool) -> str:
    """Return the types and macros; without lanes, only those of scalars."""
    text = units.LINKAGE + _SCALARS.replace("{FAILED}", str(FAILED))
    for kind in (*_INTEGERS, "bf16", "f16", "b8"):
        text += _SCALAR.format(t=kind)
    text += "".join((_SCALAR_BITS + _SCALAR_FLOAT).format(t=f"f{n}", i=f"i{n}") for n in (32, 64))
    if not lanes:
        return text
    text += f"#define L {plan.lanes}\n"
    widths = {"f32": 4, "f64": 8, **_INTEGERS}
    for kind, size in widths.items():
        text += _VECTOR.format(t=kind, n=size * plan.lanes, a=min(target.alignment, size * plan.lanes))
    mask = 8 * plan.word
    text += f"typedef vi{mask} vb8;\ntypedef i{mask} mask_t;\ntypedef vb8 mask_vb8;\n"
    for kind in widths:
        integer = "vi" + kind[1:]
        text += _CHOICE.format(t=kind, i=integer)
    text += "typedef vu16 vbf16, vf16;\n#define K_vbf16 K_vu16\n#define K_vf16 K_vu16\n"
    text += "static inline vb8 sel_vb8(vb8 m, vb8 a, vb8 b) { return (a & m) | (b & ~m); }\n"
    return text + "".join(_VECTOR_BITS.format(t=f"f{n}", i=f"i{n}") for n in (32, 64))


def _wide(writer: Writer) -> str:
    """Return the types of vectors of neighbouring elements, which matrix products use."""
    kinds = {kind: matmul.parse(kind) for _, kind in writer.used if kind.startswith("w")}
    line = "typedef {1} {0} __attribute__((vector_size({2} * sizeof({1})), aligned(sizeof({1})), may_alias));\n"
    return "".join(line.format(kind, scalar, count) for kind, (count, scalar) in sorted(kinds.items()))


def _block(writer: Writer, program: LoopProgram, statements: Statements) -> None:
    """Print the declarations and statements of one block of lanes."""
    statements.declare(None)
    first = 0  # stride of the next argument
    for buffer, shape in zip(program.inputs, program.shapes, strict=True):
        if buffer.varying:
            _pack(writer, buffer, shape, first, statements.sections)
            first += len(shape) + 1
    statements.run(program.statements)
    addresses = [
        f"{kind}const {writer.name(thing)} = ({kind}){_address(thing, statements.sections.plan)};"
        for thing in statements.free()
        if isinstance(thing, Buffer) and (kind := pointer(writer, thing))
    ]
    if statements.sections.are_called:
        scratch = f"arena + {statements.sections.plan.size}"
        addresses.append(f"const Run run = {{inputs, outputs, arena, control, lane, padded, {scratch}, threads}};")
    writer.lines[:0] = [f"  {line}" for line in addresses]


def _address(buffer: Buffer, plan: Plan) -> str:
    """Return the address of a buffer's elements, in the function of a block."""
    if buffer in plan.arena:
        return f"(arena + {plan.arena[buffer]})"
    return f"{buffer.kind}s[{buffer.position}]{' + lane' if buffer.varying else ''}"


def _pack(writer: Writer, buffer: Buffer, shape: tuple[int, ...], first: int, sections: Sections) -> None:
    """Print a copy of an argument with the lanes of a block side by side; its strides begin at `first`."""
    name, plan = sections.name("pack", _packing(writer.function(), buffer, shape)), sections.plan
    to = f"({writer.type(buffer)} *){_address(buffer, plan)}" if buffer in plan.arena else writer.name(buffer)
    writer.put(f"{name}((const void *)inputs[{buffer.position}], strides + {first}, {to}, lane, lanes);")


def _packing(writer: Writer, buffer: Buffer, shape: tuple[int, ...]) -> str:
    """Return a function that packs an argument; an incomplete block repeats its last lane."""
    scalar, axes = NAMES[buffer.dtype], range(len(shape))
    writer.put("i64 e = 0;")
    for axis, size in enumerate(shape):
        writer.open(f"for (i64 i{axis} = 0; i{axis} < {size}; ++i{axis})")
    index = " + ".join(f"i{axis} * strides[{axis}]" for axis in axes) or "0"
    lane = f"(lane + i < lanes ? lane + i : lanes - 1) * strides[{len(shape)}]"
    element = writer.mask(f"base[{index} + {lane}]", buffer.dtype)
    writer.put(each_lane(f"to[e][i] = {element};"))
    writer.put("++e;")
    for _ in axes:
        writer.close()
    lines = "\n".join(writer.lines)
    parameters = f"const {scalar} *base, const i64 *strides, {writer.type(buffer)} *to, i64 lane, i64 lanes"
    return f"\nstatic __attribute__((noinline)) void NAME({parameters}) {{\n{lines}\n  WRITTEN\n}}\n"


def _entry(writer: Writer, program: LoopProgram) -> str:
    """Return the heads of both functions. The kernel sets the mode for the block, which must not be inlined.

    Without lanes a block is the whole run; strides, if any, are the bytes from one run to the next of each argument and
    result.
    """
    arguments = "char *const *inputs, const i64 *strides, char *const *outputs, char *arena, volatile int *control"
    body = "\n".join(writer.lines)
    run = f"block(inputs, strides, outputs, arena, control, b * {writer.lanes}, lanes, padded, threads);"
    if not program.lanes:
        run = _RUNS.format(inputs=len(program.inputs), outputs=len(program.outputs))
    before, after = _state(["torch_call"] * bool(program.calls) + ["goes_on"] * program.repeats)
    return f"""
static __attribute__((noinline)) void block({arguments}, i64 lane, i64 lanes, i64 padded, i64 threads) {{
{body}
  WRITTEN
}}

typedef struct {{
  {arguments.replace(",", ";")};
  i64 first, last, lanes, padded, threads; int (*torch_call)(i64, void **), (*goes_on)(i64);
}} Call;

void kernel(const Call *call) {{{before}
  flags_ = 0;
  mode_ = mode();
  set_mode(mode_ | FLUSHED);
  char *const *inputs = call->inputs, *const *outputs = call->outputs;
  char *arena = call->arena;
  const i64 *strides = call->strides, lanes = call->lanes, padded = call->padded, threads = call->threads;
  volatile int *control = call->control;
  for (i64 b = call->first; b < call->last && !control[0]; ++b) {{
    {run}
  }}
  set_mode(mode_);
  call->control[1] |= flags_;{after}
}}
"""
