"""Passes over a program, before a backend gets it."""

from dataclasses import replace

from funcnet.compiler.passes.aliasing import unalias
from funcnet.compiler.passes.dead_code import remove_dead
from funcnet.compiler.passes.hoist import hoist
from funcnet.compiler.passes.varying import varying
from funcnet.compiler.program import Program


def run(program: Program) -> Program:
    """Run all passes: copy results that alias arguments, remove dead code, hoist, find the values that vary."""
    unalias(program.block)
    remove_dead(program.block)
    program = replace(program, block=hoist(program.block))
    return replace(program, varying=varying(program.block, program.in_dims))
