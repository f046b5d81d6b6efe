"""Errors of lookups and labels inside jit, and operations without results."""

import pytest
import torch
from backends import mostly_slow
from torch import Tensor
from torch.nn import functional

import funcnet as fn
from funcnet.compiler import jit

BACKENDS = ("native", "eager")


LOOKUPS = {
    "embedding": lambda w, i: functional.embedding(i, w),
    "embedding_rows": lambda w, i: functional.embedding(i[None], w),
    "embedding_grad": fn.grad(lambda w, i: functional.embedding(i, w).sum()),
    "embedding_grad_rows": fn.grad(lambda w, i: functional.embedding(i[None], w).sum()),
    "index_add": lambda w, i: w.index_add(0, i, w[:2]),
    "index_add_in_place": lambda w, i: w.clone().index_add_(0, i, w[:2], alpha=2),
    "index_add_columns": lambda w, i: w.index_add(1, i, w[:, :2]),
    "index_copy": lambda w, i: w.index_copy(0, i, w[:2]),
    "index_select": lambda w, i: w.index_select(0, i),
    "gather": lambda w, i: w.gather(0, i[:, None]),
    "scatter": lambda w, i: w.scatter(0, i[:, None], w),
    "scatter_add": lambda w, i: w.scatter_add(0, i[:, None], w),
    "nll_loss": lambda w, i: functional.nll_loss(w[:2], i),
    "cross_entropy": lambda w, i: functional.cross_entropy(w[:2], i),
    "cross_entropy_grad": fn.grad(lambda w, i: functional.cross_entropy(w[:2], i)),
    "multi_margin_loss": lambda w, i: functional.multi_margin_loss(w[:2], i),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("last", [3, -1])
@pytest.mark.parametrize("name", mostly_slow(LOOKUPS, ("embedding_rows", "embedding_grad", "index_add")))
def test_an_index_that_torch_refuses(name: str, last: int, backend: str) -> None:
    f, w = LOOKUPS[name], torch.arange(9.0).reshape(3, 3)
    good, bad = torch.tensor([0, 2]), torch.tensor([0, last])
    torch.testing.assert_close(jit(f, backend=backend)(w, good), f(w, good))
    with pytest.raises((IndexError, RuntimeError)):
        f(w, bad)
    with pytest.raises((IndexError, RuntimeError), match="out of|out-of"):
        jit(f, backend=backend)(w, bad)


POOLED = {
    "1d": (functional.max_unpool1d, torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[[0, 3], [1, 2]]])),
    "2d": (functional.max_unpool2d, torch.tensor([[[[1.0]], [[3.0]]]]), torch.tensor([[[[2]], [[1]]]])),
    "3d": (functional.max_unpool3d, torch.tensor([[[[1.0]]], [[[3.0]]]]), torch.tensor([[[[2]]], [[[1]]]])),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", mostly_slow(POOLED, ("1d",)))
def test_an_index_of_unpooling_outside_its_volume(name: str, backend: str) -> None:
    pool, x, good = POOLED[name]
    f = lambda x, index: pool(x, index, 2)  # noqa: E731
    torch.testing.assert_close(jit(f, backend=backend)(x, good), f(x, good))
    torch.testing.assert_close(jit(fn.vmap(f), backend=backend)(x[None], good[None])[0], f(x, good))
    for index in (-1, 8 if name == "3d" else 4):  # of the first of two volumes; 8 or 4 would be in the second
        bad = good.flatten().index_fill(0, torch.tensor(0), index).reshape(good.shape)
        with pytest.raises(RuntimeError, match="invalid max index"):
            f(x, bad)
        with pytest.raises(IndexError, match="out of"):
            jit(f, backend=backend)(x, bad)
        with pytest.raises(IndexError, match="out of"):
            jit(fn.vmap(f), backend=backend)(torch.stack([x] * 2), torch.stack([good, bad]))


FILLS = {
    "number": lambda w, i: w.index_fill(0, i, 5.0),
    "tensor": lambda w, i: w.index_fill(1, i, w[0, 1]),
    "in_place": lambda w, i: w.clone().index_fill_(-1, i, 5.0),
    "0-d": lambda w, i: w[0, 0].index_fill(0, i[:1] * 0 - 1, 5.0) + i,
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", FILLS)
def test_filled_rows_count_from_the_end(name: str, backend: str) -> None:
    f, w = FILLS[name], torch.arange(9.0).reshape(3, 3)
    index = torch.tensor([0, -1])
    torch.testing.assert_close(jit(f, backend=backend)(w, index), f(w, index))
    for bad in ([0, -4], [3, 1])[: 0 if name == "0-d" else 2]:
        with pytest.raises(IndexError):
            jit(f, backend=backend)(w, torch.tensor(bad))


LABELS = [[2, 0, -1], [1, -1, 0], [-1, 0, 1], [1, 1, 1], [0, 1, 2]]


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_labels_end_at_the_first_negative_one(reduction: str) -> None:
    f = lambda x, labels: functional.multilabel_margin_loss(x, labels, reduction=reduction)  # noqa: E731
    x, labels = torch.linspace(-1, 1, 15).reshape(5, 3).sin(), torch.tensor(LABELS)
    torch.testing.assert_close(jit(f)(x, labels), f(x, labels))
    torch.testing.assert_close(jit(f)(x[0], labels[0]), f(x[0], labels[0]))
    torch.testing.assert_close(
        jit(fn.vmap(f))(x, labels), torch.stack([f(*row) for row in zip(x, labels, strict=True)])
    )
    with pytest.raises(IndexError):
        jit(f)(x, labels - 1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}, {"padding_idx": -1}, {"scale_grad_by_freq": True}])
def test_gradients_of_an_embedding(options: dict, backend: str) -> None:
    w, i = torch.randn(4, 3, dtype=torch.float64), torch.tensor([[0, 1, 1], [3, 1, 0]])
    g = torch.arange(18.0, dtype=torch.float64).reshape(2, 3, 3)
    leaf = w.clone().requires_grad_()
    (functional.embedding(i, leaf, **options) * g).sum().backward()
    f = fn.grad(lambda w, i: (functional.embedding(i, w, **options) * g).sum())
    torch.testing.assert_close(jit(f, backend=backend)(w, i), leaf.grad)
    torch.testing.assert_close(jit(fn.vmap(f, in_dims=(None, 0)), backend=backend)(w, i[None])[0], leaf.grad)


SEEN = []


@pytest.fixture(scope="module")
def note():
    library = torch.library.Library("funcnet_tests", "DEF")
    library.define("note(Tensor x) -> ()")
    library.impl("note", lambda x: SEEN.append(x.item()), "CPU")
    library.impl("note", lambda x: None, "Meta")
    yield torch.ops.funcnet_tests.note
    library._destroy()


def test_an_operation_without_results_runs_at_every_step(note) -> None:
    def run(x: Tensor) -> Tensor:
        return fn.scan(lambda c, _: (c + 1, note(c)), x, length=3)[0]

    call = jit(run)
    assert call(torch.tensor(1.0)) == 4 and SEEN == [1.0, 2.0, 3.0]
    assert "note" in call.explain(torch.tensor(1.0)).reason
