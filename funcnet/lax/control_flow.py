"""Loops, branches, custom derivatives and named axes under the names of jax.lax."""

from funcnet.control_flow import associative_scan, cond, fori_loop, map, scan, switch, while_loop
from funcnet.transforms import (
    all_gather,
    axis_index,
    axis_size,
    custom_linear_solve,
    custom_root,
    pmax,
    pmean,
    pmin,
    psum,
    stop_gradient,
)

__all__ = [
    "all_gather", "associative_scan", "axis_index", "axis_size", "cond", "custom_linear_solve", "custom_root",
    "fori_loop", "map", "pmax", "pmean", "pmin", "psum", "scan", "stop_gradient", "switch", "while_loop",
]  # fmt: skip
