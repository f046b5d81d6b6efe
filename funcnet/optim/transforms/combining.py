"""Chains of transformations."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from funcnet import tree
from funcnet.optim.base import GradientTransformation, Params, State, Updates
from funcnet.optim.extra_args import with_extra_args_support
from funcnet.optim.ranges import check_parts
from funcnet.reprs import shows_call

Parts = tuple[GradientTransformation, ...]


@shows_call
def chain(*transformations: GradientTransformation) -> GradientTransformation:
    """Apply transformations one after another, the first one to the gradients.

    Returns:
        The transformation. State: a tuple of their states.
    Raises:
        TypeError: A part is not a transformation.
        ValueError: At update, the state does not have one entry per transformation.
    Example:
        >>> optimizer = fn.optim.chain(fn.optim.clip(1.0), fn.optim.sgd(0.1))
        >>> optimizer.update(torch.tensor(5.0), optimizer.init(torch.tensor(0.0)))[0]
        tensor(-0.1000)
    """
    check_parts("chain", transformations)
    parts = tuple(map(with_extra_args_support, transformations))
    return GradientTransformation(init=partial(_chain_init, parts=parts), update=partial(_chain_update, parts=parts))


@shows_call
def named_chain(*transformations: tuple[str, GradientTransformation]) -> GradientTransformation:
    """Apply named transformations one after another.

    Args:
        transformations: Pairs of a name and a transformation.
    Returns:
        The transformation. State: a dict of their states by name.
    Raises:
        TypeError: A part is not a transformation.
        ValueError: A name occurs twice.
    Example:
        >>> optimizer = fn.optim.named_chain(("clip", fn.optim.clip(1.0)), ("sgd", fn.optim.sgd(0.1)))
        >>> optimizer.init(torch.tensor(0.0))
        {'clip': (), 'sgd': ((), ())}
    """
    parts = dict(transformations)
    check_parts("named_chain", parts.values())
    if len(parts) < len(transformations):
        raise ValueError(f"named_chain: expected names that differ, got {[name for name, _ in transformations]}.")
    parts = {name: with_extra_args_support(part) for name, part in parts.items()}
    return GradientTransformation(
        init=partial(_named_chain_init, parts=parts), update=partial(_named_chain_update, parts=parts)
    )


def _chain_init(params: Params, *, parts: Parts) -> State:
    return tuple(part.init(params) for part in parts)


def _chain_update(
    updates: Updates, state: State, params: Params | None = None, *, parts: Parts, **extra: Any
) -> tuple[Updates, State]:
    if not isinstance(state, tuple | list) or len(state) != len(parts):
        raise ValueError(
            f"chain: expected a state of {len(parts)} entries, one per transformation, got {tree.describe(state)}. "
            "Pass the state that init of this chain, or its last update, returned."
        )
    after = []
    for part, before in zip(parts, state, strict=True):
        updates, its_state = part.update(updates, before, params, **extra)
        after.append(its_state)
    return updates, tuple(after)


def _named_chain_init(params: Params, *, parts: Mapping[str, GradientTransformation]) -> State:
    return {name: part.init(params) for name, part in parts.items()}


def _named_chain_update(
    updates: Updates,
    state: State,
    params: Params | None = None,
    *,
    parts: Mapping[str, GradientTransformation],
    **extra: Any,
) -> tuple[Updates, State]:
    if not isinstance(state, Mapping) or state.keys() != parts.keys():
        raise ValueError(
            f"named_chain: expected a state with the entries {', '.join(parts)}, got {tree.describe(state)}. "
            "Pass the state that init of this chain, or its last update, returned."
        )
    after = {}
    for name, part in parts.items():
        updates, after[name] = part.update(updates, state[name], params, **extra)
    return updates, after
