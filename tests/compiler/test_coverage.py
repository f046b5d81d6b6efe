"""Every primitive that a rule emits has a C text for every dtype it may be used with, without and with lanes."""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
import torch
from stages import text
from torch import Tensor

import funcnet as fn
from funcnet.compiler.errors import InternalError, UnsupportedError
from funcnet.compiler.native import toolchain
from funcnet.compiler.native.buffers import HALVES
from funcnet.compiler.native.c import definitions
from funcnet.compiler.native.c.body import Body
from funcnet.compiler.native.c.kernel import _prelude, _wide
from funcnet.compiler.native.c.primitives import PRIMITIVES, Kind
from funcnet.compiler.native.c.writer import NAMES, Writer
from funcnet.compiler.native.loop_ir import Const, Nest
from funcnet.compiler.native.lowering import elementwise, loops, views
from funcnet.compiler.native.lowering.lower import DTYPES
from funcnet.compiler.native.lowering.table import RULES
from funcnet.compiler.native.lowering.values import Emit
from funcnet.compiler.native.memory import Plan
from funcnet.compiler.native.target import Target
from funcnet.compiler.program import Program
from funcnet.compiler.tracing.spec import spec_of
from funcnet.compiler.tracing.trace import trace

aten = torch.ops.aten
X = Const(1.5, torch.float32)
FOLDER = Path(fn.__file__).parent / "compiler"
FUNCTIONS = {name: row for name, row in PRIMITIVES.items() if row.kind in (Kind.TEXT, Kind.LIBM)}
FOR_FLOAT32 = ("sine", "cosine", "tangent", "arctangent", "log_gamma", "power_of_floats", "pick")
SELECTING = ("ascending", "descending", "smallest", "largest", "nth_smallest")
RUNNING = ("running_maximum", "running_minimum")
WIDE = ("reduce", "substitute", "solve_one", "transpose", *RUNNING)  # of vectors of neighbouring elements only
LAPACK = ("eigh", "svd", "reflect", "multiply_reflectors", "solve_least", "matrix_exp")
ARRAYS = ("widen", "shorten")  # functions of arrays of float32 and float16
TABLES = ("fourier_roots", "fourier_chirp", "fourier_filter", "fourier_times", "root")
SCALAR = ("gemm", *LAPACK, *SELECTING, *FOR_FLOAT32, *ARRAYS, *TABLES)  # functions that lanes do not call
BINARY = {name for name in elementwise.ELEMENTWISE if name.startswith(("bitwise_", "__")) and name != "bitwise_not"}


def check_text(source: str) -> None:
    """Let the C compiler check a text without compiling it."""
    cc = toolchain.compiler()
    command = [*cc.command, *cc.flags, "-fsyntax-only", "-x", "c", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]


def emitted() -> Iterator[str]:
    """Yield the names of primitives in the code of the rules: in emit("name", …) and in functions that make rules."""
    makers = {"emit", "_primitive", "_rounding", "_logical", "_reduction", "_extremum", "_arg", "_cumulative"}
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                named = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if named in makers or named == "reduce":
                    yield str(node.args[0].value)
    yield from elementwise.OF_ATEN


def test_every_primitive_in_a_rule_exists() -> None:
    names = set(emitted())
    assert len(names) > 50 and names <= {*PRIMITIVES, "gather"}, names - {*PRIMITIVES}


def test_every_primitive_is_called() -> None:
    """A primitive is called by a rule, by the C writer or by the text of another primitive."""
    code = "".join(path.read_text() for path in FOLDER.rglob("*.py") if path.name != "primitives.py")
    code += " ".join(row.wide[1] for row in PRIMITIVES.values() if row.wide)
    code += " ".join(f'"{row.near}" "{row.far}"' for row in PRIMITIVES.values())
    of_aten = {*elementwise.OF_ATEN, *(name for name, row in PRIMITIVES.items() if row.kind is Kind.COMPARISON)}
    called = {name for name in PRIMITIVES if re.search(rf'"{name}"|(?<!T )(?<!}} )\b{name}_(S|{{kind}}|f64)\(', code)}
    assert called | of_aten | {"gelu_tanh", "gelu_slope_tanh"} == {
        *PRIMITIVES
    }  # the last two names are composed of parts


