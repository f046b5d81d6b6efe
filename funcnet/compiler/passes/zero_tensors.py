"""Zero tangents of forward derivatives: products with them are zero, also where the other factor is infinite or NaN.

torch makes them by `_efficientzerotensor`, for arguments that a derivative does not depend on, and drops their products
and their terms of sums. Without this, a second derivative is NaN where the first one is infinite.
"""

from functools import partial

import torch

from funcnet.compiler.program import Apply, Block, Op, Var, map_blocks

_ATEN = torch.ops.aten
_ZERO = _ATEN._efficientzerotensor.default
# the operands that make the result zero
_FACTORS = {
    _ATEN.mul.Tensor: (0, 1),
    _ATEN.mul.Scalar: (0,),
    _ATEN.div.Tensor: (0,),
    _ATEN.div.Scalar: (0,),
}
# the operands that leave the other one unchanged
_TERMS = {_ATEN.add.Tensor: (0, 1), _ATEN.sub.Tensor: (1,)}


def resolve_zeros(block: Block) -> Block:
    """Replace zero tangents by zeros, and drop their products and their terms of sums."""
    return _resolved(block, set())


def _resolved(block: Block, zeros: set[Var]) -> Block:
    ops: list[Op] = []
    for op in block.ops:
        if not isinstance(op, Apply):
            ops.append(map_blocks(op, partial(_resolved, zeros=zeros)))
        elif _is_zero(op, zeros):
            (out,) = op.outputs
            zeros.add(out)
            ops.append(Apply(_ATEN.full.default, ([*out.shape], 0), {"dtype": out.dtype, "device": out.device}, (out,)))
        else:
            ops.append(_without_term(op, zeros))
    return Block(block.params, ops, block.results)


def _is_zero(op: Apply, zeros: set[Var]) -> bool:
    if op.target is _ZERO or not zeros:
        return op.target is _ZERO
    found = _zero_places(op, zeros)
    places = _FACTORS.get(op.target, (0,) if op.target.is_view else ())
    is_quotient = op.target is _ATEN.div.Tensor and len(found) == 2  # of zeros, which is NaN
    return any(place in found for place in places) and not is_quotient


def _zero_places(op: Apply, zeros: set[Var]) -> list[int]:
    return [place for place, value in enumerate(op.args[:2]) if isinstance(value, Var) and value in zeros]


def _without_term(op: Apply, zeros: set[Var]) -> Apply:
    """Return a sum with a zero as the other term."""
    if not zeros or op.target not in _TERMS or op.kwargs or not (found := _zero_places(op, zeros)):
        return op
    other, (out,) = op.args[1 - found[0]], op.outputs
    if found[0] not in _TERMS[op.target] or not isinstance(other, Var) or other.dtype != out.dtype:
        return op
    return Apply(_ATEN.expand.default, (other, [*out.shape]), {}, (out,))
