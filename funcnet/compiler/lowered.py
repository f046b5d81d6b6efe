"""A look inside: what a call of a jitted function becomes at each stage."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native.backend import translate
from funcnet.compiler.native.target import Target
from funcnet.compiler.native.text import text
from funcnet.compiler.program import Program


@dataclass(frozen=True)
class Explanation:
    """Which backend runs a call of a jitted function, and why.

    Attributes:
        backend: "native", "inductor" or "eager".
        reason: Why this one.
        operations: How often each operation occurs in the program, scans' bodies included; "scan" counts the loops.
        kernel_size: Bytes of the compiled library; 0 for other backends.
        cache_hit: Whether the compiled library came from the disk.
    """

    backend: str
    reason: str
    operations: dict[str, int]
    kernel_size: int
    cache_hit: bool


@dataclass(frozen=True)
class Lowered:
    """A traced call, before it is compiled; made by `fn.jit(f).lower(*args)`.

    Attributes:
        program: The traced program.
    """

    program: Program
    _compile: Callable[[], Any]
    _explain: Callable[[], Explanation]

    def as_text(self, stage: Literal["program", "loops", "c"] = "program") -> str:
        """Write the call down as it is at a stage on its way to a native kernel.

        Args:
            stage: "program", the traced operations; "loops", statements over buffers; or "c", what the C compiler gets.
        Raises:
            ValueError: There is no such stage.
            UnsupportedError: The native backend lacks an operation, so that there are neither loops nor C.
        Example:
            >>> print(fn.jit(lambda x: x.exp().sum()).lower(torch.ones(3)).as_text())
            (v0: float32[3]) ->
              v1: float32[3] = aten.exp(v0)
              v2: float32[] = aten.sum.dim_IntList(v1, [])
              return [v2]
        """
        if stage == "program":
            return repr(self.program.block)
        if stage not in ("loops", "c"):
            raise ValueError(f"as_text: expected stage to be 'program', 'loops' or 'c', got {stage!r}.")
        try:
            found = translate(self.program, Target.host())
        except UnsupportedError as error:
            raise UnsupportedError(f"as_text: there is no {stage} stage of this program: {error}") from error
        return text(found.loops) if stage == "loops" else found.text

    def compile(self) -> Any:
        """Compile the call, so that it runs without delay, and return the jitted function."""
        return self._compile()

    def explain(self) -> Explanation:
        """Say which backend runs the call and why, as `explain` of the jitted function does."""
        return self._explain()
