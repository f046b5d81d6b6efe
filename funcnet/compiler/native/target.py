"""The machine that a kernel is for: lowering and the C writer ask it, never the processor that they run on."""

import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from funcnet.compiler import forks
from funcnet.compiler.native import blas, toolchain

_FEW = 2  # threads of MKL's that on AMD's processors are slower than one of ours
_REGISTERS = {16: 17, 32: 17, 64: 28}  # values of a tile by bytes of a vector: 16 registers, 16 and 32


@dataclass(frozen=True)
class Target:
    """A machine, and the limits that were measured on it.

    Attributes:
        vector: Bytes of the widest vectors.
        device: Where tensors are that it reads.
        gemm: Dtypes of the matrices that torch's BLAS multiplies.
        gemm_wins: Whether BLAS multiplies large matrices faster than packed panels do.
        alignment: Bytes that vectors and arrays on the stack are aligned to.
        arena_alignment: Bytes that temporaries in the arena are aligned to.
        stack: Bytes of the largest temporary on the stack.
        stacks: Bytes of all of them.
        slack: Bytes after a temporary that may be read, never used, past its end.
        streams: Arrays that one nest may walk over.
        short_streams: Arrays of a short nest, in which they matter to the C compiler's time only.
        short_nest: Elements of a nest for which the loop itself costs more than its streams.
        unroll: Iterations of a nest that are written out; the C compiler unrolls more where that pays.
        unroll_most: Steps of a scan at a time; C compilers refuse to read some larger numbers.
        partial: Interleaved sums of a long reduction of scalars.
        common_vector: float32 numbers that most machines have vectors for.
        scalar_registers: Scalars of a tile of a product that registers hold, which C compilers pack.
        tiny_product: Multiplications of a product that is written out.
        wide_product: Multiplications from which on a product of shared matrices runs by vectors of columns.
        large_product: Multiplications from which on it is worth packing columns, or calling BLAS.
        tall_product: Rows from which on packing is.
        panel: Bytes of a row of packed columns, eight of the widest vectors.
        product_speed: Multiplications that a product by vectors or by BLAS does in the time of one operation.
        poll: Operations between two looks at the stop flag, some 0.1 ms, or 30 ms of the slowest ones.
        poll_product: Multiplications, times the bytes of a number, of a call of BLAS, which cannot be stopped: 0.2 s.
        short_run: Operations, of all lanes of a block at once, of a run too short to be worth threads.
        long_run: Operations from which on a thread of its own, which costs 0.1 ms, lets the caller hear Ctrl-C.
    """

    vector: int
    device: str = "cpu"
    gemm: frozenset[torch.dtype] = frozenset()
    gemm_wins: bool = False
    alignment: int = 64
    arena_alignment: int = 128
    stack: int = 16 * 1024
    stacks: int = 256 * 1024
    slack: int = 64
    streams: int = 16
    short_streams: int = 128
    short_nest: int = 256
    unroll: int = 2
    unroll_most: int = 1024
    partial: int = 16
    common_vector: int = 8
    scalar_registers: int = 28
    tiny_product: int = 64
    wide_product: int = 2048
    large_product: int = 500_000
    tall_product: int = 16
    panel: int = 512
    product_speed: int = 64
    poll: int = 1 << 20
    poll_product: int = 1 << 36
    short_run: int = 3_000_000
    long_run: int = 20_000_000

    @property
    def vector_registers(self) -> int:
        """Vectors of a tile of a product that registers hold."""
        return _REGISTERS[self.vector]

    @classmethod
    def host(cls) -> "Target":
        """Describe the machine that this process runs on.

        Raises:
            NoCompilerError: There is no C compiler, which knows the machine's instructions.
        """
        floats = filter(blas.has_gemm, () if forks.is_child else (torch.float32, torch.float64))
        return cls(toolchain.compiler().vector, gemm=frozenset(floats), gemm_wins=wins())


def wins() -> bool:
    """Tell whether BLAS multiplies large matrices faster than one thread by panels; MKL is half as fast on AMD's."""
    return torch.get_num_threads() > _FEW or not (torch.backends.mkl.is_available() and _on_amd())


@cache
def _on_amd() -> bool:
    described = Path("/proc/cpuinfo")
    return "AuthenticAMD" in (described.read_text() if described.exists() else platform.processor())
