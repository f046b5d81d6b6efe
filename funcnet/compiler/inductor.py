"""The inductor backend: torch.compile on the replayed program, for GPUs and large matrices.

A program without loops and branches is compiled whole. Otherwise, they run in Python, every innermost body and branch
is compiled, because a long run spends its time there, and all other operations are replayed one by one.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.compiler import forks
from funcnet.compiler.program import Apply, Block, Op, Program
from funcnet.compiler.progress import Progress
from funcnet.compiler.replay import ReplayKernel
from funcnet.compiler.replayed_loops import Replay


class InductorKernel(ReplayKernel):
    """A program that torch.compile compiles; its code may run on several threads."""

    def __call__(self, tensors: Sequence[Tensor], lanes: int | None = None) -> list[Tensor]:
        """Run the program.

        Raises:
            RuntimeError: This process was forked; the threads of the compiled code are those of its parent.
        """
        if forks.is_child:
            raise RuntimeError(f"jit: the inductor backend does not run in a forked process. {forks.REMEDY}")
        return super().__call__(tensors, lanes)


def prepare(program: Program, progress: Progress | None = None, lanes: int | None = None) -> ReplayKernel:
    """Prepare a program; torch.compile compiles it when it first runs."""
    return InductorKernel(program, _compiled_if_innermost, progress)


def _compiled_if_innermost(run: Replay, block: Block) -> Replay:
    if not all(isinstance(op, Apply) for op in block.ops):
        return run
    # with several threads, torch 2.13 writes out of bounds where a tensor and the values added to it differ in layout
    options: Any = {"cpp.threads": 1} if any(map(_adds_by_index, block.ops)) else {}
    compiled: Any = torch.compile(run, fullgraph=True, dynamic=False, options=options)
    return compiled


def _adds_by_index(op: Op) -> bool:
    return isinstance(op, Apply) and op.target is torch.ops.aten.index_put.default and op.args[3:4] == (True,)
