"""Products of curvature matrices with trees like the parameters, without building the matrices."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.curvature.checks import Matvec, example_count, like
from funcnet.reprs import names_call
from funcnet.transforms import grad, jvp, vjp, vmap
from funcnet.tree import Tree


def hvp(f: Callable[[Tree], Tensor], params: Tree, v: Tree) -> Tree:
    """Multiply the Hessian of f by a tree: H v, with H = d²f / dp².

    H is symmetric, so the pullback of the gradient maps v to H v. For matrix products this takes less work than pushing
    v forward through the gradient, as Pearlmutter does, because nothing is multiplied by the tangents of constants.

    Args:
        f: Returns a 0-d floating-point tensor.
        params: Any tree.
        v: Like params; leaves that correspond to non-differentiable leaves are ignored.
    Returns:
        Like the gradient of f: None at leaves that are not differentiated.
    Raises:
        ValueError: v is not like params; the message names the path of the first difference.
        TypeError: params holds no floating-point or complex tensor, or the result of f is not a 0-d floating-point
            tensor.
    Source:
        Pearlmutter (1994), Fast Exact Multiplication by the Hessian, https://doi.org/10.1162/neco.1994.6.1.147
    Example:
        >>> fn.hvp(lambda p: (p["x"] ** 3).sum(), {"x": torch.tensor([1.0, 2.0])}, {"x": torch.tensor([1.0, 1.0])})
        {'x': tensor([ 6., 12.])}
    """
    return _hessian_operator("hvp", f, params)(v)


@names_call
def hessian_operator(f: Callable[[Tree], Tensor], params: Tree) -> Matvec:
    """Return v -> H v at fixed parameters, for many products: the gradient is computed only once.

    Args:
        f: Returns a 0-d floating-point tensor.
        params: Any tree.
    Returns:
        A function of v with the result and the errors of `hvp`, about twice as fast. It stores intermediate values.
    Example:
        >>> times = fn.curvature.hessian_operator(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]))
        >>> times(torch.tensor([1.0, 0.0])), times(torch.tensor([0.0, 1.0]))
        (tensor([6., 0.]), tensor([ 0., 12.]))
    """
    return _hessian_operator("hessian_operator", f, params)


def _hessian_operator(operation: str, f: Callable[[Tree], Tensor], params: Tree) -> Matvec:
    _, pullback = vjp(grad(f), params)
    return lambda v: pullback(like(operation, params, v))[0]


def ggnvp(model: Callable[[Tree], Tree], loss: Callable[[Any], Tensor], params: Tree, v: Tree) -> Tree:
    """Multiply the generalised Gauss-Newton matrix of loss(model(params)) by a tree: G v = J' (H (J v)).

    J is the Jacobian of the model's outputs with respect to the parameters, H the Hessian of the loss with respect to
    the outputs. If the loss is convex in the outputs, G is positive semidefinite for all parameters.

    Args:
        model: model(params) -> outputs, any tree; it closes over its inputs.
        loss: loss(outputs) -> 0-d tensor; it closes over the targets, and includes the mean if one is wanted.
        params: Any tree.
        v: Like params; leaves that correspond to non-differentiable leaves are ignored.
    Returns:
        Like the gradient with respect to params.
    Raises:
        ValueError: v is not like params; the message names the path of the first difference.
        TypeError: params holds no floating-point or complex tensor, or the loss is not a 0-d floating-point
            tensor.
    Source:
        Schraudolph (2002), Fast Curvature Matrix-Vector Products, https://doi.org/10.1162/08997660260028683
    Example:
        >>> x = torch.tensor([1.0, 2.0])
        >>> fn.curvature.ggnvp(lambda w: w * x, lambda y: (y**2).sum(), torch.tensor(1.0), torch.tensor(1.0))
        tensor(10.)
    """
    outputs, pushed, pull = _around("ggnvp", model, params, v)
    return pull(hvp(loss, outputs, pushed))


def _around(operation: str, f: Callable[[Tree], Tree], params: Tree, v: Tree) -> tuple[Tree, Tree, Matvec]:
    """Return f(params), J v, and the product with J', which has None at leaves that are not differentiated."""
    outputs, pullback = vjp(f, params)
    _, pushed = jvp(f, (params,), (like(operation, params, v),))
    return outputs, pushed, lambda cotangent: pullback(cotangent)[0]


