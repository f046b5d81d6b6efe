"""Layering: files import only from lower layers, and no files import each other in a circle."""

import math
import sys

import pytest
from source_code import MODULES, PACKAGE, attributes, imports, is_within, relative, unit

FLOORS = {  # the layers of each layered folder, its files and folders, the lowest first
    "": [
        {"_torch", "absent_names", "array_methods"},
        {"tracebacks"},
        {"tree"},
        {"reprs", "tree_util"},
        {"transforms"},
        {"compiler"},
        {"control_flow", "debug"},
        {"random"},
        {"initializers", "losses", "numpy"},
        {"transfers", "flatten_util", "image", "lax", "nn", "ops"},
        {"scipy"},
        {"layers"},
        {"combinators"},
        {"optim"},
        {"checkpoint"},
        {"training"},
        {"checking", "curvature"},
        {"bridge"},
        {"distributed", "report"},
    ],
    "control_flow": [
        {"batches", "carry"},
        {"differentiable_scan", "differentiable_switch", "differentiable_while", "eager_loops"},
        {"conditional", "scan"},
        {"loops", "mapping", "prefixes"},
        {"of_torch"},
    ],
    "compiler": [
        {"disabling", "errors", "forks", "program", "signature", "captures", "number_arguments"},
        {"code_names", "libraries", "restoring"},
        {"state"},
        {"verification"},
        {"complex_numbers", "decompositions", "live_memory", "progress"},
        {"passes"},
        {"tracing", "native"},
        {"lanes", "replayed_loops"},
        {"replay"},
        {"batches", "inductor"},
        {"backends"},
        {"calls", "lowered"},
        {"known_calls", "retraces"},
        {"reuse"},
        {"inspection", "jit"},
    ],
    "compiler/decompositions": [
        {"attention", "distances", "exact", "fallible", "indexing", "pooling", "sampling", "strides", "systems"},
        {"resizing", "value_checks"},
        {"table"},
    ],
    "compiler/complex_numbers": [{"parts", "radices"}, {"formulas", "separation"}, {"fourier"}, {"rules"}],
    "compiler/passes": [
        {
            "aliasing",
            "dead_code",
            "hoist",
            "lane_checks",
            "placements",
            "predication",
            "saved_values",
            "stacked_sums",
            "varying",
            "zero_tensors",
        }
    ],
    "compiler/tracing": [
        {"arguments", "layouts", "nested_vmap", "spec", "tolerance", "torch_errors", "tracer"},
        {"constants", "shape_rules"},
        {"kernel_dtypes", "recorder", "shape_inference"},
        {"functionalize", "numbers"},
        {"number_rules"},
        {"dynamic_index"},
        {"trace"},
        {"control_flow"},
    ],
    "compiler/native": [
        {"buffers", "interrupts", "kernel_cache", "torch_calls"},
        {"contract", "control", "frames", "routines"},
        {"threads", "toolchain"},
        {"blas", "long_sums", "loop_ir"},
        {"lapack"},
        {"target", "workers"},
        {"merging", "ranges", "strips"},
        {
            "call_costs",
            "contractions",
            "cost",
            "memory",
            "outlining",
            "rows",
            "text",
            "tiles",
            "unread",
            "verification",
        },
        {"c", "ensembles"},
        {"complex_edges", "fission", "kernel", "lowering", "times", "translation"},
        {"teams"},
        {"backend", "standalone"},
    ],
    "compiler/native/lowering": [
        {"selection", "values"},
        {"formulas", "gamma", "lower"},
        {"calls", "elementwise", "loops", "reductions", "views"},
        {"axes", "halves", "indexing", "matrices", "sorting"},
        {"fourier", "lapack", "searching", "windows"},
        {"convolution", "pooling"},
        {"table"},
    ],
    "compiler/native/c": [
        {"functions", "units", "writer"},
        {"blocks", "fourier", "lapack", "primitives", "sections"},
        {"body", "definitions", "matmul", "routines", "sort", "transpose"},
        {"cumulate", "sums"},
        {"tails"},
        {"conversions"},
        {"nest"},
        {"statements"},
        {"kernel"},
    ],
    "numpy": [
        {"unsigned"},
        {"axes", "kinks", "promotion"},
        {
            "binary",
            "bits",
            "creation",
            "division",
            "elementwise",
            "indexing",
            "mapping",
            "matrices",
            "padding",
            "products",
            "selection",
        },
        {"fft", "grids", "quantiles", "reductions", "shapes", "sorting", "types", "updates", "writing"},
        {"joining", "linalg", "nan_reductions", "statistics"},
        {"counting", "polynomials"},
    ],
    "compiler/native/c/functions": [
        {"lanes"},
        {
            "activations",
            "angles",
            "arcs",
            "doubles",
            "elementary",
            "exponentials",
            "factors",
            "fourier",
            "halves",
            "hyperbolic",
            "integers",
            "lapack",
            "quotients",
            "rounding",
            "running",
            "series",
            "sorting",
            "special",
            "transposes",
        },
        {"bessel", "blocks", "quantiles"},
        {"brief"},
    ],
}
HEIGHT = {
    folder: {name: height for height, names in enumerate(floors) for name in names} for folder, floors in FLOORS.items()
}


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


@pytest.mark.parametrize("path", MODULES, ids=relative)
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
    assert folders == set(FLOORS) - {"", "control_flow", "numpy"}


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


def test_passes_are_called_by_their_pipeline_only():
    users = {relative(path) for path in MODULES if any(".compiler.passes." in module for module in imports(path))}
    assert users == {"compiler/passes/__init__.py"}


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_import_is_only_for_types(path):
    assert "typing.TYPE_CHECKING" not in {*imports(path), *attributes(path)}
