"""jit never falls back silently: a bug in the native backend, or a C compiler that does not work, gives a warning."""

from pathlib import Path

import pytest
import torch
from stages import loops

from funcnet.compiler import backends, jit
from funcnet.compiler.errors import InternalError, NoCompilerError
from funcnet.compiler.native import (
    blas,
    contract,
    contractions,
    control,
    cost,
    fission,
    kernel_cache,
    loop_ir,
    memory,
    toolchain,
)
from funcnet.compiler.native.buffers import Buffer, Counter, whole
from funcnet.compiler.native.c import kernel
from funcnet.compiler.native.c.sections import Sections
from funcnet.compiler.native.c.statements import Statements
from funcnet.compiler.native.c.writer import Writer
from funcnet.compiler.native.loop_ir import LoopProgram
from funcnet.compiler.native.lowering.table import RULES
from funcnet.compiler.native.target import Target
from funcnet.compiler.tracing.spec import spec_of
from funcnet.compiler.tracing.trace import trace

X = torch.tensor([1.0, 2.0])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUNCNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(backends, "_warned", set())
    monkeypatch.setattr(kernel_cache, "_warned_of", set())
    toolchain._compiler.cache_clear()
    yield tmp_path
    toolchain._compiler.cache_clear()


def falls(message: str, error: type[Exception], number: float) -> None:
    """Check that `auto` warns and falls back to eager for a new function, and that `native` raises."""
    f = lambda x: x * number  # noqa: E731
    call = jit(f)
    with pytest.warns(UserWarning, match=message):
        assert torch.equal(call(X), f(X))
    assert call.explain(X).backend == "eager"
    with pytest.raises(error, match=message):
        jit(f, backend="native")(X)


def test_a_text_that_the_c_compiler_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_SCALAR", kernel._SCALAR + "this is no C\n")
    falls("refuses the text of a kernel", InternalError, 1.5)


def test_a_primitive_without_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        RULES, "mul", lambda lowering, x, y: lowering.map(x.shape, lambda emit, x: emit("frobnicate", x), x)
    )
    falls("there is no primitive frobnicate", InternalError, 2.5)


def test_a_rule_with_a_result_of_another_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "mul", lambda lowering, x, y: lowering.view(x).expand((3, 2)))
    falls(r"its rule gives torch.float32\[3, 2\]", InternalError, 3.5)


class Unknown:
    """A kind of statement that no stage knows."""


HOST = Target.host()
WALKS = {
    "reads": lambda program: [*loop_ir.reads(program.statements[0])],
    "writes": lambda program: [*loop_ir.writes(program.statements[0])],
    "scratch": lambda program: [*loop_ir.scratch(program.statements[0])],
    "work": lambda program: cost.work(program.statements, HOST),
    "choose": lambda program: contractions.choose(program, HOST),
    "separate": lambda program: fission.separate(program, HOST),
    "plan": lambda program: memory.plan(program, HOST),
}


@pytest.mark.parametrize("walk", WALKS)
def test_an_unknown_statement(walk: str) -> None:
    holders = loop_ir.Loop(Counter(3), 1, [Unknown()]), control.Repeat([Unknown()])
    for statement in (Unknown(), *holders, control.Case(whole(Buffer(torch.bool, 1, False), ()), 1, [Unknown()])):
        with pytest.raises(AssertionError, match="no case for Unknown"):
            WALKS[walk](LoopProgram([], [], [], [statement], False))


@pytest.mark.parametrize("walk", ["reads", "writes", "plan"])
def test_an_unknown_part_of_a_nest(walk: str) -> None:
    with pytest.raises(AssertionError, match="no case for Unknown"):
        WALKS[walk](LoopProgram([], [], [], [loop_ir.Nest((2,), [Unknown()])], False))


def statements_of(program: LoopProgram) -> Statements:
    target = Target.host()
    return Statements(Writer(1, target), Sections(memory.plan(program, target), target))


def test_an_unknown_statement_in_the_printer() -> None:
    program = loops(trace(lambda t: [t[0] * 2], [spec_of(X)]))
    statements, (nest,) = statements_of(program), program.statements
    with pytest.raises(AssertionError, match="no case for Unknown"):
        statements.print(Unknown())
    nest.body.append(Unknown())
    with pytest.raises(AssertionError, match="no case for Unknown"):
        statements.print(nest)


def test_an_unknown_method_of_a_product() -> None:
    a = torch.ones(9, 9)
    program = loops(trace(lambda t: [t[0] @ t[0]], [spec_of(a)]))
    (product,) = (s for s in program.statements if isinstance(s, contract.Contract))
    product.method = "by magic"
    with pytest.raises(KeyError, match="by magic"):
        statements_of(program).print(product)


def script(folder: Path, text: str) -> str:
    """Return a C compiler: a script that runs the text, then this machine's compiler."""
    path = folder / "cc"
    path.write_text(f'#!/bin/sh\n{text}\nexec {toolchain.compiler().command[0]} "$@"\n')
    path.chmod(0o700)
    return str(path)


