"""The uniform and the normal distribution, and transformations of one uniform number per sample."""

import math
from functools import lru_cache, partial

import torch
from torch import Tensor

from funcnet import _torch
from funcnet.random.arguments import Key, Scalar, Shape, as_tensor, check_dtype, check_key
from funcnet.random.generator import draw, split
from funcnet.random.special import erf, log
from funcnet.random.units import FLOATS, SYMMETRIC, as_normal, between, between_numbers, check_order, quantile, sample


def uniform(
    key: Key, shape: Shape = (), dtype: torch.dtype = torch.float32, minval: Scalar = 0.0, maxval: Scalar = 1.0
) -> Tensor:
    """Draw from the uniform distribution on [minval, maxval). Reusing the key repeats the numbers: split it first.

    Args:
        key: A key.
        shape: The shape of the result.
        dtype: float32, float64, float16 or bfloat16.
        minval: The lower bound, a number or a tensor that broadcasts to shape.
        maxval: The upper bound, likewise. For bounds other than 0 and 1, float64 may differ from JAX by rounding.
    Raises:
        ValueError: minval and maxval are numbers, and minval is the larger one.
    Example:
        >>> fn.random.uniform(fn.random.key(0), (3,))
        tensor([0.9477, 0.9786, 0.3323])
    """
    if not isinstance(minval, Tensor) and not isinstance(maxval, Tensor) and (minval, maxval) == (0, 1):
        return sample("uniform", key, shape, dtype, lambda unit: unit)
    check_order("uniform", "minval", minval, "maxval", maxval)
    if _are_constant(minval, maxval):
        check_dtype("uniform", dtype, FLOATS)
        low, span = _interval(float(minval), float(maxval), dtype)
        return sample("uniform", key, shape, dtype, partial(between_numbers, low=low, span=span))
    return sample("uniform", key, shape, dtype, between, minval=minval, maxval=maxval)


def normal(key: Key, shape: Shape = (), dtype: torch.dtype = torch.float32) -> Tensor:
    """Draw from the normal distribution of mean 0 and variance 1. Reusing the key repeats the numbers: split it first.

    x = sqrt(2) erfinv(u), with u uniform on (-1, 1).

    Args:
        key: A key.
        shape: The shape of the result.
        dtype: float32, float64, float16, bfloat16, complex64 or complex128. The mean of |x|^2 is 1, of complex
            numbers, too.
    Example:
        >>> fn.random.normal(fn.random.key(0), (3,))
        tensor([ 1.6226,  2.0253, -0.4336])
    """
    if dtype.is_complex:
        real, imaginary = (normal(each, shape, dtype.to_real()) for each in split(key))
        return torch.complex(real, imaginary) / math.sqrt(2)
    if dtype in SYMMETRIC:
        return draw("normal", key, shape, SYMMETRIC[dtype], quantile)
    return sample("normal", key, shape, dtype, as_normal)


def truncated_normal(
    key: Key, lower: Scalar, upper: Scalar, shape: Shape | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Draw from the normal distribution of mean 0 and variance 1 conditioned on lower < x < upper.

    x = sqrt(2) erfinv(u), with u uniform between erf(lower / sqrt(2)) and erf(upper / sqrt(2)).

    Args:
        key: A key.
        lower: The lower bound, a number or a tensor.
        upper: The upper bound, likewise.
        shape: The shape of the result, to which the bounds broadcast; by default their common shape.
        dtype: float32, float64, float16 or bfloat16.
    Raises:
        ValueError: lower and upper are numbers, and lower is the larger one.
    Example:
        >>> fn.random.truncated_normal(fn.random.key(0), -1.0, 1.0, (3,))
        tensor([ 0.8619,  0.9413, -0.2910])
    """
    check_order("truncated_normal", "lower", lower, "upper", upper)
    check_key("truncated_normal", key)
    check_dtype("truncated_normal", dtype, FLOATS)
    if isinstance(lower, int | float) and isinstance(upper, int | float) and not torch.compiler.is_compiling():
        low, span, least, most = _number_bounds(float(lower), float(upper), dtype)
        f = partial(_truncated_between_numbers, low=low, span=span, least=least, most=most)
        return sample("truncated_normal", key, () if shape is None else shape, dtype, f)
    a, b, c, d = _bounds(*(as_tensor(bound, dtype, key.device).to(dtype) for bound in (lower, upper)))
    return sample("truncated_normal", key, shape, dtype, _truncated_normal, lower=a, upper=b, least=c, most=d)


def exponential(key: Key, shape: Shape = (), dtype: torch.dtype = torch.float32) -> Tensor:
    """Draw from the exponential distribution of mean 1: x = -log(1 - u), with u uniform on [0, 1).

    Example:
        >>> fn.random.exponential(fn.random.key(0), (3,))
        tensor([2.9501, 3.8434, 0.4039])
    """
    return sample("exponential", key, shape, dtype, lambda unit: -torch.log1p(-unit))


def gumbel(key: Key, shape: Shape = (), dtype: torch.dtype = torch.float32) -> Tensor:
    """Draw from the standard Gumbel distribution: x = -log(-log u), with u uniform on (0, 1).

    Example:
        >>> fn.random.gumbel(fn.random.key(0), (3,))
        tensor([ 2.9234,  3.8326, -0.0969])
    """
    return sample("gumbel", key, shape, dtype, lambda unit: -log(-log(unit + torch.finfo(dtype).tiny)))


def _truncated_normal(unit: Tensor, a: Tensor, b: Tensor, least: Tensor, most: Tensor) -> Tensor:
    return quantile(between(unit, a, b)).clamp(least, most)


def _truncated_between_numbers(unit: Tensor, low: float, span: float, least: float, most: float) -> Tensor:
    return quantile(between_numbers(unit, low, span)).clamp(least, most)


def _bounds(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the bounds of the uniform numbers, and the least and the greatest number strictly between the bounds."""
    scale, infinity = 1 / torch.full_like(lower, math.sqrt(2)), torch.full_like(lower, math.inf)
    least, most = torch.nextafter(lower.detach(), infinity), torch.nextafter(upper.detach(), -infinity)
    return erf(lower * scale), erf(upper * scale), least, most


@lru_cache(maxsize=64)
def _number_bounds(lower: float, upper: float, dtype: torch.dtype) -> tuple[float, float, float, float]:
    with _torch.on_values():
        a, b, least, most = _bounds(*torch.tensor([lower, upper], dtype=dtype, device="cpu"))
        return a.item(), (b - a).item(), least.item(), most.item()


@lru_cache(maxsize=64)
def _interval(minval: float, maxval: float, dtype: torch.dtype) -> tuple[float, float]:
    """Return the lower bound and the difference of the bounds as numbers of a dtype."""
    with _torch.on_values():
        low, high = torch.tensor([minval, maxval], dtype=dtype, device="cpu")
        return low.item(), (high - low).item()


def _are_constant(*numbers: Scalar) -> bool:
    """Tell whether numbers are those of Python, of which none is traced."""
    return all(type(number) in (int, float) for number in numbers) and not torch.compiler.is_compiling()
