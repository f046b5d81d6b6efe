"""The process group: ranks, and the exchange of tensors between them."""

import os
import pickle
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from functools import cache, reduce
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from funcnet import _torch, tree
from funcnet.compiler.native.torch_calls import is_stopped
from funcnet.distributed.shared_memory import SharedMemory
from funcnet.distributed.watch import Watch
from funcnet.transforms import batching
from funcnet.tree import Tree

_LIMIT = timedelta(milliseconds=50)  # of a wait during which Python does not see signals


class Group:
    """The ranks of a run, one alone or several."""

    def __init__(self, rank: int = 0, size: int = 1, watch: Watch | None = None) -> None:
        self.rank, self.size, self.watch = rank, size, watch
        self.memory = SharedMemory(self)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Turn the loss of another rank into a PeerError."""
        with self.watch.watching() if self.watch else nullcontext():
            yield

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensors of all ranks, which have the same shape and dtype, in the order of the ranks."""
        if self.size == 1:
            return [tensor]
        data = tensor.resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)  # gloo lacks some dtypes
        parts = [torch.zeros_like(data) for _ in range(self.size)]
        self._wait(dist.all_gather(parts, data, async_op=True), data.device)
        return [part.view(tensor.dtype).reshape(tensor.shape) for part in parts]

    def total(self, tensor: Tensor) -> Tensor:
        """Return the sum of the tensors of all ranks, added in their order."""
        terms = self.memory.exchange(tensor) if tensor.device.type == "cpu" and self.size > 1 else None
        if terms is None and self.size == 2 and tensor.is_floating_point():  # the same sum in both orders
            return self._reduced(tensor.clone(memory_format=torch.contiguous_format))
        return reduce(torch.add, terms or self.gather(tensor))

    def wait_for_all(self, size: int) -> None:
        """Wait until all ranks have called this; raise on a rank whose size is not the mean of all."""
        total = int(self._reduced(torch.tensor([size], device="cpu")))
        if total != self.size * size:
            raise ValueError(
                f"distributed.sum: expected tensors of one size on all ranks, got {size:,} bytes on rank {self.rank}, "
                f"{total:,} on all {self.size}."
            )

    def _reduced(self, tensor: Tensor) -> Tensor:
        self._wait(dist.all_reduce(tensor, async_op=True), tensor.device)
        return tensor

    def of_first(self, value: Any) -> Any:
        """Return the value that rank 0 passes, on all ranks."""
        if self.size == 1:
            return value
        data = bytearray(pickle.dumps(value)) if self.rank == 0 else bytearray()
        length = torch.tensor([len(data)])
        self._wait(dist.broadcast(length, src=0, async_op=True), length.device)
        data = data or bytearray(int(length))
        self._wait(dist.broadcast(torch.frombuffer(data, dtype=torch.uint8), src=0, async_op=True), length.device)
        return value if self.rank == 0 else pickle.loads(data)

    def part_of(self, values: Tree, dims: Sequence[int | None]) -> Any:
        """Take this rank's part of the tensors of a tree, along an axis of each; None for one that all ranks share."""
        start, end = part(batching.common_size(values, dims), self.rank, self.size)
        leaves, structure = tree.flatten(values)
        rows = zip(leaves, dims, strict=True)
        return tree.unflatten(structure, [x if dim is None else x.narrow(dim, start, end - start) for x, dim in rows])

    def _wait(self, work: Any, device: torch.device) -> None:
        """Wait for an exchange so that Ctrl-C and the loss of a rank end the wait."""
        with self.watch.polling() if self.watch else nullcontext():
            while not _is_completed(work, device):
                if self.watch is not None:
                    self.watch.check()
                if is_stopped():
                    raise KeyboardInterrupt
        work.wait()


def _is_completed(work: Any, device: torch.device) -> bool:
    """Wait a while for the end of an exchange; nccl gives up an exchange whose wait has a limit."""
    if device.type != "cpu":
        time.sleep(1e-4)
        return bool(work.is_completed())
    try:
        return bool(work.wait(_LIMIT))
    except RuntimeError:  # of the limit, or of the exchange, of which the next wait raises it again
        return bool(work.is_completed())


@cache
def group() -> Group:
    """Return the process group; make it from torchrun's environment at first use."""
    if dist.is_available() and dist.is_initialized():
        return _watched(_torch.default_store())
    if not dist.is_available() or int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        return Group()
    store, rank, size = next(iter(rendezvous("env://")))
    store = _torch.with_prefix(f"life {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)  # torchrun keeps it
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=_torch.with_prefix("group", store), rank=rank, world_size=size)
    return _watched(store)


def _watched(store: Any) -> Group:
    rank, size = dist.get_rank(), dist.get_world_size()
    return Group(rank, size, Watch(_torch.with_prefix("funcnet", store), rank, size) if size > 1 else None)


def rank() -> int:
    """Return the number of this process, from 0 on.

    Example:
        >>> fn.distributed.rank()
        0
    """
    return group().rank


def size() -> int:
    """Return the number of processes.

    Example:
        >>> fn.distributed.size()
        1
    """
    return group().size


def part(count: int, rank: int, size: int) -> tuple[int, int]:
    """Return the first index and the end of a rank's part: successive parts, whose lengths differ by 1 at most."""
    return rank * count // size, (rank + 1) * count // size


def sizes(count: int, size: int) -> Sequence[int]:
    """Return the lengths of all parts."""
    bounds = [part(count, rank, size) for rank in range(size)]
    return [end - start for start, end in bounds]
