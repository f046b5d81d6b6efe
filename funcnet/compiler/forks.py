"""Forked processes: a child has none of its parent's threads, and some locks that they held are never released.

OpenMP and threaded BLAS would wait for these threads forever. So in a child, jitted functions use one thread, and
native kernels do not call BLAS. Processes made by spawn or forkserver are not children in this sense.
"""

import os

import torch

is_child = False  # whether this process was forked after this module was imported
is_new = False  # whether no jitted function has been called in it yet
REMEDY = (
    "Start processes with spawn or forkserver instead: multiprocessing.get_context('spawn'), or"
    " multiprocessing_context='spawn' of a DataLoader."
)


def adapt() -> None:
    """Set torch to one thread in a new child: parallel loops would wait for the threads of the parent."""
    global is_new
    is_new = False
    torch.set_num_threads(1)


def _forked() -> None:
    global is_child, is_new
    is_child = is_new = True


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forked)
