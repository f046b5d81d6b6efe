"""Counts of events: the Poisson, binomial and multinomial distribution."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from funcnet import _torch
from funcnet.control_flow import while_loop
from funcnet.random.arguments import FLOATS, INTEGERS, Key, Scalar, Shape, broadcast, check_dtype, describe
from funcnet.random.basic import uniform
from funcnet.random.compiled import by_counter
from funcnet.random.generator import split
from funcnet.random.special import log
from funcnet.random.units import unit_at

f32 = torch.float32
_Proposals = tuple[Tensor, Tensor, Tensor]  # the key, counts, and what decides whether there are more
_Rounds = tuple[Tensor, Tensor, Tensor, Tensor]  # the key, counts, whether they have been accepted, and rounds
_Counts = tuple[Tensor, Tensor]  # counts, and the rounds of proposals, as a negative number where a count needs none

# log k! - ((k + 1/2) log(k + 1) - (k + 1) + log(2 pi) / 2) for k from 0 to 9
_STIRLING = (
    0.0810614667953272,
    0.0413406959554092,
    0.0276779256849983,
    0.02079067210376509,
    0.0166446911898211,
    0.0138761288230707,
    0.0118967099458917,
    0.010411265261972,
    0.00925546218271273,
    0.00833056343336287,
)


def poisson(key: Key, lam: Scalar, shape: Shape | None = None, dtype: torch.dtype = torch.int32) -> Tensor:
    """Draw from the Poisson distribution of mean lam, with probabilities lam^k exp(-lam) / k!.

    Args:
        key: A key.
        lam: At least 0; a number or a tensor, which is taken as float32.
        shape: The shape of the result, to which lam broadcasts; by default that of lam.
        dtype: An integer dtype.
    Raises:
        ValueError: lam is a negative number.
    Source:
        Knuth (1969), The art of computer programming, volume 2, 3.4.1, for lam < 10. Hormann (1993), The transformed
        rejection method for generating Poisson random variables, algorithm PTRS,
        https://doi.org/10.1016/0167-6687(93)90997-4
    Example:
        >>> fn.random.poisson(fn.random.key(0), 4.0, (3,))
        tensor([0, 1, 5], dtype=torch.int32)
    """
    if isinstance(lam, int | float) and not lam >= 0:
        raise ValueError(f"random.poisson: expected lam to be at least 0, got {lam}.")
    check_dtype("poisson", dtype, INTEGERS)
    _, (lam,) = broadcast("poisson", key, shape, f32, lam=lam)
    return _drawn(_poisson, key, lam.detach()).to(dtype)


def binomial(key: Key, n: Scalar, p: Scalar, shape: Shape | None = None, dtype: torch.dtype = f32) -> Tensor:
    """Draw the number of successes in n trials, each with probability p.

    Args:
        key: A key.
        n: The number of trials, a number or a tensor. The result is NaN where n is negative or NaN.
        p: The probability, a number or a tensor. The result is NaN where p is negative or NaN.
        shape: The shape of the result, to which n and p broadcast; by default their common shape.
        dtype: A floating-point dtype, that of the result.
    Source:
        Devroye (1986), Non-uniform random variate generation, X.4.3, for n p <= 10. Hormann (1993), The generation of
        binomial random variates, algorithm BTRS, https://doi.org/10.1080/00949659308811496
    Example:
        >>> fn.random.binomial(fn.random.key(0), 10, 0.5, (3,))
        tensor([6., 7., 5.])
    """
    check_dtype("binomial", dtype, FLOATS)
    wide = p.dtype if isinstance(p, Tensor) and p.dtype in FLOATS else f32
    _, (n, p) = broadcast("binomial", key, shape, wide, n=n, p=p)
    return _drawn(_binomial, key, n.detach(), p.detach()).to(dtype)


def multinomial(key: Key, n: Scalar, p: Tensor, *, shape: Shape | None = None, dtype: torch.dtype = f32) -> Tensor:
    """Draw the number of times that each category occurs in n trials: binomial numbers, one category after another.

    Args:
        key: A key.
        n: The number of trials; a number, or a tensor that broadcasts to shape[:-1].
        p: (*, categories): probabilities.
        shape: The shape of the result, to which p broadcasts; by default that of p.
        dtype: A floating-point dtype, that of the result.
    Example:
        >>> fn.random.multinomial(fn.random.key(0), 10, torch.tensor([0.2, 0.3, 0.5]))
        tensor([1., 1., 8.])
    """
    if not isinstance(p, Tensor) or p.dtype not in FLOATS or not p.ndim:
        expected = "expected p to be a floating-point tensor of shape (*, categories)"
        raise TypeError(f"random.multinomial: {expected}, got {describe(p)}.")
    check_dtype("multinomial", dtype, FLOATS)
    sizes, (p,) = broadcast("multinomial", key, shape, p.dtype, p=p)
    _, (left,) = broadcast("multinomial", key, sizes[:-1], p.dtype, n=n)
    rest = p.flip(-1).cumsum(-1).flip(-1)
    ratios = (p / torch.where(rest == 0, 1, rest)).clamp(0, 1)
    counts = []
    for ratio, subkey in zip(ratios.unbind(-1), split(key, p.shape[-1]), strict=True):
        counts.append(binomial(subkey, left, ratio, dtype=p.dtype))
        left = left - counts[-1]
    return torch.stack(counts, -1).to(dtype)


class _Numbers(NamedTuple):
    """Uniform numbers of a key in each round of a loop: those of all counts, or of one.

    JAX proposes counts until all of them have accepted one, and keeps the last that each of them accepted. So one count
    does not depend on the others only for a given number of rounds.
    """

    key: Key
    counter: Tensor | None = None  # the position of one count among all of them
    rounds: Tensor | int = 0  # the least number

    def uniform(self, key: Key, like: Tensor) -> Tensor:
        if self.counter is None:
            return uniform(key, like.shape, like.dtype)
        return unit_at(key, self.counter, like.dtype)

    def accept(self, propose: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], like: Tensor) -> _Counts:
        """Propose counts until each element has accepted one; keep the last that it accepted."""

        def is_going(carry: _Rounds) -> Tensor:
            return ~carry[2].all() | (carry[3] < self.rounds)

        def step(carry: _Rounds) -> _Rounds:
            key, count, is_accepted, i = carry
            key, first, second = split(key, 3)
            k, accepts = propose(self.uniform(first, like) - 0.5, self.uniform(second, like))
            return key, torch.where(accepts, k, count), is_accepted | accepts, i + 1

        none, i = torch.zeros_like(like, dtype=torch.bool), torch.zeros((), dtype=torch.int64, device=like.device)
        _, counts, _, i = while_loop(is_going, step, (self.key, torch.full_like(like, -1), none, i))
        return counts, i


def _drawn(f: Callable[..., _Counts], key: Key, *parameters: Tensor) -> Tensor:
    """Draw counts with parameters of their shape, in a compiled loop over the counts if possible."""
    flat, rounds = [p.reshape(-1) for p in parameters], torch.zeros((), dtype=torch.int64, device=key.device)
    size = flat[0].numel()
    if (found := by_counter(f, key, rounds.expand(size), *flat)) is None:
        return f(key, None, 0, *parameters)[0]
    if size > 1 and (_torch.is_transforming() or (found[1] > 0).any()):  # now that the number of rounds is known
        found = by_counter(f, key, found[1].abs().amax().expand(size), *flat) or found
    return found[0].reshape(parameters[0].shape)


def _poisson(key: Key, counter: Tensor | None, rounds: Tensor | int, lam: Tensor) -> _Counts:
    numbers = _Numbers(key, counter, rounds)
    is_small = torch.isnan(lam) | (lam < 10)
    small, large = torch.where(is_small, lam, 0.0), torch.where(is_small, 1e5, lam)
    many, i = _poisson_by_rejection(numbers, large)
    counts = torch.where(is_small, _poisson_by_products(numbers, small), many)
    return torch.where(lam == 0, 0, counts), torch.where(is_small, -i, i)


def _poisson_by_products(numbers: _Numbers, lam: Tensor) -> Tensor:
    """Count uniform numbers until their product is below exp(-lam)."""

    def step(carry: _Proposals) -> _Proposals:
        key, count, log_product = carry
        key, subkey = split(key)
        return key, torch.where(log_product > -lam, count + 1, count), log_product + log(numbers.uniform(subkey, lam))

    start = numbers.key, torch.zeros_like(lam), torch.zeros_like(lam)
    return while_loop(lambda carry: (carry[2] > -lam).any(), step, start)[1] - 1


def _poisson_by_rejection(numbers: _Numbers, lam: Tensor) -> _Counts:
    b = 0.931 + 2.53 * torch.sqrt(lam)
    a = -0.059 + 0.02483 * b
    alpha = 1.1239 + 1.1328 / (b - 3.4)
    log_lam, threshold = log(lam), 0.9277 - 3.6224 / (b - 2)

    def propose(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        distance = 0.5 - u.abs()
        k = torch.floor((2 * a / distance + b) * u + lam + 0.43)
        s = log(v * alpha / (a / (distance * distance) + b))
        is_rejected = (k < 0) | ((distance < 0.013) & (v > distance))
        is_inside = (distance >= 0.07) & (v <= threshold)
        return k, is_inside | (~is_rejected & (s <= k * log_lam - lam - torch.lgamma(k + 1)))

    return numbers.accept(propose, lam)


def _binomial(key: Key, counter: Tensor | None, rounds: Tensor | int, n: Tensor, p: Tensor) -> _Counts:
    numbers = _Numbers(key, counter, rounds)
    is_bad = (n < 0) | n.isnan() | (p > 1) | (p < 0) | p.isnan()
    q = torch.where(is_bad, 0.01, torch.where(p < 0.5, p, 1 - p))
    is_few = is_bad | n.isinf() | (n * q <= 10)
    trials = torch.floor(n)
    few = _binomial_by_gaps(numbers, torch.where(is_few & n.isfinite() & ~is_bad, trials, 0.0), q)
    many, i = _binomial_by_rejection(numbers, torch.where(is_few, 1e4, trials), torch.where(is_few, 0.5, q))
    counts = torch.where(is_few, few, many)
    counts = torch.where(p < 0.5, counts, trials - counts)
    return torch.where(is_bad, torch.nan, torch.where(n.isinf(), torch.inf, counts)), torch.where(is_few, -i, i)


def _binomial_by_gaps(numbers: _Numbers, n: Tensor, p: Tensor) -> Tensor:
    """Count successes: the gaps between them are geometric numbers."""
    scale = torch.log1p(-p)

    def step(carry: _Proposals) -> _Proposals:
        key, count, trials = carry
        subkey, key = split(key)
        gap = torch.ceil(log(numbers.uniform(subkey, n)) / scale)
        return key, torch.where(trials <= n, count + 1, count), trials + gap

    start = numbers.key, torch.zeros_like(n), torch.zeros_like(n)
    return while_loop(lambda carry: (carry[2] <= n).any(), step, start)[1] - 1


def _binomial_by_rejection(numbers: _Numbers, n: Tensor, p: Tensor) -> _Counts:
    deviation = torch.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    alpha, threshold = (2.83 + 5.1 / b) * deviation, 0.92 - 4.2 / b
    ratio, mode = p / (1 - p), torch.floor((n + 1) * p)
    at_mode = _stirling(mode) + _stirling(n - mode)

    def propose(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        distance = 0.5 - u.abs()
        k = torch.floor((2 * a / distance + b) * u + (n * p + 0.5))
        v_log = log(v * alpha / (a / (distance * distance) + b))
        bound = (mode + 0.5) * torch.log((mode + 1) / (ratio * (n - mode + 1)))
        bound = bound + (n + 1) * torch.log((n - mode + 1) / (n - k + 1))
        bound = bound + (k + 0.5) * torch.log(ratio * (n - k + 1) / (k + 1))
        bound = bound + at_mode - _stirling(k) - _stirling(n - k)
        is_inside = (distance >= 0.07) & (v <= threshold)
        return k, is_inside | ((k >= 0) & (k <= n) & (v_log <= bound))

    return numbers.accept(propose, p)


def _stirling(k: Tensor) -> Tensor:
    """Return the error of Stirling's formula for log k!."""
    table = torch.tensor(_STIRLING, dtype=k.dtype, device=k.device)
    square = (k + 1) * (k + 1)
    series = (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (k + 1)
    return torch.where(k <= 9, table[k.clamp(0, 9).to(torch.int64)], series)
