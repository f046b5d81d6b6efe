"""Pairwise distances, for which torch has no forward derivative."""

import pytest
import torch

import funcnet as fn

X = fn.random.normal(fn.random.key(0), (4, 3), torch.float64)
Y = fn.random.normal(fn.random.key(1), (5, 3), torch.float64)
ROWS = torch.triu_indices(4, 4, 1)
norm = torch.linalg.vector_norm

DISTANCES = {  # name: (a function of p and x, the same by differences)
    "cdist": (lambda x, p: torch.cdist(x, Y, p), lambda x, p: norm(x[:, None] - Y, p, -1)),
    "cdist, exact": (
        lambda x, p: torch.cdist(Y, x, p=p, compute_mode="donot_use_mm_for_euclid_dist"),
        lambda x, p: norm(Y[:, None] - x, p, -1),
    ),
    "pdist": (torch.nn.functional.pdist, lambda x, p: norm(x[ROWS[0]] - x[ROWS[1]], p, -1)),
}


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("name", DISTANCES)
def test_forward_and_second_derivatives(name, p):
    f, reference = (lambda x, f=f: f(x, p).sin().sum() for f in DISTANCES[name])
    wanted = torch.autograd.functional.hessian(reference, X)
    for hessian in (fn.hessian(f), fn.jit(fn.hessian(f), backend="eager")):
        assert fn.tree.difference(hessian(X), wanted, atol=1e-10) is None
    batched = fn.vmap(fn.hessian(f))(torch.stack([X, X]))
    assert fn.tree.difference(batched[1], wanted, atol=1e-10) is None
    value, tangent = fn.jvp(f, (X,), (Y[:4],))
    assert torch.isclose(value, reference(X)) and torch.isclose(tangent, fn.tree.dot(fn.grad(reference)(X), Y[:4]))


def test_a_distance_of_zero_has_finite_derivatives():
    kernel = lambda x: (-torch.cdist(x, x).square()).exp().sum()  # noqa: E731
    assert fn.hessian(kernel)(X).isfinite().all()
