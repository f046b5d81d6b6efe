"""Per-example gradients, products with curvature matrices, and methods built on them: spectra, solves, kernels.

All functions act on pytrees of parameters. No matrix of size parameters times parameters is built; a matrix is given by
the function that multiplies it by a tree, which `lanczos` and `cg` take. The parameters are the floating-point and
complex tensors; other leaves pass through. A complex number counts as the pair of its real and imaginary part.
"""

from funcnet.curvature.cg import CGResult, cg
from funcnet.curvature.hessian_diag import hessian_diag
from funcnet.curvature.lanczos import Eigenpairs, SpectralDensity, lanczos, spectral_density
from funcnet.curvature.matrix_products import empirical_fisher_vp, fisher_vp, ggnvp, hessian_operator, hvp
from funcnet.curvature.ntk import ntk
from funcnet.curvature.per_example import clipped_mean, per_example_grads
from funcnet.curvature.per_example_norms import per_example_grad_norms
from funcnet.curvature.taylor import taylor

__all__ = [
    "CGResult",
    "Eigenpairs",
    "SpectralDensity",
    "cg",
    "clipped_mean",
    "empirical_fisher_vp",
    "fisher_vp",
    "ggnvp",
    "hessian_diag",
    "hessian_operator",
    "hvp",
    "lanczos",
    "ntk",
    "per_example_grad_norms",
    "per_example_grads",
    "spectral_density",
    "taylor",
]


def __dir__() -> list[str]:
    return __all__