BROKEN = {
    "flag": ('case "$*" in *-shared*) echo "error: unrecognized option -O3" >&2; exit 1;; esac', "unrecognized option"),
    "assembler": (
        'case "$*" in *-shared*) echo "fatal error: cannot execute as" >&2; exit 1;; esac',
        "cannot execute as",
    ),
    "killed": ('case "$*" in *kernel.c*) kill -9 $$;; esac', "stopped, perhaps by a lack of memory"),
    "killed_inside": (
        'case "$*" in *kernel.c*) echo "fatal error: Killed signal terminated program cc1" >&2; exit 1;; esac',
        "stopped, perhaps by a lack of memory",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_c_compiler_that_does_not_work(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, message = BROKEN[name]
    monkeypatch.setenv("CC", script(folder, text))
    falls(message, NoCompilerError, 4.5)


@pytest.mark.parametrize("flag", ["-c", "-static", "-E"])
def test_flags_that_build_no_library_give_one_warning(flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = toolchain.compiler().command[0]
    monkeypatch.setenv("CC", f"{command} {flag}")
    if flag == "-static" and "clang" in command:  # which ignores it where -shared follows
        assert torch.equal(jit(lambda x: x * 8.5, backend="native")(X), X * 8.5)
        return
    falls(rf"\$CC names, '\w+ {flag}', builds no shared libraries", NoCompilerError, 8.5)
    call = jit(lambda x: x * 9.5)  # a second warning would be an error here
    assert torch.equal(call(X), X * 9.5) and len(call.explain(X).reason) < 500


UNDONE = ["-ffast-math", "-Ofast", "-ffinite-math-only", "-funsafe-math-optimizations", "-fvisibility=hidden", "-O0 -g"]
SPECIAL = torch.tensor([1.0, torch.nan, torch.inf, -torch.inf, -0.0, 1e-40, 3e38])
PARTS = [
    torch.isnan,
    torch.nan_to_num,
    torch.exp,
    lambda x: x * 0,
    lambda x: 0 - x,
    lambda x: x - x,
    lambda x: x / 3,
    lambda x: torch.where(x != x, 1.0, x),
    lambda x: torch.maximum(x, x.flip(0)),
    lambda x: (x + 1e30) - 1e30,
    lambda x: x.signbit(),
    lambda x: x.sum(),
    lambda x: x[::2].amax(),
]


def special_values(x):
    return [f(x) for f in PARTS]


@pytest.mark.parametrize("flags", [UNDONE[0], *(pytest.param(flags, marks=pytest.mark.slow) for flags in UNDONE[1:])])
def test_flags_that_would_change_results_are_undone(flags: str, monkeypatch: pytest.MonkeyPatch) -> None:
    want = jit(special_values, backend="native")(SPECIAL)
    monkeypatch.setenv("CC", f"{toolchain.compiler().command[0]} {flags}")
    got = jit(special_values, backend="native")(SPECIAL)
    for a, b, eager in zip(got, want, special_values(SPECIAL), strict=True):
        assert torch.equal(a.nan_to_num(7), b.nan_to_num(7)) and torch.equal(a.isnan(), eager.isnan())
    assert torch.tensor(1e-40) / 2 != 0  # the library has not changed the mode of this process


def test_a_c_compiler_that_cannot_be_started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "cc"
    path.write_text("no program")
    path.chmod(0o700)
    monkeypatch.setenv("CC", str(path))
    falls("cannot be started", NoCompilerError, 5.5)


def test_no_folder_is_writable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(toolchain, "_install", refuse)
    falls("cannot write its kernel to any folder.*Read-only file system.*FUNCNET_CACHE_DIR", NoCompilerError, 6.5)


def test_a_folder_whose_files_are_not_executable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = toolchain.ctypes.CDLL

    def refuse(path: str) -> object:
        if str(folder) in path:
            raise OSError("failed to map segment from shared object")
        return load(path)

    monkeypatch.setattr(toolchain.ctypes, "CDLL", refuse)
    with pytest.warns(UserWarning, match="cannot be used: failed to map segment"):
        assert torch.equal(jit(lambda x: x * 7.5, backend="native")(X), X * 7.5)
    assert torch.equal(jit(lambda x: x * 7.5, backend="native")(X), X * 7.5)


def test_each_cause_warns_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/nowhere/cc")
    with pytest.warns(UserWarning, match="/nowhere/cc"):
        jit(torch.sin)(X)
    jit(torch.cos)(X)  # a warning would be an error here
    monkeypatch.setenv("CC", "/nowhere/else")
    with pytest.warns(UserWarning, match="/nowhere/else"):
        jit(torch.tan)(X)


def test_an_operation_without_a_rule_is_named_without_a_warning() -> None:
    call, x = jit(lambda x: torch.histc(x)), torch.ones(4096)
    assert call.explain(x).backend == "eager" and "histc" in call.explain(x).reason


def test_large_products_need_no_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "_SYMBOLS", {"f32": "no_such_gemm", "f64": "no_such_gemm"})
    for rows in (4, 100):
        a, b = torch.randn(rows, 400, dtype=torch.float64), torch.randn(400, 400, dtype=torch.float64)
        torch.testing.assert_close(jit(torch.mm, backend="native")(a, b), a @ b)
