"""Continuous distributions without rejection: functions of a few uniform, normal or exponential numbers per sample."""

import math

import torch
from torch import Tensor

from funcnet.random.arguments import Key, Scalar, Shape, as_sizes, broadcast, check_positive
from funcnet.random.basic import exponential, normal, uniform
from funcnet.random.generator import draw, halves
from funcnet.random.special import log
from funcnet.random.units import sample, signs

f32 = torch.float32


def laplace(key: Key, shape: Shape = (), dtype: torch.dtype = f32) -> Tensor:
    """Draw from the Laplace distribution of mean 0 and scale 1: x = sign(u) log(1 - |u|), with u uniform on (-1, 1).

    Example:
        >>> fn.random.laplace(fn.random.key(0), (3,))
        tensor([-2.2570, -3.1503,  0.4086])
    """
    u = uniform(key, shape, dtype, torch.finfo(dtype).eps / 2 - 1, 1.0)
    return torch.sign(u) * torch.log1p(-u.abs())


def logistic(key: Key, shape: Shape = (), dtype: torch.dtype = f32) -> Tensor:
    """Draw from the logistic distribution of mean 0 and scale 1: x = log(u / (1 - u)), with u uniform on (0, 1).

    Example:
        >>> fn.random.logistic(fn.random.key(0), (3,))
        tensor([ 2.8964,  3.8218, -0.6978])
    """
    return sample("logistic", key, shape, dtype, _logit)


def _logit(unit: Tensor) -> Tensor:
    u = unit + torch.finfo(unit.dtype).tiny
    return log(u) - torch.log1p(-u)


def cauchy(key: Key, shape: Shape = (), dtype: torch.dtype = f32) -> Tensor:
    """Draw from the Cauchy distribution of location 0 and scale 1: x = tan(pi (u - 1/2)), with u uniform on (0, 1).

    Example:
        >>> fn.random.cauchy(fn.random.key(0), (3,))
        tensor([ 6.0275, 14.8379, -0.5817])
    """
    u = uniform(key, shape, dtype, torch.finfo(dtype).eps, 1.0)
    return torch.tan(math.pi * (u - 0.5))


def pareto(key: Key, b: Scalar, shape: Shape | None = None, dtype: torch.dtype = f32) -> Tensor:
    """Draw from the Pareto distribution on x >= 1 with density b / x^(b + 1): x = exp(e / b), with e exponential.

    Args:
        key: A key.
        b: The shape parameter, positive; a number or a tensor.
        shape: The shape of the result, to which b broadcasts; by default that of b.
        dtype: The dtype of the result.
    Example:
        >>> fn.random.pareto(fn.random.key(0), 2.0, (3,))
        tensor([4.3713, 6.8326, 1.2238])
    """
    check_positive("pareto", b=b)
    sizes, (b,) = broadcast("pareto", key, shape, dtype, b=b)
    return torch.exp(exponential(key, sizes, dtype) / b)


def rayleigh(key: Key, scale: Scalar, shape: Shape | None = None, dtype: torch.dtype = f32) -> Tensor:
    """Draw from the Rayleigh distribution with density x / scale^2 exp(-x^2 / (2 scale^2)).

    x = scale sqrt(-2 log u), with u uniform on [0, 1).

    Example:
        >>> fn.random.rayleigh(fn.random.key(0), 2.0, (3,))
        tensor([0.6558, 0.4162, 2.9688])
    """
    check_positive("rayleigh", scale=scale)
    sizes, (scale,) = broadcast("rayleigh", key, shape, dtype, scale=scale)
    return scale * torch.sqrt(log(uniform(key, sizes, dtype)) * -2)


def weibull_min(
    key: Key, scale: Scalar, concentration: Scalar, shape: Shape | None = None, dtype: torch.dtype = f32
) -> Tensor:
    """Draw from the Weibull distribution, of x >= 0: x = scale e^(1 / concentration), with e exponential.

    Example:
        >>> fn.random.weibull_min(fn.random.key(0), 2.0, 1.5, (3,))
        tensor([4.1139, 4.9073, 1.0928])
    """
    check_positive("weibull_min", scale=scale, concentration=concentration)
    sizes, (scale, concentration) = broadcast(
        "weibull_min", key, shape, dtype, scale=scale, concentration=concentration
    )
    return exponential(key, sizes, dtype) ** (1.0 / concentration) * scale


