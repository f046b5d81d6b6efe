"""Transformations of some of the parameters."""

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, NamedTuple

from funcnet import tree
from funcnet.optim.base import (
    GradientTransformation,
    Params,
    State,
    Updates,
    floating,
    set_to_zero,
)
from funcnet.optim.extra_args import with_extra_args_support
from funcnet.optim.ranges import check_parts
from funcnet.optim.states import with_state
from funcnet.reprs import shows_call
from funcnet.tree import Tree

TreeOrFunction = Tree | Callable[[Params], Tree]


class MaskedState(NamedTuple):
    """The state of a masked transformation."""

    inner_state: State  # of the selected leaves, None for the others


class PartitionState(NamedTuple):
    """The states of the transformations of a partition."""

    inner_states: dict[Hashable, State]  # by label


def by_path(f: Callable[[str], Any]) -> Callable[[Params], Tree]:
    """Make a mask, or labels, from a function of a leaf's path, such as "0.w".

    Example:
        >>> fn.optim.by_path(lambda path: path.endswith("w"))({"w": torch.zeros(1), "b": torch.zeros(1)})
        {'w': True, 'b': False}
    """
    return partial(_by_path, f=f)


@shows_call
def masked(inner: GradientTransformation, mask: TreeOrFunction) -> GradientTransformation:
    """Apply a transformation to some leaves and leave the updates of the others unchanged.

    Args:
        inner: The transformation to apply.
        mask: A tree of bools like the parameters, or a prefix of it (such as one bool per layer); or a function from a
            tree like the parameters to such a mask, for example one made by `by_path`.
    Returns:
        The transformation. State: `MaskedState`.
    Raises:
        TypeError: inner is not a transformation.
        ValueError: The mask is not a prefix of the parameters.
    Example:
        >>> decay = fn.optim.masked(fn.optim.add_decayed_weights(0.1), {"w": True, "b": False})
        >>> params = {"w": torch.tensor(2.0), "b": torch.tensor(2.0)}
        >>> decay.update(fn.tree.zeros_like(params), decay.init(params), params)[0]
        {'w': tensor(0.2000), 'b': tensor(0.)}
    """
    check_parts("masked", [inner])
    inner = with_extra_args_support(inner)
    return with_state(
        MaskedState, partial(_masked_init, inner=inner, mask=mask), partial(_masked_update, inner=inner, mask=mask)
    )


@shows_call
def freeze(mask: TreeOrFunction) -> GradientTransformation:
    """Set the updates of some leaves to zero: those where the mask, as in `masked`, is True.

    Example:
        >>> part, params = fn.optim.freeze({"w": True, "b": False}), {"w": torch.tensor(1.0), "b": torch.tensor(2.0)}
        >>> part.update(params, part.init(params))[0]
        {'w': tensor(0.), 'b': tensor(2.)}
    """
    return masked(set_to_zero(), mask)


@shows_call
def partition(
    transforms: Mapping[Hashable, GradientTransformation], param_labels: TreeOrFunction
) -> GradientTransformation:
    """Apply to each leaf the transformation that its label names.

    Args:
        transforms: The transformations by label.
        param_labels: A tree of labels like the parameters, or a prefix of it; or a function from a tree like the
            parameters to such labels, for example one made by `by_path`.
    Returns:
        The transformation. State: `PartitionState`.
    Raises:
        TypeError: A value of transforms is not a transformation.
        ValueError: A label has no transformation, or the labels are not a prefix of the parameters.
    Example:
        >>> parts = {"train": fn.optim.sgd(0.1), "freeze": fn.optim.set_to_zero()}
        >>> optimizer = fn.optim.partition(parts, fn.optim.by_path(lambda path: "freeze" if path == "b" else "train"))
        >>> grads = {"w": torch.tensor(1.0), "b": torch.tensor(1.0)}
        >>> optimizer.update(grads, optimizer.init(grads))[0]
        {'w': tensor(-0.1000), 'b': tensor(0.)}
    """
    check_parts("partition", dict(transforms).values())
    transforms = {label: with_extra_args_support(part) for label, part in transforms.items()}
    return with_state(
        PartitionState,
        init=partial(_partition_init, transforms=transforms, param_labels=param_labels),
        update=partial(_partition_update, transforms=transforms, param_labels=param_labels),
    )


