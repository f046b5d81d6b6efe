"""The protocol of an optimizer, and helpers that all optimizers share.

A hyper-parameter is a number or a 0-d tensor (so that a sweep is a `vmap` over it). Learning rates and weight decays
may also be schedules, and with `inject_hyperparams` every other hyper-parameter may be. Updates may have a wider dtype
than the parameters, for example with a 0-d float32 parameter and a float64 learning rate: `apply_updates` casts them,
and a state keeps its dtypes.

Floating-point and complex tensors are optimized; other leaves have no gradient (None) and no state, and do not change.
A complex number is treated as the pair of its real and imaginary part, as in torch.optim: signs, squares and bounds
apply to each of the two, and the leaves of a state that hold these have shape (*, 2). Norms and means of the pairs are
those of the complex numbers. (Optax divides both parts by one root of the mean of |g|².)
"""

from collections.abc import Callable, Iterator
from functools import partial, reduce
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from funcnet import tree
from funcnet.reprs import Call, shows_call
from funcnet.tree import Tree
from funcnet.tree.elementwise import map_columns
from funcnet.tree.nodes import map_fitting

T = TypeVar("T")
Params = Tree
Updates = Tree
State = Tree
OptState = Tree
Scalar = float | Tensor
Schedule = Callable[[Any], Scalar]  # from a step count, an int or a 0-d tensor, to the value at that step
ScalarOrSchedule = Scalar | Schedule
Count = Any  # a 0-d int64 tensor in a state; not declared as Tensor, because tuple has a method named count


class GradientTransformation(NamedTuple):
    """An optimizer, or a part of one.

    It is a pair of `init(params) -> state` and `update(updates, state, params=None, **extra) -> (updates, state)`. A
    part uses the extra arguments that it knows and ignores the others.
    """

    init: Callable[[Params], State]
    update: Callable[..., tuple[Updates, State]]

    def made_by(self, call: Call) -> "GradientTransformation":
        """Return the same transformation, which prints as the call that made it."""
        transformation = _BuiltTransformation(*self)
        transformation.call = call
        return transformation


class _BuiltTransformation(GradientTransformation):
    """A transformation that prints as the call of its builder."""

    call: Call

    def __repr__(self) -> str:
        return str(self.call)


GradientTransformationExtraArgs = GradientTransformation


class EmptyState(NamedTuple):
    """The state of a transformation without one, as programs for Optax make it; that of the package's own is ()."""


@shows_call
def identity() -> GradientTransformation:
    """Return updates unchanged.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.identity()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([3., 4.])
    """
    return GradientTransformation(init=no_state, update=_identity)


@shows_call
def set_to_zero() -> GradientTransformation:
    """Replace updates by zeros, which freezes parameters.

    Example:
        >>> params, part = torch.tensor([3.0, 4.0]), fn.optim.set_to_zero()
        >>> part.update(params, part.init(params), params)[0]  # with the gradient of |params|² / 2
        tensor([0., 0.])
    """
    return stateless(_zeros)


@shows_call
def stateless(f: Callable[[Updates, Params | None], Updates]) -> GradientTransformation:
    """Make a transformation from a function (updates, params) -> updates.

    Example:
        >>> halve = fn.optim.stateless(lambda updates, params: fn.tree.scale(0.5, updates))
        >>> halve.update(torch.tensor(2.0), halve.init(None))
        (tensor(1.), ())
    """
    return GradientTransformation(init=no_state, update=partial(_stateless, f=f))


@shows_call
def stateless_with_tree_map(f: Callable[[Tensor, Tensor | None], Tensor]) -> GradientTransformation:
    """Make a transformation from a function of an update and its parameter, which is None if update gets none.

    Example:
        >>> decay = fn.optim.stateless_with_tree_map(lambda g, p: g + 0.5 * p)
        >>> decay.update({"w": torch.tensor(2.0)}, (), {"w": torch.tensor(4.0)})
        ({'w': tensor(4.)}, ())
    """
    return stateless(partial(_leaf_by_leaf, f=f))


def on_pairs(part: GradientTransformation) -> GradientTransformation:
    """Make a transformation of real tensors treat a complex tensor as pairs of real and imaginary parts."""
    return GradientTransformation(
        init=partial(_init_on_pairs, init=part.init), update=partial(_update_on_pairs, update=part.update)
    )


def apply_updates(params: T, updates: Updates) -> T:
    """Add updates to parameters, leaf by leaf, in the dtype of the parameters.

    Args:
        params: Any tree.
        updates: Like params; where it is None, the parameter does not change.
    Returns:
        The new parameters.
    Raises:
        ValueError: The trees differ in structure, or an update does not have the shape of its floating-point parameter.
    Example:
        >>> fn.optim.apply_updates({"w": torch.tensor(1.0), "n": 3}, {"w": torch.tensor(0.5), "n": None})
        {'w': tensor(1.5000), 'n': 3}
    """
    found = map_columns(_sum, params, updates)
    return map_fitting("optim.apply_updates", _apply, params, updates) if found is None else found


