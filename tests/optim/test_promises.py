"""Documented properties of optimizers besides Optax's numbers: dtypes, edge cases, projections."""

import inspect

import pytest
import torch
from programs import first_update
from tables import numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import optim, tree


@pytest.mark.parametrize("name", ["adam", "adamw", "amsgrad", "nadam", "nadamw"])
def test_bfloat16_parameters_with_float32_moments(name):
    """b2 = 0.999 rounds to 1 in bfloat16, so only wide moments follow a shrinking gradient."""
    optimizer = getattr(optim, name)(1e-2, mu_dtype=torch.float32)
    exact = getattr(optim, name)(1e-2)
    params, wide = numbers(4).bfloat16(), numbers(4)
    state, wide_state = optimizer.init(params), exact.init(wide)
    for i in range(50):
        grads = numbers(4, seed=i).bfloat16()
        updates, state = optimizer.update(grads, state, params)
        params = optim.apply_updates(params, updates)
        _, wide_state = exact.update(grads.double(), wide_state, wide)
    assert params.dtype == torch.bfloat16 and {state[0].mu.dtype, state[0].nu.dtype} == {torch.float32}
    assert_close(state[0].nu.double(), wide_state[0].nu, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["lion", "muon"])
def test_bfloat16_parameters_with_a_float32_mean(name):
    optimizer, params = getattr(optim, name)(1e-2, mu_dtype=torch.float32), numbers(4, 3).bfloat16()
    state, mean = optimizer.init(params), torch.zeros(4, 3)
    decay = {"lion": 0.99, "muon": 0.95}[name]
    for i in range(20):
        grads = numbers(4, 3, seed=i).bfloat16()
        updates, state = optimizer.update(grads, state, params)
        params = optim.apply_updates(params, updates)
        mean = decay * mean + (1 - decay) * grads.float()
    assert params.dtype == torch.bfloat16
    found = state[0] if name == "lion" else state.inner_states["muon"][0]
    assert found.mu.dtype == torch.float32 and found.count == 20
    assert_close(found.mu, mean)


def test_a_narrow_mu_keeps_nu_wide():
    state = optim.scale_by_adam(mu_dtype=torch.bfloat16).init(numbers(2))
    assert (state.mu.dtype, state.nu.dtype) == (torch.bfloat16, torch.float64)


def test_bias_correction_is_exact_in_half_precision():
    updates, _ = optim.scale_by_adam().update(*_first(torch.tensor([2.0], dtype=torch.bfloat16)))
    assert_close(updates, torch.ones(1, dtype=torch.bfloat16))


def _first(grads):
    return grads, optim.scale_by_adam().init(grads)


def test_a_leaf_without_gradient_keeps_its_state():
    params = {"w": numbers(2), "b": numbers(3)}
    for optimizer in (
        optim.adam(0.1),
        optim.sgd(0.1, 0.9),
        optim.adafactor(0.1),
        optim.adagrad(0.1),
        optim.amsgrad(0.1),
    ):
        state = optimizer.init(params)
        updates, after = optimizer.update({"w": numbers(2), "b": None}, state, params)
        assert updates["b"] is None
        assert tree.structure(after) == tree.structure(state)


def test_projections_are_the_nearest_points():
    params = {"a": 2 * numbers(4), "b": [2 * numbers(2, 2, seed=1)], "n": 3}
    point, unravel = tree.ravel(params)
    inside = torch.stack(
        [fn.random.uniform(key, (8,), torch.float64) for key in fn.random.split(fn.random.key(1), 500)]
    )
    sets = {
        "non_negative": (optim.projections.projection_non_negative(params), inside * 3),
        "box": (optim.projections.projection_box(params, -0.5, torch.tensor(0.7)), inside * 1.2 - 0.5),
        "simplex": (optim.projections.projection_simplex(params, 1.5), 1.5 * inside / inside.sum(1, keepdim=True)),
        "l2_ball": (optim.projections.projection_l2_ball(params, 0.8), 0.8 * inside / inside.norm(dim=1, keepdim=True)),
    }
    for name, (projected, others) in sets.items():
        vector, _ = tree.ravel(projected)
        assert projected["n"] == 3
        assert ((vector - point) @ (others - vector).T >= -1e-12).all(), name  # the angle to every other point
    lowest, highest = (f(tree.ravel(sets["box"][0])[0]) for f in (torch.min, torch.max))
    assert (lowest, highest) == (-0.5, torch.tensor(0.7).double())
    assert tree.ravel(sets["non_negative"][0])[0].min() == 0
    assert_close(tree.norm(sets["l2_ball"][0]), torch.tensor(0.8).double())
    simplex, _ = tree.ravel(sets["simplex"][0])
    assert (simplex >= 0).all() and (simplex == 0).any()
    assert_close(simplex.sum(), torch.tensor(1.5).double())
    assert tree.allclose(optim.projections.projection_l2_ball(unravel(point / 10), 5.0), unravel(point / 10))
    for f in (optim.projections.projection_simplex, optim.projections.projection_l2_ball):
        fn.checking.check_grads(lambda p, f=f: tree.ravel(f(p))[0].sin().sum(), (point,))
        assert_close(fn.vmap(f)(torch.stack([point, -point])), torch.stack([f(point), f(-point)]))


