"""Gradients that recompute instead of remember."""

from functools import partial, update_wrapper
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.transforms.batching import vmap
from funcnet.transforms.closures import NoHiddenTensors, frozen, leads_to_tensors, lurking, rebind, wrapped
from funcnet.transforms.flatten import Flattener, Function
from funcnet.transforms.purity import Pure
from funcnet.transforms.structural_zeros import materialised, pullback, pushforward
from funcnet.tree.conversion import arrays_as_tensors


def remat(f: Function) -> Function:
    """Make a function recompute its intermediate values in the backward pass instead of keeping them.

    Values and derivatives are unchanged at every nesting; memory falls, and the forward pass runs once more.

    Args:
        f: Any pure function of pytrees. It may close over tensors that are differentiated outside; what it closes over
            is read when it is called, and not again for its derivatives.
    Returns:
        A function of the same arguments.
    Raises:
        ValueError: f uses a tensor that is differentiated or mapped outside, from where it cannot be found: a global
            variable, a set, or an object with __slots__; or it returns an object that holds tensors and is no node.
        TypeError: f is no function; of a layer, its `apply` is.
        RuntimeError: f writes in place to an argument or to a tensor that it closes over. The write has happened by
            then; one through `.data` is not seen.
    Source:
        Chen, Xu, Zhang, Guestrin (2016), Training Deep Nets with Sublinear Memory Cost,
        https://arxiv.org/abs/1604.06174; named as in JAX.
    Example:
        >>> fn.grad(fn.remat(lambda x: x.sin().exp()))(torch.tensor(0.0))
        tensor(1.)
    """
    if not callable(f):
        raise TypeError(
            f"remat: expected a function, got {f!r}. Of a layer, wrap what applies it: "
            "layer._replace(apply=fn.remat(layer.apply))."
        )
    return update_wrapper(partial(_rematerialised, f), f)


def _rematerialised(f: Function, /, *args: Any, **kwargs: Any) -> Any:
    f, outside = frozen(f), lurking((f, args, kwargs))
    held, inputs, results = wrapped(f), Flattener(), Flattener()
    tensors = inputs.split((held, *arrays_as_tensors((args, kwargs))))

    def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
        others, args, kwargs = inputs.rebuild(tensors)
        with NoHiddenTensors("remat", tensors, outside):
            return _whole(results, rebind(f, held, others)(*args, **kwargs))

    apply: Function = _Remat.apply
    with Pure("remat", f, (args, kwargs)):
        return results.rebuild(apply(flat, *tensors))


def _whole(results: Flattener, result: Any) -> tuple[Tensor, ...]:
    tensors = results.split(result)
    for leaf in filter(leads_to_tensors, results.rest):
        raise ValueError(
            f"remat: expected tensors and trees of them as results, got {tree.describe(leaf)}, which holds tensors and "
            "is no pytree node, so that their gradients would be lost. Return the tensors themselves, in tuples, dicts "
            "or dataclasses made nodes by fn.tree.register_dataclass."
        )
    return tensors


class _Remat(torch.autograd.Function):
    """f(*tensors) as one step of differentiation that keeps its arguments and nothing else."""

    @staticmethod
    def forward(f: Function, *tensors: Tensor) -> Any:
        return tuple(out.view_as(out) for out in f(*tensors))  # autograd takes no argument back as a result

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: tuple[Tensor, ...]) -> None:
        ctx.f, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        # A pullback may run after its level of torch.func has ended; an operation unwraps what was saved at it.
        primals = [tensor.view_as(tensor) for tensor in ctx.saved_tensors]
        weights, results = Flattener(), Flattener()

        def pull(*tensors: Tensor) -> tuple[Tensor, ...]:
            given = weights.rebuild(tensors[len(primals) :])
            return results.split(pullback(ctx.f, tensors[: len(primals)])(given))

        # torch.func records the backward pass, to be differentiated in turn, so that has to be rematerialised as well
        apply: Function = _Remat.apply
        return None, *results.rebuild(apply(pull, *primals, *weights.split([*cotangents])))

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> Any:
        return materialised(*pushforward(ctx.f, ctx.saved_tensors, tangents))

    @staticmethod
    def vmap(info: Any, in_dims: Any, f: Function, *tensors: Tensor) -> Any:
        # The rule that torch generates adds up the gradient of a result that all examples share once an example.
        apply: Function = _Remat.apply
        results = apply(vmap(f, in_dims[1:]), *tensors)
        return results, (0,) * len(results)
