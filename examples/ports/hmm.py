"""A hidden Markov model finds when a casino plays with a loaded die: forward-backward in three ways.

The casino changes from a fair die to one that shows a six half of the time, and back. The probabilities of the dice
given all rolls follow from a forward and a backward pass of n steps (`scan`), from prefix products of 2 x 2 matrices in
2 log2(n) rounds (`associative_scan`), and as the gradient of the log likelihood with respect to the log probabilities
of the rolls. Sources: Durbin et al. (1998), Biological Sequence Analysis, section 3.2; Särkkä, García-Fernández (2021),
Temporal Parallelization of Bayesian Smoothers, https://arxiv.org/abs/1905.13002.
"""

import torch
from above import options
from torch import Tensor

import funcnet as fn
from funcnet import report

START = torch.tensor([0.5, 0.5], dtype=torch.float64)
CHANGE = torch.tensor([[0.95, 0.05], [0.1, 0.9]], dtype=torch.float64)  # from the die of a row to that of a column
SIDES = torch.tensor([[1 / 6] * 6, [0.1] * 5 + [0.5]], dtype=torch.float64)


def roll(key: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Draw the dice and the sides that they show: (length,) int64 each."""

    def step(die: Tensor, key: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        of_side, of_change = fn.random.split(key)
        side = fn.random.categorical(of_side, torch.log(SIDES[die]))
        return fn.random.categorical(of_change, torch.log(CHANGE[die])), (die, side)

    of_start, of_rolls = fn.random.split(key)
    first = fn.random.categorical(of_start, torch.log(START))
    return fn.scan(step, first, fn.random.split(of_rolls, length))[1]


def log_rolls(sides: Tensor) -> Tensor:
    """Return the log probability of each roll with each die: (length,) -> (length, 2)."""
    return torch.log(SIDES).T[sides]


def log_product(a: Tensor, b: Tensor) -> Tensor:
    """Multiply matrices of log numbers: (..., i, j), (..., j, k) -> (..., i, k)."""
    return fn.nn.logsumexp(a[..., :, :, None] + b[..., None, :, :], -2)


def log_likelihood(rolls: Tensor) -> Tensor:
    """Return the log likelihood of rolls, given the log probability of each with each die: (length, 2) -> ()."""
    return fn.nn.logsumexp(forward(rolls)[-1], -1)


def forward(rolls: Tensor) -> Tensor:
    """Return the log probability of the first rolls and the die at the last of them: (length, 2)."""

    def step(before: Tensor, roll: Tensor) -> tuple[Tensor, Tensor]:
        after = fn.nn.logsumexp(before[:, None] + torch.log(CHANGE), 0) + roll
        return after, after

    first = torch.log(START) + rolls[0]
    return torch.cat([first[None], fn.scan(step, first, rolls[1:])[1]])


def backward(rolls: Tensor) -> Tensor:
    """Return the log probability of the later rolls given the die at each: (length, 2)."""

    def step(after: Tensor, roll: Tensor) -> tuple[Tensor, Tensor]:
        before = fn.nn.logsumexp(torch.log(CHANGE) + roll + after, -1)
        return before, before

    last = torch.zeros_like(START)
    return torch.cat([fn.scan(step, last, rolls[1:], reverse=True)[1], last[None]])


def by_scan(rolls: Tensor) -> Tensor:
    """Return the probability of each die at each roll, given all rolls: (length, 2)."""
    return torch.softmax(forward(rolls) + backward(rolls), -1)


def by_associative_scan(rolls: Tensor) -> Tensor:
    """Do the same by prefixes and suffixes of a product of matrices."""
    factors = torch.log(CHANGE) + rolls[:, None, :]
    first = (torch.log(START) + rolls[0]).expand(1, 2, 2)  # any row
    ahead = fn.associative_scan(log_product, torch.cat([first, factors[1:]]))[:, 0]
    behind = fn.associative_scan(lambda a, b: log_product(b, a), factors[1:], reverse=True)
    return torch.softmax(ahead + torch.cat([fn.nn.logsumexp(behind, -1), torch.zeros_like(ahead[:1])]), -1)


def by_gradient(rolls: Tensor) -> Tensor:
    """Do the same by differentiating the log likelihood."""
    return fn.grad(log_likelihood)(rolls)


def main() -> None:
    """Find the loaded die in rolls; compare the three ways."""
    parser = options.parser(__doc__, takes="8 s")
    parser.add_argument("--length", type=options.count, default=300, help="number of rolls")
    args = options.parse(parser)
    dice, sides = fn.jit(lambda key: roll(key, args.length))(fn.random.key(args.seed))
    rolls = log_rolls(sides)
    answers = {f.__name__.replace("_", " "): fn.jit(f)(rolls) for f in (by_scan, by_associative_scan, by_gradient)}
    loaded = answers["by scan"][:, 1]
    right = ((loaded > 0.5) == (dice == 1)).double().mean().item()
    apart = [[name, f"{(each[:, 1] - loaded).abs().max():.0e}"] for name, each in answers.items()]
    report.show(
        report.table(["forward-backward", "largest difference"], apart, title="Probability of the loaded die"),
        report.curve(
            {"loaded die, given the rolls": loaded, "loaded die": dice.double()}, x_label="roll", y_label="probability"
        ),
        answer=f"log likelihood of {args.length:,} rolls {log_likelihood(rolls).item():.4f}; the more probable die is "
        f"the true one at {right:.1%} of them",
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
