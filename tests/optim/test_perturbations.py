"""Perturbed functions: the numbers of optax.perturbations, and the derivatives of softmax."""

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn
from funcnet.optim.perturbations import Gumbel, Normal, make_perturbed_fun

X = {"u": torch.tensor([0.3, -1.0, 0.5], dtype=torch.float64), "v": torch.tensor([[1.0, 2.0]]).double()}
# by optax.perturbations.make_perturbed_fun(f, 50, 0.4, noise, use_baseline) with key 3: a, b, gradients for u and v
OPTAX = {
    (Gumbel, True): (
        [3.41741114, 1.30803709, -2.31279454],
        1.46,
        [3.33099344, 2.11983065, 4.30126966],
        [[1.17866045, 2.63858539]],
    ),
    (Gumbel, False): (
        [3.41741114, 1.30803709, -2.31279454],
        1.46,
        [3.40556009, 2.70589747, 5.12609394],
        [[0.74287821, 3.04723767]],
    ),
    (Normal, True): (
        [2.0266455, 0.62667246, -2.73266241],
        1.52,
        [1.38012546, 2.5767237, 2.9096798],
        [[0.5930706, 0.6517696]],
    ),
    (Normal, False): (
        [2.0266455, 0.62667246, -2.73266241],
        1.52,
        [1.38518745, 3.25096856, 3.43852499],
        [[0.1059759, 0.94658516]],
    ),
}


def f(x):
    return {"a": x["u"].sort(descending=True).values * x["v"].sum(), "b": x["u"].argmax().double()}


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("noise, baseline", OPTAX)
def test_values_and_gradients_equal_those_of_optax(noise, baseline, jitted):
    perturbed = make_perturbed_fun(f, 50, 0.4, noise(), baseline)

    def both(x):
        values = perturbed(fn.random.key(3), x)
        return values["a"].sum() + values["b"], values

    call = fn.value_and_grad(both, has_aux=True)
    (_, values), gradient = (fn.jit(call) if jitted else call)(X)
    found = values["a"], values["b"], gradient["u"], gradient["v"]
    for ours, theirs in zip(found, OPTAX[noise, baseline], strict=True):
        assert_close(ours, torch.tensor(theirs, dtype=torch.float64), rtol=2e-7, atol=2e-7)


def test_the_perturbed_argmax_has_the_derivatives_of_softmax():
    perturbed = make_perturbed_fun(lambda x: torch.nn.functional.one_hot(x.argmax(-1), 3).double(), 100_000, 1.0)
    x = X["u"]
    jacobian = fn.jacrev(lambda x: perturbed(fn.random.key(0), x))(x)
    assert_close(jacobian, fn.jacrev(lambda x: x.softmax(-1))(x), rtol=0, atol=0.02)
