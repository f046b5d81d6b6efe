"""What concerns the operations of the native backend alone: gcc's errors, fused rounding, what is lacking."""

import pytest
import torch
from backends import check

from funcnet.compiler import jit
from funcnet.compiler.graph import UnsupportedError


def test_constants_known_to_the_c_compiler() -> None:
    """gcc 12 folds this program, and the first row of its result came out as ones."""
    f = lambda: torch.nn.functional.one_hot(torch.arange(5) % 4, 4).repeat_interleave(2, 1)  # noqa: E731
    assert torch.equal(jit(f, backend="native")(), f())


def test_a_scaled_sum_is_rounded_once() -> None:
    a = torch.full((16,), 1 + 2**-12)
    check(lambda a: torch.add(-(a * a), a, alpha=1 + 2**-12), a, backend="native")
    assert jit(lambda a: torch.add(-(a * a), a, alpha=1 + 2**-12), backend="native")(a)[0] == 2**-24


def test_what_is_lacking_is_named() -> None:
    with pytest.raises(UnsupportedError, match=r"aten.median"):
        jit(lambda x: x.median(), backend="native")(torch.zeros(3))


def test_a_function_that_lacks_for_integers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from funcnet.compiler import ops

    monkeypatch.setitem(ops.RULES, "sign", ops.elementwise(lambda e, x: e("lgamma", x)))
    with pytest.raises(UnsupportedError, match="lgamma of i64"):
        jit(torch.sign, backend="native")(torch.arange(3))
