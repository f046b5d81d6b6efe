"""The stages of a program in the native backend: its loops and its C text."""

from dataclasses import replace

from funcnet.compiler.native.backend import Translation, translate
from funcnet.compiler.native.loop_ir import LoopProgram
from funcnet.compiler.native.target import Target
from funcnet.compiler.program import Program


def translated(program: Program, *, counted: bool = False, **machine: int) -> Translation:
    """Every stage, for this machine or one that differs in something, such as vector=64."""
    return translate(program, replace(Target.host(), **machine), counted=counted)


def loops(program: Program) -> LoopProgram:
    """A program as loops."""
    return translated(program).loops


def text(program: Program, *, counted: bool = False, **machine: int) -> str:
    """A program as C."""
    return translated(program, counted=counted, **machine).text
