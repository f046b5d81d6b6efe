"""The machine that a kernel is for: lowering and the C writer ask it, never the processor that they run on."""

from dataclasses import dataclass

from funcnet.compiler.native import toolchain


@dataclass(frozen=True)
class Target:
    """A machine.

    Attributes:
        vector: Bytes of its widest vectors.
    """

    vector: int

    @classmethod
    def host(cls) -> "Target":
        """Describe the machine that this process runs on.

        Raises:
            NoCompilerError: There is no C compiler, which knows the machine's instructions.
        """
        return cls(toolchain.compiler().vector)
