"""Statements of random programs that write in place, through chains of views."""

from collections.abc import Sequence

from random_programs.expressions import templates
from random_programs.operands import Operand, fills
from random_programs.scope import Scope, SkipError, is_operand, overlaps

COPIES = [".clone()", ".clone()", " * 1", ".t().clone()", " + 0.5", ".contiguous()", ".to(torch.float64)"]

VIEWS = """
[{x:index}] ; [{x:index}] ; .t() ; .transpose({x:axis}, {x:axis}) ; .select({x:axis}, {x:place}) ; .mT ; .squeeze()
.narrow({x:axis}, {x:part}) ; .diagonal({x:offset}, {x:two}) ; .unsqueeze({x:new}) ; .view(-1) ; .permute({x:order})
.movedim({x:two}) ; .unbind({x:axis})[0] ; .chunk(2, {x:axis})[-1] ; .view({x:shape}) ; .detach() ; .split(2)[0]
.flatten() ; .reshape({x:shape}) ; .unfold({x:axis}, 1, 2) ; .contiguous() ; .unflatten({x:axis}, (1, -1)) ; [..., None]
"""

WRITES = """
{x}[...] = {y} ; {x}[...] += {y} ; {x}[...] *= {y}.tanh() ; {x}.add_({y}) ; {x}.mul_({y}.sin()) ; {x}.copy_({y})
{x}.fill_(1) ; {x}.zero_() ; {x}.sub_({y}, alpha=2) ; {x}.clamp_(-1, 1) ; {x}.neg_() ; {x}.tanh_() ; {x}.abs_()
{x}.cumsum_({x:axis}) ; {x}.masked_fill_({x} > 0, 2) ; {x}[None][{x}[None] > 0] = 1 ; {x}.masked_fill_({x:mask}, 0.5)
{x}.copy_({x:same}) ; {x}.lerp_({x:same}, 0.25) ; {x}.index_add_({x:axis}, {x:some}, {x:source}) ; {x}.sigmoid_()
{x}.index_copy_({x:axis}, {x:others}, {x:source}) ; {x}.index_fill_({x:axis}, {x:some}, 0.5)
{x}.index_fill_(0, {x:signed}, 1) ; {x}[{x:first}{x:some}] += {x:source} ; {x}[{x:first}{x:others}] = {x:source}
{x}[{x:first}{x:rows}] = 0.25 ; {x}.index_put_(({x:first}{x:some},), {x:source}, accumulate=True) ; {x}[{x:both}] = 1
{x}.floor_() ; {x}.relu_() ; {x}.scatter_({x:axis}, {x:indices}, 0.5)
{x}.scatter_add_({x:axis}, {x:spread}, {x:source}) ; {x}.square_() ; {x}.sin_()
{x}.scatter_reduce_({x:axis}, {x:spread}, {x:source}, "{x:how}")
{x}.index_put_(({x:both}), {y}.sum().tanh(), accumulate=True)
{x}.scatter_reduce_({x:axis}, {x:spread}, {x:source}, "{x:how}", include_self=False) ; {x}.round_() ; {x}.pow_(2)
{x}.index_reduce_({x:axis}, {x:some}, {x:source}, "{x:most}") ; {x}.addcmul_({y}, {y}, value=2) ; {x}.logical_not_()
{x}.eq_({y}) ; {x}.fill_diagonal_(1) ; {x}.t_() ; {x}.unsqueeze_({x:new}) ; {x}.squeeze_() ; {x}.transpose_({x:two})
{x}.tril_() ; {x}.triu_(1) ; {x}.cumprod_({x:axis}) ; {x}.copy_({y}.flip(-1)) ; {x}.bitwise_and_(3)
{x}.remainder_(3) ; {x}.div_({y}.abs() + 1) ; torch.add({x:same}, {x:same}, out={x}) ; {x}.exp_().clamp_(max=3)
{x}.atan2_({y}) ; {x}.masked_scatter_({x:mask}, {x:same}) ; {x}.put_({x:flat}, {y}.sum().tanh(), accumulate=True)
"""
CHAIN, ROWS = templates(VIEWS), templates(WRITES)


class Target(Operand):
    """A tensor to write to; the values come from other memory."""

    asked: tuple[int, ...] = ()  # the shape of the index

    def filling(self, shape: Sequence[int]) -> str:
        """Return a new tensor that broadcasts to a shape."""
        return f"({self.scope.pick(lambda y: fills(y, shape))} * 1)"

    def _same(self) -> str:
        return self._of(self.tensor.shape)

    def _source(self) -> str:
        """Return a tensor of the shape that the index selects."""
        axis = self.axis % self.tensor.ndim
        return self._of((*self.tensor.shape[:axis], *self.asked, *self.tensor.shape[axis + 1 :]))

    def _of(self, shape: Sequence[int]) -> str:
        return f"{self.filling(shape)}.to({self.tensor.dtype}).expand({tuple(shape)})"

    def _mask(self) -> str:
        return f"({self.filling(self.tensor.shape)} > 0)"

    def _some(self) -> str:
        return self._remembered(self._rows() if self.rng.random() < 0.6 else self._signed())

    def _others(self) -> str:
        return self._remembered(self._distinct())

    def _remembered(self, text: str) -> str:
        self.asked = tuple(eval(text, dict(self.scope.values)).shape)
        return text

    def _spread(self) -> str:
        text = self._indices()
        self.asked = (eval(text, dict(self.scope.values)).shape[self.axis],)
        return text

    def _how(self) -> str:
        return self.rng.choice(("sum", "mean", "amax", "amin", "prod"))

    def _most(self) -> str:
        return self.rng.choice(("amax", "amin", "mean"))


def write(s: Scope) -> str:
    """Write in place through a chain of views, or make a tensor to write to."""
    if s.rng.random() < 0.45:
        return s.pick() + s.rng.choice(COPIES)
    text = s.writable()
    for _ in range(s.rng.choice((0, 0, 1, 1, 2, 3))):
        text += s.rng.choice(CHAIN).format(x=Operand(s, text))
    target = Target(s, text)
    if overlaps(target.tensor):
        raise SkipError
    row = s.rng.choice(ROWS)
    statement = row.format(x=target, y=target.filling(target.tensor.shape) if "{y}" in row else "")
    copies = {name: value.clone() for name, value in s.values.items() if is_operand(value)}
    exec(statement, {**s.values, **copies})  # raises before anything is written
    return f"!{statement}"
