"""Loops outside of jit that run as compiled ones, however short they are."""

import funcnet as fn
from funcnet.control_flow import eager_loops


def compile_short_loops(monkeypatch):
    """Let every loop outside of jit that can be compiled run as a compiled one."""
    monkeypatch.setattr(eager_loops, "LEAST_STEPS", 2)
    monkeypatch.setattr(eager_loops, "_LEAST_WORK", 0)
    eager_loops._loops.clear()


def compiled():
    """Count the compiled loops, and those that stay in Python."""
    loops = [*eager_loops._loops.values()]
    return sum(loop is not None for loop in loops), loops.count(None)


def in_python(f):
    """Call a function without compiled loops."""
    with fn.disable_jit():
        return f()