def incremental_update(new_tensors: Params, old_tensors: Params, step_size: Scalar) -> Params:
    """Move old parameters a fraction of the way to new ones: step_size new + (1 - step_size) old.

    Args:
        new_tensors: Any tree, such as the parameters that are trained.
        old_tensors: Like new_tensors, such as the parameters of a target network or an average. Leaves that are not
            optimized are taken from here.
        step_size: In [0, 1].
    Example:
        >>> fn.optim.incremental_update(torch.tensor(1.0), torch.tensor(0.0), 0.25)
        tensor(0.2500)
    """
    return tree.map(
        lambda old, new: torch.lerp(old, new, cast(step_size, old)) if tree.is_inexact(old) else old,
        old_tensors,
        new_tensors,
    )


def global_norm(updates: Updates) -> Tensor:
    """Return the Euclidean norm of all entries together, as a 0-d tensor; its gradient at 0 is 0.

    Example:
        >>> fn.optim.global_norm({"w": torch.tensor([3.0]), "b": torch.tensor(4.0)})
        tensor(5.)
    """
    return tree.norm(updates)


def no_state(params: Params) -> State:
    """Return the state of a stateless transformation."""
    check_params(params)
    return ()


def floating(params: Params) -> Params:
    """Keep the leaves that are optimized, and replace the others by None."""
    check_params(params)
    return tree.partition(params, tree.is_inexact)[0]


def check_params(params: Params) -> None:
    """Raise for a module or an iterator of parameters, which torch.optim takes but which are not trees of tensors."""
    for leaf in tree.leaves(params):
        if isinstance(leaf, torch.nn.Module | Iterator):
            raise TypeError(
                f"optim: expected parameters as a tree of tensors, got {type(leaf).__name__}. fn.from_module(module) "
                "returns the parameters of a module."
            )


def zero_count(params: Params) -> Tensor:
    """Return a zero count of updates, on the device of the parameters."""
    return torch.zeros((), dtype=torch.int64, device=device(params))


def device(params: Params) -> torch.device:
    """Return the device of the first tensor that is optimized."""
    return next((leaf.device for leaf in tree.leaves(params) if tree.is_inexact(leaf)), torch.device("cpu"))


def widest_dtype(params: Params) -> torch.dtype:
    """Return the widest real dtype of the optimized tensors; float32 if there are none."""
    dtypes = [leaf.dtype.to_real() for leaf in tree.leaves(params) if tree.is_inexact(leaf)]
    return reduce(torch.promote_types, dtypes) if dtypes else torch.float32


def cast(scalar: Scalar, like: Tensor) -> Any:
    """Cast a hyper-parameter to the dtype of a leaf, if it is a tensor."""
    return scalar.to(like.dtype) if isinstance(scalar, Tensor) else scalar


def accumulator(like: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    """Return the dtype of a leaf's accumulator: the requested one, or its complex counterpart for a complex leaf."""
    if dtype is None:
        return like.dtype
    return dtype.to_complex() if like.is_complex() else dtype


def as_dtype(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Cast a tensor; cheaper than `to` where nothing changes."""
    return x if x.dtype is dtype else x.to(dtype)


def select(condition: Tensor, chosen: Tree, other: Tree) -> Tree:
    """Select one of two trees of tensors by a 0-d bool, whose value need not be known yet."""
    return tree.map(lambda a, b: torch.where(condition, a, b), chosen, other)


def need_params(name: str, params: Params | None, updates: Updates) -> Params:
    """Return params; raise if they are needed and missing. Empty updates need no parameters."""
    if params is None and updates is not None:
        raise ValueError(f"{name}: expected the parameters, got None. Call update(updates, state, params).")
    return params


def _identity(updates: Updates, state: State, params: Params | None = None, **extra: Any) -> tuple[Updates, State]:
    return updates, state


def _zeros(updates: Updates, params: Params | None) -> Updates:
    return tree.zeros_like(updates)


def _stateless(
    updates: Updates,
    state: State,
    params: Params | None = None,
    *,
    f: Callable[[Updates, Params | None], Updates],
    **extra: Any,
) -> tuple[Updates, State]:
    return f(updates, params), state


def _leaf_by_leaf(updates: Updates, params: Params | None, *, f: Callable[[Tensor, Tensor | None], Tensor]) -> Updates:
    return tree.map(lambda g: f(g, None), updates) if params is None else tree.map(f, updates, params)


def _init_on_pairs(params: Params, *, init: Callable[[Params], State]) -> State:
    return init(tree.view_as_real(params))


def _update_on_pairs(
    updates: Updates,
    state: State,
    params: Params | None = None,
    *,
    update: Callable[..., tuple[Updates, State]],
    **extra: Any,
) -> tuple[Updates, State]:
    real_updates, real_params = tree.view_as_real(updates), tree.view_as_real(params)
    try:
        pairs, state = update(real_updates, state, real_params, **extra)
    except ValueError as error:
        if real_updates is updates and real_params is params:
            raise
        raise ValueError(f"{error} These are shapes of pairs: a complex tensor has an extra last axis of 2.") from error
    return (pairs if real_updates is updates else tree.view_as_complex(pairs, updates)), state


def _apply(param: Any, update: Tensor | None) -> Any:
    if update is None:
        return param
    if not tree.is_inexact(param):
        raise TypeError(_UNLIKE)
    return _sum(param, update)


def _sum(param: Tensor, update: Tensor) -> Tensor:
    if update.shape != param.shape:
        raise TypeError(_UNLIKE)
    return as_dtype(param + update, param.dtype)


_UNLIKE = "an update must be like its parameter; the update of a leaf that is not trained is None"
