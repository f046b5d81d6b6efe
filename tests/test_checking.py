"""The checkers find all errors, and only errors."""

import pytest
import torch
from tables import numbers

from funcnet.checking import check_finite, check_grads, compare


class Wrong(torch.autograd.Function):
    """Computes x^2 with the derivative of x^3 in both modes."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**2

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, cotangent):
        return 3 * ctx.saved_tensors[0] ** 2 * cotangent

    @staticmethod
    def jvp(ctx, tangent):
        return 3 * ctx.saved_tensors[0] ** 2 * tangent


@pytest.mark.parametrize("mode", ["fwd", "rev"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wrong_derivatives_are_found_in_each_mode(mode, dtype):
    x = {"w": numbers(3, dtype=dtype)}
    with pytest.raises(AssertionError, match=f"check_grads: mode {mode} and the finite difference disagree"):
        check_grads(lambda p: Wrong.apply(p["w"]), (x,), modes=(mode,))
    check_grads(lambda p: p["w"] ** 2, (x,), modes=(mode,), order=2)


def test_a_wrong_second_derivative_is_found():
    class RightThenWrong(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x):
            return x**3 / 3

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, cotangent):
            return Wrong.apply(ctx.saved_tensors[0]) * cotangent

    check_grads(RightThenWrong.apply, (numbers(2),), modes=("rev",))
    with pytest.raises(AssertionError, match="mode rev of rev and the finite difference disagree"):
        check_grads(RightThenWrong.apply, (numbers(2),), modes=("rev",), order=2)


def test_options_are_checked_and_used():
    x = numbers(3)
    with pytest.raises(ValueError, match=r'expected modes among "fwd" and "rev", got \(.both.,\)'):
        check_grads(torch.sin, (x,), modes=("both",))
    with pytest.raises(ValueError, match=r'expected modes among "fwd" and "rev", got \(\)'):
        check_grads(torch.sin, (x,), modes=())
    with pytest.raises(
        TypeError, match=r"check_grads: expected args to be a tuple of f's arguments, got float64 tensor"
    ):
        check_grads(torch.sin, x)
    with pytest.raises(ValueError, match=r"expected an order of at least 1, got 0"):
        check_grads(torch.sin, (x,), order=0)
    check_grads(lambda x: x + 1e-5 * Wrong.apply(x), (x,), atol=1e-3)
    with pytest.raises(AssertionError):
        check_grads(lambda x: x + 1e-5 * Wrong.apply(x), (x,), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("dtype, error, found", [(torch.float64, 1e-5, True), (torch.float32, 1e-3, False)])
def test_default_tolerances_depend_on_the_dtype(dtype, error, found):
    class Inexact(Wrong):
        @staticmethod
        def jvp(ctx, tangent):
            return (2 + error) * ctx.saved_tensors[0] * tangent

    x = numbers(3, dtype=dtype)
    if not found:
        check_grads(Inexact.apply, (x,), modes=("fwd",))
        return
    with pytest.raises(AssertionError, match="mode fwd and the finite difference disagree"):
        check_grads(Inexact.apply, (x,), modes=("fwd",))


def test_there_must_be_something_to_differentiate():
    with pytest.raises(ValueError, match="expected f to return a floating-point or complex tensor, got no tensor"):
        check_grads(lambda x: {"above": x > 0, "n": 3}, (numbers(2),))
    with pytest.raises(AssertionError):
        check_grads(lambda x: x.detach(), (numbers(2),))
    check_grads(lambda x: torch.ones(2).double(), (numbers(2),))


def test_nan_counts_as_disagreement():
    with pytest.raises(ValueError, match="expected finite numbers in the finite difference of f, got nan"):
        check_grads(lambda x: x / 0 - x / 0, (numbers(2),))


def test_compare_gives_one_row_per_leaf():
    a = {"w": torch.tensor([[1.0, 2.5]]), "b": torch.zeros(0), "n": 3, "z": torch.tensor([0.0, 1.0])}
    b = {"w": torch.tensor([[1.0, 2.0]]), "b": torch.zeros(0), "n": 4, "z": torch.tensor([0.0, 0.0])}
    rows = {row.path: row for row in compare(a, b)}
    assert set(rows) == {"b", "w", "z"}
    assert rows["w"] == ("w", (1, 2), 0.5, 0.25)
    assert rows["b"] == ("b", (0,), 0.0, 0.0)
    assert rows["z"] == ("z", (2,), 1.0, float("inf"))
    infinite = {"w": torch.tensor([float("inf"), -float("inf"), 1.0])}
    assert compare(infinite, infinite) == [("w", (3,), 0.0, 0.0)]
    with pytest.raises(ValueError, match=r"compare: expected trees of equal structure and shapes, but they differ"):
        compare({"w": torch.zeros(2)}, {"w": torch.zeros(3)})


def test_check_finite_accepts_finite_values():
    check_finite({"x": torch.ones(3), "labels": torch.tensor([1]), "name": "xor", "none": None})
    with pytest.raises(
        ValueError, match=r"the tree itself.* expected finite numbers in inputs, got inf at index \(1,\)"
    ):
        check_finite(torch.tensor([0.0, float("inf")]), "inputs")
