"""The passes over a traced program; each runs once, before a backend is chosen."""

from dataclasses import replace

from funcnet.compiler.complex_numbers import separated
from funcnet.compiler.passes.aliasing import unalias
from funcnet.compiler.passes.dead_code import remove_dead
from funcnet.compiler.passes.hoist import hoist
from funcnet.compiler.passes.lane_checks import filled
from funcnet.compiler.passes.placements import place
from funcnet.compiler.passes.predication import predicate
from funcnet.compiler.passes.saved_values import save
from funcnet.compiler.passes.stacked_sums import add_stacked
from funcnet.compiler.passes.varying import varying
from funcnet.compiler.passes.zero_tensors import resolve_zeros
from funcnet.compiler.program import Program
from funcnet.compiler.verification import checked


def run(program: Program) -> Program:
    """Run all passes.

    Resolve zero tangents, fill failed lanes, collect writes to slices, copy aliasing results, add up stacks, remove
    dead code, save values in loops, hoist, select where a condition varies between lanes, and find the varying values.
    """
    program = replace(program, block=resolve_zeros(checked(program).block))
    if program.in_dims is not None:
        program = replace(program, block=filled(checked(program).block))
    program = replace(program, block=place(checked(program).block))
    unalias(checked(program).block)
    program = replace(program, block=add_stacked(checked(program).block))
    remove_dead(checked(program).block)
    if save(program.block, lanes=program.in_dims is not None):
        remove_dead(checked(program).block)
    program = checked(replace(checked(program), block=hoist(program.block)))
    if program.in_dims is not None:
        block = predicate(program.block, varying(program.block, program.in_dims))
        program = checked(replace(program, block=block))
    return replace(program, varying=varying(program.block, program.in_dims))


def real(program: Program) -> Program:
    """Separate complex values into their parts, of which operations need some only; see `complex_numbers`."""
    found = separated(program)
    if found is program:
        return program
    remove_dead(checked(found).block)
    block = hoist(found.block)
    return checked(replace(found, block=block, varying=varying(block, found.in_dims)))
