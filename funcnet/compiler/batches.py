"""Native kernels of programs under an outermost vmap that let torch compute some operations.

A call computes all lanes, so such a kernel does not run lanes in blocks. The program is traced again for all of its
lanes at once, as for a replay, and then has a batch axis instead of lanes.
"""

from contextlib import suppress

from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native import backend as native
from funcnet.compiler.native.backend import EnsembleKernel
from funcnet.compiler.native.complex_edges import ComplexEdges
from funcnet.compiler.native.kernel import NativeKernel
from funcnet.compiler.program import Program
from funcnet.compiler.progress import Progress
from funcnet.compiler.replay import ReplayKernel, over_lanes, unchanged
from funcnet.compiler.replayed_loops import Replay


class BatchKernel(ReplayKernel):
    """The kernels of a program by number of lanes, each traced and compiled at first use; else a replay.

    Raises:
        UnsupportedError: At construction: there is no kernel for a number of lanes, or a replay is faster.
    """

    def __init__(self, program: Program, progress: Progress | None, lanes: int, only_if_faster: bool) -> None:
        super().__init__(program, unchanged)
        self.progress, self.only_if_faster = progress, only_if_faster
        most = min(lanes, program.chunk_size or lanes)
        if progress is not None and most < lanes:
            raise UnsupportedError("the native backend does not report the progress of several batches")
        self.runs[most] = self.compiled(most)

    def run(self, lanes: int | None) -> Replay:
        """Return the function of all tensors for a number of lanes."""
        if lanes is not None and lanes not in self.runs:
            with suppress(UnsupportedError):
                self.runs[lanes] = self.compiled(lanes)
        return super().run(lanes)

    def compiled(self, lanes: int) -> Replay:
        """Compile the program for a number of lanes."""
        program = over_lanes(self.program, lanes)
        kernel = native.build(program, self.progress, only_if_faster=self.only_if_faster)
        self.cached = kernel.cached and (self.cached or not self.size)
        self.size, self.calls = self.size + kernel.size, kernel.calls
        return lambda *tensors: tuple(kernel(tensors, None))


def prepare(
    program: Program, progress: Progress | None = None, lanes: int | None = None, *, only_if_faster: bool = False
) -> NativeKernel | EnsembleKernel | ComplexEdges[int] | ComplexEdges[int | None] | BatchKernel:
    """Compile a program to a native kernel, for blocks of lanes if that is possible; see `native.backend.prepare`."""
    try:
        return native.prepare(program, progress, lanes, only_if_faster=only_if_faster)
    except UnsupportedError:
        if lanes is None:
            raise
        return BatchKernel(program, progress, lanes, only_if_faster)