multi_transform = partition  # its older name


@shows_call
def selective_transform(optimizer: GradientTransformation, *, freeze_mask: TreeOrFunction) -> GradientTransformation:
    """Apply an optimizer to some leaves, and freeze those where the mask, as in `masked`, is True.

    Returns:
        The transformation. State: `PartitionState`.
    Example:
        >>> optimizer = fn.optim.selective_transform(fn.optim.sgd(0.1), freeze_mask={"w": True, "b": False})
        >>> params = {"w": torch.tensor(1.0), "b": torch.tensor(2.0)}
        >>> optimizer.update(params, optimizer.init(params))[0]
        {'w': tensor(0.), 'b': tensor(-0.2000)}
    """
    labels = partial(_freeze_labels, mask=freeze_mask)
    return partition({"train": optimizer, "freeze": set_to_zero()}, labels)


def _by_path(params: Params, *, f: Callable[[str], Any]) -> Tree:
    return tree.map_with_path(lambda path, _: f(path), params)


def _freeze_labels(params: Params, *, mask: TreeOrFunction) -> Tree:
    return tree.map(lambda frozen: "freeze" if frozen else "train", _resolve(mask, params))


def _masked_init(params: Params, *, inner: GradientTransformation, mask: TreeOrFunction) -> MaskedState:
    params = floating(params)
    return MaskedState(inner.init(tree.partition(params, _resolve(mask, params))[0]))


def _masked_update(
    updates: Updates,
    state: MaskedState,
    params: Params | None = None,
    *,
    inner: GradientTransformation,
    mask: TreeOrFunction,
    **extra: Any,
) -> tuple[Updates, MaskedState]:
    resolved = _resolve(mask, updates)
    chosen, others = tree.partition(updates, resolved)
    params = None if params is None else tree.map(lambda _, p: p, chosen, params)
    chosen, inner_state = inner.update(chosen, state.inner_state, params, **extra)
    return tree.combine(chosen, others), MaskedState(inner_state)


def _partition_init(
    params: Params, *, transforms: Mapping[Hashable, GradientTransformation], param_labels: TreeOrFunction
) -> PartitionState:
    params = floating(params)
    labels = _labels(param_labels, params)
    tree.map_with_path(partial(_check_label, known=list(transforms)), labels)
    return PartitionState({label: part.init(_group(params, labels, label)) for label, part in transforms.items()})


def _partition_update(
    updates: Updates,
    state: PartitionState,
    params: Params | None = None,
    *,
    transforms: Mapping[Hashable, GradientTransformation],
    param_labels: TreeOrFunction,
    **extra: Any,
) -> tuple[Updates, PartitionState]:
    labels = _labels(param_labels, updates)
    groups, after = [], {}
    for label, part in transforms.items():
        group = _group(updates, labels, label)
        its_params = None if params is None else tree.map(lambda _, p: p, group, params)
        group, after[label] = part.update(group, state.inner_states[label], its_params, **extra)
        groups.append(group)
    return tree.combine(*groups) if groups else updates, PartitionState(after)


def _resolve(tree_or_function: TreeOrFunction, params: Params) -> Tree:
    return tree_or_function(params) if callable(tree_or_function) else tree_or_function


def _labels(param_labels: TreeOrFunction, params: Params) -> Tree:
    """Return the label of every leaf, and None where there is no leaf."""
    return tree.map(lambda _, label: label, params, tree.broadcast_prefix(_resolve(param_labels, params), params))


def _group(params: Params, labels: Tree, label: Hashable) -> Params:
    return tree.map(lambda its_label, p: p if its_label == label else None, labels, params)


def _check_label(path: str, label: Hashable, known: list[Hashable]) -> None:
    if label not in known:
        raise ValueError(
            f"partition: at {tree.place(path)}: expected a label among {known}, got {label!r}. "
            "Add a transformation for it; set_to_zero() freezes."
        )
