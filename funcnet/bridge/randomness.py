"""Rules that make the random operations in a module's forward draw from a key, never from torch's global generator.

Each of torch's random operations has a rule here, which draws from `funcnet.random` with its own key: the key of the
call with the number of the draw folded in. So two calls with the same key draw the same numbers, the examples of a vmap
over keys draw different numbers, and traced programs are pure.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet import random
from funcnet.random import Key

Rule = Callable[..., Any]


class Draws:
    """The random draws of one call, in their order."""

    def __init__(self, name: str, key: Key | None) -> None:
        self.name, self.key, self.count = name, key, 0

    def next_key(self, operation: str) -> Key:
        """Return the key of the next draw."""
        if self.key is None:
            raise ValueError(
                f"{self.name}: {operation} draws random numbers, expected a key, got none. Pass"
                " key=fn.random.key(0), or call .eval() on the module before from_module to switch dropout off."
            )
        self.count += 1
        return random.fold_in(self.key, self.count - 1)

    def unknown(self, operation: str) -> ValueError:
        """Build the error for an operation without a rule."""
        return ValueError(
            f"{self.name}: {operation} draws from torch's global generator, expected an operation that can draw from a"
            " key. Draw outside the module and pass the numbers as an argument."
        )


def _keep(draws: Draws, x: Tensor, p: float, shape: Sequence[int], name: str) -> Tensor:
    return random.bernoulli(draws.next_key(f"{name} (p={p})"), 1 - p, tuple(shape))


def _dropout(draws: Draws, input: Tensor, p: float, train: bool) -> Tensor:
    return thin(draws, input, p, train, input.shape, "dropout")


def _feature_dropout(draws: Draws, input: Tensor, p: float, train: bool) -> Tensor:
    return thin(draws, input, p, train, _channels(input), "dropout of channels")


def thin(draws: Draws, x: Tensor, p: float, train: bool, shape: Sequence[int], name: str) -> Tensor:
    """Zero entries of a mask of this shape with probability p, and divide the rest by 1 - p; no-op in eval mode."""
    if not train or p == 0:
        return x
    if p == 1:
        return x * 0
    return torch.where(_keep(draws, x, p, shape, name), x / (1 - p), 0.0)


def _native_dropout(draws: Draws, input: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    if train is False or p == 0:
        return input, torch.ones_like(input, dtype=torch.bool)
    keep = _keep(draws, input, p, input.shape, "dropout")
    return input * keep / (1 - p) if p < 1 else input * 0, keep


def _alpha_dropout(draws: Draws, input: Tensor, p: float, train: bool) -> Tensor:
    return _self_normalised(draws, input, p, train, input.shape)


def _feature_alpha_dropout(draws: Draws, input: Tensor, p: float, train: bool) -> Tensor:
    return _self_normalised(draws, input, p, train, _channels(input))


_SELU_FLOOR = 1.7580993408473766  # minus the limit of selu at minus infinity


def _self_normalised(draws: Draws, x: Tensor, p: float, train: bool, shape: Sequence[int]) -> Tensor:
    """Drop to selu's limit instead of 0, then restore mean and variance: Klambauer et al. (2017), section 3.4."""
    if not train or p == 0:
        return x
    if p == 1:
        return x * 0
    scale = ((_SELU_FLOOR**2 * p + 1) * (1 - p)) ** -0.5
    keep = _keep(draws, x, p, shape, "alpha_dropout")
    return torch.where(keep, x, -_SELU_FLOOR) * scale + _SELU_FLOOR * scale * p


def _channels(x: Tensor) -> tuple[int, ...]:
    return (*x.shape[:2], *(1,) * (x.ndim - 2))


def _rrelu(
    draws: Draws, input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, **_: Any
) -> Tensor:
    if training:
        key = draws.next_key("rrelu")
        slope: Any = random.uniform(key, tuple(input.shape), input.dtype, minval=lower, maxval=upper)
    else:
        slope = (lower + upper) / 2
    return torch.where(input >= 0, input, input * slope)


def _rand(draws: Draws, *size: Any, dtype: Any = None, **options: Any) -> Tensor:
    return random.uniform(draws.next_key("rand"), _sizes(size, options), dtype or torch.get_default_dtype())


def _randn(draws: Draws, *size: Any, dtype: Any = None, **options: Any) -> Tensor:
    return random.normal(draws.next_key("randn"), _sizes(size, options), dtype or torch.get_default_dtype())


def _rand_like(draws: Draws, input: Tensor, *, dtype: Any = None, **_: Any) -> Tensor:
    return random.uniform(draws.next_key("rand_like"), tuple(input.shape), dtype or input.dtype)


def _randn_like(draws: Draws, input: Tensor, *, dtype: Any = None, **_: Any) -> Tensor:
    return random.normal(draws.next_key("randn_like"), tuple(input.shape), dtype or input.dtype)


