"""The machine that a kernel is for. Lowering and the C writer consult it, never the processor that they run on."""

import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from funcnet.compiler import forks
from funcnet.compiler.native import blas, lapack, toolchain

_REGISTERS = {16: 17, 32: 17, 64: 28}  # bytes of a vector -> vectors per tile, for 16, 16 and 32 registers


@dataclass(frozen=True)
class Target:
    """A machine, and the thresholds measured on it.

    Attributes:
        vector: Bytes of the widest vectors.
        device: The device of its tensors.
        gemm: Dtypes of matrices that torch's BLAS multiplies.
        gemm_wins: Whether BLAS multiplies large matrices faster than packed panels.
        lapack: Dtypes of matrices that torch's LAPACK factors within a kernel.
        lapack_size: Most rows and columns of such matrices; calls of torch factor larger ones, by several threads.
        alignment: Alignment of vectors and arrays on the stack, in bytes.
        arena_alignment: Alignment of temporaries in the arena, in bytes.
        stack: Size of the largest temporary on the stack, in bytes.
        stacks: Size of all temporaries on the stack, in bytes.
        slack: Bytes past the end of a temporary that may be read, though not used.
        streams: Most arrays that one nest may walk over.
        short_streams: Most arrays that a short nest may walk over; more only cost compile time.
        short_nest: Elements of a nest below which the number of its streams does not matter.
        row: Least elements of a row for loops over rows.
        rows: Least bytes of arrays that nests pass on for a loop over their rows: most of a small cache.
        unroll: Most iterations of a nest that are written out; the C compiler may unroll more.
        unroll_most: Most unrolled steps of a scan; C compilers refuse some larger numbers.
        body: Most lines of C in the body of a nest.
        short_body: Most operations in the body of a short nest, whose values stay in the cache between its parts.
        chain: Most operations in each nest over strips, into which a nest with a longer chain of them is cut.
        strip: Most scalars of one array in a strip.
        inline: Most lines of C of a kernel that is one function.
        section: Most lines of C of a function with several statements.
        partial: Interleaved sums of a long reduction of scalars.
        common_vector: Number of float32 elements in the vectors of most machines.
        scalar_registers: Scalars per tile of a product that fit into registers, which C compilers pack.
        tiny_product: Most multiplications of a product that is written out.
        wide_product: Least multiplications of a product of shared matrices for vectors of columns.
        transposed_product: Least multiplications for packed columns, or a call of BLAS, of a transposed right matrix.
        large_product: Least multiplications for a call of BLAS.
        tall_product: Least rows for packed columns.
        packed: Least bytes of a right matrix for packed columns; a smaller one stays in the second cache.
        panel: Bytes per row of packed columns, eight of the widest vectors.
        product_speed: Multiplications that vectors or BLAS compute in the time of one scalar operation.
        steps: Expected steps of a loop with a condition.
        call: Operations in the time of a call of torch, besides its work.
        per_call: Operations of torch in whose time a kernel makes one call more than a replay.
        per_step: Operations of torch in the time of a step of a replayed loop.
        large: Elements of a tensor from which on torch computes at least as fast as a kernel, with several threads.
        per_element: Operations that a call of torch is expected to make per element of its arguments and results.
        cache: Bytes of the values of a block of lanes that a core keeps at hand.
        poll: Operations between two reads of the stop flag in one statement: about 10 ms. A loop that is cut may be
            slower, so that only long statements are.
        poll_between: Operations of a statement before which the flag is read.
        poll_product: Multiplications times bytes per number of a call of BLAS, which cannot be stopped: 0.1 s.
        short_run: Operations of a run below which threads do not pay; one on all lanes of a block counts once.
        team: Least nanoseconds of a statement that several threads share.
        part: Least nanoseconds of a part of it.
        parts: Most parts of it.
        threads: Whether a kernel may use threads; the parts are the same without.
        long_run: Operations of a run from which on it gets a thread, at 0.1 ms, so that Ctrl-C can stop it.
    """

    vector: int
    device: str = "cpu"
    gemm: frozenset[torch.dtype] = frozenset()
    gemm_wins: bool = False
    lapack: frozenset[torch.dtype] = frozenset()
    lapack_size: int = 256
    alignment: int = 64
    arena_alignment: int = 128
    stack: int = 16 * 1024
    stacks: int = 256 * 1024
    slack: int = 64
    streams: int = 16
    short_streams: int = 32
    short_nest: int = 256
    row: int = 64
    rows: int = 1 << 17
    unroll: int = 2
    unroll_most: int = 1024
    body: int = 500
    short_body: int = 100
    chain: int = 24
    strip: int = 1024
    inline: int = 250
    section: int = 40
    partial: int = 16
    common_vector: int = 8
    scalar_registers: int = 28
    tiny_product: int = 64
    wide_product: int = 100
    transposed_product: int = 30_000
    large_product: int = 500_000
    tall_product: int = 16
    packed: int = 400_000
    panel: int = 512
    product_speed: int = 64
    steps: int = 1000
    call: int = 10_000
    per_call: int = 2
    per_step: int = 3
    large: int = 1 << 16
    per_element: int = 32
    cache: int = 1 << 18
    poll: int = 1 << 24
    poll_between: int = 1 << 20
    poll_product: int = 1 << 35
    short_run: int = 3_000_000
    long_run: int = 20_000_000
    team: float = 40_000
    part: float = 3_000
    parts: int = 64
    threads: bool = True

    @property
    def vector_registers(self) -> int:
        """Vectors per tile of a product that fit into registers."""
        return _REGISTERS[self.vector]

    def width(self, columns: int, dtype: torch.dtype) -> int:
        """Return the number of elements of a vector for rows of some columns; short rows use a part of one."""
        return min(self.vector // dtype.itemsize, 1 << (columns - 1).bit_length())

    def workspace(self, name: str, dtype: torch.dtype, *given: str | int) -> tuple[int, int]:
        """Return the sizes of the workspaces of a routine of LAPACK; see `lapack.workspace`."""
        return lapack.workspace(name, dtype, *given)

    @classmethod
    def host(cls) -> "Target":
        """Describe the machine that this process runs on.

        Raises:
            NoCompilerError: There is no C compiler to ask for the machine's instructions.
        """
        floats = () if forks.is_child else (torch.float32, torch.float64)
        gemm, factored = (frozenset(filter(has, floats)) for has in (blas.has_gemm, lapack.has))
        return cls(toolchain.compiler().vector, gemm=gemm, gemm_wins=wins(), lapack=factored)


def wins() -> bool:
    """Tell whether BLAS beats packed panels at large matrices; MKL is half as fast on AMD processors."""
    return not (torch.backends.mkl.is_available() and _on_amd())


@cache
def _on_amd() -> bool:
    described = Path("/proc/cpuinfo")
    return "AuthenticAMD" in (described.read_text() if described.exists() else platform.processor())
