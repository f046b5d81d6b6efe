"""Which matrix products `remat` stores, named as in jax.checkpoint_policies.

Other operations are cheap, and recomputed under every policy but `everything_saveable`; those of JAX may store their
results, too.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from funcnet import tree
from funcnet.tree import Tree

__all__ = ["checkpoint_name", "dots_saveable", "everything_saveable", "nothing_saveable", "save_only_these_names"]

Policy = Callable[[Tensor, str | None], bool]  # (result of a product, its name) -> whether to store it


def nothing_saveable(result: Tensor, name: str | None) -> bool:
    """Recompute everything.

    Example:
        >>> f = fn.remat(lambda w: (w @ w).tanh().sum(), policy=fn.checkpoint_policies.nothing_saveable)
        >>> fn.grad(f)(torch.zeros(1, 1))
        tensor([[0.]])
    """
    return False


def everything_saveable(result: Tensor, name: str | None) -> bool:
    """Store everything, as without `remat`.

    Example:
        >>> f = fn.remat(lambda w: (w @ w).tanh().sum(), policy=fn.checkpoint_policies.everything_saveable)
        >>> fn.grad(f)(torch.zeros(1, 1))
        tensor([[0.]])
    """
    return True


def dots_saveable(result: Tensor, name: str | None) -> bool:
    """Store the results of matrix products: of `@`, matmul, mm, bmm and mv.

    Example:
        >>> f = fn.remat(lambda w: (w @ w).tanh().sum(), policy=fn.checkpoint_policies.dots_saveable)
        >>> fn.grad(f)(torch.zeros(1, 1))
        tensor([[0.]])
    """
    return True


def save_only_these_names(*names: str) -> Policy:
    """Store the results of matrix products to which `checkpoint_name` gives one of these names.

    Example:
        >>> policy = fn.checkpoint_policies.save_only_these_names("hidden")
        >>> f = fn.remat(lambda w: fn.checkpoint_name(w @ w, "hidden").sum(), policy=policy)
        >>> fn.grad(f)(torch.ones(1, 1))
        tensor([[2.]])
    """

    def policy(result: Tensor, name: str | None) -> bool:
        return name in names

    return policy


def checkpoint_name(x: Tree, name: str) -> Any:
    """Give results of matrix products a name, by which a policy of `remat` may store them.

    Args:
        x: A tree of tensors.
        name: Any text.
    Returns:
        The same values.
    Source:
        jax.ad_checkpoint.checkpoint_name.
    Example:
        >>> policy = fn.checkpoint_policies.save_only_these_names("hidden")
        >>> layer = fn.remat(lambda w, x: fn.checkpoint_name(x @ w, "hidden").tanh(), policy=policy)
        >>> fn.grad(lambda w: layer(w, torch.ones(1, 1)).sum())(torch.zeros(1, 1))
        tensor([[1.]])
    """
    return tree.map(lambda leaf: named(leaf, name) if isinstance(leaf, Tensor) else leaf, x)


def named(x: Tensor, name: str) -> Tensor:
    """Return x, and show it with its name to torch function modes."""
    if has_torch_function((x,)):
        result: Tensor = handle_torch_function(named, (x,), x, name)
        return result
    return x


def __dir__() -> list[str]:
    return __all__
