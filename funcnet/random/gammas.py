"""The gamma distribution, and distributions of functions of gamma numbers.

Source:
    Marsaglia, Tsang (2000), A simple method for generating gamma variables, https://doi.org/10.1145/358407.358414
"""

from collections.abc import Callable

import torch
from torch import Tensor

from funcnet import _torch
from funcnet.random.arguments import Key, Scalar, Shape, as_sizes, broadcast, check_positive, describe
from funcnet.random.basic import exponential, normal
from funcnet.random.compiled import by_counter
from funcnet.random.gamma_derivative import with_derivative
from funcnet.random.generator import PAIRS, draw_at, halves, split, split_each
from funcnet.random.integers import rademacher
from funcnet.random.loops import Carry, repeat_while
from funcnet.random.special import log
from funcnet.random.units import as_normal, normal_each, signs, unit_at, unit_each

f32 = torch.float32


def gamma(key: Key, a: Scalar, shape: Shape | None = None, dtype: torch.dtype = f32) -> Tensor:
    """Draw from the gamma distribution on x > 0 with density x^(a - 1) exp(-x) / Gamma(a).

    It is differentiable in a, by the implicit derivative -(dF(x, a) / da) / (dF / dx) with F the distribution function.

    Args:
        key: A key.
        a: The shape parameter, positive; a number or a tensor.
        shape: The shape of the result, to which a broadcasts; by default that of a.
        dtype: float32, float64, float16 or bfloat16.
    Raises:
        ValueError: a is a number that is not positive.
    Example:
        >>> fn.random.gamma(fn.random.key(0), 2.0, (3,))
        tensor([1.5898, 1.7599, 1.1290])
    """
    check_positive("gamma", a=a)
    _, (a,) = broadcast("gamma", key, shape, dtype, a=a)
    x = _drawn(_gamma, key, a.detach())
    return with_derivative(x, a, x)


def loggamma(key: Key, a: Scalar, shape: Shape | None = None, dtype: torch.dtype = f32) -> Tensor:
    """Draw the logarithm of a gamma number; it is finite also where the number of a small `a` is 0. See `gamma`.

    Example:
        >>> fn.random.loggamma(fn.random.key(0), 0.01, (3,))
        tensor([ -11.4789,   -9.8285, -137.9457])
    """
    check_positive("loggamma", a=a)
    _, (a,) = broadcast("loggamma", key, shape, dtype, a=a)
    logs = _drawn(_loggamma, key, a.detach())
    x = logs.exp().clamp(min=torch.finfo(dtype).tiny)
    return with_derivative(logs, a, x, is_log=True)


def chisquare(key: Key, df: Scalar, shape: Shape | None = None, dtype: torch.dtype = f32) -> Tensor:
    """Draw from the chi-square distribution with df degrees of freedom: twice a gamma number of df / 2.

    Example:
        >>> fn.random.chisquare(fn.random.key(0), 3.0, (3,))
        tensor([2.2051, 2.4900, 1.4557])
    """
    check_positive("chisquare", df=df)
    sizes, (df,) = broadcast("chisquare", key, shape, dtype, df=df)
    return torch.exp(loggamma(key, df / 2, sizes, dtype)) * 2


def f(key: Key, dfnum: Scalar, dfden: Scalar, shape: Shape | None = None, dtype: torch.dtype = f32) -> Tensor:
    """Draw from the F distribution: (y / dfnum) / (z / dfden), with y and z chi-square numbers.

    Example:
        >>> fn.random.f(fn.random.key(0), 3.0, 5.0, (3,))
        tensor([2.5797, 0.1922, 0.1598])
    """
    check_positive("f", dfnum=dfnum, dfden=dfden)
    sizes, (dfnum, dfden) = broadcast("f", key, shape, dtype, dfnum=dfnum, dfden=dfden)
    denominator, numerator = halves(key)
    y = chisquare(numerator, dfnum, sizes, dtype) / dfnum
    return y / (chisquare(denominator, dfden, sizes, dtype) / dfden)


