"""Properties of the code as a whole: layering, cheap and silent import, no dependencies besides the named ones."""

import ast
import math
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import funcnet as fn
from funcnet.compiler.native import loop_ir

PACKAGE = Path(fn.__file__).parent
FLOORS = {  # the layers of each layered folder, its files and folders, the lowest first
    "": [
        {"_torch", "tracebacks"},
        {"tree"},
        {"transforms"},
        {"random"},
        {"compiler"},
        {"differentiable_scan"},
        {"scan"},
        {"initializers", "losses"},
        {"layers"},
        {"combinators"},
        {"optim"},
        {"training"},
        {"checking", "curvature"},
        {"bridge"},
        {"report"},
    ],
    "compiler": [
        {"errors", "forks", "program", "signature", "captures", "number_arguments"},
        {"verification"},
        {"decompositions", "progress"},
        {"passes"},
        {"tracing", "native"},
        {"lanes", "replay"},
        {"inductor"},
        {"backends"},
        {"calls", "lowered"},
        {"jit"},
    ],
    "compiler/decompositions": [
        {"attention", "exact", "indexing", "value_checks", "windows"},
        {"convolution", "pooling"},
        {"table"},
    ],
    "compiler/passes": [{"aliasing", "dead_code", "hoist", "lane_checks", "varying"}],
    "compiler/tracing": [
        {"arguments", "nested_vmap", "spec", "tracer"},
        {"kernel_dtypes", "recorder", "shape_inference"},
        {"functionalize", "numbers"},
        {"number_rules"},
        {"dynamic_index"},
        {"trace"},
    ],
    "compiler/native": [
        {"buffers", "kernel_cache"},
        {"toolchain"},
        {"blas", "long_sums", "loop_ir"},
        {"target"},
        {"contractions", "cost", "fission", "memory", "text", "verification"},
        {"c"},
        {"lowering", "translation"},
        {"backend"},
    ],
    "compiler/native/lowering": [
        {"values"},
        {"formulas", "lower"},
        {"elementwise", "reductions", "views"},
        {"indexing", "sorting"},
        {"table"},
    ],
    "compiler/native/c": [
        {"functions", "writer"},
        {"primitives"},
        {"body", "definitions", "matmul", "sort"},
        {"cumulate", "sums"},
        {"nest"},
        {"statements"},
        {"kernel"},
    ],
    "compiler/native/c/functions": [
        {"lanes"},
        {"activations", "elementary", "integers", "rounding", "series", "sorting"},
    ],
}
HEIGHT = {
    folder: {name: height for height, names in enumerate(floors) for name in names} for folder, floors in FLOORS.items()
}
ONLY = {"optree": "tree", "torch.func": "transforms", "rich": "report"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def unit(path):
    """Return the file or folder of the layering that a module belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def nodes(path):
    """Return every node of a file's syntax tree."""
    return [*ast.walk(ast.parse(path.read_text()))]


def imports(path):
    """Yield every module that a file imports, at any depth of its code, with `from a import b` as a.b."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def location(module):
    """Return the parts of the path of a module by its dotted name; for a folder, that of its `__init__`."""
    path, parts = PACKAGE, []
    for name in module.split(".")[1:]:
        if not ((path / name).is_dir() or (path / f"{name}.py").exists()):
            break
        path, parts = path / name, [*parts, name]
    return parts if path.with_suffix(".py").exists() else [*parts, "__init__"]


def rooms(folder):
    """Return the files and folders in a folder."""
    inside = (PACKAGE / folder).iterdir()
    return {path.stem for path in inside if path.suffix == ".py" or [*path.glob("*.py")]} - {"__init__"}


def steps(path):
    """Yield (folder, importer, imported) for each import and each folder that contains both files."""
    own = [*path.relative_to(PACKAGE).with_suffix("").parts]
    for module in imports(path):
        if is_within(module, "funcnet"):
            other = location(module)
            for depth, name in enumerate(other[: len(own)]):
                if name != own[depth]:
                    yield "/".join(own[:depth]), own[depth], name
                    break


def is_within(module, package):
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_from_lower_layers(path):
    for folder, room, below in steps(path):
        if folder in HEIGHT and room != "__init__":
            assert HEIGHT[folder].get(below, math.inf) < HEIGHT[folder][room], f"{room} imports {below} in {folder}"
    for module in imports(path):
        assert module.split(".")[0] in {"funcnet", "torch", "optree", "rich", *sys.stdlib_module_names}, module


@pytest.mark.parametrize("folder", FLOORS)
def test_every_file_has_a_layer(folder):
    assert rooms(folder) == set(HEIGHT[folder]) and sum(map(len, FLOORS[folder])) == len(HEIGHT[folder])


def test_every_folder_of_the_compiler_is_layered():
    compiler = PACKAGE / "compiler"
    folders = {path.parent.relative_to(PACKAGE).as_posix() for path in compiler.rglob("*.py")}
    assert folders == set(FLOORS) - {""}


def test_no_files_of_the_compiler_import_each_other_in_a_circle():
    found = {path: set(imports(path)) for path in MODULES if unit(path) == "compiler" and path.stem != "__init__"}
    name = {path: ".".join(("funcnet", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in found}
    left = {
        name[path]: {other for other in name.values() if any(is_within(module, other) for module in modules)}
        for path, modules in found.items()
    }
    while ready := [module for module, needed in left.items() if not needed & set(left)]:
        for module in ready:
            del left[module]
    assert not left


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_is_only_for_types(path):
    assert "typing.TYPE_CHECKING" not in {*imports(path), *attributes(path)}


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
    """mypy also checks this where `never` ends a match."""
    found = [cases(node) for path in MODULES for node in nodes(path) if isinstance(node, ast.Match)]
    for group in (loop_ir.Statement.__args__, loop_ir.Part.__args__):
        names = {other.__name__ for other in group}
        assert all(names <= case for case in found if case & names)


def test_one_file_knows_how_lanes_hold_bools():
    """And the table which primitives take the place of others there."""
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


def attributes(path):
    """Return every dotted name in a file's code, such as torch.func.vmap, and its prefixes."""
    for node in nodes(path):
        if isinstance(node, ast.Attribute):
            names, inner = [], node
            while isinstance(inner, ast.Attribute):
                names, inner = [inner.attr, *names], inner.value
            if isinstance(inner, ast.Name):
                yield ".".join([inner.id, *names])


RANDOM = re.compile(
    r"torch\.(rand\w*|normal|bernoulli|multinomial|poisson|binomial|rrelu|(\w+_)?dropout|\w*seed|\w*rng_state"
    r"|random|Generator|distributions)(\..*)?|.*\.(normal|uniform|random|bernoulli|exponential|geometric|log_normal|cauchy)_"
)
UNINITIALISED = re.compile(r"torch\.empty\w*|.*\.new_empty\w*")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_names_of_one_layer_are_used_only_there(path):
    used = {*attributes(path), *imports(path)}
    foreign = {
        name for name in used for package, owner in ONLY.items() if is_within(name, package) and owner != unit(path)
    }
    random = {name for name in used if RANDOM.fullmatch(name)}
    uninitialised = {name for name in used if UNINITIALISED.fullmatch(name) and unit(path) != "compiler"}
    assert not foreign | random | uninitialised


def annotations(path):
    """The types of every parameter and result in a file's signatures."""
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
def test_tracing_passes_nothing_but_arguments_and_results_of_operations_untyped(path):
    """Their types are those of every operation of torch: no object of ours goes by Any."""
    for node in (node for node in nodes(path) if isinstance(node, ast.FunctionDef)):
        for argument in (*node.args.args, *node.args.kwonlyargs):
            if argument.arg in ("recorder", "storage", "trace", "tracing", "owner", "block", "view", "scan"):
                assert "Any" not in ast.unparse(argument.annotation), f"{node.name}({argument.arg})"


PRIVATE = re.compile(r"torch(\.[A-Za-z]\w*)*\._[A-Za-z].*")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
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


def run(code):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_importing_changes_nothing_and_prints_nothing():
    state = (
        "torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled(), len(warnings.filters), "
        "torch.get_rng_state().sum().item(), torch.are_deterministic_algorithms_enabled()"
    )
    code = f"import torch, optree, warnings; before = {state}; import funcnet; print(before == ({state}))"
    assert run(code) == "True\n"


def test_importing_loads_neither_compilers_nor_optional_packages():
    heavy = ["rich", "torch._dynamo", "torch._inductor", "numpy", "jax", "sklearn", "matplotlib"]
    code = "import torch, sys; before = set(sys.modules); import funcnet; print(*set(sys.modules) - before)"
    assert not set(heavy) & set(run(code).split())


def test_every_public_name_is_documented_and_exists():
    for name in fn.__all__:
        assert (getattr(fn, name).__doc__ or "").strip(), name
