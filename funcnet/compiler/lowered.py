"""The stages of a call of a jitted function as text."""

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.program import Program


@dataclass(frozen=True)
class Explanation:
    """Which backend runs a call of a jitted function, and why.

    Attributes:
        backend: "native", "inductor" or "eager".
        reason: The reason for this backend.
        operations: Number of occurrences of each operation in the program, inner blocks included; "scan", "switch" and
            "while" are loops and branches.
        kernel_size: Bytes of the compiled library; 0 unless the backend is native.
        cache_hit: Whether the compiled library came from the disk cache.
        calls: The operations that the native kernel lets torch compute, because there is no native rule for them.
        memory: Bytes of a run besides its arguments: of the results, and of values that are alive at once. A native
            kernel runs an outermost vmap in blocks of lanes, and needs the latter once per thread; the other backends
            need them for all lanes, or for vmap's chunk_size. These are estimates, in which views count as copies.
    """

    backend: str
    reason: str
    operations: dict[str, int]
    kernel_size: int
    cache_hit: bool
    calls: dict[str, int]
    memory: int

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Return a table for notebooks."""
        fields = {**vars(self), "kernel_size": f"{self.kernel_size:,} bytes", "memory": f"{self.memory:,} bytes"}
        for name in ("operations", "calls"):
            fields[name] = ", ".join(f"{operation} {count}" for operation, count in fields[name].items()) or "-"
        left = 'style="text-align: left"'
        rows = (f"<tr><th {left}>{name}</th><td {left}>{escape(str(v))}</td></tr>" for name, v in fields.items())
        return {"text/plain": repr(self), "text/html": f"<table>{''.join(rows)}</table>"}


@dataclass(frozen=True)
class Lowered:
    """A traced call before compilation, returned by `fn.jit(f).lower(*args)`.

    Attributes:
        program: The traced program, after the passes.
    """

    program: Program
    _compile: Callable[[], Any] = field(repr=False)
    _explain: Callable[[], Explanation] = field(repr=False)

    def as_text(self, stage: Literal["program", "loops", "c"] = "program") -> str:
        """Return the text of the call at a stage of compilation by the native backend.

        Args:
            stage: "program", the traced operations; "loops", statements over buffers; or "c", the C text.
        Raises:
            ValueError: stage has another value.
            UnsupportedError: The native backend lacks an operation of the program, so there are no loops and no C.
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
        return self._native_text(stage)

    def _native_text(self, stage: Literal["loops", "c"]) -> str:
        from funcnet.compiler.native.backend import translate
        from funcnet.compiler.native.target import Target
        from funcnet.compiler.native.text import text

        try:
            found = translate(self.program, Target.host())
        except UnsupportedError as error:
            raise UnsupportedError(f"as_text: this program has no {stage} stage: {error}") from error
        return text(found.loops) if stage == "loops" else found.text

    def compile(self) -> Any:
        """Compile the call ahead of time and return the jitted function."""
        return self._compile()

    def explain(self) -> Explanation:
        """Return which backend runs the call and why; see `explain` of the jitted function."""
        return self._explain()
