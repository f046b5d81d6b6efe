"""A kernel as C files that need neither Python nor torch: its text with a plain entry point, a header and a main."""

from collections.abc import Sequence

import torch
from torch import Tensor

from funcnet.compiler.native.c.kernel import FAILED
from funcnet.compiler.native.control import codes
from funcnet.compiler.native.target import Target
from funcnet.compiler.native.toolchain import GCC, PORTABLE
from funcnet.compiler.native.translation import Translation
from funcnet.compiler.program import Var

_WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def files(
    found: Translation, target: Target, name: str, inputs: Sequence[str], outputs: Sequence[str]
) -> dict[str, str]:
    """Return the texts of the C files of a program without BLAS, by their names.

    Args:
        found: The translated program, without an outermost vmap.
        target: The machine for which it was translated.
        name: A C identifier, the stem of the files' names.
        inputs, outputs: Labels of the arguments and of the results.
    """
    return {
        f"{name}.h": _header(found, name, inputs, outputs),
        f"{name}.c": _source(found, target, name, len(inputs)),
        "main.c": _main(found, name, len(inputs)),
    }


def _header(found: Translation, name: str, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    block, messages = found.program.block, found.loops.messages
    flags = " ".join(PORTABLE)
    failures = [
        f"//   {FAILED * code}: {ascii(str(message))[1:-1]}\n"
        for code, message in zip(codes(messages), messages, strict=False)
    ]
    return f"""// A program that funcnet exported. It needs a C library with libm, and gcc or clang.
//
// Build it by one of
//   gcc {flags} {" ".join(GCC)} -march=native {name}.c main.c -lm -o {name}
//   clang {flags} -march=native {name}.c main.c -lm -o {name}
//   python -m ziglang cc {flags} -march=native {name}.c main.c -lm -o {name}
// On the machine of the export, the results have the bits of the jitted function. Elsewhere they may differ in rounding
// if libm does, or if the machine of -march has no fused multiply-add.

#ifndef {name.upper()}_H
#define {name.upper()}_H
#ifdef __cplusplus
extern "C" {{
#endif

// Arrays are row-major and aligned to their elements; outputs overlap neither each other nor inputs. A bool is a byte,
// 0 or 1.
//
{_listed("inputs", block.params, inputs)}//
{_listed("outputs", block.results, outputs)}//
// Returns 0, or if the outputs are invalid -1 for a lack of memory, or the sum of
//   1: an index was out of the range of its axis
//   2: an integer was divided by zero
{"".join(failures)}int {name}_run(const void *const *inputs, void *const *outputs);

#ifdef __cplusplus
}}
#endif
#endif
"""


def _listed(array: str, values: Sequence[Var], labels: Sequence[str]) -> str:
    """Return a comment line per array."""
    return "".join(
        f"// {array}[{i}]: {ascii(label)[1:-1]}: {_dtype(var)}, shape {var.shape}\n"
        for i, (label, var) in enumerate(zip(labels, values, strict=False))
    )


def _dtype(var: Var) -> str:
    return str(var.dtype).removeprefix("torch.")


def _source(found: Translation, target: Target, name: str, count: int) -> str:
    captures = found.program.captures
    arrays = "".join(_array(f"closed_over_{i}", tensor) for i, tensor in enumerate(captures))
    given = [f"inputs[{i}]" for i in range(count)] + [f"closed_over_{i}" for i in range(len(captures))]
    align = target.arena_alignment
    return f"""#include "{name}.h"

#define kernel {name}_kernel
{found.text}
{arrays}
int {name}_run(const void *const *inputs, void *const *outputs) {{
  const void *const given[] = {{{", ".join(given or ["0"])}}};
  volatile int control[5] = {{0}};  // a request to stop, the flags of failures, and counts
  char *const memory = __builtin_malloc({found.plan.size + found.plan.private_size + align});
  if (!memory) return -1;
  char *const arena = (char *)(((__UINTPTR_TYPE__)memory + {align - 1}) / {align} * {align});
  const Call call = {{(char *const *)given, 0, (char *const *)outputs, arena, control, 0, 1, 1, 1, 1}};
  kernel(&call);
  __builtin_free(memory);
  return control[1];
}}
"""


def _array(name: str, tensor: Tensor) -> str:
    """Return a tensor as an array of integers with the same bits."""
    dense = tensor.detach().resolve_neg().contiguous().reshape(-1)
    bits = 8 * tensor.dtype.itemsize
    words = dense.view(_WORDS[tensor.dtype.itemsize]).tolist() or [0]
    texts = [f"{word % 2**bits:#x}" for word in words]
    lines = ",\n".join("  " + ", ".join(texts[i : i + 8]) for i in range(0, len(texts), 8))
    return f"static const u{bits} {name}[] = {{\n{lines}\n}};\n"


def _main(found: Translation, name: str, count: int) -> str:
    block = found.program.block
    sizes = [_bytes(var) for var in (*block.params[:count], *block.results)]
    return _MAIN.format(name=name, inputs=count, outputs=len(block.results), sizes=", ".join(map(str, sizes)))


def _bytes(var: Var) -> int:
    return torch.Size(var.shape).numel() * var.dtype.itemsize


_MAIN = """#include <stdio.h>
#include <stdlib.h>

#include "{name}.h"

enum {{ INPUTS = {inputs}, ARRAYS = {inputs} + {outputs} }};
static const size_t sizes[] = {{{sizes}}};  // in bytes

static int fail(const char *path, const char *reason) {{
  fprintf(stderr, "{name}: %s: %s\\n", path, reason);
  return 1;
}}

static int read_array(const char *path, void *array, size_t size) {{
  FILE *file = fopen(path, "rb");
  if (!file) return fail(path, "cannot be opened");
  const int fits = fread(array, 1, size, file) == size && fgetc(file) == EOF;
  fclose(file);
  return fits ? 0 : fail(path, "has another size than its array, see {name}.h");
}}

static int write_array(const char *path, const void *array, size_t size) {{
  FILE *file = fopen(path, "wb");
  if (!file) return fail(path, "cannot be opened");
  const int written = fwrite(array, 1, size, file) == size;
  return !fclose(file) && written ? 0 : fail(path, "cannot be written");
}}

int main(int argc, char **argv) {{
  if (argc != ARRAYS + 1) {{
    fprintf(stderr, "usage: {name} FILE...\\n"
                    "First {inputs} inputs, which are read, then {outputs} outputs, which are written.\\n"
                    "A file holds the bytes of one array, see {name}.h.\\n");
    return 2;
  }}
  void *arrays[ARRAYS];
  for (int i = 0; i < ARRAYS; ++i) {{
    arrays[i] = malloc(sizes[i] ? sizes[i] : 1);
    if (!arrays[i]) return fail(argv[i + 1], "no memory for its array");
    if (i < INPUTS && read_array(argv[i + 1], arrays[i], sizes[i])) return 1;
  }}
  const int failure = {name}_run((const void *const *)arrays, arrays + INPUTS);
  if (failure) {{
    fprintf(stderr, "{name}: failed with code %d, see {name}.h\\n", failure);
    return 1;
  }}
  for (int i = INPUTS; i < ARRAYS; ++i)
    if (write_array(argv[i + 1], arrays[i], sizes[i])) return 1;
  return 0;
}}
"""
