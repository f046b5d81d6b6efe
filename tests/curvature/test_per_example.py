"""Per-example gradients, their norms and clipped means equal a loop, for all uses of the parameters in the loss."""

import pytest
import torch
from curvature_reference import BATCH, PARAMS, V, golden, mlp, squared
from tables import IN_USE, TREES, numbers
from torch.nn import functional
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree
from funcnet.curvature import clipped_mean, per_example_grad_norms, per_example_grads, per_example_norms

EXACT = {"rtol": 1e-12, "atol": 1e-14}
P = {"b": numbers(4), "v": numbers(4, 4, seed=1), "w": numbers(4, 4, seed=2)}
X, XS, LONG = numbers(6, 4, seed=3), numbers(6, 2, 4, seed=4), numbers(6, 9, 4, seed=5)
PLACES = torch.tensor([[0, 2, -1], [3, 3, 3], [1, 0, 1], [-4, 0, 2]])
LINEAR = torch.nn.Linear(4, 4).double()


def loop(f, *batch):
    """Apply f to each example separately and stack the results; leaves that are not tensors are shared."""
    return tree.stack([f(*example) for example in tree.unstack(batch)])


def loop_norms(loss, params, *batch):
    return loop(lambda *example: tree.norm(fn.grad(loss)(params, *example)), *batch)


def with_module(p, x):
    return torch.func.functional_call(LINEAR, {"weight": p["w"], "bias": p["b"]}, (x,)).tanh().sum()


# name: (loss, batch, indices of the leaves b, v, w whose gradients have to be built)
LOSSES = {
    "x w": (lambda p, x: ((x @ p["w"] + p["b"]).tanh() @ p["v"]).square().sum(), X, {0}),
    "rows": (lambda p, x: ((x @ p["w"] + p["b"]).tanh() @ p["v"]).square().sum(), XS, {0}),
    "many rows": (lambda p, x: (torch.mm(x, p["w"]).tanh() @ p["v"]).square().sum(), LONG, {0}),
    "linear": (
        lambda p, x: functional.linear(functional.linear(x, p["w"], p["b"]).tanh(), p["v"]).exp().sum(),
        XS,
        {0},
    ),
    "addmm": (lambda p, x: torch.addmm(p["b"], x, p["w"]).tanh().matmul(p["v"]).sum(), XS, {0}),
    "module": (with_module, X, {0, 1}),
    "transposed": (lambda p, x: ((x @ p["w"].T + p["b"]).tanh() @ p["v"].t().mT.mT).square().sum(), XS, {0}),
    "columns": (lambda p, x: (p["v"].T @ (p["w"] @ x + p["b"]).tanh()).square().sum(), X, {0}),
    "rows as columns": (lambda p, x: (p["v"] @ (p["w"].mT @ x.T).tanh()).square().sum(), XS, {0}),
    "twice": (lambda p, x: ((x @ p["w"]).tanh() @ p["w"] @ p["v"]).square().sum(), X, {0}),
    "tied": (lambda p, x: ((x @ p["w"]).tanh() @ p["w"].T @ p["v"]).square().sum(), X, {0}),
    "tied linear": (
        lambda p, x: (functional.linear((x @ p["w"]).tanh(), p["w"]) @ p["v"]).square().sum(),
        X,
        {0},
    ),
    "tied columns": (lambda p, x: (p["v"] @ (p["w"] @ (x @ p["w"]).tanh())).square().sum(), X, {0}),
    "recurrent": (
        lambda p, x: fn.scan(lambda h, row: ((row @ p["w"] + h @ p["v"]).tanh(), None), p["b"], x)[0].sum(),
        XS,
        {0},
    ),
    "lookup": (lambda p, i: (p["w"][i] @ p["v"]).tanh().sum(), PLACES, {0}),
    "lookup of one": (lambda p, i: (p["w"][i] @ p["v"]).tanh().sum(), PLACES[:, 0], {0}),
    "tied lookup": (
        lambda p, i: (functional.embedding(i % 4, p["w"]) @ p["v"]).tanh().matmul(p["w"].T).logsumexp(-1).sum(),
        PLACES[:, :2],
        {0},
    ),
    "lookup and many rows": (
        lambda p, i: (functional.embedding(i % 4, p["w"]) @ p["v"]).tanh().matmul(p["w"].T).logsumexp(-1).sum(),
        PLACES,
        {0},
    ),
    "lookup with padding": (
        lambda p, i: (functional.embedding(i % 4, p["w"], padding_idx=0) @ p["v"]).tanh().sum(),
        PLACES,
        {0, 2},
    ),
    "lookup of columns": (lambda p, i: (p["w"].T[i] @ p["v"]).tanh().sum(), PLACES, {0, 2}),
    "also decayed": (lambda p, x: (x @ p["w"] @ p["v"]).sin().sum() + p["w"].square().sum(), X, {0, 2}),
    "square": (lambda p, x: (x @ (p["w"] @ p["w"]) @ p["v"]).square().sum(), X, {0, 2}),
    "product of two": (lambda p, x: (x @ (p["w"] @ p["v"])).square().sum(), X, {0, 2}),
    "batched": (lambda p, x: torch.matmul(p["w"], x.reshape(2, 2, 2).repeat(1, 2, 1)).sin().sum(), XS, {0, 1, 2}),
    "cast": (lambda p, x: (x @ p["w"].double()).sin().sum() + (x.float() @ p["v"].float()).sum(), X, {0, 1}),
    "remat": (lambda p, x: fn.remat(lambda w, x: (x @ w).tanh())(p["w"], x) @ p["v"] @ p["b"], X, {0, 2}),
    "also rematerialised": (
        lambda p, x: (x @ p["w"]).sin().sum() + fn.remat(lambda w: w.square().sum())(p["w"]),
        X,
        {0, 1, 2},
    ),
    "vmap inside": (lambda p, x: fn.vmap(lambda w, r: r @ w, (None, 0))(p["w"], x).square().sum(), XS, {0, 1, 2}),
    "vmap over rows": (
        lambda p, x: fn.vmap(lambda w: (x * w).sin().sum())(p["w"]).square().sum() + (x @ p["w"]).sum(),
        X,
        {0, 1, 2},
    ),
    "grad inside": (
        lambda p, x: tree.norm(fn.grad(lambda x: (x @ p["w"]).tanh().sum())(x)) + (x @ p["w"]).sum(),
        X,
        {0, 1, 2},
    ),
    "unused": (lambda p, x: (x @ p["w"]).sum(), X, {0, 1}),
}
losses = pytest.mark.parametrize("loss, batch, built", LOSSES.values(), ids=LOSSES)


