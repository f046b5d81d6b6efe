"""Many leaves of one shape: each loop is over few arrays, and the results equal eager mode.

The functions have few lines of C: a nest with many is cut into parts that pass values in arrays of their own.
"""

from functools import partial

import pytest
from stages import loops
from tables import numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.native.fission import _streams as streams
from funcnet.compiler.native.fission import separate
from funcnet.compiler.native.loop_ir import Loop, Nest, Section
from funcnet.compiler.native.target import Target

HOST = Target.host()
SHORT, STREAMS = HOST.short_nest, HOST.streams


def apart(leaves):
    """Return independent chains that share one number only."""
    scale = leaves[0].sum().tanh()
    return [(leaf * scale + i).abs().sqrt() for i, leaf in enumerate(leaves)]


def in_turn(leaves):
    """Move every leaf to the next position: none may be overwritten before it is read."""
    return [leaf + before for leaf, before in zip(leaves, leaves[-1:] + leaves[:-1], strict=True)]


def in_pairs(leaves):
    """Return chains that join late."""
    halves = zip(leaves[::2], leaves[1::2], strict=True)
    return [x for a, b in halves for x in (a.abs() + b.square().sqrt() * a, b.abs().sqrt() * a)]


@pytest.mark.parametrize("f", [apart, in_turn, in_pairs])
def test_many_leaves_equal_eager_mode(f):
    size = SHORT + 3
    leaves = list(numbers(STREAMS * 2, 2, size))
    again = partial(fn.scan, lambda leaves, _: (f(leaves), None), length=3)
    assert_close(jit(again, backend="native")(leaves), again(leaves), rtol=1e-12, atol=1e-12)
    lanes = list(numbers(STREAMS * 2, 5, size))
    ours = jit(fn.vmap(again), backend="native")(lanes)
    assert_close(ours, fn.vmap(again)(lanes), rtol=1e-12, atol=1e-12)


def nests(statements):
    for statement in statements:
        if isinstance(statement, Loop | Section):
            yield from nests(statement.body)
        elif isinstance(statement, Nest):
            yield statement


def test_no_long_nest_is_over_more_arrays_than_necessary():
    leaves = list(numbers(STREAMS * 2, SHORT))
    for f, bound in ((apart, STREAMS), (in_pairs, STREAMS), (in_turn, 6 * STREAMS)):
        again = jit(lambda leaves, f=f: fn.scan(lambda x, _: (f(x), None), leaves, length=2), backend="native")
        again(leaves)
        (program,) = (compiled.program for compiled in again._programs.values())
        divided = loops(program)
        long = [len(streams(nest)) for nest in nests(divided.statements) if nest.shape == (SHORT,)]
        assert long and max(long) <= bound
        assert [
            len(streams(nest)) for nest in nests(separate(divided, HOST).statements) if nest.shape == (SHORT,)
        ] == long
