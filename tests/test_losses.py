"""Losses against Optax's values and gradients, torch.nn.functional, finite differences and the limits of floats."""

import math

import pytest
import torch
import torch.nn.functional as F
from golden import load
from torch.testing import assert_close

import funcnet as fn

GOLDEN = load("losses")


def golden_inputs(name):
    first, second = GOLDEN[name]["inputs"]
    integers = name.endswith("integer_labels")
    return torch.tensor(first, dtype=torch.float64), torch.tensor(second, dtype=None if integers else torch.float64)


@pytest.mark.parametrize("name", GOLDEN)
def test_values_are_optax_s(name):
    values = getattr(fn.losses, name)(*golden_inputs(name))
    assert_close(values, torch.tensor(GOLDEN[name]["values"], dtype=torch.float64), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", GOLDEN)
def test_gradients_are_optax_s(name):
    predictions, targets = golden_inputs(name)
    gradient = fn.grad(lambda p: getattr(fn.losses, name)(p, targets).mean())(predictions)
    expected = torch.tensor(GOLDEN[name]["grad_of_mean_wrt_first"], dtype=torch.float64)
    assert_close(gradient, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", GOLDEN)
def test_vmap_equals_the_whole(name):
    predictions, targets = golden_inputs(name)
    loss = getattr(fn.losses, name)
    assert_close(fn.vmap(loss)(predictions, targets), loss(predictions, targets), rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("name", GOLDEN)
def test_second_derivatives_are_right(name):
    predictions, targets = golden_inputs(name)
    loss = getattr(fn.losses, name)
    fn.checking.check_grads(lambda p: loss(p, targets), (predictions,), order=2)


@pytest.mark.parametrize("dtype, logit", [(torch.float32, 1e30), (torch.float64, 1e300), (torch.float32, 60.0)])
def test_large_logits_stay_finite(dtype, logit):
    logits = torch.tensor([-logit, logit, -logit, logit, 0.0], dtype=dtype)
    labels = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0], dtype=dtype)
    values = fn.losses.sigmoid_binary_cross_entropy(logits, labels)
    assert_close(values, torch.tensor([0, 0, logit, logit, math.log(2)], dtype=dtype))
    gradient = fn.grad(lambda x: fn.losses.sigmoid_binary_cross_entropy(x, labels).sum())(logits)
    assert_close(gradient, torch.tensor([0, 0, -1, 1, -0.5], dtype=dtype))
    curvature = fn.hessian(lambda x: fn.losses.sigmoid_binary_cross_entropy(x, labels).sum())(logits)
    assert_close(curvature.diagonal(), torch.tensor([0, 0, 0, 0, 0.25], dtype=dtype))


def test_large_class_logits_stay_finite():
    logits, labels = torch.tensor([[1e30, 0.0, -1e30]]), torch.tensor([0])
    loss = fn.losses.softmax_cross_entropy_with_integer_labels
    assert_close(loss(logits, labels), torch.tensor([0.0]))
    assert_close(fn.grad(lambda x: loss(x, labels).sum())(logits), torch.zeros(1, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_binary_cross_entropy_is_bce_loss(dtype):
    probabilities = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.3, 1e-40, 0.999], dtype=dtype)
    labels = torch.tensor([0.0, 1.0, 1.0, 0.0, 0.25, 1.0, 1.0], dtype=dtype)
    values = fn.losses.binary_cross_entropy(probabilities, labels)
    assert_close(values, F.binary_cross_entropy(probabilities, labels, reduction="none"))
    assert values.max() == 100
    gradient = fn.grad(lambda p: fn.losses.binary_cross_entropy(p, labels).sum())(probabilities)
    assert gradient.isfinite().all()
    assert_close(gradient[4:5], torch.tensor([(0.3 - 0.25) / (0.3 * 0.7)], dtype=dtype))


def test_huber_with_another_delta_is_torch_s():
    predictions = torch.linspace(-4, 4, 33, dtype=torch.float64)
    expected = F.huber_loss(predictions, torch.zeros_like(predictions), reduction="none", delta=1.7)
    assert_close(fn.losses.huber_loss(predictions, delta=1.7), expected)
    assert_close(fn.losses.huber_loss(predictions, delta=torch.tensor(1.7, dtype=torch.float64)), expected)


def test_kl_divergence_ignores_impossible_classes():
    log_predictions = torch.tensor([0.25, 0.75]).log()
    value, gradient = fn.value_and_grad(fn.losses.kl_divergence)(log_predictions, torch.tensor([0.0, 1.0]))
    assert_close(value, torch.tensor(-math.log(0.75)))
    assert_close(gradient, torch.tensor([0.0, -1.0]))


def test_zero_vectors_have_a_cosine_with_epsilon():
    zero, one = torch.zeros(3), torch.ones(3)
    assert fn.losses.cosine_similarity(zero, one).isnan()
    assert fn.losses.cosine_distance(zero, one, epsilon=1e-8) == 1


@pytest.mark.parametrize("name", GOLDEN)
def test_empty_batches_give_empty_losses(name):
    predictions, targets = golden_inputs(name)
    assert getattr(fn.losses, name)(predictions[:0], targets[:0]).shape[0] == 0


@pytest.mark.parametrize("name", GOLDEN)
def test_shapes_must_agree(name):
    predictions, targets = golden_inputs(name)
    with pytest.raises(
        ValueError, match=rf"losses.*{name.replace('distance', 'similarity')}: expected targets of shape"
    ):
        getattr(fn.losses, name)(predictions, targets[:1])


def test_a_column_next_to_a_row_is_an_error_and_not_a_table():
    with pytest.raises(ValueError, match=r"expected targets of shape \(4, 1\).* got \(4,\)"):
        fn.losses.squared_error(torch.zeros(4, 1), torch.zeros(4))


def test_integer_labels_must_be_integers():
    with pytest.raises(TypeError, match="expected integer labels, got torch.float32"):
        fn.losses.softmax_cross_entropy_with_integer_labels(torch.zeros(2, 3), torch.zeros(2))
