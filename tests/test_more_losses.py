"""Losses with options against Optax's values and gradients, finite differences, and bad input."""

import golden
import pytest
import torch
from torch.testing import assert_close

import funcnet as fn

ROWS = golden.load("more_losses")
NAMES = [f"{row['name']}-{i}" for i, row in enumerate(ROWS)]
rows = pytest.mark.parametrize("row", ROWS, ids=NAMES)


def tensor(value):
    """Return a list of floats as float64, of integers or bools in their own dtype; other values unchanged."""
    if not isinstance(value, list):
        return value
    found = torch.tensor(value)
    return torch.tensor(value, dtype=torch.float64) if found.is_floating_point() else found


def call(row):
    """Return the loss as a function of the first argument, and this argument."""
    first, *rest = map(tensor, row["args"])
    options = {
        name: tuple(v) if name == "axis" and isinstance(v, list) else tensor(v) for name, v in row["options"].items()
    }
    return lambda p: getattr(fn.losses, row["name"])(p, *rest, **options), first


def expected(row, field):
    return torch.tensor(row[field], dtype=torch.float64)


@rows
def test_values_equal_those_of_optax(row):
    loss, p = call(row)
    assert_close(loss(p), expected(row, "values"), rtol=1e-11, atol=1e-12)


@rows
def test_gradients_equal_those_of_optax(row):
    loss, p = call(row)
    gradient = fn.grad(lambda p: loss(p).sum())(p)
    wanted = expected(row, "gradient")
    assert_close(gradient, torch.where(wanted.isnan(), gradient, wanted), rtol=1e-10, atol=1e-11)
    assert gradient.isfinite().all()


@pytest.mark.few(12)
@rows
def test_jitted_losses_equal_eager_ones(row):
    loss, p = call(row)
    assert_close(fn.jit(loss)(p), loss(p), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "softmax_cross_entropy_with_integer_labels"])
def test_a_row_without_classes_has_a_loss_and_a_gradient_of_zero(name):
    logits, where = torch.randn(2, 3).double(), torch.tensor([[True, False, True], [False] * 3])
    labels = torch.tensor([0, 1]) if name.endswith("labels") else torch.eye(3).double()[:2]

    def loss(x):
        return getattr(fn.losses, name)(x, labels, where=where)

    assert loss(logits)[1] == 0
    assert (fn.grad(lambda x: loss(x).sum())(logits)[1] == 0).all()


def test_a_fenchel_young_loss_of_logsumexp_is_the_cross_entropy():
    scores, labels = torch.randn(2, 4, 3).double(), torch.tensor([[0, 1, 2, 0], [2, 2, 1, 0]])
    loss = fn.losses.make_fenchel_young_loss(lambda s: s.logsumexp(-1))
    values = loss(scores, torch.eye(3).double()[labels])
    assert_close(values, fn.losses.softmax_cross_entropy_with_integer_labels(scores, labels))
    gradient = fn.grad(lambda s: loss(s, torch.eye(3).double()[labels]).sum())(scores)
    assert_close(gradient, scores.softmax(-1) - torch.eye(3).double()[labels])


def test_gradients_of_focal_and_sparsemax_losses_equal_finite_differences():
    logits, labels = torch.randn(7).double(), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0]).double()
    for name in ("sigmoid_focal_loss", "sparsemax_loss"):
        fn.checking.check_grads(lambda x, name=name: getattr(fn.losses, name)(x, labels), (logits,))


WRONG = {
    "dice_loss: expected the reduction": lambda: fn.losses.dice_loss(
        torch.ones(1, 2, 3), torch.ones(1, 2, 3), reduction="max"
    ),
    "ntxent: expected embeddings of shape": lambda: fn.losses.ntxent(torch.ones(3, 2), torch.zeros(2)),
    "ctc_loss: expected logits": lambda: fn.losses.ctc_loss(
        torch.ones(2, 5, 3), torch.zeros(2, 4), torch.ones(2, 2), torch.zeros(2, 2)
    ),
    "multiclass_hinge_loss: expected a label for each row": lambda: fn.losses.multiclass_hinge_loss(
        torch.ones(3, 2), torch.zeros(2, dtype=torch.long)
    ),
    "softmax_cross_entropy: expected logits of a shape with classes at axis 2": lambda: fn.losses.softmax_cross_entropy(
        torch.ones(3, 2), torch.ones(3, 2), axis=2
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_errors(message):
    with pytest.raises(ValueError) as info:
        WRONG[message]()
    assert message in str(info.value)


def test_sparsemax_is_exact_for_large_scores_and_takes_infinite_ones():
    loss, large = fn.losses.multiclass_sparsemax_loss, torch.tensor([1e6, 1e6 + 0.5, 1e6 - 2.0])
    expected = [loss(large - 1e6, torch.tensor(i)).item() for i in range(3)]
    assert [loss(large, torch.tensor(i)).item() for i in range(3)] == pytest.approx(expected, rel=1e-6)
    masked = torch.tensor([-torch.inf, 1.0, 2.0])
    assert loss(masked, torch.tensor(2)) == loss(masked[1:], torch.tensor(1))
    assert fn.grad(loss)(masked, torch.tensor(2)).tolist() == [
        0.0,
        *fn.grad(loss)(masked[1:], torch.tensor(1)).tolist(),
    ]
    assert loss(masked, torch.tensor(0)) == torch.inf
    assert loss(torch.full((3,), torch.nan), torch.tensor(0)).isnan()


def test_masks_of_no_class_give_losses_and_gradients_of_zero():
    nothing, targets = torch.tensor([False, False, False]), torch.tensor([0.2, 0.3, 0.5])
    for scores in (torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-torch.inf, torch.inf, 1e38])):
        for loss in (fn.losses.kl_divergence, fn.losses.ranking_softmax_loss):
            f = lambda s, loss=loss: loss(s, targets, where=nothing)  # noqa: E731
            assert f(scores) == 0 and not fn.grad(f)(scores).any()


def test_kinks_and_missing_labels_have_the_values_of_optax():
    one = torch.ones(2)
    assert fn.grad(lambda p: fn.losses.perceptron_loss(p, one).sum())(torch.tensor([0.0, -1.0])).tolist() == [-0.5, -1]
    assert fn.grad(lambda p: fn.losses.hinge_loss(p, one).sum())(torch.tensor([1.0, 2.0])).tolist() == [-0.5, 0]
    logits, where = torch.tensor([1.5, -2.0, 0.25]), torch.tensor([True, True, False])
    loss = lambda x: fn.losses.softmax_cross_entropy_with_integer_labels(x, torch.tensor(2), where=where)  # noqa: E731
    assert_close(loss(logits), torch.tensor(1.2797504663467407))
    assert_close(fn.grad(loss)(logits), torch.tensor([0.970687747001648, 0.02931223064661026, -1.0]))
    scores = torch.stack([logits, logits])
    only_first = torch.stack([where, where & False])
    options = {"where": only_first, "reduce_fn": fn.numpy.mean}
    assert_close(
        fn.losses.ranking_softmax_loss(scores, scores, **options),
        fn.losses.ranking_softmax_loss(scores, scores, where=only_first),
    )
