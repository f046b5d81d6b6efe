"""The expressions of random programs, as templates over the tensors of a program."""

import torch

from random_programs.operands import Operand, broadcasts
from random_programs.scope import FLOATS, HALVES, INTEGERS, Rule, Scope, SkipError

ELEMENTWISE = """
-{x} ; {x}.abs() ; {x}.sign() ; {x} + 1 ; {x} * 2 ; 2 - {x} ; {x} - 0.5 ; {x} * 1.5 ; {x} / 3 ; {x} // 2 ; {x} % 3
{x}.sin() ; {x}.cos() ; {x}.tanh() ; {x}.sigmoid() ; {x}.square() ; ({x}.abs() + 0.1).sqrt() ; {x}.clamp(-0.5, 0.7)
{x}.exp().clamp(max=20) ; torch.log1p({x}.abs()) ; F.softplus({x}) ; F.relu({x}) ; F.gelu({x}) ; F.silu({x})
F.leaky_relu({x}) ; F.elu({x}) ; {x}.floor() ; {x}.round() ; {x}.trunc() ; {x}.clamp(min=0) ; {x}.pow(3) ; {x}.erf()
{x}.clamp(-9, 9).to(torch.int64) ; {x}.clamp(-9, 9).int() ; {x}.clamp(0, 9).to(torch.uint8) ; {x}.bool() ; {x}.float()
{x}.double() ; {x}.to(torch.float64) ; {x} > 0 ; {x} == 1 ; {x}.logical_not() ; ~{i} ; ~{b} ; {i} << 1 ; {i} >> 1
{i} & 5 ; {i} ^ 3 ; {x} + {y} ; {x} - {y} ; {x} * {y} ; {x} / ({y}.abs() + 1) ; torch.maximum({x}, {y})
torch.minimum({x}, {y}) ; torch.where({b}, {x}, {y}) ; torch.where({x} > {y}, {x}, {y}) ; torch.where({b}, {x}, 0.5)
{x} == {y} ; {x} < {y} ; {x} >= {y} ; {x} != {y} ; torch.logical_and({x}, {y}) ; torch.logical_xor({x}, {y})
{x} & {y} ; {x} | {y} ; {x} ^ {y} ; torch.remainder({x}, {y}.abs() + 1) ; torch.fmod({x}, {y}.abs() + 1)
torch.div({x}, {y}.abs() + 1, rounding_mode="floor") ; torch.div({x}, {y}.abs() + 1, rounding_mode="trunc")
({x}.abs() + 0.5) ** {y}.clamp(-2, 2) ; torch.hypot({x} + 3, {y}) ; torch.lerp({x}, {y}, 0.3) ; {x}.add({y}, alpha=2)
torch.addcmul({x}, {y}, {x}, value=2) ; torch.atan2({x}, {y}.abs() + 1) ; {x}.masked_fill({b}, 2)
torch.rsub({x}, {y}) ; torch.zeros_like({x}) ; torch.ones_like({x}) + {y} ; {x}.new_full((2, 3), 0.5)
torch.full_like({x}, 0.25) * {y} ; torch.nan_to_num({x}) ; {x}.isfinite() ; torch.copysign({x}, {y})
torch.heaviside({x}, {y}) ; torch.signbit({x})
"""

VIEWS = """
{x}.transpose({x:axis}, {x:axis}) ; {x}.permute({x:order}) ; {x}.reshape({x:shape}) ; {x}.view({x:shape}) ; {x}.mT
{x}.flatten() ; {x}.reshape(-1) ; {x}.unsqueeze({x:new}) ; {x}.squeeze() ; {x}.squeeze({x:axis}) ; {x}[{x:index}]
{x}[{x:index}] ; {x}[{x:index}] ; {x}.select({x:axis}, {x:place}) ; {x}.narrow({x:axis}, {x:part}) ; {x}[None]
{x}.unfold({x:axis}, {x:window}) ; {x}.diagonal({x:offset}, {x:two}) ; {x}.expand({x:wider}) ; {x}.movedim({x:two})
{x}.split(2, {x:axis}) ; {x}.chunk(2, {x:axis}) ; {x}.unbind({x:axis}) ; {x}.tensor_split(3, {x:axis}) ; {x}.t()
{x}.swapaxes({x:two}) ; {x}.unflatten({x:axis}, (-1, 1)) ; {x}.contiguous() ; {x}.expand_as({y}) ; {x}.detach()
{x}.contiguous().clone().as_strided({x:strided}) ; {x}.view_as({x}) ; {x}[..., {x:ending}] ; {x}.ravel()
torch.atleast_2d({x})
"""

