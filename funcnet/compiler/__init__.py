"""jit: from a function of pytrees to one kernel.

A call of a jitted function goes through these stages, each in a file of its own; the first call of a signature goes
through all of them, later ones from the signature straight to the kernel.

    jit.py                           look up the signature of a call; trace, compile and run
    signature.py                     the key of a program: structure, shapes, strides, dtypes, devices, constants
    captures.py                      where a function finds the tensors that it closes over, which are read at each call
    lanes.py                         an outermost vmap: which axes are lanes, so that one lane is traced
    tracing/trace.py                 run the function once on tensors without values, under a dispatch mode
        tracing/tracer.py                such a tensor
        tracing/recorder.py              record operations into the block that they belong to
        tracing/functionalize.py         turn in-place operations into new values
        tracing/dynamic_index.py         x[i] for a tensor i
        tracing/nested_vmap.py           a scan inside of a vmap
        tracing/kernel_dtypes.py         refuse dtypes that the kernels of torch refuse
        tracing/shape_inference.py       shapes and dtypes of results, on meta tensors
        decompositions/table.py          operations by simpler ones
    program.py                       the result of tracing: blocks of operations on values that are assigned once
    passes/__init__.py               the passes over the program, in order; every backend gets their result
        passes/lane_checks.py            fill the lanes that fail a check with NaN
        passes/aliasing.py               copy results that are arguments, or views of them
        passes/dead_code.py              remove the operations that no result depends on
        passes/hoist.py                  move loop-invariant operations in front of their loop
        passes/varying.py                find the values that differ between lanes
        verification.py                  the checks between passes and, in native/verification.py, between stages
    backends.py                      choose the backend: native, inductor or eager
    native/backend.py                program -> loops -> C -> library, stage by stage, and the threads that run it
        native/target.py                 the machine that the kernel is for
        native/lowering/lower.py         program -> loops, by the rules of native/lowering/table.py
        native/contractions.py           choose how each matrix product is computed
        native/loop_ir.py                the result of lowering: statements over buffers (native/buffers.py)
        native/fission.py                split nests that walk over too many arrays
        native/memory.py                 place the temporaries on the stack or in an arena
        native/c/kernel.py               loops -> C text, by native/c/statements.py
            native/c/primitives.py           the table of scalar operations
            native/c/definitions.py          the C functions of those that a kernel calls
        native/toolchain.py              C text -> loaded library, through the cache on disk
        native/blas.py                   link the library to torch's BLAS
    replay.py                        the eager backend: one operation of torch after the other
    inductor.py                      torch.compile of the replayed program
    progress.py, errors.py           the progress callback; the exceptions of the compiler
    calls.py                         the arguments of a call, and the compiled function that takes them
    number_arguments.py, tracing/numbers.py, tracing/number_rules.py
                                     Python numbers as arguments that are traced
    lowered.py, native/text.py       a call at each stage as text

A file imports only from floors beneath its own: tests/test_architecture.py lists them.

One function at each stage, an ensemble of lanes (a star marks a buffer of vectors, one element per lane):

    >>> import torch
    >>> import funcnet as fn
    >>> def f(x):
    ...     return (2 * x).exp().sum()
    >>> lowered = fn.jit(fn.vmap(f)).lower(torch.ones(5, 3))
    >>> print(lowered.as_text("program"))
    (v0: float32[3]) ->
      v1: float32[3] = aten.mul.Tensor(v0, 2)
      v2: float32[3] = aten.exp(v1)
      v3: float32[] = aten.sum.dim_IntList(v2, [])
      return [v3]
    >>> print(lowered.as_text("loops"), end="")
    in0*: float32[3]
    out0*: float32[1]
    for i < 3:
      x0 = mul(in0*[i], 2.0)  # float32
      x1 = exp(x0)  # float32
      t2*[0] add= x1
    for one element:
      out0*[0] = t2*[0]
    >>> print(*[line.strip() for line in lowered.as_text("c").splitlines() if " = exp_" in line], sep="\\n")
    const vf32 n6 = exp_vf32(n5);

FUNCNET_DUMP=folder writes the three texts of every kernel that is compiled.

Recipes, each with the files to touch in order:

A native rule for an operation of ATen, from scalar primitives that exist:
    1. native/lowering/: a formula in elementwise.py (one element from one element), or a rule in reductions.py,
       views.py, indexing.py or sorting.py. table.py collects the tables of these files.
    2. tests/compiler/test_native_rules.py or test_elementwise.py: a row, checked alone and in lanes, all dtypes.
    3. `PYTHONPATH=tests python -m opinfo` writes tests/opinfo/table.txt again; the operation is now "native" there.
A new scalar primitive:
    1. native/c/primitives.py: a row. Every table that lowering and the writer need is made from these rows.
    2. native/c/functions/: its C text, if C has no operator or function for it.
    3. tests/compiler/test_function_accuracy.py: its error in ulp; test_coverage.py compiles every row for every dtype.
A new statement of the loops:
    1. native/loop_ir.py: a dataclass in the union `Statement`. mypy then names each `match` that lacks a case.
    2. native/cost.py, memory.py, text.py, verification.py and c/statements.py: these cases.
    3. tests/compiler/: what it computes; test_falls.py holds that no pass and no writer ignores an unknown statement.
A new backend:
    1. A module with `prepare(program, progress) -> Kernel`, like replay.py; `Kernel` is a protocol in backends.py.
    2. backends.py: its name and when "auto" takes it.
    3. tests/backends.py: its name in BACKENDS, so that every test of jit runs on it.

Glossary:
    trace, tracer       One run of a function to record it; a tensor without values that stands for one in the program.
    signature           Everything that a trace depends on. One program per signature.
    spec                Shape, strides, dtype and device of a tensor.
    program, block      The traced function; a sequence of operations between parameters and results.
    value (Var)         A tensor in a program, assigned once.
    scan, carry         A loop of the program; a value that each step hands on to the next.
    capture             A tensor that the function closes over: an extra parameter of the program.
    lane                One example of an outermost vmap. A value is varying if it differs between lanes, else shared.
    view, stride        An index map into a buffer: element (i, j) at offset + i strides[0] + j strides[1].
    nest                Loops over a shape around one fused body of scalar operations.
    pending, splat      While lowering: a value that exists inside a nest only; one number at every index.
    contraction         A matrix product over the last two axes.
    fission             The cut of a nest into several, each over fewer arrays.
    arena               Memory of one thread for temporaries that do not fit the stack.
    kernel              A program that a backend has prepared to run.
"""

from funcnet.compiler.errors import StagingError
from funcnet.compiler.jit import Jit, jit
from funcnet.compiler.lowered import Explanation, Lowered
from funcnet.compiler.tracing.trace import is_differentiating, loop

__all__ = ["Explanation", "Jit", "Lowered", "StagingError", "is_differentiating", "jit", "loop"]
