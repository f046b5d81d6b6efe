"""The diagonal of the Hessian: exactly, or estimated from random probes."""

from collections.abc import Callable

import torch
from torch import Tensor

from funcnet import random, tree
from funcnet.curvature.matrix_products import hessian_operator
from funcnet.random import Key
from funcnet.transforms import vmap
from funcnet.tree import Tree


def hessian_diag(
    f: Callable[[Tree], Tensor],
    params: Tree,
    *,
    key: Key | None = None,
    samples: int | None = None,
    chunk_size: int | None = None,
) -> Tree:
    """Compute the diagonal of the Hessian of f: the second derivative with respect to each parameter.

    Without a key it is exact, at the cost of one Hessian product per parameter. With a key and a number of samples it
    is Hutchinson's estimate, the mean of z * (H z) over random signs z, which is unbiased; the variance of entry i is
    sum_(j != i) H_ij² divided by the number of samples.

    Args:
        f: Returns a 0-d floating-point tensor.
        params: Any tree.
        key: The random key for the signs.
        samples: Number of probes.
        chunk_size: Number of products to compute at once; fewer need less memory. None: all.
    Returns:
        Like the gradient of f: None at leaves that are not differentiated. At a complex number, the second derivative
        with respect to its real part, plus i times that with respect to its imaginary part.
    Raises:
        ValueError: Only one of key and samples is given, or samples is below 1.
        TypeError: params holds no floating-point or complex tensor, or the result of f is not a 0-d floating-point
            tensor.
    Source:
        Bekas, Kokiopoulou, Saad (2007), An estimator for the diagonal of a matrix,
        https://doi.org/10.1016/j.apnum.2007.01.003
    Example:
        >>> fn.curvature.hessian_diag(lambda x: x[0] ** 3 * x[1], torch.tensor([1.0, 2.0]))
        tensor([12.,  0.])
    """
    if (key is None) != (samples is None):
        raise ValueError("hessian_diag: expected key and samples together, for an estimate, or neither; got one.")
    if samples is not None and samples < 1:
        raise ValueError(f"hessian_diag: expected at least 1 sample, got {samples}.")
    floating = tree.partition(params, tree.is_inexact)[0]
    vector, unravel = tree.ravel(floating)
    operator = hessian_operator(f, params)

    def along(z: Tensor) -> Tensor:
        return z * tree.ravel(operator(unravel(z)))[0]

    def of_one(index: Tensor) -> Tensor:
        unit = (places == index).to(vector.dtype)
        return along(unit).sum()

    def of_signs(key: Key) -> Tensor:
        return along(2 * random.bernoulli(key, 0.5, vector.shape).to(vector.dtype) - 1)

    if key is not None and samples is not None:
        return unravel(vmap(of_signs, chunk_size=chunk_size)(random.split(key, samples)).mean(0))
    places = torch.arange(vector.numel(), device=vector.device)
    return unravel(vmap(of_one, chunk_size=chunk_size)(places))
