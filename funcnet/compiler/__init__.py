"""jit: from a function of pytrees to one kernel.

A call of a jitted function goes through these stages, each in a file of its own; the first call of a signature goes
through all of them, later ones straight to the kernel.

    jit.py                           look up the signature of a call; trace, compile and run
    known_calls.py                   the short way of calls that are like a recent one
    reuse.py                         use the program of an equal function that was jitted before
        state.py                         everything besides the arguments that a trace depends on
            code_names.py                    the names that a function's code looks up
            libraries.py                     what of Python, torch and this library is constant
            restoring.py                     undo changes that a trace has made
    retraces.py                      the warning for a function that is traced again and again
    signature.py                     the key of a program: structure, shapes, strides, dtypes, devices, constants
    captures.py                      the paths to the tensors that a function closes over, which each call reads again
    lanes.py                         an outermost vmap: which axes are lanes; one lane is traced
    calls.py                         trace a call, run the passes, and choose a backend; rebuild the result
    tracing/trace.py                 run the function once on tensors without values, under a dispatch mode
        tracing/tracer.py                such a tensor
        tracing/recorder.py              record operations into the block that they belong to
        tracing/functionalize.py         turn in-place operations into new values
        tracing/dynamic_index.py         x[i] for a tensor i
        tracing/nested_vmap.py           a scan inside a vmap
        tracing/control_flow.py          branches and loops with a condition
        tracing/tolerance.py             branches inside a vmap: no error of an example that does not take them
        tracing/constants.py             values that are known during tracing
        tracing/layouts.py               operations on tensors of other memory layouts, for these and for replays
        tracing/kernel_dtypes.py         dtypes that torch's kernels refuse
        tracing/shape_inference.py       shapes and dtypes of results, on meta tensors
        tracing/shape_rules.py           the same for frequent operations, by formulas
        tracing/torch_errors.py          torch's errors for code that reads values, as errors of this library
        decompositions/table.py          operations in terms of simpler ones
    program.py                       the result of tracing: blocks of operations on values, each assigned once
    passes/__init__.py               the passes over the program, in order; every backend gets their result
        passes/zero_tensors.py           drop products with the zero tangents of forward derivatives
        passes/lane_checks.py            fill the lanes that fail a check with NaN
        passes/placements.py             collect writes to slices, and gradients of reads of them
        passes/aliasing.py               copy results that are arguments, or views of them
        passes/stacked_sums.py           write sums over a stack as additions
        passes/saved_values.py           save values in a loop that its derivative would recompute
        passes/dead_code.py              remove the operations that no result depends on
        passes/hoist.py                  move loop-invariant operations in front of their loop
        passes/predication.py            select where a condition differs between lanes
        passes/varying.py                find the values that differ between lanes
        verification.py                  the checks between passes and, in native/verification.py, between stages
    complex_numbers/                 for kernels: operations on the real and imaginary parts of complex values
        separation.py                    replace the values of a program by their parts
        rules.py, formulas.py            the operations that are applied to parts
        fourier.py                       Fourier transforms; radices.py: of which axes, and by which passes
    backends.py                      choose the backend: native, inductor or eager
    native/backend.py                program -> loops -> C -> library, stage by stage
        native/target.py                 the machine that the kernel is for
        native/lowering/lower.py         program -> loops, by the rules of native/lowering/table.py
        native/unread.py                 remove the statements whose results nothing reads
        native/contractions.py           choose how each matrix product is computed
        native/loop_ir.py                the result of lowering: statements over buffers (native/buffers.py)
        native/routines.py               those that factor matrices, solve linear systems, or are Fourier transforms
        native/control.py                those that depend on a value, and calls of torch
        native/tiles.py                  copy transposed operands of nests, a few rows at a time
            native/ranges.py                 narrow statements to ranges of indices
        native/fission.py                split nests over too many arrays
        native/strips.py                 cut nests with long bodies into short ones over strips of the indices
        native/rows.py                   fuse nests that pass large arrays to each other, row by row
        native/teams.py                  cut long statements into parts, which threads share
            native/times.py                  estimate which are long
        native/outlining.py              divide a large kernel into sections, each a C function
        native/memory.py                 place the temporaries on the stack or in an arena
        native/c/kernel.py               loops -> C text, by native/c/statements.py
            native/merging.py                merge axes of a nest into one loop
            native/c/sections.py             the functions of sections; equal ones are one
            native/c/units.py                divide them between translation units
            native/c/transpose.py            copies of transposed matrices, by blocks in registers
            native/c/tails.py                the remainders of rows, in vectors
            native/c/conversions.py          bodies in stages between conversions of float16
            native/c/primitives.py           the table of scalar operations
            native/c/definitions.py          the C functions that a kernel calls
        native/translation.py            the result of each stage
        native/toolchain.py              C text -> loaded library, through the cache on disk (native/kernel_cache.py)
        native/standalone.py             C text -> C files that need neither Python nor torch
        native/blas.py                   link the library to torch's BLAS
        native/lapack.py                 the same for LAPACK, and the sizes of its workspaces
        native/call_costs.py             compare a kernel that calls torch with a replay
        native/cost.py                   estimate the work of a run: a long one is split over threads
        native/kernel.py                 run the library, in one thread or the lanes in several (native/threads.py)
        native/workers.py                the threads that share the parts of long statements
        native/complex_edges.py          run a kernel of real numbers on complex arguments and results
        native/frames.py                 the arguments of a run as C takes them
        native/interrupts.py             signals during a run in the main thread
        native/torch_calls.py            operations without a native rule, which torch computes within a run
    replay.py                        the eager backend: call torch's operations one by one
        replayed_loops.py                its loops and branches
    batches.py                       native kernels that call torch for all lanes of an outermost vmap at once
    inductor.py                      torch.compile of the replayed program
    progress.py, errors.py           the progress callback; the exceptions of the compiler
    disabling.py                     disable_jit: jitted functions run as plain Python
    forks.py                         forked processes, which have no threads of OpenMP and BLAS
    number_arguments.py, tracing/numbers.py, tracing/number_rules.py
                                     traced Python numbers among the arguments
    lowered.py, native/text.py       the text of a call at each stage
    inspection.py                    eval_shape and make_program: trace a call without compiling it

A file imports only from lower layers, which tests/test_architecture.py lists.

An example at each stage: an ensemble of five lanes. A star marks a buffer whose elements are vectors of lanes:

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
    const vf32 n5 = exp_vf32(n4);

FUNCNET_DUMP=folder writes these three texts of every compiled kernel.

Recipes, each with the files to touch in order:

A native rule for an ATen operation, from existing scalar primitives; without one a kernel calls torch for it:
    1. native/lowering/: a formula in elementwise.py (one element from one element), or a rule in reductions.py,
       views.py, indexing.py or sorting.py. table.py collects these tables.
    2. tests/compiler/test_native_rules.py or test_elementwise.py: a row, checked without and with lanes for all dtypes.
    3. `PYTHONPATH=tests python -m opinfo` rewrites tests/opinfo/table.txt; the operation is now "native" there.
An operation on complex numbers; without a rule a kernel calls torch for it:
    1. complex_numbers/formulas.py: a formula of the real and imaginary parts, or rules.py: another rule.
    2. tests/compiler/test_complex_kernels.py: a row.
A new scalar primitive:
    1. native/c/primitives.py: a row; lowering and the writer use this table.
    2. native/c/functions/: its C text, if C has no operator or function for it.
    3. tests/compiler/test_function_accuracy.py: its error in ulp. test_coverage.py compiles every row for every dtype.
A new kind of loop statement:
    1. native/loop_ir.py or native/control.py: a dataclass in the union `Statement` of loop_ir. mypy then
       names each `match` that lacks a case.
    2. native/cost.py, memory.py, outlining.py, teams.py, text.py, verification.py and c/statements.py: those cases.
    3. tests/compiler/: tests of its values. test_fallbacks.py checks that no stage ignores an unknown statement.
A new backend:
    1. A module with `prepare(program, progress) -> Kernel`, like replay.py; `Kernel` is a protocol in backends.py.
    2. backends.py: its name, and when "auto" chooses it.
    3. tests/backends.py: its name in BACKENDS, so that the tests of jit run on it.

Glossary:
    trace, tracer       One recorded run of a function; a tensor without values that represents one of the program.
    signature           Everything that a trace depends on. One program per signature.
    spec                Shape, strides, dtype and device of a tensor.
    program, block      The traced function; a sequence of operations between parameters and results.
    value (Var)         A tensor in a program, assigned once.
    part, whole         The real or imaginary part of a complex value; the complex tensor itself, for a call of torch.
    scan, carry         A loop of the program; a value that each step passes to the next.
    switch, while       A branch of the program, and a loop with a condition; cond is a switch of two branches.
    mask, predication   The lanes that run a branch; computing all branches and selecting, where lanes disagree.
    capture             A tensor that the function closes over: an extra parameter of the program.
    lane                One example of an outermost vmap. A value is varying if it differs between lanes, else shared.
    view, stride        An index map into a buffer: element (i, j) at offset + i strides[0] + j strides[1].
    nest                Loops over a shape around one fused body of scalar operations.
    pending, splat      During lowering: a value that exists only inside a nest; one number at every index.
    contraction         A matrix product over the last two axes.
    fission             Splitting a nest into several, each over fewer arrays or with a shorter body.
    routine             C functions that overwrite matrices by factors or transforms, or right-hand sides by solutions.
    section             Statements that become a C function; sections with the same text share one.
    group, unit         Sections of about equal size together; groups that one C compiler translates, next to others.
    team                The threads that share the parts of a long statement.
    arena               Memory of one thread for temporaries that do not fit on the stack.
    kernel              A program that a backend has prepared to run.
"""

from funcnet.compiler.disabling import disable_jit, is_disabled
from funcnet.compiler.errors import StagingError
from funcnet.compiler.inspection import eval_shape, make_program
from funcnet.compiler.jit import Jit, jit
from funcnet.compiler.lowered import Explanation, Lowered
from funcnet.compiler.tracing.control_flow import is_tracing, switch_recorder, tolerance, while_recorder
from funcnet.compiler.tracing.trace import is_differentiating, loop

__all__ = [
    "Explanation",
    "Jit",
    "Lowered",
    "StagingError",
    "disable_jit",
    "eval_shape",
    "is_differentiating",
    "is_disabled",
    "is_tracing",
    "jit",
    "loop",
    "make_program",
    "switch_recorder",
    "tolerance",
    "while_recorder",
]
