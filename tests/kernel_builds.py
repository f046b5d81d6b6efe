"""A small kernel to build, and the kernels in a cache folder."""

from pathlib import Path

SOURCE = "int kernel(void) { return 42; }\n"


def kernels(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.so"))
