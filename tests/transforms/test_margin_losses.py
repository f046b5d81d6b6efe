"""Margin losses of several classes: values, gradients and second derivatives under vmap and jit."""

import pytest
import torch
from torch.nn import functional

import funcnet as fn

X = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(3, 4).mul(9).sin()
CLASSES = torch.tensor([2, 0, 3])
LABELS = torch.tensor([[3, 0, -1, 1], [-1, 2, 1, 0], [0, 1, 2, 3]])
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.0], dtype=torch.float64)
multi, multilabel = functional.multi_margin_loss, functional.multilabel_margin_loss
LOSSES = {
    "multi": (multi, CLASSES),
    "square": (lambda x, n: multi(x, n, p=2, margin=0.3), CLASSES),
    "weights": (lambda x, n: multi(x, n, weight=WEIGHT.to(x), reduction="sum"), CLASSES),
    "module": (torch.nn.MultiMarginLoss(p=2, reduction="none"), CLASSES),
    "multilabel": (multilabel, LABELS),
    "multilabel module": (torch.nn.MultiLabelMarginLoss(reduction="none"), LABELS),
}
TRANSFORMS = pytest.mark.parametrize("transform", [lambda f: f, lambda f: fn.jit(f, backend="eager")])


def gradient(f, x, labels):
    """Differentiate by torch's autograd."""
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(f(leaf, labels).sum(), leaf)[0]


@pytest.mark.parametrize("name", LOSSES)
def test_jit_equals_torch(name):
    f, labels = LOSSES[name]
    by_class = fn.jit(lambda *args: (f(*args), fn.grad(lambda *args: f(*args).sum())(*args)), backend="eager")
    torch.testing.assert_close(by_class(X, labels), (f(X, labels), gradient(f, X, labels)))
    torch.testing.assert_close(by_class(X[0], labels[0]), (f(X[0], labels[0]), gradient(f, X[0], labels[0])))


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", ["multi", "square", "multilabel"])
def test_special_scores_count_as_in_torch(name, number):
    f, labels = LOSSES[name]
    scores = torch.stack([X.index_fill(1, torch.tensor([axis]), number) for axis in range(4)])
    for transform in (fn.vmap, lambda f: fn.jit(fn.vmap(f), backend="eager")):
        losses = transform(lambda x: f(x, labels))(scores)
        torch.testing.assert_close(losses, torch.stack([f(x, labels) for x in scores]), equal_nan=True)
        gradients = transform(fn.grad(lambda x: f(x, labels)))(scores)
        expected = torch.stack([gradient(f, x, labels) for x in scores])
        torch.testing.assert_close(gradients, expected, equal_nan=True)


@pytest.mark.filterwarnings("error:There is a performance drop")
@TRANSFORMS
@pytest.mark.parametrize("name", LOSSES)
def test_vmap_equals_a_loop(name, transform):
    f, labels = LOSSES[name]
    rows = torch.stack([gradient(f, *each) for each in zip(X, labels, strict=True)])
    torch.testing.assert_close(transform(fn.vmap(fn.grad(lambda *args: f(*args).sum())))(X, labels), rows)
    ensemble = transform(fn.vmap(f, in_dims=(0, None)))(torch.stack([X, -X]), labels)
    torch.testing.assert_close(ensemble, torch.stack([f(X, labels), f(-X, labels)]))


@pytest.mark.slow
def test_a_kernel_and_its_second_derivative():
    def f(x):
        return multi(x, CLASSES, p=2) + multilabel(x.sin(), LABELS)

    both = fn.jit(lambda x: (fn.grad(f)(x), fn.jvp(fn.grad(f), (x,), (X,))[1]), backend="native")
    first, second = both(X)
    step = 1e-6 * X
    torch.testing.assert_close(first, gradient(lambda x, _: f(x), X, None))
    wanted = (fn.grad(f)(X + step) - fn.grad(f)(X - step)) / 2e-6
    torch.testing.assert_close(second, wanted, rtol=1e-6, atol=1e-8)


def test_the_gradient_at_the_margin_is_zero():
    x, label = torch.tensor([1.0, 0.0, 2.0]), torch.tensor(0)
    torch.testing.assert_close(fn.jit(fn.grad(multi), backend="eager")(x, label), gradient(multi, x, label))


@TRANSFORMS
def test_wrong_labels_are_errors(transform):
    for labels in (CLASSES + 1, CLASSES[:2], CLASSES.float()):
        with pytest.raises((RuntimeError, IndexError), match="out of|expected|target"):
            transform(fn.vmap(multi, in_dims=(0, None)))(X[None], labels)
    for labels in (LABELS + 1, LABELS[:2], LABELS.float()):
        with pytest.raises((RuntimeError, IndexError), match="out of|expected|target"):
            transform(fn.vmap(multilabel, in_dims=(0, None)))(X[None], labels)
    with pytest.raises(RuntimeError, match="weight"):
        transform(fn.vmap(lambda x: multi(x, CLASSES, weight=WEIGHT[:2])))(X[None])
    with pytest.raises(ValueError, match="p == 1 and p == 2"):
        transform(fn.vmap(lambda x: multi(x, CLASSES, p=3)))(X[None])
