"""Products with curvature matrices, and the spectra, solves, kernels and polynomials built on them."""

import math

import pytest
import torch
from curvature_reference import (
    BATCH,
    EXACT,
    HESSIAN,
    KEY,
    PARAMS,
    V,
    X,
    Y,
    close,
    flat,
    golden,
    loss,
    mlp,
    outputs,
    squared,
)
from tables import IN_USE, TREES, numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree
from funcnet.curvature import (
    cg,
    empirical_fisher_vp,
    fisher_vp,
    ggnvp,
    hessian_diag,
    hessian_operator,
    hvp,
    lanczos,
    ntk,
    per_example_grads,
    spectral_density,
    taylor,
)


def test_golden_products():
    close(hvp(loss, PARAMS, V), golden("hvp"))
    close(ggnvp(outputs, lambda z: (z - Y).square().mean(), PARAMS, V), golden("ggnvp"))
    close(fisher_vp(outputs, PARAMS, V, log_partition="gaussian"), golden("ggnvp"))  # 2 / (n k) is 1 / n for k = 2
    grads = torch.stack([flat(g) for g in tree.unstack(golden("per_example_grads"))])
    assert_close(flat(empirical_fisher_vp(squared, PARAMS, V, *BATCH)), grads.T @ (grads @ flat(V)) / len(X), **EXACT)


def test_golden_diagonal():
    for chunk_size in (None, 1, 7, 99):
        assert_close(flat(hessian_diag(loss, PARAMS, chunk_size=chunk_size)), HESSIAN.diagonal(), **EXACT)


def test_golden_kernel():
    expected = golden("ntk_ijab")
    for block_size in (None, 1, 2, 5, 9):
        close(ntk(mlp, PARAMS, X, block_size=block_size), expected)
        close(ntk(mlp, PARAMS, X[1:], X[:3], block_size=block_size), expected[1:, :3])


def test_golden_spectrum():
    values = torch.linalg.eigvalsh(HESSIAN)
    order = {"largest": values.flip(0), "smallest": values, "magnitude": values[values.abs().argsort(descending=True)]}
    for which, expected in order.items():
        found = lanczos(hessian_operator(loss, PARAMS), PARAMS, KEY, 3, steps=26, which=which)
        assert_close(found.values, expected[:3], **EXACT)
        for value, vector in zip(found.values, tree.unstack(found.vectors), strict=True):
            close(hvp(loss, PARAMS, vector), tree.scale(value, vector), atol=1e-12)
            assert_close(tree.norm(vector), torch.ones((), dtype=torch.float64))
    pairs = lanczos(hessian_operator(loss, PARAMS), PARAMS, KEY, 26)
    assert_close(pairs.values, values.flip(0), rtol=0, atol=1e-13)
    basis = torch.stack([flat(vector) for vector in tree.unstack(pairs.vectors)])
    assert_close(basis @ basis.T, torch.eye(26, dtype=torch.float64), rtol=0, atol=1e-13)


