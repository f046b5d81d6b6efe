"""torch.export.

Checked: torch/compiler/__init__.py, torch/utils/_pytree.py, 2.13.0.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import _pytree


def export_leaves(values: Any) -> Sequence[Any]:
    """List the leaves of a tree as torch.export sees it, None included."""
    return _pytree.tree_leaves(values)


@contextmanager
def as_if_exporting() -> Iterator[None]:
    """Make torch.compiler.is_exporting() and is_compiling() return True."""
    flags = ("_is_exporting_flag", "_is_compiling_flag")
    before = [getattr(torch.compiler, flag) for flag in flags]
    try:
        for flag in flags:
            setattr(torch.compiler, flag, True)
        yield
    finally:
        for flag, value in zip(flags, before, strict=True):
            setattr(torch.compiler, flag, value)
