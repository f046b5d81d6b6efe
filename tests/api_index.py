"""The index of the public names, examples/guide/api.md, made from their docstrings.

`PYTHONPATH=tests python -m api_index` writes it.
"""

import inspect
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import funcnet as fn

INDEX = Path(__file__).parent.parent / "examples/guide/api.md"
SECTIONS = [  # the modules of the index, in its order
    "fn",
    "tree",
    "random",
    "initializers",
    "losses",
    "layers",
    "callbacks",
    "optim",
    "optim.projections",
    "optim.tree",
    "optim.assignment",
    "optim.perturbations",
    "bridge",
    "checkpoint",
    "curvature",
    "checking",
    "report",
    "debug",
    "nn",
    "lax",
    "numpy",
    "numpy.linalg",
    "numpy.fft",
    "scipy.linalg",
    "scipy.special",
    "scipy.signal",
    "scipy.fft",
    "scipy.interpolate",
    "scipy.ndimage",
    "scipy.sparse.linalg",
    "ops",
    "image",
    "flatten_util",
    "tree_util",
]
HEAD = """# The public names

One line per name, from its docstring; `help(fn.dense)` prints all of it, with shapes, errors and an example that runs.
`fn` is `funcnet`. This file is made by `PYTHONPATH=tests python -m api_index`.
"""


def module(section):
    """Return the module of a section, by its public name."""
    return fn if section == "fn" else attrgetter(section)(fn)


def names(found):
    """List the public names of a module in order; states of optimizers, which `dir` leaves out, are not among them."""
    return sorted(set(found.__all__) & set(dir(found)), key=lambda name: (name.lower(), name))


def summary(owner, name):
    """Return the first sentence about a name; of a constant, its value."""
    value = getattr(owner, name)
    if isinstance(value, ModuleType | type) or callable(value) or " at 0x" in repr(value):
        text = inspect.getdoc(value) or ""
        is_own = isinstance(value, ModuleType) or value.__module__.startswith("funcnet")
        if is_own and text:
            return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")
    shown = f"{value.__module__}.{value.__qualname__}" if isinstance(value, type) else repr(value)
    return f"`{shown}`".replace("|", "\\|")


def index():
    """Return the text of the index."""
    parts = [HEAD]
    for section in SECTIONS:
        found, prefix = module(section), section if section == "fn" else f"fn.{section}"
        rows = [f"| `{prefix}.{name}` | {summary(found, name)} |" for name in names(found)]
        parts.append("\n".join((f"## `{prefix}`\n", "| name | meaning |", "|---|---|", *rows, "")))
    return "\n".join(parts)


if __name__ == "__main__":
    INDEX.write_text(index())