def triangular(
    key: Key, left: Scalar, mode: Scalar, right: Scalar, shape: Shape | None = None, dtype: torch.dtype = f32
) -> Tensor:
    """Draw from the distribution on [left, right] whose density is a triangle with its peak at mode.

    x = left + sqrt(u (right - left) (mode - left)) if u < (mode - left) / (right - left), with u uniform on [0, 1),
    else right - sqrt((1 - u) (right - left) (right - mode)).

    Example:
        >>> fn.random.triangular(fn.random.key(0), 0.0, 1.0, 4.0, (3,))
        tensor([3.2075, 3.4930, 1.1694])
    """
    sizes, (left, mode, right) = broadcast("triangular", key, shape, dtype, left=left, mode=mode, right=right)
    u = uniform(key, sizes, dtype)
    rising = left + torch.sqrt(u * (right - left) * (mode - left))
    falling = right - torch.sqrt((1 - u) * (right - left) * (right - mode))
    return torch.where(u < (mode - left) / (right - left), rising, falling)


def lognormal(key: Key, sigma: Scalar = 1.0, shape: Shape | None = None, dtype: torch.dtype = f32) -> Tensor:
    """Draw numbers whose logarithm is normal with mean 0 and standard deviation sigma: x = exp(sigma n).

    Example:
        >>> fn.random.lognormal(fn.random.key(0), 0.5, (3,))
        tensor([2.2509, 2.7528, 0.8051])
    """
    sizes, (sigma,) = broadcast("lognormal", key, shape, dtype, sigma=sigma)
    return torch.exp(normal(key, sizes, dtype) * sigma)


def maxwell(key: Key, shape: Shape = (), dtype: torch.dtype = f32) -> Tensor:
    """Draw from the Maxwell distribution of scale 1: the length of three normal numbers.

    Example:
        >>> fn.random.maxwell(fn.random.key(0), (3,))
        tensor([2.6311, 0.9910, 0.9649])
    """
    sizes, _ = broadcast("maxwell", key, shape, dtype)
    return torch.linalg.vector_norm(normal(key, (*sizes, 3), dtype), dim=-1)


def double_sided_maxwell(key: Key, loc: Scalar, scale: Scalar, shape: Shape = (), dtype: torch.dtype = f32) -> Tensor:
    """Draw loc + scale times a Maxwell number of random sign.

    Args:
        key: A key.
        loc, scale: Numbers or tensors.
        shape: Leading axes of the result, before the common axes of loc and scale; as in JAX, () doubles the latter.
        dtype: The dtype of the result.
    Example:
        >>> fn.random.double_sided_maxwell(fn.random.key(0), 1.0, 2.0, (3,))
        tensor([ 4.0914,  4.1483, -3.1651])
    """
    common, (loc, scale) = broadcast("double_sided_maxwell", key, None, dtype, loc=loc, scale=scale)
    first, second = halves(key)
    sizes = (*(as_sizes("double_sided_maxwell", shape) or common), *common)
    sign = draw("double_sided_maxwell", second, sizes, signs(dtype))
    return sign * maxwell(first, sizes, dtype) * scale + loc


def wald(key: Key, mean: Scalar, shape: Shape | None = None, dtype: torch.dtype = f32) -> Tensor:
    """Draw from the Wald, or inverse Gaussian, distribution with a mean and scale 1.

    Source:
        Michael, Schucany, Haas (1976), Generating random variates using transformations with multiple roots,
        https://doi.org/10.1080/00031305.1976.10479147
    Example:
        >>> fn.random.wald(fn.random.key(0), 2.0, (3,))
        tensor([0.5334, 0.5981, 0.7255])
    """
    check_positive("wald", mean=mean)
    sizes, (mean,) = broadcast("wald", key, shape, dtype, mean=mean)
    first, second = halves(key)
    y, square = normal(first, sizes, dtype).square(), mean.square()
    x = mean + square * y / 2 - mean / 2 * torch.sqrt(4 * mean * y + square * y.square())
    return torch.where(uniform(second, sizes, dtype) <= mean / (mean + x), x, square / x)
