"""The result of each stage from a program to C."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from funcnet.compiler.native.loop_ir import LoopProgram
from funcnet.compiler.native.memory import Plan
from funcnet.compiler.native.text import text
from funcnet.compiler.program import Program


@dataclass(frozen=True)
class Translation:
    """A program after all passes, its loops, the memory of their temporaries, and the C text."""

    program: Program
    loops: LoopProgram
    plan: Plan
    text: str

    def dump(self) -> None:
        """Write the program, the loops and the C text into the folder that FUNCNET_DUMP names, if it is set."""
        if folder := os.environ.get("FUNCNET_DUMP"):
            name = hashlib.sha256(self.text.encode()).hexdigest()[:16]
            Path(folder).mkdir(parents=True, exist_ok=True)
            stages = {"program.txt": repr(self.program.block), "loops.txt": text(self.loops), "c": self.text}
            for ending, content in stages.items():
                Path(folder, f"{name}.{ending}").write_text(content)
