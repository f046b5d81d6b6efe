"""Wrong arguments of samplers raise errors that name the argument, the expected and the actual value."""

import math

import pytest
import torch

from funcnet import random

KEY = torch.zeros(2, dtype=torch.int32)
A_KEY = "an int32 tensor of shape \\(2,\\)"

ERRORS = {
    "a gamma number of 0": (
        lambda: random.gamma(KEY, 0.0),
        ValueError,
        "random.gamma: expected a to be positive, got 0.0",
    ),
    "a beta number of NaN": (
        lambda: random.beta(KEY, 1.0, math.nan),
        ValueError,
        "random.beta: expected b to be positive, got nan",
    ),
    "a negative mean count": (
        lambda: random.poisson(KEY, -1.0),
        ValueError,
        "random.poisson: expected lam to be at least 0, got -1.0",
    ),
    "counts as floats": (
        lambda: random.poisson(KEY, 1.0, dtype=torch.float32),
        TypeError,
        "random.poisson: expected dtype int8, .*got float32",
    ),
    "an integer gamma number": (
        lambda: random.gamma(KEY, 1.0, dtype=torch.int32),
        TypeError,
        "random.gamma: expected dtype float32, .*got int32",
    ),
    "parameters that do not fit together": (
        lambda: random.beta(KEY, torch.ones(2), torch.ones(3)),
        ValueError,
        r"random.beta: expected parameters that broadcast together, got a of shape \(2,\), b of shape \(3,\)",
    ),
    "a parameter that does not fit the shape": (
        lambda: random.pareto(KEY, torch.ones(2), (3,)),
        ValueError,
        r"random.pareto: expected b to broadcast to shape \(3,\), got float32 tensor of shape \(2,\)",
    ),
    "too few integers to choose from": (
        lambda: random.choice(KEY, 2, (3,), replace=False),
        ValueError,
        "random.choice: expected at least 3 to draw 3 from without replacement, got 2",
    ),
    "nothing to choose from": (
        lambda: random.choice(KEY, 0, (3,)),
        ValueError,
        "random.choice: expected at least 1 to draw 3 from, got 0",
    ),
    "a choice from a list": (
        lambda: random.choice(KEY, [1, 2]),
        TypeError,
        r"random.choice: expected an int, or a tensor of at least one axis, got \[1, 2\]",
    ),
    "probabilities of another number": (
        lambda: random.choice(KEY, 3, p=torch.ones(2)),
        ValueError,
        r"random.choice: expected p to be a tensor of shape \(3,\), got float32 tensor of shape \(2,\)",
    ),
    "too many distinct categories": (
        lambda: random.categorical(KEY, torch.zeros(2), shape=(3,), replace=False),
        ValueError,
        "random.categorical: expected a shape .* of at most 2 draws without replacement, got",
    ),
    "an unknown factorisation": (
        lambda: random.multivariate_normal(KEY, torch.zeros(2), torch.eye(2), method="lu"),
        ValueError,
        "random.multivariate_normal: expected method to be .*, got 'lu'",
    ),
    "a covariance of another size": (
        lambda: random.multivariate_normal(KEY, torch.zeros(3), torch.eye(2)),
        ValueError,
        r"expected cov of shape \(\*, 3, 3\), as mean has 3 elements, got float32 tensor of shape \(2, 2\)",
    ),
    "concentrations in a list": (
        lambda: random.dirichlet(KEY, [1.0, 2.0]),
        TypeError,
        "random.dirichlet: expected alpha to be a tensor",
    ),
    "probabilities in a list": (
        lambda: random.multinomial(KEY, 3, [0.5, 0.5]),
        TypeError,
        "random.multinomial: expected p to be a floating-point tensor",
    ),
    "key data of int32": (
        lambda: random.wrap_key_data(KEY),
        TypeError,
        "random.wrap_key_data: expected a uint32 tensor",
    ),
    "no key": (
        lambda: random.uniform(torch.zeros(3)),
        TypeError,
        f"random.uniform: expected a key, {A_KEY}, got float32 tensor of shape \\(3,\\). Make one",
    ),
    "a seed for a key": (
        lambda: random.normal(0),
        TypeError,
        f"random.normal: expected a key, {A_KEY}, got 0. Make one",
    ),
    "an int64 key": (lambda: random.split(KEY.long()), TypeError, "random.split: expected a key, .* got int64 tensor"),
    "a batch of keys": (
        lambda: random.permutation(random.split(KEY, 4), 3),
        ValueError,
        f"random.permutation: expected one key, {A_KEY}, got int32 tensor of shape \\(4, 2\\). For a batch",
    ),
    "a batch to fold": (lambda: random.fold_in(random.split(KEY), 1), ValueError, "random.fold_in: expected one key"),
    "data of no key": (lambda: random.key_data(KEY[:1]), TypeError, "random.key_data: expected a key"),
    "a seed of 65 bits": (lambda: random.key(2**64), ValueError, "random.key: expected seed to have at most 64 bits"),
    "a negative seed of 65 bits": (lambda: random.key(-(2**63) - 1), ValueError, "expected seed to have at most 64"),
    "a bool seed": (lambda: random.key(True), TypeError, "random.key: expected seed to be an int .*got True"),
    "data of 65 bits": (
        lambda: random.fold_in(KEY, 2**64),
        ValueError,
        "random.fold_in: expected data to have at most",
    ),
    "a probability above 1": (
        lambda: random.bernoulli(KEY, 2.0),
        ValueError,
        r"random.bernoulli: expected p to be a probability in \[0, 1\], got 2.0",
    ),
    "a probability that is NaN": (lambda: random.bernoulli(KEY, math.nan), ValueError, "a probability in .*got nan"),
    "bounds in the wrong order": (
        lambda: random.uniform(KEY, (2,), minval=2.0, maxval=1.0),
        ValueError,
        "random.uniform: expected minval to be at most maxval, got 2.0 and 1.0",
    ),
    "a bound that is NaN": (
        lambda: random.uniform(KEY, maxval=math.nan),
        ValueError,
        "at most maxval, got 0.0 and nan",
    ),
    "truncation in the wrong order": (
        lambda: random.truncated_normal(KEY, 1, -1),
        ValueError,
        "random.truncated_normal: expected lower to be at most upper, got 1 and -1",
    ),
    "a float seed": (
        lambda: random.key(0.5),
        TypeError,
        "random.key: expected seed to be an int or a 0-d integer tensor, got 0.5.",
    ),
    "several seeds": (
        lambda: random.key(torch.arange(3)),
        TypeError,
        "random.key: expected seed .* got int64 tensor of shape \\(3,\\). For several of them use vmap.",
    ),
    "float data": (
        lambda: random.fold_in(KEY, torch.ones(())),
        TypeError,
        "random.fold_in: expected data to be an int",
    ),
    "signed bits": (
        lambda: random.bits(KEY, 3, torch.int32),
        TypeError,
        "random.bits: expected dtype uint8, .* got int32.",
    ),
    "integer uniforms": (
        lambda: random.uniform(KEY, 3, torch.int64),
        TypeError,
        "random.uniform: expected dtype float32, float64, float16, bfloat16, got int64.",
    ),
    "integer normals": (lambda: random.normal(KEY, 3, torch.int64), TypeError, "random.normal: expected dtype float32"),
    "float integers": (
        lambda: random.randint(KEY, 3, 0, 2, torch.float32),
        TypeError,
        "random.randint: expected dtype int8, .* got float32.",
    ),
    "integer p": (
        lambda: random.bernoulli(KEY, torch.ones((), dtype=torch.int64)),
        TypeError,
        "random.bernoulli: expected dtype",
    ),
    "integer logits": (
        lambda: random.categorical(KEY, torch.arange(3)),
        TypeError,
        "random.categorical: expected dtype",
    ),
    "logits for another shape": (
        lambda: random.categorical(KEY, torch.zeros(3, 4), shape=(2,)),
        ValueError,
        "random.categorical: expected logits to broadcast to shape \\(2, 4\\), got float32 tensor of shape \\(3, 4\\).",
    ),
    "an axis that is not there": (
        lambda: random.categorical(KEY, torch.zeros(3), 1),
        IndexError,
        "Dimension out of range",
    ),
    "a bound for another shape": (
        lambda: random.uniform(KEY, (3,), minval=torch.zeros(4)),
        ValueError,
        "random.uniform: expected minval to broadcast to shape \\(3,\\), got float32 tensor of shape \\(4,\\).",
    ),
    "a negative size": (
        lambda: random.normal(KEY, (2, -1)),
        ValueError,
        "random.normal: expected a shape of non-negative ints",
    ),
    "half a size": (
        lambda: random.uniform(KEY, (2.5,)),
        ValueError,
        r"random.uniform: expected a shape of non-negative ints, got \(2.5,\)",
    ),
    "a float for a shape": (
        lambda: random.split(KEY, 2.0),
        ValueError,
        r"random.split: expected a shape of non-negative ints, got \(2.0,\)",
    ),
    "integers between fractions": (
        lambda: random.randint(KEY, 3, 0.5, 2),
        TypeError,
        "random.randint: expected minval to be an int or an integer tensor, got 0.5",
    ),
    "integers below a fraction": (
        lambda: random.randint(KEY, 3, 0, torch.tensor(2.5)),
        TypeError,
        r"random.randint: expected maxval to be .* got float32 tensor of shape \(\)",
    ),
    "integers beyond int64": (
        lambda: random.randint(KEY, 3, 0, 2**63, torch.int64),
        ValueError,
        "random.randint: expected maxval in the range of int64, got 9223372036854775808",
    ),
    "a list of logits": (
        lambda: random.categorical(KEY, [0.0, 1.0]),
        TypeError,
        r"random.categorical: expected logits to be a tensor, got \[0.0, 1.0\]",
    ),
    "a permutation of minus one": (
        lambda: random.permutation(KEY, -1),
        ValueError,
        "random.permutation: expected a shape",
    ),
    "a permutation of a list": (
        lambda: random.permutation(KEY, [1, 2]),
        TypeError,
        "random.permutation: expected an int, or a tensor of at least one axis, got \\[1, 2\\].",
    ),
}


@pytest.mark.parametrize("call, error, message", ERRORS.values(), ids=ERRORS)
def test_bad_input_gets_a_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
