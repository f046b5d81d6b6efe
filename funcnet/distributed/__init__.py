"""More than one process, on torch.distributed: ensembles over the processes, and data-parallel training.

Start the processes with `torchrun --nproc-per-node 2 program.py`. All of them run the same program; a process is
called a rank, and the process group is made at first use (gloo on the CPU, nccl on GPUs). Started by `python
program.py`, the same program runs as one rank.

If a rank fails or dies, the others raise a `PeerError` that names it, within 10 s. Under `torchrun --max-restarts N`
all ranks are then started again, and `fit` goes on from its last checkpoint.
"""

from funcnet.distributed.ensembles import DistributedVmap, vmap
from funcnet.distributed.fitting import fit
from funcnet.distributed.group import rank, size
from funcnet.distributed.sums import mean, sum
from funcnet.distributed.watch import PeerError

__all__ = ["DistributedVmap", "PeerError", "fit", "mean", "rank", "size", "sum", "vmap"]


def __dir__() -> list[str]:
    return __all__