def test_aliases_of_bools_are_primitives() -> None:
    for row in PRIMITIVES.values():
        for other in filter(None, (row.boolean, row.masked)):
            assert PRIMITIVES[other].arity == row.arity
    infix = {name for name, row in PRIMITIVES.items() if row.kind is Kind.INFIX and not row.boolean}
    assert infix == {"sub", "div"}  # torch refuses these for bools


@pytest.mark.parametrize("name", [name for name, row in PRIMITIVES.items() if row.kind is Kind.SYNTAX])
def test_every_primitive_of_kind_syntax_has_a_case(name: str) -> None:
    nest = Nest((2,))
    args = [X] * PRIMITIVES[name].arity
    assert Body(Writer(1, Target(64)), nest).compute(Emit(nest)(name, *args), ["0"])


def test_texts_take_as_many_operands_as_their_rows_say() -> None:
    for name, row in FUNCTIONS.items():
        scalar = "w16f32" if name in WIDE else "f32" if row.floats or row.wide or row.kind is Kind.LIBM else "i64"
        (parameters,) = re.findall(rf"\b{name}_{scalar}\)?\(([^()]*)\)\s*[{{;]", definitions.define({(name, scalar)}))
        assert len(parameters.split(",")) == row.arity, name


@pytest.mark.parametrize("args", [(), (X, X)], ids=len)
def test_a_primitive_checks_the_number_of_operands(args: tuple[Const, ...]) -> None:
    with pytest.raises(InternalError, match=f"the primitive sin takes 1 operands, got {len(args)}"):
        Emit(Nest(()))("sin", *args)


KINDS = [name for dtype, name in NAMES.items() if dtype not in HALVES]  # of scalars that functions take
FLOAT32 = ("power", "exponential", "from_bf16", "to_bf16", "from_f16", "to_f16", *ARRAYS)  # of float32 only
COMPOSED = ("floordiv", "remainder")  # their errors name the functions that they call


def test_every_text_compiles_for_every_type() -> None:
    """Every function has a text for floats; explain names those without one for integers."""
    used = set()
    for name, scalar, vector in product(FUNCTIONS, KINDS, ("", "v")):
        if (vector and name in SCALAR) or name in WIDE:
            continue
        try:
            definitions.define({(name, vector + scalar)})
            used.add((name, vector + scalar))
        except UnsupportedError as error:
            assert scalar[0] != "f" or name in ("quotient", "shl", "shr") or (scalar == "f64" and name in FLOAT32)
            assert f"no {name} of {scalar}" in str(error) or name in COMPOSED
    writer = Writer(8, Target(64))
    writer.used = used | {(name, kind) for name in (*WIDE, "cholesky", "lu", "solve") for kind in ("w16f32", "w8f64")}
    kinds = [f"w{width}{kind}" for width in (4, 8, 16) for kind in ("i8", "i16", "i32", "i64")]
    writer.used |= {*product(("transpose", *RUNNING), kinds)}
    prelude = _prelude(Plan({}, {}, 0, 8, 8, 0), Target(64), lanes=True) + _wide(writer)
    text = definitions.define(writer.used)
    assert "__has_builtin" not in text, "use HAS, since old compilers lack __has_builtin"
    check_text(prelude + text)