@losses
def test_norms_equal_a_loop_and_build_only_necessary_gradients(loss, batch, built):
    expected = loop_norms(loss, P, batch)
    for chunk_size in (None, 4):
        assert_close(per_example_grad_norms(loss, chunk_size=chunk_size)(P, batch), expected, **EXACT)
    assert per_example_norms._Tapped(loss, P, (batch[:1],)).built == built


@pytest.mark.few(8)
@losses
def test_norms_compose(loss, batch, built):
    of_batch = per_example_grad_norms(loss)
    assert_close(fn.jit(of_batch)(P, batch), loop_norms(loss, P, batch), **EXACT)
    models = tree.stack([P, tree.scale(0.5, P)])
    each = torch.stack([loop_norms(loss, p, batch) for p in tree.unstack(models)])
    assert_close(fn.vmap(of_batch, in_dims=(0, None))(models, batch), each, **EXACT)
    slopes = fn.grad(lambda p: of_batch(p, batch).sum())(P)
    assert tree.allclose(slopes, fn.grad(lambda p: loop_norms(loss, p, batch).sum())(P), rtol=1e-9, atol=1e-12)


def test_no_gradient_of_a_matrix_is_built():
    """Run a batch whose gradients would take 48 GB."""
    params, x = {"w": torch.full((1, 1), 0.5).expand(3_000, 4_000)}, numbers(1_000, 3_000, dtype=torch.float32)
    found = per_example_grad_norms(lambda p, x: (x @ p["w"]).sum())(params, x)
    assert_close(found, x.norm(dim=1) * 4_000**0.5)


