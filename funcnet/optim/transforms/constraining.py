"""Transformations that keep parameters in a set."""

import torch

from funcnet import tree
from funcnet.optim.base import GradientTransformation, Params, Updates, need_params, on_pairs, stateless
from funcnet.reprs import shows_call


@shows_call
def keep_params_nonnegative() -> GradientTransformation:
    """Change updates so that no parameter falls below 0: u = -p where p + u < 0. It comes last in a chain.

    Example:
        >>> optimizer = fn.optim.chain(fn.optim.sgd(1.0), fn.optim.keep_params_nonnegative())
        >>> params = torch.tensor([1.0, 3.0])
        >>> optimizer.update(torch.tensor([2.0, 2.0]), optimizer.init(params), params)[0]
        tensor([-1., -2.])
    """
    return on_pairs(stateless(_not_negative))


def _not_negative(updates: Updates, params: Params | None) -> Updates:
    params = need_params("keep_params_nonnegative", params, updates)
    return tree.map(lambda u, p: torch.where(p + u < 0, -p, u), updates, params)
