"""Wrong input to the functions of per-example gradients raises a clear error."""

import pytest
import torch

import funcnet as fn
from funcnet.curvature import clipped_mean, per_example_grad_norms, per_example_grads


def zero(p, x):
    return (p["w"] * x).sum()


W = {"w": torch.ones(2)}
ERRORS = {
    "unequal axes": (
        lambda: per_example_grads(zero)(W, {"x": torch.zeros(4, 2)}, torch.zeros(3)),
        ValueError,
        r"per_example_grads: expected batch arguments with one leading axis.*\{'0.x': \(4, 2\), '1': \(3,\)\}",
    ),
    "no axis": (
        lambda: per_example_grad_norms(zero)(W, torch.zeros(4, 2), torch.tensor(1.0)),
        ValueError,
        r"per_example_grad_norms: expected batch .*'1': \(\)\}.* functools.partial",
    ),
    "no batch": (lambda: clipped_mean(zero, 1.0)(W), ValueError, r"clipped_mean: expected .* got shapes of no tensor"),
    "no example": (
        lambda: clipped_mean(zero, 1.0)(W, torch.zeros(0, 2)),
        ValueError,
        r"clipped_mean: expected at least one example",
    ),
    "a loss of a batch": (
        lambda: per_example_grads(lambda p, x: p["w"] * x)(W, torch.zeros(4, 2)),
        TypeError,
        r"grad: expected f to return a 0-d floating-point tensor, got float32 tensor of shape \(2,\)",
    ),
    "no chunk": (
        lambda: per_example_grads(zero, chunk_size=0)(W, torch.zeros(4, 2)),
        ValueError,
        r"expected a chunk_size of at least 1.* got 0",
    ),
    "clipped to nothing": (lambda: clipped_mean(zero, 0.0), ValueError, r"expected a max_norm above 0, got 0.0"),
    "negative noise": (lambda: clipped_mean(zero, 1.0, noise_multiplier=-1), ValueError, r"noise_multiplier .* got -1"),
    "noise without a key": (
        lambda: clipped_mean(zero, 1.0, noise_multiplier=2.0)(W, torch.zeros(4, 2)),
        ValueError,
        r"expected a key for noise_multiplier 2.0, got none. Pass key=",
    ),
    "a key without noise": (
        lambda: clipped_mean(zero, 1.0)(W, torch.zeros(4, 2), key=fn.random.key(0)),
        ValueError,
        r"got a key, but no noise_multiplier",
    ),
    "an impure loss": (
        lambda: per_example_grad_norms(Impure())({"w": torch.ones(2, 2)}, torch.zeros(4, 2)),
        ValueError,
        r"per_example_grad_norms: expected the loss to use its parameters in the same way in every call",
    ),
}


class Impure:
    calls = 0

    def __call__(self, p, x):
        self.calls += 1
        return (x @ p["w"]).sum() if self.calls == 1 else (x * p["w"]).sum()


@pytest.mark.parametrize("call, error, message", ERRORS.values(), ids=ERRORS)
def test_bad_input_gets_a_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