@pytest.mark.few(30)
@pytest.mark.parametrize("layer, shape", IN_USE.values(), ids=IN_USE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_layer_has_per_example_gradients(layer, shape, dtype):
    xs, keys = numbers(4, *shape, dtype=dtype, seed=4), fn.random.split(fn.random.key(1), 4)
    params = (numbers(2, dtype=dtype), layer.init(fn.random.key(2), xs[0]))

    def loss(params, x, key):
        return layer.apply(params[1], x, key=key).sin().sum() + params[0].square().sum()

    expected = loop(lambda *example: fn.grad(loss)(params, *example), xs, keys)
    for chunk_size in (None, 1, 3):
        found = per_example_grads(loss, chunk_size=chunk_size)(params, xs, keys)
        assert tree.allclose(found, expected, rtol=64 * torch.finfo(dtype).eps, atol=64 * torch.finfo(dtype).eps)
    found = per_example_grad_norms(loss)(params, xs, keys)
    assert_close(found, loop_norms(loss, params, xs, keys), rtol=256 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("name", [name for name in TREES if name != "empty"])
def test_any_tree_has_per_example_gradients(name):
    params, batch = TREES[name](), {"x": numbers(3, 2), "name": "sum", "none": None}

    def loss(params, batch):
        total = sum(leaf.sin().sum().double() for leaf in tree.leaves(params) if tree.is_floating(leaf))
        return total * getattr(batch["x"], batch["name"])()

    expected = [fn.grad(loss)(params, batch | {"x": x}) for x in batch["x"]]
    assert tree.allclose(per_example_grads(loss)(params, batch), tree.stack(expected))
    assert_close(
        per_example_grad_norms(loss)(params, batch).double(), torch.stack([tree.norm(g).double() for g in expected])
    )


def test_golden_gradients_norms_and_clipped_means():
    expected = golden("per_example_grads")
    for chunk_size in (None, 1, 2, 5, 9):
        found = per_example_grads(squared, chunk_size=chunk_size)(PARAMS, *BATCH)
        assert tree.allclose(found, expected, rtol=1e-12, atol=1e-14)
    each = torch.stack([tree.norm(g) for g in tree.unstack(expected)])
    bound = each.median().item()
    clipped = [tree.scale(min(1.0, bound / n.item()), g) for g, n in zip(tree.unstack(expected), each, strict=True)]
    mean = tree.map(lambda leaf: leaf.mean(0), tree.stack(clipped))
    for max_norm, chunk_size in ((bound, None), (torch.tensor(bound, dtype=torch.float64), 2), (bound, 5)):
        found = clipped_mean(squared, max_norm, chunk_size=chunk_size)(PARAMS, *BATCH)
        assert tree.allclose(found, mean, rtol=1e-12, atol=1e-14)
    assert tree.allclose(clipped_mean(squared, 1e9)(PARAMS, *BATCH), golden("grad"), rtol=1e-12, atol=1e-14)
    assert tree.allclose(fn.jit(clipped_mean(squared, bound))(PARAMS, *BATCH), mean, rtol=1e-12, atol=1e-14)


def test_noise_has_the_documented_deviation_and_depends_on_the_key():
    params, x = {"w": torch.zeros(40_000), "none": None, "name": "w"}, torch.zeros(5, 1)
    mean = clipped_mean(lambda p, x: (p["w"] * x).sum(), 3.0, noise_multiplier=0.5)
    noise, again = (mean(params, x, key=fn.random.key(7)) for _ in range(2))
    assert tree.equal(noise, again) and noise["name"] is None
    assert noise["w"].std().item() == pytest.approx(0.5 * 3.0 / 5, rel=0.02)
    assert abs(noise["w"].mean().item()) < 5 * 0.3 / 200
    assert not tree.equal(noise, mean(params, x, key=fn.random.key(8)))


def test_an_empty_batch_has_no_gradients():
    x, y = BATCH[0][:0], BATCH[1][:0]
    found = per_example_grads(squared)(PARAMS, x, y)
    assert [leaf.shape for leaf in tree.leaves(found)] == [(0, *leaf.shape) for leaf in tree.leaves(PARAMS)]
    assert per_example_grad_norms(squared)(PARAMS, x, y).shape == (0,)


def test_batches_of_random_sizes_are_divided_by_the_expected_size():
    def loss(p, x):
        return (p["w"] * x).sum()

    params, batch, key = {"w": torch.ones(3)}, numbers(5, 3), fn.random.key(0)
    mean = clipped_mean(loss, 0.5)(params, batch)
    expected = clipped_mean(loss, 0.5, expected_batch_size=8)(params, batch)
    assert_close(expected["w"], mean["w"] * 5 / 8)
    noisy = clipped_mean(loss, 0.5, noise_multiplier=2.0, expected_batch_size=8)
    empty = noisy(params, batch[:0], key=key)
    assert_close(empty["w"], noisy(params, batch * 0, key=key)["w"])
    assert (empty["w"] != 0).all()
    assert (clipped_mean(loss, 0.5, expected_batch_size=8)(params, batch[:0])["w"] == 0).all()
    with pytest.raises(ValueError, match="expected an expected_batch_size above 0, got 0"):
        clipped_mean(loss, 0.5, expected_batch_size=0)


def test_a_gradient_of_zero_has_norm_zero_and_slope_zero():
    norm = per_example_grad_norms(lambda p, x: (x @ p["w"]).square().sum())
    params, x = {"w": numbers(2, 2)}, torch.zeros(3, 2, dtype=torch.float64)
    assert_close(norm(params, x), torch.zeros(3, dtype=torch.float64))
    assert tree.equal(fn.grad(lambda p: norm(p, x).sum())(params), {"w": torch.zeros(2, 2, dtype=torch.float64)})


def test_chunks_compose():
    def total(p, chunk_size):
        each = per_example_grads(squared, chunk_size=chunk_size)(p, *BATCH)
        return tree.norm(each).sin()

    expected = fn.grad(total)(PARAMS, None)
    assert tree.allclose(fn.grad(total)(PARAMS, 2), expected, rtol=1e-12)
    assert tree.allclose(fn.jit(lambda p: fn.grad(total)(p, 2))(PARAMS), expected, rtol=1e-12)
    assert_close(fn.jvp(lambda p: total(p, 2), (PARAMS,), (V,))[1], tree.dot(expected, V))
    models = tree.stack([PARAMS, V])
    each = fn.vmap(lambda p: total(p, 2))(models)
    assert_close(each, torch.stack([total(PARAMS, None), total(V, None)]))
    recorded = [{k: leaf.clone().requires_grad_() for k, leaf in layer.items()} for layer in PARAMS]
    torch.autograd.backward(fn.vmap(squared, (None, 0, 0), chunk_size=2)(recorded, *BATCH).mean())
    assert tree.allclose(tree.map(lambda leaf: leaf.grad, recorded), golden("grad"), rtol=1e-12)


def test_the_model_behind_the_golden_values():
    assert_close(squared(PARAMS, *BATCH), (mlp(PARAMS, BATCH[0]) - BATCH[1]).square().mean())
