"""Helpers that translate a program with the native backend to loops and to C text."""

from dataclasses import replace

from funcnet.compiler import passes
from funcnet.compiler.native.backend import Translation, translate
from funcnet.compiler.native.loop_ir import LoopProgram
from funcnet.compiler.native.target import Target
from funcnet.compiler.program import Program


def translated(program: Program, *, counted: bool = False, **machine: int) -> Translation:
    """Return the results of all stages, for this machine or one with other properties, such as vector=64."""
    return translate(passes.run(program), replace(Target.host(), **machine), counted=counted)


def loops(program: Program) -> LoopProgram:
    """Return a program as loops."""
    return translated(program).loops


def text(program: Program, *, counted: bool = False, **machine: int) -> str:
    """Return a program as C text."""
    return translated(program, counted=counted, **machine).text