def test_a_simplex_is_exact_among_large_values():
    far = optim.projections.projection_simplex(torch.tensor([1e9, 1e9 + 0.25, -1e9, 0.0], dtype=torch.float64), 1.3)
    near = optim.projections.projection_simplex(torch.tensor([1.0, 0.0004, 0.0]).double())
    assert_close(near, torch.tensor([0.9998, 0.0002, 0.0]).double(), rtol=1e-3, atol=0)
    assert_close(far, torch.tensor([0.525, 0.775, 0.0, 0.0], dtype=torch.float64), rtol=1e-12, atol=0)


def test_a_unit_at_0_moves_by_a_fraction_of_eps():
    updates, _ = first_update(
        optim.adaptive_grad_clip(0.01, 1e-3), torch.tensor([1e-4]).double(), torch.zeros(1).double()
    )
    assert_close(updates, torch.tensor([1e-5]).double())


def test_adagrad_without_eps_does_not_move_without_a_gradient():
    updates, _ = first_update(optim.adagrad(0.1, 0.0, 0.0), torch.tensor([0.0, 2.0]), torch.zeros(2))
    assert_close(updates, torch.tensor([0.0, -0.1]))


def test_an_undefined_trust_ratio_has_finite_derivatives():
    part = optim.scale_by_trust_ratio()
    for g, p in ((torch.zeros(2), numbers(2)), (numbers(2), torch.zeros(2))):
        g, p = g.double(), p.double()
        jacobian = fn.jacrev(lambda g, p=p: first_update(part, g, p)[0])(g)
        assert tree.equal(first_update(part, g, p)[0], g) and jacobian.isfinite().all()


def test_without_patience_every_loss_that_does_not_improve_reduces():
    optimizer = optim.reduce_on_plateau(0.5, patience=0, cooldown=1)
    state, scales = optimizer.init(numbers(1)), []
    for loss in (3.0, 2.0, 2.0, 2.0, 2.0, 1.0):
        _, state = optimizer.update(numbers(1), state, value=torch.tensor(loss))
        scales.append(state.scale.item())
    assert scales == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_adafactor_chooses_axes_by_their_sizes(axes):
    def run(turn):
        params, optimizer = turn(numbers(2, 3, 5)), optim.adafactor(0.1, min_dim_size_to_factor=2)
        state = optimizer.init(params)
        for i in range(3):
            updates, state = optimizer.update(turn(numbers(2, 3, 5, seed=i)), state, params)
            params = optim.apply_updates(params, updates)
        return params

    assert_close(run(lambda x: x.permute(axes)), run(lambda x: x).permute(axes), rtol=1e-12, atol=1e-12)


def test_a_plateau_records_the_best_loss_of_its_cooldown():
    optimizer = optim.reduce_on_plateau(0.5, patience=1, cooldown=1)
    state, scales = optimizer.init(numbers(1)), []
    for loss in (4.0, 4.0, 1.0, 2.0):
        _, state = optimizer.update(numbers(1), state, value=torch.tensor(loss))
        scales.append(state.scale.item())
    assert scales == [1.0, 0.5, 0.5, 0.25]


@pytest.mark.parametrize(
    "rtol, atol, losses, scales",
    [
        (0.1, 0.0, (4.0, 3.7, 3.5), [1.0, 0.5, 0.5]),
        (0.0, 0.5, (4.0, 3.7, 3.4), [1.0, 0.5, 0.5]),
        (0.1, 0.2, (4.0, 3.5, 3.45), [1.0, 0.5, 0.25]),
        (0.0, 0.0, (4.0, 3.99, 4.0), [1.0, 1.0, 0.5]),
    ],
)
def test_an_improvement_must_exceed_both_tolerances(rtol, atol, losses, scales):
    optimizer = optim.reduce_on_plateau(0.5, patience=1, rtol=rtol, atol=atol)
    state, found = optimizer.init(numbers(1)), []
    for loss in losses:
        _, state = optimizer.update(numbers(1), state, value=torch.tensor(loss))
        found.append(state.scale.item())
    assert found == scales


def test_a_target_network_follows_the_trained_one():
    new, old = {"w": numbers(2), "n": 1}, {"w": numbers(2, seed=1), "n": 2}
    moved = optim.incremental_update(new, old, 0.25)
    assert_close(moved["w"], 0.25 * new["w"] + 0.75 * old["w"])
    assert moved["n"] == 2


def test_muon_moves_along_an_orthogonal_matrix():
    matrix = numbers(4, 3)
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    assert_close(optim.orthogonalize(matrix, [(1.5, -0.5, 0.0)] * 40), u @ vt, rtol=1e-9, atol=1e-9)
    polynomials = [(2.0, -1.5, 0.5), (1.5, -0.5, 0.0), (1.875, -1.25, 0.375)]  # unused: the first
    ours, _ = first_update(optim.scale_by_muon(polynomials, 2, nesterov=False, eps=0.0), matrix, matrix)
    assert_close(ours, optim.orthogonalize(matrix, polynomials[1:], eps=0.0), rtol=1e-12, atol=0)
    standard = inspect.signature(optim.muon).parameters["ns_coeffs"].default
    singular = torch.linalg.svdvals(optim.orthogonalize(matrix, [standard] * 5))
    assert singular.min() > 0.6 and singular.max() < 1.3


def test_every_public_name_is_documented():
    for name in optim.__all__:
        value = getattr(optim, name)
        is_alias = not (inspect.isroutine(value) or inspect.isclass(value) or inspect.ismodule(value))
        assert is_alias or (value.__doc__ or "").strip(), name
