"""Conventions of the source: where names of torch are used, types of signatures, and complete matches of statements."""

import ast
import re

import pytest
from source_code import MODULES, PACKAGE, attributes, imports, is_within, nodes, relative, unit

from funcnet.compiler.native import loop_ir

ONLY = {"optree": "tree", "torch.func": "transforms", "rich": "report"}
KINDS = {*loop_ir.Statement.__args__, *loop_ir.Part.__args__}


def cases(match):
    """Return the kinds of statements, and of parts of nests, that a match has cases for."""
    patterns = (node for case in match.cases for node in ast.walk(case.pattern))
    return {node.cls.id for node in patterns if isinstance(node, ast.MatchClass)} & {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize("path", [path for path in MODULES if unit(path) == "compiler"], ids=lambda path: path.name)
def test_a_match_of_statements_refuses_unknown_ones(path):
    for match in (node for node in nodes(path) if isinstance(node, ast.Match) and cases(node)):
        last = match.cases[-1]
        assert ast.unparse(last.pattern) == "_" and ast.unparse(last.body[-1]).removeprefix("return ").startswith(
            "never("
        )


def test_a_match_of_statements_handles_every_kind():
    """mypy checks this, too, if `never` ends the match."""
    found = [cases(node) for path in MODULES for node in nodes(path) if isinstance(node, ast.Match)]
    for group in (loop_ir.Statement.__args__, loop_ir.Part.__args__):
        names = {other.__name__ for other in group}
        assert all(names <= case for case in found if case & names)


def test_one_file_knows_how_lanes_hold_bools():
    """Besides it, the table of primitives knows which of them apply to bools."""
    folder = PACKAGE / "compiler/native/c"
    assert {path.name for path in folder.rglob("*.py") if "torch.bool" in attributes(path)} == {
        "primitives.py",
        "writer.py",
    }


def test_lowering_does_not_depend_on_the_machine():
    used = {module for path in (PACKAGE / "compiler/native/lowering").glob("*.py") for module in imports(path)}
    native = {module.split(".")[3] for module in used if is_within(module, "funcnet.compiler.native")}
    assert "loop_ir" in native and not native & {"blas", "toolchain", "contractions", "backend"}
    assert {module for module in used if ".native.c." in module} <= {
        f"funcnet.compiler.native.c.primitives.{name}" for name in ("PRIMITIVES", "OF_ATEN", "Kind", "find")
    }


RANDOM = re.compile(
    r"torch\.(rand\w*|normal|bernoulli|multinomial|poisson|binomial|rrelu|(\w+_)?dropout|\w*seed|\w*rng_state"
    r"|random|Generator|distributions)(\..*)?|.*\.(normal|uniform|random|bernoulli|exponential|geometric|log_normal|cauchy)_"
)
UNINITIALISED = re.compile(r"torch\.empty\w*|.*\.new_empty\w*")


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_names_of_one_layer_are_used_only_there(path):
    used = {*attributes(path), *imports(path)}
    foreign = {
        name
        for name in used
        for package, owner in ONLY.items()
        if is_within(name, package) and unit(path) not in (owner, "_torch")
    }
    random = {name for name in used if RANDOM.fullmatch(name) and unit(path) != "_torch"}
    uninitialised = {name for name in used if UNINITIALISED.fullmatch(name) and unit(path) != "compiler"}
    assert not foreign | random | uninitialised


def annotations(path):
    """Yield the types of all parameters and results in a file's signatures."""
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef):
            arguments = (
                *node.args.posonlyargs,
                *node.args.args,
                *node.args.kwonlyargs,
                node.args.vararg,
                node.args.kwarg,
            )
            yield from (a.annotation for a in arguments if a is not None and a.annotation is not None)
            yield node.returns


@pytest.mark.parametrize("path", [path for path in MODULES if "native" in path.parts], ids=lambda path: path.name)
def test_signatures_of_the_native_backend_name_real_types(path):
    types = [ast.unparse(annotation) for annotation in annotations(path) if annotation is not None]
    assert not [type for type in types if re.search(r"\bAny\b", type)]


@pytest.mark.parametrize("path", [path for path in MODULES if "tracing" in path.parts], ids=lambda path: path.name)
def test_only_arguments_and_results_of_operations_are_untyped_in_tracing(path):
    """Operations of torch have arguments of any type; our own classes are named."""
    for node in (node for node in nodes(path) if isinstance(node, ast.FunctionDef)):
        for argument in (*node.args.args, *node.args.kwonlyargs):
            if argument.arg in ("recorder", "storage", "trace", "tracing", "owner", "block", "view", "scan", "found"):
                assert "Any" not in ast.unparse(argument.annotation), f"{node.name}({argument.arg})"


PRIVATE = re.compile(r"torch(\.[A-Za-z]\w*)*\._[A-Za-z].*")


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_private_names_of_torch_are_used_in_one_file(path):
    names = {name for name in {*attributes(path), *imports(path)} if PRIVATE.fullmatch(name)}
    assert unit(path) == "_torch" or all(is_within(name, "torch.ops") for name in names)


@pytest.mark.parametrize(
    "code", ["torch._C._functorch", "from torch._C import _functorch", "import torch.utils._pytree as t"]
)
def test_private_names_are_found_however_they_are_written(code, tmp_path):
    path = tmp_path / "code.py"
    path.write_text(code)
    assert any(PRIVATE.fullmatch(name) for name in {*attributes(path), *imports(path)})


@pytest.mark.parametrize(
    "code",
    [
        "torch.normal(0.0, 1.0, (2,))",
        "f = torch.randn_like",
        "x.normal_()",
        "from torch import rand",
        "torch.random.seed()",
    ],
)
def test_random_numbers_are_found_however_they_are_made(code, tmp_path):
    path = tmp_path / "code.py"
    path.write_text(code)
    assert any(RANDOM.fullmatch(name) for name in {*attributes(path), *imports(path)})