ALONG = ("argmax", "argmin", "max", "min", "cumsum", "cumprod", "logcumsumexp", "cummax", "cummin", "sort", "prod")
# calls with arguments besides one to three tensors of the dtype
CALLS: dict[str, Callable[..., object]] = {
    **{name: lambda x, y, name=name: getattr(aten, name)(x, [0]) for name in ("amax", "amin", "any")},
    **{name: lambda x, y, name=name: getattr(aten, name)(x, 0) for name in ALONG},
    "clamp": lambda x, y: aten.clamp(x, y, x),
    "clamp_number": lambda x, y: aten.clamp(x, 0, 1),
    "where": lambda x, y: aten.where(x > y, x, y),
    "topk": lambda x, y: aten.topk(x, 2, 0),
    "add_alpha": lambda x, y: aten.add(x, y, alpha=3),
    "sub_alpha": lambda x, y: aten.sub(x, y, alpha=3),
    "floor_divide": lambda x, y: aten.div(x, y, rounding_mode="floor"),
    "trunc_divide": lambda x, y: aten.div(x, y, rounding_mode="trunc"),
    "round_decimals": lambda x, y: aten.round(x, decimals=2),
    "norm_0": lambda x, y: aten.linalg_vector_norm(x, 0),
    "norm_3": lambda x, y: aten.linalg_vector_norm(x, 3),
    "norm_inf": lambda x, y: aten.linalg_vector_norm(x, float("-inf")),
    "scatter_add": lambda x, y: aten.scatter_add(x, 0, y.long() * 0, y),
    "scatter": lambda x, y: aten.scatter(x, 0, y.long() * 0, y),
    "gather": lambda x, y: aten.gather(x, 0, y.long() * 0),
    "index_put": lambda x, y: aten.index_put(x, [(y * 0).long()], y, True),
    "cat": lambda x, y: aten.cat([x, y]),
    "pad": lambda x, y: aten.constant_pad_nd(x, [1, 2], 1),
    "full": lambda x, y: aten.full_like(x, 1),
    "arange": lambda x, y: aten.arange(5, dtype=x.dtype) + x[:1],
    "mm": lambda x, y: aten.mm(x[:, None], y[None]),
    **{f"to_{name}": lambda x, y, to=to: x.to(to) for to, name in NAMES.items()},
    **{f"pow_{p}": lambda x, y, p=p: aten.pow(x, p) for p in (0.5, -0.5, 2, 3, -1, -2, 2.5)},
}
MOVES = {*views.RULES, "index_select", "index", "slice_scatter", "repeat", "constant_pad_nd", "bmm", "_assert_async"}
MOVES |= {
    *loops.RULES,
    "Apply",
    "_to_copy",
    "clone",
    "lift_fresh_copy",
}  # without primitives, or with those of another row


def functions() -> dict[str, Callable[..., object]]:
    """Return a call for each rule, with as many tensors as the operation takes."""

    def of(name: str) -> Callable[..., object]:
        def call(x: Tensor, y: Tensor) -> object:
            packet = getattr(aten, name)
            try:
                return packet(x, y) if name in BINARY else packet(x)
            except RuntimeError as error:
                if "missing value for argument" not in str(error):
                    raise
                return packet(x, y)

        return call

    own = {*MOVES, "funcnet::fourier"}
    return {**{name: of(name) for name in RULES if name not in own}, **CALLS}


def runs(f: Callable[..., object], x: Tensor) -> bool:
    """Tell whether torch has the operation for a dtype."""
    try:
        f(x, x)
    except (RuntimeError, NotImplementedError, TypeError, IndexError):
        return False
    return True


def program(f: Callable[..., object], x: Tensor, lanes: bool) -> Program:
    block = trace(lambda t: [r for r in fn.tree.leaves(f(*t)) if r.dtype in DTYPES], [spec_of(x), spec_of(x)]).block
    return Program(block, *((((0, 0), (0,) * len(block.results))) if lanes else ()))


@pytest.mark.parametrize("lanes", [False, True])
@pytest.mark.parametrize(
    "dtype",
    [
        pytest.param(d, marks=() if d in (torch.float32, torch.int64, torch.bool) else pytest.mark.slow, id=str(d))
        for d in DTYPES
    ],
)
def test_every_rule_compiles_for_every_dtype_that_torch_supports(dtype: torch.dtype, lanes: bool) -> None:
    x = torch.ones(3).to(dtype)
    supported = [f for f in functions().values() if runs(f, x)]
    assert len(supported) > 40
    whole = program(lambda x, y: [f(x, y) for f in supported], x, lanes)
    check_text(text(whole))
