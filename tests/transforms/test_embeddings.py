"""Embeddings and bags of them under every transformation equal torch's, example by example."""

import pytest
import torch
from torch.nn import functional

import funcnet as fn

GENERATOR = torch.Generator().manual_seed(0)
TABLE = torch.randn(6, 3, dtype=torch.float64, generator=GENERATOR)
INDICES = torch.tensor([[1, 2, 4, 5, 2], [4, 3, 2, 1, 2], [0, 0, 5, 3, 2]])
OFFSETS = torch.tensor([0, 2, 2])
WEIGHTS = torch.randn(3, 5, dtype=torch.float64, generator=GENERATOR)
OPTIONS = {
    "sum": {"mode": "sum"},
    "mean": {"mode": "mean"},
    "max": {"mode": "max"},
    "padding": {"mode": "mean", "padding_idx": 2},
    "padding from the end": {"mode": "max", "padding_idx": -4},
    "last offset": {"mode": "mean", "offsets": torch.tensor([0, 3, 5]), "include_last_offset": True},
    "rows": {"mode": "mean", "offsets": None},
    "rows of weights": {"mode": "sum", "offsets": None, "weighted": True},
    "weights": {"mode": "sum", "padding_idx": 2, "weighted": True},
}


def loss(name, bag=functional.embedding_bag):
    options = {"offsets": OFFSETS} | OPTIONS[name]
    is_weighted = options.pop("weighted", False)

    def f(table, indices, weights):
        if options["offsets"] is None:
            indices, weights = indices[None], weights[None]
        return bag(indices, table, per_sample_weights=weights if is_weighted else None, **options).sin().sum()

    return f


def gradients(f, table):
    """Differentiate the loss of each example by torch's autograd."""
    rows = []
    for indices, weights in zip(INDICES, WEIGHTS, strict=True):
        leaves = [table.clone().requires_grad_(), weights.clone().requires_grad_()]
        rows.append(
            torch.autograd.grad(f(leaves[0], indices, leaves[1]), leaves, allow_unused=True, materialize_grads=True)
        )
    return tuple(map(torch.stack, zip(*rows, strict=True)))


TRANSFORMS = pytest.mark.parametrize(
    "transform", [lambda f: f, lambda f: fn.jit(f, backend="eager")], ids=["vmap", "jit"]
)


@pytest.mark.filterwarnings("error:There is a performance drop")
@TRANSFORMS
@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_per_example(name, transform):
    each = fn.vmap(fn.grad(loss(name), (0, 2)), in_dims=(None, 0, 0))
    torch.testing.assert_close(transform(each)(TABLE, INDICES, WEIGHTS), gradients(loss(name), TABLE))


@TRANSFORMS
def test_rows_by_frequency(transform):
    def f(table, indices, _):
        rows = functional.embedding(indices, table, scale_grad_by_freq=True)
        return rows.sum(0).sin().sum()

    def of_a_bag(table, indices, _):  # torch's kernel divides rows by the frequencies of others
        options = {"mode": "sum", "scale_grad_by_freq": True}
        return functional.embedding_bag(indices[None], table, **options).sin().sum()

    wanted = gradients(f, TABLE)[0]
    for loss in (f, of_a_bag):
        each = transform(fn.vmap(fn.grad(loss), in_dims=(None, 0, None)))
        torch.testing.assert_close(each(TABLE, INDICES, None), wanted)
    torch.testing.assert_close(fn.grad(f)(TABLE, INDICES[0], None), gradients(f, TABLE)[0][0])


@pytest.mark.slow
def test_a_kernel_of_all_modes():
    def each(*args):
        return [fn.vmap(fn.grad(loss(name), (0, 2)), in_dims=(None, 0, 0))(*args) for name in ("sum", "mean", "max")]

    wanted = [gradients(loss(name), TABLE) for name in ("sum", "mean", "max")]
    torch.testing.assert_close(fn.jit(each, backend="native")(TABLE, INDICES, WEIGHTS), wanted)


def test_a_gradient_of_equal_rows_goes_to_the_first():
    table = TABLE.round()
    each = fn.vmap(fn.grad(loss("max")), in_dims=(None, 0, 0))
    torch.testing.assert_close(each(table, INDICES, WEIGHTS), gradients(loss("max"), table)[0])


def test_the_largest_of_a_row_that_is_not_finite():
    table = TABLE.clone()
    table[4], table[5] = torch.nan, -torch.inf
    f = lambda i: functional.embedding_bag(i[None], table, mode="max")[0]  # noqa: E731
    found = fn.vmap(f)(torch.tensor([[4, 1], [5, 1], [5, 5], [1, 2]]))
    wanted = torch.stack([table[4], table[1], table[5], table[[1, 2]].amax(0)])
    torch.testing.assert_close(found, wanted, equal_nan=True)


def test_a_module_by_functional_call():
    bag = torch.nn.EmbeddingBag(6, 3, mode="max", padding_idx=1, dtype=torch.float64)

    def f(params, indices):
        return torch.func.functional_call(bag, params, (indices, OFFSETS)).sin().sum()

    params = {name: value.detach() for name, value in bag.named_parameters()}
    found = fn.jit(fn.vmap(fn.grad(f), in_dims=(None, 0)), backend="eager")(params, INDICES)
    wanted, _ = gradients(lambda table, indices, _: f({"weight": table}, indices), params["weight"])
    torch.testing.assert_close(found["weight"], wanted)


def test_an_ensemble_of_tables_in_forward_mode():
    f = lambda table: loss("mean")(table, INDICES[0], WEIGHTS[0])  # noqa: E731
    tables = torch.stack([TABLE, TABLE.cos()])
    tangents = fn.vmap(lambda table: fn.jvp(f, (table,), (torch.ones_like(table),))[1])(tables)
    torch.testing.assert_close(tangents, fn.vmap(fn.grad(f))(tables).sum((1, 2)))


@TRANSFORMS
def test_arguments_that_do_not_fit_get_torchs_error(transform):
    def f(i, **options):
        return transform(fn.vmap(lambda i: functional.embedding_bag(i, TABLE, **options)))(i)

    with pytest.raises(ValueError, match="offsets has to be a 1D Tensor"):
        f(INDICES)
    with pytest.raises(ValueError, match="mode has to be one of"):
        f(INDICES, offsets=OFFSETS, mode="min")
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        f(INDICES + 3, offsets=OFFSETS)
