"""Rematerialisation: recompute intermediate values in the backward pass instead of storing them."""

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from torch import Tensor

from funcnet.transforms import checkpoint_policies
from funcnet.transforms.checkpoint_policies import Policy
from funcnet.transforms.closures import NoHiddenTensors, closed, rebind
from funcnet.transforms.flatten import Flattener, Function, check_function
from funcnet.transforms.purity import Pure
from funcnet.transforms.remat import Recomputed, whole
from funcnet.transforms.saved_products import KeepingProducts
from funcnet.transforms.structural_zeros import Tensors
from funcnet.transforms.wrapped import wrapped
from funcnet.tree.conversion import arrays_as_tensors

P = ParamSpec("P")
R = TypeVar("R")


def remat(
    f: Callable[P, R],
    *,
    prevent_cse: bool = True,
    policy: Policy | None = None,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
) -> Callable[P, R]:
    """Make a function recompute its intermediate values in the backward pass instead of storing them.

    Values and derivatives of any order are unchanged; memory falls, and the forward pass runs once more.

    `fn.checkpoint(f)` is its second name, as in JAX.

    Args:
        f: Any pure function of pytrees. It may close over tensors that are differentiated outside; closed-over
            variables are read when it is called, and not again for its derivatives.
        prevent_cse: Accepted as in JAX; it has no effect.
        policy: Which matrix products to store and not to compute again, one of `checkpoint_policies`. None: none.
        static_argnums, static_argnames: Accepted as in JAX; numbers, strings and functions are static in any case.
    Returns:
        A function of the same arguments.
    Raises:
        ValueError: f uses a tensor that is differentiated or mapped outside and takes it from where it cannot be found:
            a global variable, a set, or an object with __slots__; or it returns an object that holds tensors and is
            not a node.
        TypeError: f is not a function, or policy is not a policy. For a layer, wrap its `apply`.
        RuntimeError: f writes in place to an argument or to a tensor that it closes over. The write has already
            happened; one through `.data` is not detected.
    Source:
        Chen, Xu, Zhang, Guestrin (2016), Training Deep Nets with Sublinear Memory Cost,
        https://arxiv.org/abs/1604.06174; named as in JAX.
    Example:
        >>> fn.grad(fn.remat(lambda x: x.sin().exp()))(torch.tensor(0.0))
        tensor(1.)
        >>> layer = fn.remat(lambda w, x: (x @ w).tanh(), policy=fn.checkpoint_policies.dots_saveable)
    """
    check_function("remat", f)
    if not callable(policy) and policy is not None:
        raise TypeError(f"remat: expected policy to be one of fn.checkpoint_policies, or None, got {policy!r}.")
    if policy is checkpoint_policies.everything_saveable:
        return f
    return wrapped(_remat, f, policy)


def _remat(f: Function, policy: Policy | None, /, *args: Any, **kwargs: Any) -> Any:
    f, held, outside = closed(f, (args, kwargs))
    inputs, results = Flattener(), Flattener()
    tensors = inputs.split((held, *arrays_as_tensors((args, kwargs))))

    def flat(*tensors: Tensor) -> Tensors:
        others, args, kwargs = inputs.rebuild(tensors)
        with NoHiddenTensors("remat", tensors, outside):
            return whole("remat", results, rebind(f, held, others)(*args, **kwargs))

    with Pure("remat", f, (args, kwargs)):
        if policy is None or policy is checkpoint_policies.nothing_saveable:
            return results.rebuild(Recomputed(flat)(*tensors))
        return results.rebuild(KeepingProducts.of(flat, policy)(*tensors))
