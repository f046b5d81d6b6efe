"""Wrong input to the functions of curvature raises a clear error."""

import math

import pytest
import torch
from curvature_reference import (
    KEY,
)

from funcnet.curvature import (
    cg,
    empirical_fisher_vp,
    fisher_vp,
    ggnvp,
    hessian_diag,
    hvp,
    lanczos,
    ntk,
    spectral_density,
    taylor,
)

BAD = {"w": torch.ones(2), "b": [torch.ones(1)]}
ERRORS = {
    "v of another shape": (
        lambda: hvp(lambda p: p["w"].sum(), BAD, BAD | {"b": [torch.ones(2)]}),
        ValueError,
        r'hvp: at path "b.0": expected v to be like the parameter, a float32 tensor of shape \(1,\) on cpu, '
        r"got float32 tensor of shape \(2,\)",
    ),
    "v of another structure": (
        lambda: ggnvp(lambda p: p["w"], torch.sum, BAD, {"w": torch.ones(2)}),
        ValueError,
        r"ggnvp: the trees differ in structure at the root: dict with entries b, w and dict with entry w",
    ),
    "v of another dtype": (
        lambda: fisher_vp(lambda p: p, torch.ones(2, 2), torch.ones(2, 2).double()),
        ValueError,
        r"fisher_vp: at the tree itself.*float32 tensor of shape \(2, 2\) on cpu, got float64",
    ),
    "an unknown family": (
        lambda: fisher_vp(lambda p: p, torch.ones(2, 2), torch.ones(2, 2), log_partition="poisson"),
        ValueError,
        r"fisher_vp: expected log_partition to be a function or one of categorical, bernoulli, gaussian, got 'poisson'",
    ),
    "a hidden axis of examples": (
        lambda: empirical_fisher_vp(lambda p, x: p * x, *[torch.tensor(1.0)] * 3),
        ValueError,
        r"empirical_fisher_vp: expected batch arguments with one leading axis",
    ),
    "a diagonal with half an estimate": (
        lambda: hessian_diag(torch.sum, torch.ones(2), key=KEY),
        ValueError,
        r"hessian_diag: expected key and samples together",
    ),
    "no sample": (
        lambda: hessian_diag(torch.sum, torch.ones(2), key=KEY, samples=0),
        ValueError,
        r"at least 1 sample, got 0",
    ),
    "kernel of no axis": (
        lambda: ntk(lambda w, x: w * x, torch.ones(2), torch.tensor(1.0)),
        ValueError,
        r"ntk: expected batch arguments with one leading axis",
    ),
    "kernel of several outputs": (
        lambda: ntk(lambda w, x: (w, x), torch.ones(2), torch.ones(3, 2)),
        TypeError,
        r"ntk: expected f to return one floating-point tensor, got tuple with entries 0, 1",
    ),
    "no block": (lambda: ntk(torch.mul, torch.ones(2), torch.ones(3, 2), block_size=0), ValueError, r"block_size .* 0"),
    "NaN in Lanczos": (
        lambda: lanczos(
            lambda v: {"a": v["a"], "b": v["b"] * math.nan}, {"a": torch.ones(2), "b": torch.ones(1)}, KEY, 1
        ),
        ValueError,
        r'lanczos: at path "b": expected a finite product of matvec, got nan in step 1. Check .*check_finite',
    ),
    "infinity in a density": (
        lambda: spectral_density(lambda v: v / 0, torch.ones(3), KEY),
        ValueError,
        r"spectral_density: at the tree itself.*: expected a finite product of matvec, got -?inf in step 1",
    ),
    "too many pairs": (
        lambda: lanczos(lambda v: v, torch.ones(3), KEY, 4),
        ValueError,
        r"lanczos: expected k between 1 and the number of steps, 3, .* parameters, 3; got 4",
    ),
    "an unknown end": (
        lambda: lanczos(lambda v: v, torch.ones(3), KEY, 1, which="LA"),
        ValueError,
        r"lanczos: expected which to be one of largest, smallest, magnitude, got 'LA'",
    ),
    "a density of nothing": (
        lambda: spectral_density(lambda v: v, torch.ones(3), KEY, steps=0),
        ValueError,
        r"spectral_density: expected at least 1 step.* got 0",
    ),
    "nothing to multiply": (
        lambda: cg(lambda v: v, {"n": 3}),
        ValueError,
        r"cg: expected floating-point or complex tensors to multiply, got dict with entry n",
    ),
    "a product of another shape": (
        lambda: cg(lambda v: v[:1], torch.ones(3)),
        ValueError,
        r"cg: .*expected the product of matvec to be like the parameter, a float32 tensor of shape \(3,\)",
    ),
    "NaN in cg": (
        lambda: cg(lambda v: v * math.nan, torch.ones(3)),
        ValueError,
        r"cg: .*expected a finite product of matvec, got nan in step 1",
    ),
    "NaN to solve for": (
        lambda: cg(lambda v: v, torch.tensor([1.0, math.nan])),
        ValueError,
        r"cg: .*got nan in step 0",
    ),
    "an indefinite matrix": (
        lambda: cg(lambda v: torch.tensor([1.0, -3.0]) * v, torch.ones(2), damping=0.5),
        ValueError,
        r"cg: expected a positive definite matrix, got curvature -0.5 along the direction of step 1. Add more than 0.5",
    ),
    "a negative order": (lambda: taylor(torch.sin, torch.ones(1), order=-1), ValueError, r"taylor: .* got -1"),
    "parameters from elsewhere": (
        lambda: taylor(torch.sin, torch.ones(1))(torch.ones(2)),
        ValueError,
        r"taylor: .*expected the new parameters to be like the parameter",
    ),
}


@pytest.mark.parametrize("call, error, message", ERRORS.values(), ids=ERRORS)
def test_bad_input_gets_a_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
