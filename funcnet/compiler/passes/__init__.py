"""Passes over a program, before a backend gets it."""

from dataclasses import replace

from funcnet.compiler.passes.aliasing import unalias
from funcnet.compiler.passes.dead_code import remove_dead
from funcnet.compiler.passes.hoist import hoist
from funcnet.compiler.passes.varying import varying
from funcnet.compiler.program import Program
from funcnet.compiler.verification import checked


def run(program: Program) -> Program:
    """Run all passes: copy results that alias arguments, remove dead code, hoist, find the values that vary."""
    unalias(checked(program).block)
    remove_dead(checked(program).block)
    program = checked(replace(checked(program), block=hoist(program.block)))
    return replace(program, varying=varying(program.block, program.in_dims))
