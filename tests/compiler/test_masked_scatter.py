"""Native writes of consecutive elements where a mask holds."""

import pytest
import torch
from backends import rand

import funcnet as fn
from funcnet.compiler import jit


def test_masked_scatter_of_single_elements() -> None:
    x, mask, source = rand(3), rand(3) > 0.5, rand(3, 2)
    each = fn.vmap(lambda *args: args[0].masked_scatter(*args[1:]))
    assert torch.equal(jit(each, backend="eager")(x, mask, source), torch.where(mask, source[:, 0], x))


def test_masked_scatter() -> None:
    x, mask, source = rand(3, 4), rand(2, 3, 4) > 0.5, rand(2, 13)
    f = x.masked_scatter
    wide = torch.tensor([True, False, True, True])
    slopes = fn.grad(lambda source: (f(mask[0], source).square() + f(wide, source).sin()).sum())
    compiled = jit(lambda mask, source: (f(mask, source), slopes(source)), backend="native")
    assert not compiled.explain(mask[0], source[0]).calls
    torch.testing.assert_close(compiled(mask[0], source[0]), (f(mask[0], source[0]), slopes(source[0])))
    want = torch.stack([*map(f, mask, source)])
    torch.testing.assert_close(jit(fn.vmap(f), backend="native")(mask, source), want)
    with pytest.raises(RuntimeError, match="Number of elements of source < number of ones in mask"):
        jit(f)(mask[0] | True, source[0, :5])
