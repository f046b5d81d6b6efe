"""Forked processes: a child has neither the threads of its parent nor the locks that they would release.

OpenMP and threaded BLAS wait for these threads for ever. In a child, jitted functions therefore use one thread, and
native kernels multiply matrices by themselves. Processes made by spawn or forkserver are not children in this sense.
"""

import os

import torch

is_child = False  # whether this process was made by a fork since this module was imported
is_new = False  # whether it has not called a jitted function since
REMEDY = (
    "Start processes with spawn or forkserver instead: multiprocessing.get_context('spawn'), or"
    " multiprocessing_context='spawn' of a DataLoader."
)


def adapt() -> None:
    """Make torch run on one thread in a new child; its loops of several would wait for those of the parent."""
    global is_new
    is_new = False
    torch.set_num_threads(1)


def _forked() -> None:
    global is_child, is_new
    is_child = is_new = True


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forked)
