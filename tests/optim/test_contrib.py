"""Optimizers of optax.contrib, measurements, projections and linear algebra against the values of Optax."""

import golden
import pytest
import torch
from torch.testing import assert_close

import funcnet as fn
from funcnet import optim, tree

OPTAX, CONTRIB = golden.load("optimizers"), golden.load("contrib")
NAMES = {name: getattr(optim, name) for name in optim.__all__} | {
    "freeze_w": {"w": True, "b": False},
    "float64": torch.float64,
}
ATOL = 1e-12


def tensors(values):
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def coupled(p):
    """Return a loss whose Hessian is not diagonal."""
    quartic = ((p["w"] - 1) ** 4).sum() + (p["b"] ** 2 * torch.arange(1.0, 4.0).double()).sum()
    return quartic + 0.1 * p["w"].sum() ** 2 * p["b"].sum()


def end(name, steps=24, jitted=False, start=None):
    """Return the parameters after the gradients, twice in their order."""
    optimizer = optim.with_extra_args_support(eval(name, dict(NAMES)))
    params = tensors(OPTAX["params"]) if start is None else start
    state = optimizer.init(params)

    def update(g, state, params, value):
        updates, state = optimizer.update(g, state, params, value=value, obj_fn=coupled)
        return optim.apply_updates(params, updates), state

    update = fn.jit(update) if jitted else update
    for i, g in enumerate((OPTAX["grads"] * 2)[:steps]):
        params, state = update(tensors(g), state, params, torch.tensor(5 - 0.01 * (i // 4), dtype=torch.float64))
    return params


@pytest.mark.parametrize("name", CONTRIB["finals"])
def test_trajectories_end_like_those_of_optax(name):
    assert tree.difference(end(name), tensors(CONTRIB["finals"][name]), atol=ATOL) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTRIB["finals"])
def test_jitted_trajectories_equal_eager_ones(name):
    assert tree.difference(end(name, jitted=True), end(name), atol=ATOL) is None


@pytest.mark.parametrize("name", ["momo_adam(0.5)", "sophia(0.1)"])
def test_jitted_updates_equal_eager_ones(name):
    assert tree.difference(end(name, 3, jitted=True), end(name, 3), atol=ATOL) is None


@pytest.mark.parametrize("name", CONTRIB["finals"])
def test_mapped_trajectories_equal_separate_ones(name):
    starts = tree.stack([tree.scale(factor, tensors(OPTAX["params"])) for factor in (0.5, 1.0, 2.0)])
    mapped = fn.vmap(lambda start: end(name, 4, start=start))(starts)
    separate = tree.stack([end(name, 4, start=start) for start in tree.unstack(starts)])
    assert tree.difference(mapped, separate, atol=ATOL) is None


@pytest.mark.parametrize("call", CONTRIB["projections"]["values"])
def test_projections_and_their_gradients_equal_those_of_optax(call):
    x, a = (tensors(CONTRIB["projections"][name]) for name in "xa")

    def project(x):
        return eval(call, {**vars(optim.projections), "x": x, "a": a})

    def total(x):
        weights = tree.map(lambda v: torch.arange(v.numel()).double().cos().reshape(v.shape), x)
        return tree.dot(weights, project(x))

    assert tree.difference(project(x), tensors(CONTRIB["projections"]["values"][call]), atol=ATOL) is None
    assert tree.difference(fn.grad(total)(x), tensors(CONTRIB["projections"]["grads"][call]), atol=ATOL) is None
    assert tree.difference(fn.vmap(project)(tree.stack([x])), tree.stack([project(x)]), atol=ATOL) is None


def test_projections_keep_leaves_that_are_not_trained():
    params = {"n": 3, "x": torch.tensor([2.0, -1.0])}
    for project in (
        optim.projections.projection_l1_ball,
        optim.projections.projection_linf_ball,
        lambda p: optim.projections.projection_halfspace(p, p, 1.0),
        lambda p: optim.projections.projection_vector(p, p),
    ):
        assert project(params)["n"] == 3


@pytest.mark.parametrize("case", CONTRIB["per_example"]["sums"])
def test_sums_of_clipped_gradients_equal_those_of_optax(case):
    kind, bound, *uniform = case.split()
    grads, (sums, count) = tensors(CONTRIB["per_example"]["grads"]), CONTRIB["per_example"]["sums"][case]
    clip = optim.per_example_global_norm_clip if kind == "global" else optim.per_example_layer_norm_clip
    found, clipped = clip(grads, float(bound), *(u == "True" for u in uniform))
    assert tree.difference(found, tensors(sums), atol=ATOL) is None
    assert tree.map(int, clipped) == count


def test_private_steps_equal_those_of_optax():
    optimizer, grads = optim.dpsgd(0.1, 1.5, 0.7, 3, 0.9, True), tensors(CONTRIB["per_example"]["grads"])
    state = optimizer.init(tree.map(lambda g: g[0], grads))
    for i, expected in enumerate(CONTRIB["per_example"]["dpsgd"]):
        updates, state = optimizer.update(tree.scale(i + 1, grads), state)
        assert tree.difference(updates, tensors(expected), atol=1e-10) is None


def test_gradients_per_example_may_be_complex_or_empty():
    part, grads = optim.differentially_private_aggregate(2.5, 0.5, 0), torch.tensor([[3 + 4j, 0], [0, 1j]])
    pairs, z = torch.view_as_real(grads), torch.zeros(2)
    found, expected = (part.update(g, part.init(z))[0] for g in (grads, pairs))
    assert_close(torch.view_as_real(found), expected)
    sums, counts = optim.per_example_layer_norm_clip(torch.zeros(2, 0), 1.0, uniform=False)
    assert sums.shape == (0,) and counts == 0


def test_linear_algebra_equals_that_of_optax():
    values = CONTRIB["linear"]
    matrix, a, b = (torch.tensor(values[name], dtype=torch.float64) for name in ("matrix", "A", "b"))
    value, vector = optim.power_iteration(matrix, num_iters=1000, error_tolerance=1e-10)
    assert_close(value.item(), values["eigenvalue"], rtol=1e-12, atol=0)
    assert_close(vector, torch.tensor(values["eigenvector"], dtype=torch.float64), rtol=0, atol=1e-9)
    early = optim.power_iteration(
        lambda v: {"v": matrix @ v["v"]}, v0={"v": torch.arange(1.0, 6.0).double()}, num_iters=3
    )
    assert_close(early[0].item(), values["after3"][0], rtol=1e-12, atol=0)
    assert_close(early[1]["v"].tolist(), values["after3"][1], rtol=0, atol=ATOL)
    for steps, expected in zip((7, 3000), values["nnls"], strict=True):
        assert_close(optim.nnls(a, b, steps).tolist(), expected, rtol=0, atol=1e-10)
    assert_close(optim.nnls(a, b[:, 0], 50, 1, 40.0).tolist(), values["nnls_vector"], rtol=0, atol=1e-10)


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_roots_of_matrices(p):
    matrix = torch.tensor(CONTRIB["linear"]["matrix"], dtype=torch.float64)
    root, error = optim.matrix_inverse_pth_root(matrix, p, ridge_epsilon=0.0, error_tolerance=1e-12)
    assert_close(torch.linalg.matrix_power(root, p) @ matrix, torch.eye(5).double(), rtol=0, atol=1e-8)
    assert error < 1e-8
    if p != 3:  # Optax has powers of two, and single precision
        expected = torch.tensor(CONTRIB["linear"]["roots"][str(p)])
        assert_close(optim.matrix_inverse_pth_root(matrix, p)[0].float(), expected, rtol=3e-3, atol=3e-3)


def test_power_iteration_and_nnls_compile_and_map():
    matrices = torch.stack([torch.tensor(CONTRIB["linear"]["matrix"]).double() + i * torch.eye(5) for i in range(3)])
    values, vectors = fn.jit(fn.vmap(optim.power_iteration))(matrices)
    for matrix, value, vector in zip(matrices, values, vectors, strict=True):
        assert_close((value, vector), optim.power_iteration(matrix), rtol=1e-10, atol=1e-10)


def test_the_old_name_of_the_generalized_divergence():
    values = CONTRIB["losses"]
    found = fn.losses.convex_kl_divergence(*(torch.tensor(values[n]).double() for n in ("log_predictions", "targets")))
    assert_close(found.tolist(), values["convex_kl"], rtol=1e-6, atol=0)


def test_measurements_do_not_change_updates_and_are_found_by_name():
    parts = optim.sgd(0.1, momentum=0.9), optim.clip_by_global_norm(0.5)
    measures = {"norm": optim.global_norm, "mean": optim.measure_with_ema(lambda g: (g > 0).float().mean(), 0.9)}
    plain = optim.chain(*parts)
    measured = optim.chain(parts[0], optim.monitor(measures), parts[1], optim.snapshot("after", optim.global_norm))
    x, y = torch.tensor([1.0, -2.0, 3.0]), torch.tensor([1.0, -2.0, 3.0])
    state, other = measured.init(x), plain.init(y)
    shapes = tree.map(tree.describe, state)
    for _ in range(3):
        updates, state = measured.update(x, state, x)
        expected, other = plain.update(y, other, y)
        x, y = x + updates, y + expected
    assert torch.equal(x, y) and tree.map(tree.describe, state) == shapes
    assert optim.tree.get(state, "after") <= 0.5 + 1e-6
    assert_close(optim.tree.get(state, "mean"), torch.tensor(1 / 3))
    assert optim.tree.get(state, "norm") > 0.5


def test_a_monitored_run_compiles_as_a_scan():
    optimizer = optim.chain(optim.monitor({"norm": optim.global_norm}), optim.sgd(0.1))

    def run(x):
        def step(carry, _):
            x, state = carry
            updates, state = optimizer.update(2 * x, state, x)
            return (x + updates, state), optim.tree.get(state, "norm")

        return fn.scan(step, (x, optimizer.init(x)), length=3)[1]

    x = torch.tensor([3.0, 4.0])
    assert_close(fn.jit(run)(x), torch.tensor([10.0, 8.0, 6.4]))


def test_complex_leaves_become_two_real_ones():
    signs = optim.stateless(lambda updates, params: tree.map(torch.sign, updates))  # of real numbers only
    split, z = optim.split_real_and_imaginary(optim.chain(optim.trace(0.5), signs)), torch.tensor([3 - 4j, -1 + 2j])
    params = {"z": z, "w": torch.tensor([-2.0])}
    state = split.init(params)
    updates, after = split.update(params, state, params)
    assert torch.equal(updates["z"], torch.tensor([1 - 1j, -1 + 1j])) and torch.equal(
        updates["w"], torch.tensor([-1.0])
    )
    assert tree.structure(after) == tree.structure(state)


def test_the_estimate_of_a_diagonal_hessian_is_exact_for_a_separable_loss():
    diagonal, z = optim.hutchinson_estimator_diag_hessian(3), torch.tensor([1 + 2j, -1j], dtype=torch.complex128)

    def loss(params):
        pairs = tree.view_as_real(params)["z"]
        return (pairs**4).sum()

    params = {"z": z, "n": 3}
    updates, state = diagonal.update({"z": z, "n": None}, diagonal.init(params), params, obj_fn=loss)
    assert_close(torch.view_as_real(updates["z"]), 12 * torch.view_as_real(z) ** 2)
    assert not torch.equal(state.key, diagonal.init(params).key)


X = torch.ones(2)
WRONG = {
    "scale_by_dog: expected init_step to be a pair of one of": lambda: optim.dog(init_step=("size", 0.1)),
    "a number, got 1e-06": lambda: optim.dog(init_step=1e-6),
    "momo: expected the loss": lambda: optim.momo().update(X, optim.momo().init(X), X),
    "hutchinson_estimator_diag_hessian: expected the loss": lambda: optim.sophia(0.1).update(
        X, optim.sophia(0.1).init(X), X
    ),
    "scale_by_cocob: expected the parameters": lambda: optim.scale_by_cocob().update(X, optim.cocob().init(X)[-1]),
    "per_example_global_norm_clip: expected gradients per example": lambda: optim.per_example_global_norm_clip(
        {"a": torch.ones(2, 3), "b": torch.ones(3)}, 1.0
    ),
    "per_example_layer_norm_clip: expected gradients per example": lambda: optim.per_example_layer_norm_clip(
        torch.tensor(1.0), 1.0
    ),
    "power_iteration: expected v0": lambda: optim.power_iteration(lambda v: v),
    "power_iteration: expected a square matrix": lambda: optim.power_iteration(torch.ones(2, 3)),
    "matrix_inverse_pth_root: expected p of at least 1": lambda: optim.matrix_inverse_pth_root(torch.eye(2), 0),
    "nnls: expected A (m, n)": lambda: optim.nnls(torch.ones(2, 3), torch.ones(3), 5),
    "mechanize: expected num_betas": lambda: optim.mechanize(optim.sgd(1.0), num_betas=0),
}


@pytest.mark.parametrize("message", WRONG)
def test_errors(message):
    with pytest.raises(ValueError) as info:
        WRONG[message]()
    assert message in str(info.value)


@pytest.mark.parametrize("name", CONTRIB["muon"])
def test_options_of_muon_equal_those_of_optax(name):
    """Six steps: muon amplifies rounding errors."""
    assert tree.difference(end(name, 6), tensors(CONTRIB["muon"][name]), atol=1e-10) is None


@pytest.mark.few(1)
@pytest.mark.parametrize("name", CONTRIB["muon"])
def test_options_of_muon_compile(name):
    assert tree.difference(end(name, 2, jitted=True), end(name, 2), atol=1e-11) is None


def test_muon_moves_batches_of_matrices_over_several_axes():
    params = tensors(CONTRIB["muon_axes"])["params"]
    part = optim.scale_by_muon(weight_dimension_numbers=optim.MuonDimensionNumbers((1,), (0, 3)))
    updates, _ = part.update(params.cos(), part.init(params), params)
    assert_close(updates, tensors(CONTRIB["muon_axes"])["update"], rtol=1e-10, atol=1e-12)


ERRORS = {
    "preconditioning to be one of 'frobenius', 'spectral', 'aol', 'schatten', got 'l2'": lambda: optim.muon(
        0.1, preconditioning="l2"
    ),
    "ns_coeffs to be polynomials, 'standard' or 'dion', got 'best'": lambda: optim.muon(0.1, "best"),
    "disjoint axes of an array with two axes or more": lambda: optim.MuonDimensionNumbers(0, -2).axes(2),
    "mode to be one of hard, smooth, refined, got 'soft'": lambda: optim.scale_by_lion(mode="soft"),
    "a key or a seed, got key=None, seed=None": lambda: optim.add_noise(0.1, 0.5),
}


@pytest.mark.parametrize("message", ERRORS)
def test_options_that_do_not_exist_are_refused(message):
    with pytest.raises(ValueError, match=message):
        ERRORS[message]()


def test_a_seed_is_a_key():
    updates = [
        part.update(torch.zeros(3), part.init(torch.zeros(3)))[0]
        for part in (optim.add_noise(0.1, 0.5, seed=3), optim.add_noise(0.1, 0.5, fn.random.key(3)))
    ]
    assert torch.equal(*updates)