def t(key: Key, df: Scalar, shape: Shape | None = None, dtype: torch.dtype = f32) -> Tensor:
    """Draw from Student's t distribution: n sqrt((df / 2) / g), with n normal and g a gamma number of df / 2.

    Example:
        >>> fn.random.t(fn.random.key(0), 3.0, (3,))
        tensor([ 0.6902, -3.2393, -1.6745])
    """
    check_positive("t", df=df)
    sizes, (df,) = broadcast("t", key, shape, dtype, df=df)
    if (drawn := _whole(_t, key, df)) is not None:
        return drawn
    first, second = halves(key)
    half = df / 2
    return normal(first, sizes, dtype) * torch.sqrt(half / gamma(second, half, sizes, dtype))


def beta(key: Key, a: Scalar, b: Scalar, shape: Shape | None = None, dtype: torch.dtype = f32) -> Tensor:
    """Draw from the beta distribution on (0, 1), with density proportional to x^(a - 1) (1 - x)^(b - 1).

    x = y / (y + z), with gamma numbers y of a and z of b.

    Args:
        key: A key.
        a, b: The shape parameters, positive; numbers or tensors. The result is differentiable in them.
        shape: The shape of the result, to which a and b broadcast; by default their common shape.
        dtype: The dtype of the result.
    Example:
        >>> fn.random.beta(fn.random.key(0), 2.0, 3.0, (3,))
        tensor([0.2363, 0.4905, 0.6838])
    """
    check_positive("beta", a=a, b=b)
    sizes, (a, b) = broadcast("beta", key, shape, dtype, a=a, b=b)
    first, second = halves(key)
    y, z = loggamma(first, a, sizes, dtype), loggamma(second, b, sizes, dtype)
    most = torch.maximum(y, z)
    y, z = torch.exp(y - most), torch.exp(z - most)
    return y / (y + z)


def dirichlet(key: Key, alpha: Tensor, shape: Shape | None = None, dtype: torch.dtype = f32) -> Tensor:
    """Draw probabilities, with sum 1, from the Dirichlet distribution: gamma numbers of alpha over their sum.

    Args:
        key: A key.
        alpha: (*, n): the concentrations, positive. The result is differentiable in them.
        shape: The shape of the result without its last axis, to which that of alpha broadcasts; by default the latter.
        dtype: The dtype of the result.
    Returns:
        (*shape, n)
    Example:
        >>> fn.random.dirichlet(fn.random.key(0), torch.tensor([1.0, 2.0, 3.0]))
        tensor([0.1423, 0.4049, 0.4528])
    """
    if not isinstance(alpha, Tensor) or not alpha.ndim:
        raise TypeError(f"random.dirichlet: expected alpha to be a tensor of shape (*, n), got {describe(alpha)}.")
    leading = alpha.shape[:-1] if shape is None else as_sizes("dirichlet", shape)
    return torch.softmax(loggamma(key, alpha, (*leading, alpha.shape[-1]), dtype), -1)


def generalized_normal(key: Key, p: Scalar, shape: Shape = (), dtype: torch.dtype = f32) -> Tensor:
    """Draw from the generalized normal distribution, with density proportional to exp(-|x|^p).

    Example:
        >>> fn.random.generalized_normal(fn.random.key(0), 3.0, (3,))
        tensor([ 0.8928,  0.0965, -0.9955])
    """
    check_positive("generalized_normal", p=p)
    sizes, (p,) = broadcast("generalized_normal", key, shape, dtype, p=p)
    if (drawn := _whole(_generalized_normal, key, p)) is not None:
        return drawn
    first, second = halves(key)
    power = 1 / p
    return rademacher(second, sizes, dtype) * gamma(first, power, sizes, dtype) ** power


def ball(key: Key, d: int, p: Scalar = 2.0, shape: Shape = (), dtype: torch.dtype = f32) -> Tensor:
    """Draw from the uniform distribution on the unit ball of the p-norm in d dimensions.

    Returns:
        (*shape, d)
    Source:
        Barthe, Guedon, Mendelson, Naor (2005), A probabilistic approach to the geometry of the l_p^n-ball,
        https://doi.org/10.1214/009117904000000874
    Example:
        >>> fn.random.ball(fn.random.key(0), 2, shape=(1,))
        tensor([[0.9172, 0.3928]])
    """
    check_positive("ball", d=d, p=p)
    sizes, _ = broadcast("ball", key, shape, dtype)
    first, second = halves(key)
    g = generalized_normal(first, p, (*sizes, d), dtype)
    radius = ((g.abs() ** p).sum(-1) + exponential(second, sizes, dtype)) ** (1 / p)
    return g / radius.unsqueeze(-1)


