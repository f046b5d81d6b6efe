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
def test_values_equal_optax_s(name):
    values = getattr(fn.losses, name)(*golden_inputs(name))
    assert_close(values, torch.tensor(GOLDEN[name]["values"], dtype=torch.float64), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", GOLDEN)
def test_gradients_equal_optax_s(name):
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


@pytest.mark.parametrize("dtype, precision", [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("label", [0.0, 1.0, 0.3])
def test_small_losses_are_as_precise_as_large_ones(dtype, precision, label):
    sizes = torch.tensor([0.5, 2, 5, 8, 10, 15, 20, 30, 50], dtype=dtype)
    logits = torch.cat([-sizes, torch.zeros(1, dtype=dtype), sizes])
    labels = torch.full_like(logits, label)

    def reference(x):
        y = labels.double()
        return y * torch.logaddexp(-x, torch.zeros_like(x)) + (1 - y) * torch.logaddexp(x, torch.zeros_like(x))

    def loss(x):
        return fn.losses.sigmoid_binary_cross_entropy(x, labels)

    def derivatives(f, x):
        slope = fn.grad(lambda x: f(x).sum())
        return f(x), slope(x), fn.jvp(slope, (x,), (torch.ones_like(x),))[1]

    for actual, expected in zip(derivatives(loss, logits), derivatives(reference, logits.double()), strict=True):
        assert_close(actual.double(), expected, rtol=precision, atol=0)


def test_the_derivatives_are_continuous_at_a_logit_of_0():
    labels = torch.tensor([0.0, 1.0, 0.3]).double()

    def loss(x, y):
        return fn.losses.sigmoid_binary_cross_entropy(x, y)

    for zero in (0.0, -0.0):
        logits = torch.full((3,), zero).double()
        assert_close(fn.vmap(fn.grad(loss))(logits, labels), 0.5 - labels)
        assert_close(fn.vmap(fn.hessian(loss))(logits, labels), torch.full((3,), 0.25).double())


def test_the_native_backend_supports_the_loss_of_the_lesson():
    logits, labels = torch.linspace(-30, 30, 61), torch.arange(61) % 2.0
    slope = fn.value_and_grad(lambda x, y: fn.losses.sigmoid_binary_cross_entropy(x, y).sum())
    compiled = fn.jit(slope)
    explained = compiled.explain(logits, labels)
    assert explained.backend == "native" or "compiler" in explained.reason
    for actual, expected in zip(compiled(logits, labels), slope(logits, labels), strict=True):
        assert_close(actual, expected, rtol=2e-6, atol=0)


@pytest.mark.parametrize("name", ["sigmoid_binary_cross_entropy", "binary_cross_entropy"])
def test_labels_may_be_bools_and_integers(name):
    predictions, labels = torch.tensor([0.2, 0.7, 0.9]), torch.tensor([True, False, True])
    expected = getattr(fn.losses, name)(predictions, labels.float())
    assert_close(getattr(fn.losses, name)(predictions, labels), expected)
    assert_close(getattr(fn.losses, name)(predictions, labels.int()), expected)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32])
def test_class_labels_may_be_of_any_integer_type(dtype):
    logits, labels = torch.tensor([[0.5, -1.0], [2.0, 0.25]]), torch.tensor([1, 0])
    values = fn.losses.softmax_cross_entropy_with_integer_labels(logits, labels.to(dtype))
    assert_close(values, F.cross_entropy(logits, labels, reduction="none"))


@pytest.mark.parametrize("dtype, large", [(torch.float32, 3e38), (torch.float64, 1e308), (torch.float16, 4e4)])
def test_log_cosh_of_large_errors_is_their_magnitude(dtype, large):
    errors = torch.tensor([-math.inf, -large, large, math.inf], dtype=dtype)
    assert_close(fn.losses.log_cosh(errors), errors.abs())
    assert_close(fn.grad(lambda e: fn.losses.log_cosh(e).sum())(errors), errors.sign())


def test_large_class_logits_stay_finite():
    logits, labels = torch.tensor([[1e30, 0.0, -1e30]]), torch.tensor([0])
    loss = fn.losses.softmax_cross_entropy_with_integer_labels
    assert_close(loss(logits, labels), torch.tensor([0.0]))
    assert_close(fn.grad(lambda x: loss(x, labels).sum())(logits), torch.zeros(1, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_binary_cross_entropy_equals_bce_loss(dtype):
    probabilities = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.3, 1e-40, 0.999], dtype=dtype)
    labels = torch.tensor([0.0, 1.0, 1.0, 0.0, 0.25, 1.0, 1.0], dtype=dtype)
    values = fn.losses.binary_cross_entropy(probabilities, labels)
    assert_close(values, F.binary_cross_entropy(probabilities, labels, reduction="none"))
    assert values.max() == 100
    gradient = fn.grad(lambda p: fn.losses.binary_cross_entropy(p, labels).sum())(probabilities)
    assert gradient.isfinite().all()
    assert_close(gradient[4:5], torch.tensor([(0.3 - 0.25) / (0.3 * 0.7)], dtype=dtype))
    clamped = torch.tensor([0.0, 1e-44], dtype=dtype)  # both have a logarithm below -100
    slopes = fn.grad(lambda p: fn.losses.binary_cross_entropy(p, torch.ones_like(p)).sum())(clamped)
    assert torch.equal(slopes, torch.zeros_like(slopes))
    curvature = fn.hessian(lambda p: fn.losses.binary_cross_entropy(p, labels).sum())(probabilities)
    assert curvature.isfinite().all()


def test_binary_cross_entropy_maps_and_differentiates():
    probabilities, labels = torch.tensor([0.1, 0.3, 0.5, 0.9]).double(), torch.tensor([1.0, 0.0, 0.25, 1.0]).double()
    loss = fn.losses.binary_cross_entropy
    assert_close(fn.vmap(loss)(probabilities, labels), loss(probabilities, labels), rtol=1e-15, atol=1e-15)
    fn.checking.check_grads(lambda p: loss(p, labels), (probabilities,), order=2)
    assert all(x.isnan() for x in fn.value_and_grad(loss)(torch.tensor(math.nan), torch.tensor(1.0)))


def test_huber_with_another_delta_equals_torch_s():
    predictions = torch.linspace(-4, 4, 33, dtype=torch.float64)
    expected = F.huber_loss(predictions, torch.zeros_like(predictions), reduction="none", delta=1.7)
    assert_close(fn.losses.huber_loss(predictions, delta=1.7), expected)
    assert_close(fn.losses.huber_loss(predictions, delta=torch.tensor(1.7, dtype=torch.float64)), expected)


@pytest.mark.parametrize("name", ["huber_loss", "log_cosh", "l2_loss"])
def test_the_curvature_at_no_error_is_1(name):
    loss = getattr(fn.losses, name)
    errors = torch.tensor([0.0, -0.0, 1e-3]).double()
    assert_close(fn.vmap(fn.grad(loss))(errors), errors, rtol=0, atol=1e-8)
    assert_close(fn.vmap(fn.hessian(loss))(errors), torch.ones(3).double(), rtol=0, atol=1e-5)


def test_kl_divergence_ignores_impossible_classes():
    certain = torch.tensor([0.0, 1.0])
    assert fn.losses.kl_divergence(certain.log(), certain) == 0
    assert fn.losses.kl_divergence(certain.log(), 1 - certain) == math.inf
    log_predictions = torch.tensor([0.25, 0.75]).log()
    value, gradient = fn.value_and_grad(fn.losses.kl_divergence)(log_predictions, torch.tensor([0.0, 1.0]))
    assert_close(value, torch.tensor(-math.log(0.75)))
    assert_close(gradient, torch.tensor([0.0, -1.0]))


def test_zero_vectors_have_a_cosine_with_epsilon():
    zero, one = torch.zeros(3), torch.ones(3)
    assert fn.losses.cosine_similarity(zero, one).isnan()
    assert fn.losses.cosine_distance(zero, one, epsilon=1e-8) == 1
    short = torch.tensor([3e-5, 4e-5]).double()  # its squared norm is a quarter of epsilon
    assert_close(fn.losses.cosine_similarity(short, short, epsilon=1e-8), torch.tensor(0.25).double())


@pytest.mark.parametrize("name", GOLDEN)
def test_empty_batches_give_empty_losses(name):
    predictions, targets = golden_inputs(name)
    assert getattr(fn.losses, name)(predictions[:0], targets[:0]).shape[0] == 0


@pytest.mark.parametrize("name", GOLDEN)
def test_shapes_must_agree(name):
    predictions, targets = golden_inputs(name)
    what = "a label for each row of logits, shape" if name.endswith("integer_labels") else "targets of shape"
    with pytest.raises(ValueError, match=rf"losses.{name.replace('distance', 'similarity')}: expected {what}"):
        getattr(fn.losses, name)(predictions, targets[:1])


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "softmax_cross_entropy_with_integer_labels"])
@pytest.mark.parametrize("shape", [(), (3, 0)])
def test_predictions_without_classes_are_an_error(name, shape):
    labels = torch.zeros(shape) if name == "softmax_cross_entropy" else torch.zeros(shape[:-1], dtype=torch.int64)
    with pytest.raises(ValueError, match=rf"{name}: expected logits of shape \(\*, classes\), got"):
        getattr(fn.losses, name)(torch.zeros(shape), labels)


