"""Loops of samplers that draw again what they reject."""

from collections.abc import Callable

import torch
from torch import Tensor

from funcnet.control_flow import while_loop

Carry = tuple[Tensor, ...]


def repeat_while(condition: Callable[..., Tensor], body: Callable[..., Carry], carry: Carry) -> Carry:
    """Replace each element of a carry by that of body(*carry) while condition(*carry) holds for it.

    Args:
        condition: Returns bools, with the first axes of all tensors of the carry.
        body: Returns tensors like the carry.
        carry: The tensors at the start.
    """

    def step(carry: Carry) -> Carry:
        active = condition(*carry)
        masks = (active.reshape(active.shape + (1,) * (old.ndim - active.ndim)) for old in carry)
        return tuple(map(torch.where, masks, body(*carry), carry))

    return while_loop(lambda carry: condition(*carry).any(), step, carry)
