"""Connectionist temporal classification by plain operations, which need no values of the lengths."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet.transforms.requirements import require

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

    Shapes: log_probs (time, batch, classes), targets (batch, labels) or (sum of lengths,), lengths (batch,); or all
    without the batch.
    The gradient is torch's, see `_Loss`.

    Source:
        Graves et al. (2006), Connectionist temporal classification, section 4.1.
    """
    batched = log_probs if log_probs.ndim == 3 else log_probs[:, None]
    steps, sizes = (torch.as_tensor(n, device=targets.device).reshape(-1) for n in (input_lengths, target_lengths))
    if reduction not in ("none", "mean", "sum"):  # torch raises
        function = torch.nn.functional.ctc_loss
        return function(log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity)
    longest = len(targets) if isinstance(target_lengths, Tensor) else max(target_lengths, default=0)
    labels = _labels(targets, steps, sizes, longest, *batched.shape[:2])
    apply: Callable[..., Tensor] = _Loss.apply
    loss = apply(-_log_likelihood(batched, labels.long(), steps, sizes, blank), batched, steps, zero_infinity)
    if reduction == "mean":
        return (loss / sizes.clamp_min(1)).mean()
    loss = loss if log_probs.ndim == 3 or reduction == "sum" else loss[0]
    return loss.sum() if reduction == "sum" else loss


def _labels(targets: Tensor, steps: Tensor, sizes: Tensor, longest: int, time: int, batch: int) -> Tensor:
    """Return the targets as rows of a batch, after checks of the lengths."""
    if not len(steps) == len(sizes) == batch or (targets.ndim != 1 and targets.shape[:-1] != (batch,)):
        raise RuntimeError(
            f"ctc_loss: expected targets, input_lengths and target_lengths of a batch of {batch}, got targets of shape"
            f" {tuple(targets.shape)}, {len(steps)} input_lengths and {len(sizes)} target_lengths."
        )
    require((steps <= time).all(), f"Expected input_lengths to have value at most {time}")
    if targets.ndim == 2:
        require((sizes <= targets.shape[1]).all(), f"Expected target_lengths to be at most {targets.shape[1]}")
        return targets
    require(sizes.sum() == len(targets), f"Expected target_lengths to add up to the {len(targets)} targets")
    # more labels than time have no alignment, so they may be cut off
    places = (sizes.cumsum(0) - sizes)[:, None] + torch.arange(min(longest, time), device=targets.device)
    return targets[places.clamp(0, len(targets) - 1)] if longest else targets.new_zeros(batch, 0)


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
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        loss, log_probs, steps = ctx.saved_tensors
        grad = _derivative(loss, grad, ctx.zero_infinity)
        return grad, torch.where(_is_read(log_probs, steps), grad[:, None], 0.0) * log_probs.exp(), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, pushed: Tensor, *_: None) -> Tensor:
        loss, log_probs, steps = ctx.saved_tensors
        added = torch.where(_is_read(log_probs, steps), log_probs.exp() * pushed, 0.0).sum((0, 2))
        return _derivative(loss, tangent + added, ctx.zero_infinity)


def _is_read(log_probs: Tensor, steps: Tensor) -> Tensor:
    """Tell which times of each example are before its end."""
    return (torch.arange(len(log_probs), device=steps.device)[:, None] < steps)[..., None]


def _derivative(loss: Tensor, value: Tensor, zero_infinity: bool) -> Tensor:
    """Replace the derivative of a loss that is infinite or NaN."""
    finite = torch.where(loss > -_FLOOR / 2, 0.0 if zero_infinity else torch.nan, value)
    return torch.where(loss.isnan(), torch.nan, finite)


def _log_likelihood(log_probs: Tensor, labels: Tensor, steps: Tensor, sizes: Tensor, blank: int) -> Tensor:
    """Sum over the alignments with labels that have blanks between them."""
    blanks = torch.full_like(labels, blank)
    path = torch.cat([torch.stack([blanks, labels], -1).flatten(1), blanks.new_full((len(labels), 1), blank)], 1)
    scores = log_probs.gather(2, path.expand(len(log_probs), *path.shape))
    place = torch.arange(path.shape[1], device=path.device)
    skips = (path != _shifted(path, 2, blank)) & (path != blank) & (place >= 2)
    alpha = torch.where(place < 2, scores[0], _FLOOR)
    for t in range(1, len(scores)):
        earlier = [_shifted(alpha, 1, _FLOOR), torch.where(skips, _shifted(alpha, 2, _FLOOR), _FLOOR)]
        after = scores[t] + torch.stack([alpha, *earlier]).logsumexp(0)
        alpha = torch.where(t < steps[:, None], after, alpha)
    last = torch.where((place == 2 * sizes[:, None]) | (place == 2 * sizes[:, None] - 1), alpha, _FLOOR)
    return last.logsumexp(1)


def _shifted(rows: Tensor, count: int, value: float) -> Tensor:
    """Move the entries of each row to the right, and fill in a value."""
    return torch.cat([rows.new_full((len(rows), count), value), rows], 1)[:, : rows.shape[1]]