def test_numbers_are_not_accepted_as_targets():
    with pytest.raises(TypeError, match=r"losses.squared_error: expected targets to be a tensor, got 0.0. Convert"):
        fn.losses.squared_error(torch.zeros(4), 0.0)


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("predictions", [[1.0, 2.0], torch.tensor([1, 2]), 3.0])
def test_predictions_must_be_floating(name, predictions):
    with pytest.raises(TypeError, match=r"losses.\w+: expected predictions to be a floating-point tensor, got"):
        getattr(fn.losses, name)(predictions, torch.ones(2))


@pytest.mark.parametrize("name", ["squared_error", "huber_loss", "log_cosh", "l2_loss"])
def test_predictions_without_targets_must_be_floating(name):
    with pytest.raises(TypeError, match=rf"losses.{name}: expected predictions to be a floating-point tensor, got 3"):
        getattr(fn.losses, name)(3)


def test_targets_of_another_device_are_an_error():
    with pytest.raises(ValueError, match="losses.l2_loss: expected targets on cpu, like the predictions.* on meta. Mo"):
        fn.losses.l2_loss(torch.zeros(2), torch.zeros(2, device="meta"))


def test_a_column_with_a_row_is_an_error_and_does_not_broadcast():
    with pytest.raises(ValueError, match=r"expected targets of shape \(4, 1\).* got \(4,\)"):
        fn.losses.squared_error(torch.zeros(4, 1), torch.zeros(4))


def test_integer_labels_must_be_integers():
    for labels, got in ((torch.zeros(2), "float32 tensor"), (torch.ones(2) > 0, "bool tensor"), ([0, 1], "list with")):
        with pytest.raises(TypeError, match=f"labels: expected a tensor of integer labels, got {got}"):
            fn.losses.softmax_cross_entropy_with_integer_labels(torch.zeros(2, 3), labels)


@pytest.mark.parametrize("name", GOLDEN)
def test_nan_propagates_to_the_value_and_the_gradient(name):
    predictions, targets = golden_inputs(name)
    value, gradient = fn.value_and_grad(lambda p: getattr(fn.losses, name)(p, targets).sum())(predictions * math.nan)
    assert value.isnan()
    assert gradient.isnan().any() or name in ("huber_loss", "hinge_loss", "kl_divergence")  # piecewise linear
