"""Export of pure functions, whole training runs included, as C files that need neither Python nor torch."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from funcnet import tree
from funcnet.bridge.export import names, traced
from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native.backend import translate
from funcnet.compiler.native.standalone import files
from funcnet.compiler.native.target import Target
from funcnet.compiler.native.translation import Translation
from funcnet.compiler.program import Program
from funcnet.transforms.flatten import Flattener, check_function
from funcnet.tree.conversion import arrays_as_tensors


def export_c(
    f: Callable[..., Any], *args: Any, path: str | Path, target: Literal["portable", "native"] = "portable"
) -> None:
    """Export a pure function as C files, with every tensor in its arguments as an input.

    The function is compiled as by `jit`, so it may use `grad`, `vmap` and `scan`: a program that trains a network runs
    on a device without Python. In a folder NAME it writes

    - NAME.h, which declares `int NAME_run(const void *const *inputs, void *const *outputs)` and lists the inputs and
      outputs, the codes of failures, and the commands that build the program;
    - NAME.c, the function, which calls nothing but libm and malloc;
    - main.c, a program that reads the inputs from files of raw bytes and writes the outputs to others.

    The results have the bits of `jit(f)(*args)` on this machine, unless jit calls torch's BLAS for large matrix
    products. The C code is specific to the shapes and dtypes of these arguments; numbers in them become constants. A
    tensor that f closes over becomes a constant array. A complex array is one of real numbers, with both parts of each
    number side by side along an axis at the end. A vmap is one inside of `jit`, so all arrays are row-major.

    Args:
        f: Any function of pytrees.
        args: Its arguments; of tensors, only shapes and dtypes matter.
        path: The folder, which is created if it does not exist; files of these names in it are replaced. Characters of
            its name that are not part of a C identifier become underscores in NAME.
        target: "portable" writes C code for vectors of 16 bytes, which nearly every machine has; "native" for those of
            this machine, which may be faster at matrix products. Both build on any machine.
    Raises:
        TypeError: f is not callable, or returns no tensor.
        ValueError: target is not one of these names.
        NotADirectoryError: path is a file.
        UnsupportedError: The native backend lacks an operation of f, or a tensor is not on the CPU.
        StagingError: f reads tensor values in Python, draws from torch's global generator, or is not pure.
        NoCompilerError: target is "native", and there is no C compiler to ask for the size of vectors.
    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     fn.bridge.export_c(lambda x: {"y": 2 * x}, torch.ones(3), path=f"{folder}/twice")
        ...     print(sorted(os.listdir(f"{folder}/twice")))
        ['main.c', 'twice.c', 'twice.h']
    """
    check_function("export_c", f)
    folder, machine = _folder(path), _machine(target)
    args, inputs = arrays_as_tensors(args), Flattener()
    inputs.split(args)
    program, outputs = traced(f, args)
    _check_result(outputs)
    labels = names(inputs, "args"), names(outputs, "result")
    texts = files(_translated(program, machine), machine, _identifier(folder.name), *labels)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _folder(path: str | Path) -> Path:
    folder = Path(path).resolve()
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"export_c: expected path to be a folder, or not to exist, got the file {folder}.")
    return folder


def _check_result(outputs: Flattener) -> None:
    if not any(outputs.is_chosen):
        found = tree.describe(outputs.rebuild([]))
        raise TypeError(f"export_c: expected f to return a tensor, or a tree with tensors, got {found}.")


def _translated(program: Program, target: Target) -> Translation:
    try:
        found = translate(program, target)
    except UnsupportedError as error:
        raise UnsupportedError(f"export_c: this function cannot be written in C: {error}") from error
    if calls := found.loops.calls:
        raise UnsupportedError(
            f"export_c: this function cannot be written in C: {calls[0].target}: the native backend has no rule for it"
            " and calls torch."
        )
    return found


def _machine(target: str) -> Target:
    """Return a machine without BLAS and threads."""
    if target not in ("portable", "native"):
        raise ValueError(f"export_c: expected target to be 'portable' or 'native', got {target!r}.")
    machine = Target(vector=16) if target == "portable" else replace(Target.host(), gemm=frozenset())
    return replace(machine, threads=False)


def _identifier(name: str) -> str:
    """Make a C identifier of the name of a folder; main.c is another file."""
    letters = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{letters}" if not letters or letters[0].isdigit() else f"{letters}_" if letters == "main" else letters