def fisher_vp(
    model: Callable[[Tree], Tensor],
    params: Tree,
    v: Tree,
    *,
    log_partition: str | Callable[[Tensor], Tensor] = "categorical",
) -> Tree:
    """Multiply the Fisher information of a model's own predictions by a tree: F v.

    F = mean_i E[g g'] with g = d log p(y | x_i) / dp and the expectation over y from the model, not over labels; it is
    exact, without sampling. The outputs are the natural parameters z of an exponential family,
    log p(y | z) = y'z - A(z), whose Fisher information with respect to z is the Hessian of A. So
    F = mean_i J_i' A''(z_i) J_i, which is positive semidefinite.

    Args:
        model: model(params) -> z of shape (examples, *), with one example per row.
        params: Any tree.
        v: Like params; leaves that correspond to non-differentiable leaves are ignored.
        log_partition: A of one example's z, which returns a 0-d tensor, or the name of one: "categorical" (z are
            logits of classes, A = logsumexp), "bernoulli" (independent logits, A = sum softplus), "gaussian" (means of
            unit variance, A = |z|² / 2).
    Returns:
        Like the gradient with respect to params.
    Raises:
        ValueError: The name is unknown, the outputs have no examples, or v is not like params.
    Source:
        Martens (2020), New Insights and Perspectives on the Natural Gradient Method, section 9,
        https://www.jmlr.org/papers/v21/17-678.html
    Example:
        >>> fn.curvature.fisher_vp(lambda z: z, torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
        tensor([[ 0.2500, -0.2500]])
    """
    if not callable(log_partition) and log_partition not in _LOG_PARTITIONS:
        raise ValueError(
            f"fisher_vp: expected log_partition to be a function or one of {', '.join(_LOG_PARTITIONS)}, "
            f"got {log_partition!r}."
        )
    of_one = log_partition if callable(log_partition) else _LOG_PARTITIONS[log_partition]
    outputs, pushed, pull = _around("fisher_vp", model, params, v)
    count = example_count("fisher_vp", (outputs,))
    return pull(hvp(lambda z: vmap(of_one)(z).sum() / count, outputs, pushed))


_LOG_PARTITIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "categorical": partial(torch.logsumexp, dim=-1),
    "bernoulli": lambda z: torch.logaddexp(z, torch.zeros_like(z)).sum(),
    "gaussian": lambda z: z.square().sum() / 2,
}


def empirical_fisher_vp(loss: Callable[..., Tensor], params: Tree, v: Tree, *batch: Tree) -> Tree:
    """Multiply the empirical Fisher matrix by a tree: mean_i g_i (g_i'v), with g_i the gradient of an example's loss.

    It uses the labels of the data, so it equals the Fisher information of `fisher_vp` only if the labels have the
    distribution that the model predicts. The gradients of the examples are never stored.

    Args:
        loss: loss(params, *example) -> 0-d tensor, the loss of one example without batch axis.
        params: Any tree.
        v: Like params; leaves that correspond to non-differentiable leaves are ignored.
        batch: Trees whose tensors have a leading axis, that of the examples.
    Returns:
        Like the gradient with respect to params.
    Raises:
        ValueError: The batch has no common leading axis, or v is not like params.
    Source:
        Kunstner, Balles, Hennig (2019), Limitations of the Empirical Fisher Approximation, eq. 3,
        https://arxiv.org/abs/1905.12558
    Example:
        >>> x, y = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.0])
        >>> one = torch.tensor(1.0)
        >>> fn.curvature.empirical_fisher_vp(lambda w, x, y: (w * x - y) ** 2, one, one, x, y)
        tensor(34.)
    """
    count = example_count("empirical_fisher_vp", batch)
    each = vmap(loss, in_dims=(None, *(0 for _ in batch)))
    _, pushed, pull = _around("empirical_fisher_vp", lambda p: each(p, *batch), params, v)
    return pull(tree.scale(1 / count, pushed))
