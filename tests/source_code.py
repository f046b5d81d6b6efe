"""The source files of the package, their imports and the names that they use."""

import ast
from functools import cache
from pathlib import Path

import funcnet as fn

PACKAGE = Path(fn.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def relative(path):
    """Return the path of a module inside the package, which names its tests."""
    return str(path.relative_to(PACKAGE))


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


def attributes(path):
    """Return every dotted name in a file's code, such as torch.func.vmap, and its prefixes."""
    for node in nodes(path):
        if isinstance(node, ast.Attribute):
            names, inner = [], node
            while isinstance(inner, ast.Attribute):
                names, inner = [inner.attr, *names], inner.value
            if isinstance(inner, ast.Name):
                yield ".".join([inner.id, *names])


def is_within(module, package):
    return module == package or module.startswith(f"{package}.")
