"""Memory that the ranks of one machine share: an exchange through it takes a tenth of the time of one by sockets."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

_FOLDER = "/dev/shm"  # of Linux; its files are in memory
_ALIGNMENT = 64
_LEAST = 1 << 15  # bytes per rank and row


class Ranks(Protocol):
    """The part of a process group that is used here."""

    rank: int
    size: int

    def gather(self, tensor: Tensor, /) -> list[Tensor]: ...
    def of_first(self, value: Any, /) -> Any: ...
    def wait_for_all(self, size: int, /) -> None: ...


class SharedMemory:
    """Two rows of tensors, one tensor per rank.

    Exchanges use the rows in turn. A rank writes to a row when all have written to the other one, and have thus read
    what was in this one.
    """

    def __init__(self, ranks: Ranks) -> None:
        self.ranks, self.row, self.is_shared = ranks, 0, True
        self.memory = torch.zeros(0, dtype=torch.uint8, device="cpu")

    def exchange(self, mine: Tensor) -> list[Tensor] | None:
        """Return the tensors of all ranks, valid until the next exchange; None if the ranks do not share memory.

        All ranks first agree on the size, as gloo ends a process whose tensor differs from those of the others.
        """
        room = -(-mine.nbytes // _ALIGNMENT) * _ALIGNMENT
        if self.is_shared and self.memory.numel() >= 2 * self.ranks.size * room:
            return self.exchanged(mine, room)
        self.ranks.wait_for_all(mine.nbytes)
        if self.is_shared:
            self.allocate(2 * self.ranks.size * max(room, _LEAST))
        return self.exchanged(mine, room) if self.is_shared else None

    def exchanged(self, mine: Tensor, room: int) -> list[Tensor]:
        """Write this rank's tensor to a row, wait until all have done so, and return the tensors there."""
        self.row = 1 - self.row
        first = self.row * (self.memory.numel() // 2)
        starts = [first + rank * room for rank in range(self.ranks.size)]
        tensors = [self.memory[start : start + mine.nbytes].view(mine.dtype).view(mine.shape) for start in starts]
        tensors[self.ranks.rank].copy_(mine)
        self.ranks.wait_for_all(mine.nbytes)
        return tensors

    def allocate(self, size: int) -> None:
        """Map new memory on all ranks, if all of them see it. Its file has no name any more, so that none is left."""
        path = self.ranks.of_first(_new_file(size) if self.ranks.rank == 0 else None)
        memory = _mapped(path, size)
        self.is_shared = all(bool(each) for each in self.ranks.gather(torch.tensor(memory is not None)))
        if self.ranks.rank == 0 and path is not None:
            path.unlink()
        if self.is_shared and memory is not None:
            self.memory = memory


def _new_file(size: int) -> Path | None:
    """Make a file whose memory is reserved: a write to memory that is not there would end the process."""
    try:
        handle, name = tempfile.mkstemp(prefix="funcnet", dir=_FOLDER)
    except OSError:
        return None
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError:
        Path(name).unlink()
        return None
    finally:
        os.close(handle)
    return Path(name)


def _mapped(path: Path | None, size: int) -> Tensor | None:
    """Map a file, if this machine has it."""
    with suppress(OSError, RuntimeError):
        if path is not None and path.stat().st_size == size:
            return torch.from_file(str(path), shared=True, size=size, dtype=torch.uint8, device="cpu")
    return None
