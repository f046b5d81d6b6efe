"""What holds of the code as a whole: layering, cheap and silent import, no dependency beyond the named ones."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import funcnet as fn

PACKAGE = Path(fn.__file__).parent
LAYERS = [
    {"_torch"},
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
    {"bridge", "checkpoint", "distributed"},
    {"report"},
]
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
ONLY = {"optree": "tree", "torch.func": "transforms", "rich": "report"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def unit(path):
    """The file or folder of the layering that a module belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """Every module that a file imports, at any depth of its code, `from a import b` as a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_within(module, package):
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_from_beneath_it(path):
    for module in imports(path):
        if is_within(module, "funcnet"):
            below = module.split(".")[1]
            assert below == unit(path) or HEIGHT[below] < HEIGHT[unit(path)], f"{path.name} imports {module}"
        assert module.split(".")[0] in {"funcnet", "torch", "optree", "rich", *sys.stdlib_module_names}, module


def attributes(path):
    """Every chain of attributes that a file's code spells out, such as torch.func.vmap, and its beginnings."""
    for node in ast.walk(ast.parse(path.read_text())):
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
def test_what_belongs_to_one_layer_is_used_there_alone(path):
    used = {*attributes(path), *imports(path)}
    foreign = {
        name for name in used for package, owner in ONLY.items() if is_within(name, package) and owner != unit(path)
    }
    random = {name for name in used if RANDOM.fullmatch(name)}
    uninitialised = {name for name in used if UNINITIALISED.fullmatch(name) and unit(path) != "compiler"}
    assert not foreign | random | uninitialised


PRIVATE = re.compile(r"torch(\.[A-Za-z]\w*)*\._[A-Za-z].*")
PRIVATE_USES = {"compiler"}  # which still has its own; everything else asks funcnet/_torch.py


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_private_names_of_torch_are_used_in_one_file(path):
    names = {name for name in {*attributes(path), *imports(path)} if PRIVATE.fullmatch(name)}
    assert unit(path) in {"_torch", *PRIVATE_USES} or all(is_within(name, "torch.ops") for name in names)


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


def test_importing_loads_neither_compilers_nor_what_is_not_installed():
    heavy = ["rich", "torch._dynamo", "torch._inductor", "numpy", "jax", "sklearn", "matplotlib"]
    code = "import torch, sys; before = set(sys.modules); import funcnet; print(*set(sys.modules) - before)"
    assert not set(heavy) & set(run(code).split())


def test_every_public_name_is_documented_and_exists():
    for name in fn.__all__:
        assert (getattr(fn, name).__doc__ or "").strip(), name
