"""Mixed precision: parameters in one dtype, arithmetic in another."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.layers.layer import Layer, NeedsState, Params, State, as_layer
from funcnet.random import Key

_NAMES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}


class Policy(NamedTuple):
    """The dtypes of a layer's parameters, of its computation and of its outputs."""

    params: torch.dtype = torch.float32
    compute: torch.dtype = torch.bfloat16
    output: torch.dtype = torch.float32


def mixed_precision(policy: Policy | str = Policy()) -> Callable[[Layer | Callable[[Any], Any]], Layer]:  # noqa: B008
    """Make layers compute in a narrower dtype than that of their parameters.

    Parameters and inputs are converted when the layer is applied, so gradients have the dtype of the parameters. State
    keeps its own dtype. Values other than floating-point tensors are not converted. Further arguments of init and
    apply, such as attention's context and mask, are passed on to a layer without state.

    Args:
        policy: The dtypes, or a string such as "params=float32,compute=bfloat16,output=float32". Parts that are left
            out have the values in this example.
    Returns:
        A function from layers to layers, with the params and state of the inner one.
    Raises:
        ValueError: The string cannot be parsed.
        TypeError: policy is neither a Policy nor a string.
    Source:
        Micikevicius et al. (2018), Mixed Precision Training, https://arxiv.org/abs/1710.03740; policies as in
        https://github.com/google-deepmind/jmp
    Example:
        >>> layer = fn.mixed_precision("output=bfloat16")(fn.dense(2))
        >>> params = layer.init(fn.random.key(0), torch.zeros(3))
        >>> params["w"].dtype, layer.apply(params, torch.zeros(3)).dtype
        (torch.float32, torch.bfloat16)
    """
    return partial(_mixed, policy=_parse(policy) if isinstance(policy, str) else _checked(policy))


def _mixed(layer: Layer | Callable[[Any], Any], *, policy: Policy) -> Layer:
    inner = as_layer(layer)
    options: dict[str, Any] = {"inner": inner, "policy": policy}
    if not inner.stateful:
        return Layer(partial(_mixed_init, **options), partial(_mixed_apply, **options))
    init, apply = partial(_mixed_init_with_state, **options), partial(_mixed_apply_with_state, **options)
    return Layer(NeedsState(init, inner.init), NeedsState(apply, inner.apply))


def _mixed_init(key: Key, x: Any, *, inner: Layer, policy: Policy, **options: Any) -> Params:
    return _cast(inner.init(key, _cast(x, policy.params), **_cast(options, policy.params)), policy.params)


def _mixed_apply(
    params: Params, x: Any, *, inner: Layer, policy: Policy, key: Key | None = None, **options: Any
) -> Any:
    params, x, options = _cast((params, x, options), policy.compute)
    return _cast(inner.apply(params, x, key=key, **options), policy.output)


def _mixed_init_with_state(key: Key, x: Any, *, inner: Layer, policy: Policy) -> tuple[Params, State]:
    return _cast(inner.init_with_state(key, _cast(x, policy.params)), policy.params)


def _mixed_apply_with_state(
    params: Params, state: State, x: Any, *, inner: Layer, policy: Policy, key: Key | None = None, train: bool
) -> tuple[Any, State]:
    narrow, rows = _cast((params, x), policy.compute)
    y, after = inner.apply_with_state(narrow, state, rows, key=key, train=train)
    return _cast(y, policy.output), tree.map(_like, after, state)


def _cast(values: Any, dtype: torch.dtype) -> Any:
    return tree.map(lambda leaf: leaf.to(dtype) if tree.is_floating(leaf) else leaf, values)


def _like(after: Any, before: Any) -> Any:
    return after.to(before.dtype) if isinstance(before, Tensor) else after


def _parse(text: str) -> Policy:
    try:
        parts = dict(part.strip().split("=") for part in text.split(","))
        return Policy(**{name: _NAMES[dtype] for name, dtype in parts.items()})
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            'mixed_precision: expected a string such as "params=float32,compute=bfloat16,output=float32" with dtypes '
            f"among {', '.join(_NAMES)}, got {text!r}."
        ) from None


def _checked(policy: Any) -> Policy:
    if not isinstance(policy, Policy) or not all(isinstance(dtype, torch.dtype) for dtype in policy):
        raise TypeError(f"mixed_precision: expected a fn.Policy of dtypes or a string, got {policy!r}.")
    return policy