MOVES = """
{x}.flip({x:axis}) ; {x}.roll(1, {x:axis}) ; {x}.roll(-2) ; {x}.repeat({x:times}) ; {x}.repeat_interleave(2, {x:axis})
torch.cat([{x}, {x}], {x:axis}) ; torch.stack([{x}, {x:like}], {x:new}) ; torch.cat([{x:like}, {x}], {x:axis})
F.pad({x}, (1, 2)) ; F.pad({x}, (1, -1)) ; F.pad({x}, (0, 1, 2, 0), value=0.5) ; torch.tril({x}) ; torch.triu({x}, 1)
{x}.clone() ; {x}.clone() ; {x}.t().clone() ; {x}.tile(2) ; torch.diag_embed({x}) ; torch.broadcast_tensors({x}, {y})
F.pad({f}[None], (1, 1), mode="circular") ; torch.meshgrid({x}.flatten()[:3], {y}.flatten()[:2], indexing="ij")
torch.rot90({x}, 1, ({x:two})) ; torch.block_diag({x}, {x}) ; {x}.contiguous().clone()
"""

GATHERS = """
{x}.index_select({x:axis}, {x:rows}) ; {x}.take_along_dim({x:first}{x:indices}, 0)
{x}.take_along_dim({x:final}{x:indices}, -1) ; {x}.gather({x:axis}, {x:indices}) ; {x}[{x:first}{x:rows}]
{x}[{x:first}{x:signed}] ; {x}[..., {x:final}{x:rows}] ; {x}.take({x:flat})
F.embedding({f:first}{f:rows}, {f:matrix}) ; {x}[{x:both}] ; {x}[{x:both}, None] ; torch.where({x} > 0, {x:like}, 0)
torch.gather({x}, {x:axis}, {x:indices}) ; {x}[:, {x:second}{x:rows}] ; {x}.flatten()[{x:flat}]
{x}[{x:first}{x:rows}, None] ; {x}[{x:first}{x:rows}.reshape(-1, 1)] ; {x}.argsort({x:axis}, stable=True)
"""

REDUCTIONS = """
{x}.sum({x:axes}, keepdim={keep}) ; {f}.mean({f:axes}, keepdim={keep}) ; {x}.amax({x:axes}, keepdim={keep})
{x}.sum() ; {x}.amin({x:axes}, keepdim={keep}) ; {x}.prod({x:axis}) ; {f}.var({f:axes}, keepdim={keep})
{x}.any({x:axis}) ; {x}.all() ; {x}.argmax({x:axis}, keepdim={keep}) ; {x}.argmin({x:axis}) ; {f}.logsumexp({f:axes})
{x}.cumsum({x:axis}) ; {f}.cumprod({f:axis}) ; {x}.count_nonzero() ; {x}.max({x:axis})
{x}.min({x:axis}, keepdim={keep}) ; {f}.mean() ; {x}.max() ; {f}.softmax({f:axis}) ; {f}.log_softmax({f:axis})
({f} + 9).norm() ; {f}.var(correction=0) ; {x}.cummax({x:axis}) ; {x}.cummin({x:axis})
{x}.sort({x:axis}, stable=True) ; {x}.sort({x:axis}, stable=True, descending=True) ; {x}.sum(dtype=torch.float64)
{f}.topk(2, {f:axis})[0] ; {x}.sort({x:axis}, stable=True)[0] ; {x}.diff(dim={x:axis}) ; {f}.logcumsumexp({f:axis})
{f} @ {f:partner} ; {f} @ {f:partner} ; torch.einsum("...i,...i->...", {f}, {f:like}) ; {f}.mT @ {f}
torch.outer({f}.flatten()[:5], {f}.flatten()[:4]) ; F.layer_norm({f}, {f}.shape[-1:])
F.linear({f}, {f}.reshape(-1, {f}.shape[-1])) ; torch.dot({f}.flatten(), {f}.flatten()) ; torch.trace({x})
({f}.var({f:axis}) + 1).sqrt() ; F.max_pool1d({f}[None], 2) ; F.avg_pool1d({f}[None], 2)
F.conv1d({f}.reshape(1, 1, -1), {f}.flatten()[:3].reshape(1, 1, -1)) ; torch.addmm({f}, {f:partner}, {f:partner})
"""


def templates(table: str) -> list[str]:
    return [part.strip() for part in table.replace("\n", " ; ").split(" ; ") if part.strip()]


def expression(table: str) -> Rule:
    """Build the rule that fills in one of the templates of a table.

    {x} and {f} are operands, the latter floating; {y} and the boolean {b} broadcast with x; {i} is an integer tensor.
    """
    rows = templates(table)

    def rule(s: Scope) -> str:
        row = s.rng.choice(rows)
        if s.special and any(word in row for word in ("gelu", "complex", "fft", "polar")):
            raise SkipError  # of infinity, which is NaN in ATen's vector code
        x = s.pick()
        like = s.values[x]
        operands: dict[str, object] = {"x": Operand(s, x), "keep": s.rng.random() < 0.5}
        kinds = {
            "y": lambda y: broadcasts(y, like),
            "b": lambda y: y.dtype == torch.bool and broadcasts(y, like),
            "i": lambda y: y.dtype in INTEGERS,
            "f": lambda y: y.dtype in FLOATS,
            "h": lambda y: y.dtype in HALVES,
        }
        operands |= {kind: Operand(s, s.pick(fits)) for kind, fits in kinds.items() if "{" + kind in row}
        return row.format(**operands)

    return rule
