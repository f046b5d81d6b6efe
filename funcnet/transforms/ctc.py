"""Connectionist temporal classification by plain operations, which need no values of the lengths."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_FLOOR = -1e30  # in place of minus infinity, whose differences are NaN


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Compute torch.nn.functional.ctc_loss: the negative log likelihood of all alignments, by the forward recursion.

    Shapes: log_probs (time, batch, classes), targets (batch, labels), lengths (batch,); or all without the batch.
    The gradient is torch's, see `_Loss`.

    Source:
        Graves et al. (2006), Connectionist temporal classification, section 4.1.
    """
    function = torch.nn.functional.ctc_loss
    batched = log_probs if log_probs.ndim == 3 else log_probs[:, None]
    labels = targets if targets.ndim == 2 else targets[None]
    if len(labels) != batched.shape[1] or reduction not in ("none", "mean", "sum"):
        return function(log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity)
    steps, sizes = (torch.as_tensor(n, device=labels.device).reshape(-1) for n in (input_lengths, target_lengths))
    apply: Callable[..., Tensor] = _Loss.apply
    loss = apply(-_log_likelihood(batched, labels.long(), steps, sizes, blank), batched, steps, zero_infinity)
    if reduction == "mean":
        return (loss / sizes.clamp_min(1)).mean()
    loss = loss if log_probs.ndim == 3 or reduction == "sum" else loss[0]
    return loss.sum() if reduction == "sum" else loss


class _Loss(torch.autograd.Function):
    """The losses, with torch's gradient: that of the softmax of `log_probs`, which are assumed to be normalised.

    A loss above that of any alignment is infinite: there is none.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(loss: Tensor, log_probs: Tensor, steps: Tensor, zero_infinity: bool) -> Tensor:
        return torch.where(loss > -_FLOOR / 2, 0.0 if zero_infinity else torch.inf, loss)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.zero_infinity = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        loss, log_probs, steps = ctx.saved_tensors
        infinite = torch.where(loss > -_FLOOR / 2, 0.0 if ctx.zero_infinity else torch.nan, grad)
        grad = torch.where(loss.isnan(), torch.nan, infinite)
        read = torch.arange(len(log_probs), device=steps.device)[:, None] < steps
        return grad, torch.where(read, grad, 0.0)[..., None] * log_probs.exp(), None, None


def _log_likelihood(log_probs: Tensor, labels: Tensor, steps: Tensor, sizes: Tensor, blank: int) -> Tensor:
    """Sum over the alignments with labels that have blanks between them."""
    blanks = torch.full_like(labels, blank)
    path = torch.cat([torch.stack([blanks, labels], -1).flatten(1), blanks.new_full((len(labels), 1), blank)], 1)
    scores = log_probs.gather(2, path.expand(len(log_probs), *path.shape))
    skips = torch.cat([path.new_zeros(len(path), 2, dtype=torch.bool), path[:, 2:] != path[:, :-2]], 1)
    skips = skips & (path != blank)
    place = torch.arange(path.shape[1], device=path.device)
    alpha = torch.where(place < 2, scores[0], _FLOOR)
    for t in range(1, len(scores)):
        earlier = [_shifted(alpha, 1), torch.where(skips, _shifted(alpha, 2), _FLOOR)]
        after = scores[t] + torch.stack([alpha, *earlier]).logsumexp(0)
        alpha = torch.where(t < steps[:, None], after, alpha)
    last = torch.where((place == 2 * sizes[:, None]) | (place == 2 * sizes[:, None] - 1), alpha, _FLOOR)
    return last.logsumexp(1)


def _shifted(alpha: Tensor, count: int) -> Tensor:
    """Move the entries of a row to the right."""
    return torch.cat([alpha.new_full((len(alpha), count), _FLOOR), alpha], 1)[:, : alpha.shape[1]]