def _drawn(f: Callable[..., tuple[Tensor]], key: Key, a: Tensor) -> Tensor:
    """Compute f for each a, in a compiled loop over them if possible."""
    (numbers,) = by_counter(f, key, a.reshape(-1)) or f(key, None, a.reshape(-1))
    return numbers.reshape(a.shape)


def _whole(f: Callable[..., tuple[Tensor]], key: Key, p: Tensor) -> Tensor | None:
    """Compute f, a whole distribution, for each p as `_drawn` does; return None if p may need a derivative."""
    found = None if _torch.has_derivative(p) else by_counter(f, key, p.reshape(-1))
    return None if found is None else found[0].reshape(p.shape)


def _t(key: Key, counter: Tensor, df: Tensor) -> tuple[Tensor]:
    first, second = split(key)
    (g,) = _gamma(second, counter, df / 2)
    return (as_normal(unit_at(first, counter, df.dtype)) * torch.sqrt(df / 2 / g),)


def _generalized_normal(key: Key, counter: Tensor, p: Tensor) -> tuple[Tensor]:
    first, second = split(key)
    (g,) = _gamma(first, counter, 1 / p)
    return (draw_at(second, counter, signs(p.dtype)) * g ** (1 / p),)


def _gamma(key: Key, counter: Tensor | None, a: Tensor) -> tuple[Tensor]:
    d, v, spare = _rejection(_keys(key, counter, a), a)
    boost = (1 - unit_each(spare, a.dtype)) ** (1 / a)
    return (d * v * torch.where(a >= 1, 1, boost),)


def _loggamma(key: Key, counter: Tensor | None, a: Tensor) -> tuple[Tensor]:
    d, v, spare = _rejection(_keys(key, counter, a), a)
    boost = torch.log1p(-unit_each(spare, a.dtype)) / a
    return (log(d) + log(v) + torch.where(a >= 1, 0, boost),)


def _keys(key: Key, counter: Tensor | None, a: Tensor) -> Tensor:
    """Split a key into one for each a, or compute that of a single one."""
    return split(key, a.numel()) if counter is None else draw_at(key, counter, PAIRS)


def _rejection(keys: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return d and v, whose product is a gamma number of a, or of a + 1 where a < 1, and the key of another number.

    Propose v = (1 + c n)^3, with n normal and c = 1 / sqrt(9 d), until log u < n^2 / 2 + d (1 - v + log v).
    """
    keys, spare = split_each(keys, 2).unbind(-2)
    d = torch.where(a >= 1, a, a + 1) - 1 / 3
    c = 1 / 3 / torch.sqrt(d)

    def is_rejected(keys: Tensor, square: Tensor, v: Tensor, u: Tensor) -> Tensor:
        bound = square * 0.5 + d * (1 - v + log(v))
        return (u >= 1 - 0.0331 * (square * square)) & (log(u) >= bound)

    def propose(keys: Tensor, square: Tensor, v: Tensor, u: Tensor) -> Carry:
        keys, of_normal, of_uniform = split_each(keys, 3).unbind(-2)
        n, v = _positive(of_normal, c)
        return keys, n * n, v * v * v, unit_each(of_uniform, a.dtype)

    zero = torch.zeros_like(d)
    _, _, v, _ = repeat_while(is_rejected, propose, (keys, zero, zero + 1, zero + 2))
    return d, v, spare


def _positive(keys: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Draw a normal number n, again until 1 + c n is positive; return both."""

    def draw(keys: Tensor, n: Tensor, v: Tensor) -> Carry:
        keys, of_normal = split_each(keys, 2).unbind(-2)
        n = normal_each(of_normal, c.dtype)
        return keys, n, 1 + n * c

    _, n, v = repeat_while(lambda keys, n, v: v <= 0, draw, (keys, torch.zeros_like(c), torch.zeros_like(c) - 1))
    return n, v