@pytest.mark.parametrize("layer, shape", IN_USE.values(), ids=IN_USE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hvp_of_every_layer_is_a_finite_difference_and_the_other_order(layer, shape, dtype):
    xs = numbers(3, *shape, dtype=dtype, seed=1)
    params = (numbers(2, dtype=dtype), layer.init(fn.random.key(2), xs[0]))
    v = tree.map(lambda leaf: numbers(*leaf.shape, dtype=dtype, seed=9), params)

    def f(p):
        return layer.apply(p[1], xs).sin().sum() * p[0].square().sum()

    found = hvp(f, params, v)
    close(found, fn.jvp(fn.grad(f), (params,), (v,))[1], *(64 * torch.finfo(dtype).eps,) * 2)
    if dtype == torch.float64:
        ahead, behind = (fn.grad(f)(tree.add(params, tree.scale(step, v))) for step in (1e-5, -1e-5))
        close(found, tree.scale(5e4, tree.sub(ahead, behind)), 1e-7, 1e-7)
    close(hessian_operator(f, params)(v), found, 0, 0)


@pytest.mark.parametrize("name", [name for name in TREES if name != "empty"])
def test_any_tree_has_curvature(name):
    params = TREES[name]()
    v = tree.map(lambda leaf: leaf.cos() if tree.is_floating(leaf) else leaf, params)

    def f(p):
        return torch.stack([leaf.double().sin().sum() for leaf in tree.leaves(p) if tree.is_floating(leaf)]).sum()

    gradient = fn.grad(f)(params)
    expected = tree.map(lambda g, p: -p.sin() * p.cos(), gradient, params)
    close(hvp(f, params, v), expected, 1e-6)
    close(hessian_diag(f, params, chunk_size=2), tree.map(lambda g, p: -p.sin(), gradient, params), 1e-6, 1e-6)
    solved = cg(lambda v: tree.map(lambda g, u: 2 * u, gradient, v), gradient)
    assert solved.converged and solved.steps == 1
    close(solved.x, tree.scale(0.5, gradient), 1e-6)
    pairs = lanczos(hessian_operator(f, params), params, KEY, 1)
    assert tree.structure(pairs.vectors) == tree.structure(gradient)
    close(taylor(f, params, order=2)(params), f(params))


def test_products_compose():
    dense = fn.jit(lambda p, v: hvp(loss, p, v))(PARAMS, V)
    close(dense, golden("hvp"))
    both = tree.stack([V, PARAMS])
    each = tree.stack([hvp(loss, PARAMS, v) for v in tree.unstack(both)])
    close(fn.vmap(lambda v: hvp(loss, PARAMS, v))(both), each)
    close(fn.vmap(hessian_operator(loss, PARAMS))(both), each)
    third = fn.grad(lambda p: tree.dot(hvp(loss, p, V), V))(PARAMS)
    close(third, fn.jvp(lambda p: hvp(loss, p, V), (PARAMS,), (V,))[1], 1e-10)
    for product in (
        lambda p, v: ggnvp(lambda p: mlp(p, X), lambda z: z.logsumexp(-1).sum(), p, v),
        lambda p, v: fisher_vp(lambda p: mlp(p, X), p, v),
        lambda p, v: empirical_fisher_vp(squared, p, v, *BATCH),
    ):
        expected = product(PARAMS, V)
        close(fn.jit(product)(PARAMS, V), expected)
        close(fn.vmap(lambda v: product(PARAMS, v))(both), tree.stack([expected, product(PARAMS, PARAMS)]))  # noqa: B023


def test_the_fisher_is_the_expected_square_of_the_score():
    """Compare with the definition, by a sum over classes instead of samples, for every kind of label."""
    z = outputs(PARAMS)
    shares = {
        "categorical": (z.softmax(-1), torch.eye(2, dtype=torch.float64)),
        "bernoulli": (
            torch.stack([torch.sigmoid(torch.where(bits.bool(), z, -z)).prod(-1) for bits in BITS], -1),
            BITS,
        ),
    }
    log_probability = {
        "categorical": lambda p, x, y: mlp(p, x).log_softmax(-1) @ y,
        "bernoulli": lambda p, x, y: -fn.losses.sigmoid_binary_cross_entropy(mlp(p, x), y).sum(),
    }
    for name, (probabilities, labels) in shares.items():
        total = torch.zeros_like(flat(PARAMS))
        for share, label in zip(probabilities.T, labels, strict=True):
            score = per_example_grads(log_probability[name])(PARAMS, X, label.expand(len(X), 2))
            rows = torch.stack([flat(g) for g in tree.unstack(score)])
            total = total + rows.T @ (share * (rows @ flat(V))) / len(X)
        assert_close(flat(fisher_vp(outputs, PARAMS, V, log_partition=name)), total, **EXACT)
        own = fisher_vp(outputs, PARAMS, V, log_partition=lambda z: torch.logsumexp(z, -1))
    close(own, fisher_vp(outputs, PARAMS, V))


BITS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)


