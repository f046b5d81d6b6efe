"""Per-example gradients, products with curvature matrices, and what is built on them: spectra, solves, kernels.

Everything acts on pytrees of parameters. No matrix of parameters times parameters is built; a matrix is a function
that multiplies it by a tree, which `lanczos` and `cg` take. Floating-point and complex
tensors are the parameters; other leaves pass through. A complex number is the pair of its real and imaginary part.
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