def _randint(draws: Draws, *args: Any, dtype: Any = None, **options: Any) -> Tensor:
    before = 1 + ("high" in options or len(args) + ("size" in options) == 3)  # number of arguments before the size
    given = dict(zip(("low", "high", "size")[2 - before :], args, strict=False)) | options
    key = draws.next_key("randint")
    drawn = random.randint(key, tuple(given["size"]), given.get("low", 0), given["high"], torch.int64)
    return drawn.to(dtype or torch.int64)


def _randint_like(
    draws: Draws, input: Tensor, low: int, high: int | None = None, *, dtype: Any = None, **_: Any
) -> Tensor:
    low, high = (0, low) if high is None else (low, high)
    drawn = random.randint(draws.next_key("randint_like"), tuple(input.shape), low, high, torch.int64)
    return drawn.to(dtype or input.dtype)


def _randperm(draws: Draws, n: int, *, dtype: Any = None, **_: Any) -> Tensor:
    return random.permutation(draws.next_key("randperm"), n).to(dtype or torch.int64)


def _normal(draws: Draws, mean: Any, std: Any = 1.0, size: Any = None, *, dtype: Any = None, **_: Any) -> Tensor:
    tensors = [value for value in (mean, std) if isinstance(value, Tensor)]
    shape = torch.broadcast_shapes(*(t.shape for t in tensors)) if size is None else size
    dtype = dtype or (tensors[0].dtype if tensors else torch.get_default_dtype())
    return random.normal(draws.next_key("normal"), tuple(shape), dtype) * std + mean


def _bernoulli(draws: Draws, input: Tensor, p: float | None = None, **_: Any) -> Tensor:
    probability = input if p is None else p
    return random.bernoulli(draws.next_key("bernoulli"), probability, tuple(input.shape)).to(input.dtype)


def _multinomial(draws: Draws, input: Tensor, num_samples: int, replacement: bool = False, **_: Any) -> Tensor:
    if num_samples > 1 and not replacement:
        raise ValueError(
            f"{draws.name}: expected multinomial with replacement, got none. Pass the draws as an argument."
        )
    key, batch = draws.next_key("multinomial"), input.shape[:-1]
    return random.categorical(key, input.log(), shape=(num_samples, *batch)).movedim(0, -1)


def _bernoulli_in_place(draws: Draws, input: Tensor, p: Any = 0.5, **_: Any) -> Tensor:
    return input.copy_(random.bernoulli(draws.next_key("bernoulli"), p, tuple(input.shape)))


def _normal_in_place(draws: Draws, input: Tensor, mean: float = 0.0, std: float = 1.0, **_: Any) -> Tensor:
    return input.copy_(_randn_like(draws, input) * std + mean)


def _uniform_in_place(draws: Draws, input: Tensor, *bounds: float, **options: Any) -> Tensor:
    given = {"from": 0.0, "to": 1.0} | dict(zip(("from", "to"), bounds, strict=False)) | options
    low, high = given["from"], given["to"]
    return input.copy_(_rand_like(draws, input) * (high - low) + low)


def _exponential_in_place(draws: Draws, input: Tensor, lambd: float = 1.0, **_: Any) -> Tensor:
    key = draws.next_key("exponential")
    return input.copy_(random.exponential(key, tuple(input.shape), input.dtype) / lambd)


def _sizes(size: tuple[Any, ...], options: dict[str, Any]) -> tuple[int, ...]:
    size = size or (options["size"],)
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size


def _in_place(rule: Rule) -> Rule:
    def write(draws: Draws, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        result: Tensor = rule(draws, input, *args, **kwargs)
        return input if result is input else input.copy_(result)

    return write


RULES: dict[str, Rule] = {
    "dropout": _dropout,
    "dropout_": _in_place(_dropout),
    "native_dropout": _native_dropout,
    "feature_dropout": _feature_dropout,
    "feature_dropout_": _in_place(_feature_dropout),
    "alpha_dropout": _alpha_dropout,
    "alpha_dropout_": _in_place(_alpha_dropout),
    "feature_alpha_dropout": _feature_alpha_dropout,
    "feature_alpha_dropout_": _in_place(_feature_alpha_dropout),
    "rrelu": _rrelu,
    "rrelu_": _in_place(_rrelu),
    "rand": _rand,
    "randn": _randn,
    "rand_like": _rand_like,
    "randn_like": _randn_like,
    "randint": _randint,
    "randint_like": _randint_like,
    "randperm": _randperm,
    "normal": _normal,
    "bernoulli": _bernoulli,
    "multinomial": _multinomial,
    "bernoulli_": _bernoulli_in_place,
    "normal_": _normal_in_place,
    "uniform_": _uniform_in_place,
    "exponential_": _exponential_in_place,
}

# the other functions that draw from the global generator, according to torch's tags
UNKNOWN = {
    "binomial",
    "cauchy_",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "geometric_",
    "log_normal_",
    "poisson",
    "random_",
    "rrelu_with_noise",
    "rrelu_with_noise_",
    "trunc_normal_",
    "_standard_gamma",
    "_sample_dirichlet",
}