def test_hutchinsons_estimate_has_the_documented_variance():
    samples = 4_000
    found = flat(hessian_diag(loss, PARAMS, key=KEY, samples=samples, chunk_size=500))
    beside = HESSIAN - torch.diag(HESSIAN.diagonal())
    deviation = (beside.square().sum(1) / samples).sqrt()
    scores = (found - HESSIAN.diagonal()) / deviation
    assert scores.abs().max() < 4.5 and 0.5 < scores.square().mean() < 2
    assert torch.equal(found, flat(hessian_diag(loss, PARAMS, key=KEY, samples=samples, chunk_size=500)))
    diagonal = hessian_diag(lambda p: (p**3).sum(), torch.tensor([1.0, 2.0]), key=KEY, samples=1)
    assert_close(diagonal, torch.tensor([6.0, 12.0]))  # a diagonal Hessian: exact


def test_kernel_of_outputs_of_any_shape_and_of_trees():
    def scalar(p, x):
        return mlp(p, x["a"])[0] * x["scale"]

    x = {"a": X, "scale": 2.0}
    close(ntk(scalar, PARAMS, x, block_size=2), 4 * golden("ntk_ijab")[:, :, 0, 0])
    square = ntk(lambda p, x: mlp(p, x).reshape(1, 2), PARAMS, X, X[:2])
    close(square, golden("ntk_ijab")[:, :2].reshape(5, 2, 1, 2, 1, 2))
    close(fn.jit(lambda p: ntk(mlp, p, X, block_size=2))(PARAMS), golden("ntk_ijab"))
    assert ntk(mlp, PARAMS, X[:0], X).shape == (0, 5, 2, 2)
    mixed = {"w": torch.ones(2), "b": torch.ones(2, dtype=torch.float64), "name": "affine", "none": None}
    found = ntk(lambda p, x: (p["w"] * x + p["b"]).sum(), mixed, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    close(found, torch.tensor([[7.0, 13.0], [13.0, 27.0]], dtype=torch.float64))


def test_lanczos_finds_multiple_eigenvalues_and_no_spurious_ones():
    values = torch.tensor([3.0, 3.0, 3.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    rotation = torch.linalg.qr(numbers(6, 6)).Q
    matrix = rotation @ torch.diag(values) @ rotation.T
    close(lanczos(lambda v: matrix @ v, torch.zeros(6, dtype=torch.float64), KEY, 6).values, values, atol=1e-13)
    zero = lanczos(tree.zeros_like, {"w": torch.ones(2), "n": 3}, KEY, 2)
    assert torch.equal(zero.values, torch.zeros(2)) and zero.vectors["n"] is None
    one = lanczos(lambda v: 2 * v, torch.ones(1), KEY, 1)
    assert torch.equal(one.values, torch.tensor([2.0]))


def test_lanczos_estimates_its_error():
    spectrum = torch.linspace(0, 1, 200, dtype=torch.float64)
    for steps in (8, 20, 40):
        found = lanczos(lambda v: spectrum * v, torch.zeros(200, dtype=torch.float64), KEY, 2, steps=steps)
        true = [
            torch.linalg.vector_norm(spectrum * u - t * u) for t, u in zip(found.values, found.vectors, strict=True)
        ]
        assert_close(found.residuals, torch.stack(true), rtol=1e-6, atol=1e-13)


def test_spectral_density_matches_the_eigenvalues():
    spectrum = torch.cat([torch.full((300,), 1.0), torch.linspace(4, 5, 100)]).double()
    found = spectral_density(
        lambda v: {"w": spectrum * v["w"]}, {"w": torch.zeros(400, dtype=torch.float64)}, KEY, steps=40, samples=20
    )
    assert found.values.shape == found.density.shape == (512,)
    assert torch.trapezoid(found.density, found.values).item() == pytest.approx(1, abs=1e-3)
    below = found.values < 2.5
    assert torch.trapezoid(found.density[below], found.values[below]).item() == pytest.approx(0.75, abs=0.02)
    between = (found.values > 1.5) & (found.values < 3.5)
    assert found.density[between].max() < 1e-3
    exact = spectral_density(
        lambda v: spectrum[:1] * v, torch.zeros(1, dtype=torch.float64), KEY, width=0.5, points=101
    )
    assert_close(exact.density[50], torch.tensor(1 / (0.5 * math.sqrt(2 * math.pi)), dtype=torch.float64))


def test_cg_equals_a_dense_solver():
    gradient, damping = fn.grad(loss)(PARAMS), 0.05
    dense = torch.stack(
        [flat(fisher_vp(outputs, PARAMS, e)) for e in tree.unstack(fn.vmap(tree.ravel(PARAMS)[1])(EYE))]
    )
    expected = torch.linalg.solve(dense + damping * EYE, flat(gradient))

    def natural(gradient, damping):
        return cg(lambda v: fisher_vp(outputs, PARAMS, v), gradient, damping=damping, tol=1e-10)

    found = natural(gradient, damping)
    assert_close(flat(found.x), expected, rtol=1e-8, atol=1e-10)
    assert found.converged and 3 < found.steps < 40 and found.residual_norm < 1e-10 * tree.norm(gradient)
    jitted = fn.jit(natural)(gradient, damping)
    close(jitted.x, found.x, 1e-10)
    assert jitted.converged and jitted.steps == found.steps
    dampings = torch.tensor([0.05, 0.5, 5.0], dtype=torch.float64)
    each = fn.vmap(natural, in_dims=(None, 0))(gradient, dampings)
    assert each.converged.all() and each.steps[0] > each.steps[2]
    close(tree.unstack(each.x)[1], natural(gradient, dampings[1]).x, 1e-10)
    slope = fn.jvp(lambda d: flat(natural(gradient, d).x), (dampings[0],), (torch.ones_like(dampings[0]),))[1]
    assert_close(slope, -torch.linalg.solve(dense + damping * EYE, expected), rtol=1e-6, atol=1e-8)


EYE = torch.eye(26, dtype=torch.float64)


def test_cg_starts_from_x0_and_stops_at_convergence():
    a = torch.diag(torch.arange(1.0, 9.0, dtype=torch.float64))
    b = torch.ones(8, dtype=torch.float64)
    exact = b / a.diagonal()
    assert cg(lambda v: a @ v, b, exact).steps == 0
    few = cg(lambda v: a @ v, b, maxiter=3)
    assert few.steps == 3 and not few.converged
    assert_close(few.residual_norm, torch.linalg.vector_norm(b - a @ few.x))
    assert_close(cg(lambda v: a @ v, b, few.x, tol=1e-12).x, exact, **EXACT)
    assert cg(lambda v: a @ v, b, atol=10.0).steps == 0
    nothing = cg(lambda v: a @ v, torch.zeros_like(b))
    assert nothing.converged and torch.equal(nothing.x, torch.zeros_like(b))


def test_cg_under_jit_stops_at_a_curvature_that_is_not_positive():
    for entries in ([1.0, -1.0], [1.0, math.nan], [0.0, 0.0]):
        a = torch.tensor(entries)
        found = fn.jit(lambda b, a=a: cg(lambda v: a * v, b))(torch.ones(2))
        assert not found.converged and found.x.isfinite().all() and found.steps == 0


def test_taylor_polynomials():
    x = torch.tensor(0.3, dtype=torch.float64)
    for order in range(6):
        total = sum(0.3**k / math.factorial(k) for k in range(order + 1))
        assert taylor(torch.exp, torch.zeros_like(x), order=order)(x).item() == pytest.approx(total, rel=1e-14)
    moved = tree.add(PARAMS, V)
    linear = outputs(PARAMS) + fn.jvp(outputs, (PARAMS,), (V,))[1]
    assert_close(taylor(mlp, PARAMS)(moved, X), linear, **EXACT)
    quadratic = loss(PARAMS) + tree.dot(golden("grad"), V) + tree.dot(golden("hvp"), V) / 2
    assert_close(taylor(squared, PARAMS, order=2)(moved, X, y=Y), quadratic, **EXACT)
    mixed = taylor(lambda p: {"out": p["x"] ** 2, "n": p["n"]}, {"x": x, "n": 3})({"x": 2 * x, "n": 4})
    close(mixed, {"out": 3 * x**2, "n": 3})
    close(fn.grad(lambda p: taylor(squared, PARAMS, order=2)(p, X, Y))(PARAMS), golden("grad"))
    assert_close(fn.jit(taylor(mlp, PARAMS))(moved, X), linear, **EXACT)
