"""Hamiltonian Monte Carlo with step-size adaptation samples the posterior of the eight schools.

Eight schools estimate the effect of coaching on test scores, each with a known standard error. The true effects are
normal with mean mu and standard deviation tau, both unknown. During the warm-up, dual averaging finds a step size at
which 80 % of the proposals are accepted. All chains are one jitted vmap. Their moments are compared with quadrature
over mu and log tau, given which the estimates are independent and normal. Sources: Rubin (1981), Estimation in Parallel
Randomized Experiments; Hoffman, Gelman (2014), The No-U-Turn Sampler, section 3.2, https://arxiv.org/abs/1111.4246.
"""

from typing import Any

import torch
from above import options
from torch import Tensor

import funcnet as fn
from funcnet import report

ESTIMATES = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
LEAPS, TARGET = 8, 0.8  # leapfrog steps per proposal, share of accepted proposals


def log_prior(mu: Tensor, log_tau: Tensor) -> Tensor:
    """Return the log density of mu, normal with deviation 5, and of log tau, where tau is half Cauchy with scale 5."""
    return -0.5 * (mu / 5) ** 2 + log_tau - torch.log1p((torch.exp(log_tau) / 5) ** 2)


def log_posterior(q: Tensor) -> Tensor:
    """Return the log density of mu, log tau and the standardised effects: effect = mu + tau z. Shape (10,)."""
    mu, log_tau, z = q[0], q[1], q[2:]
    errors = (ESTIMATES - mu - torch.exp(log_tau) * z) / ERRORS
    return log_prior(mu, log_tau) - 0.5 * (torch.sum(z**2) + torch.sum(errors**2))


def propose(key: Tensor, q: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Take one step of a chain; return its place and the probability that the proposal is accepted."""
    of_momentum, of_accept = fn.random.split(key)
    p = fn.random.normal(of_momentum, q.shape)

    def leap(state: Any, _: Any) -> tuple[Any, None]:
        q, p = state
        p = p + 0.5 * step * fn.grad(log_posterior)(q)
        q = q + step * p
        return (q, p + 0.5 * step * fn.grad(log_posterior)(q)), None

    (there, moved), _ = fn.scan(leap, (q, p), length=LEAPS)
    gain = log_posterior(there) - log_posterior(q) + 0.5 * (torch.sum(p**2) - torch.sum(moved**2))
    chance = torch.exp(torch.clip(torch.where(torch.isnan(gain), -torch.inf, gain), max=0.0))
    return torch.where(fn.random.uniform(of_accept) < chance, there, q), chance


def warm_up(key: Tensor, q: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Adapt the step size by dual averaging; return the chain's place and the step size."""

    def adapt(carry: Any, xs: tuple[Tensor, Tensor]) -> tuple[Any, None]:
        (q, log_step, average, error), (key, count) = carry, xs
        q, chance = propose(key, q, torch.exp(log_step))
        error = error + (TARGET - chance - error) / (count + 10)
        log_step = -torch.sqrt(count) / 0.05 * error  # around a step size of 1
        weight = count**-0.75
        return (q, log_step, weight * log_step + (1 - weight) * average, error), None

    counts, zero = torch.arange(1, steps + 1, dtype=torch.float32), torch.tensor(0.0)
    (q, _, average, _), _ = fn.scan(adapt, (q, zero, zero, zero), (fn.random.split(key, steps), counts))
    return q, torch.exp(average)


def sample(key: Tensor, warm: int, draws: int) -> tuple[Tensor, Tensor, Tensor]:
    """Run one chain; return its places, (draws, 10), its step size and the mean acceptance."""
    of_start, of_warm, of_draws = fn.random.split(key, 3)
    q, step = warm_up(of_warm, fn.random.normal(of_start, (10,)), warm)

    def draw(q: Tensor, key: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        q, chance = propose(key, q, step)
        return q, (q, chance)

    _, (places, chances) = fn.scan(draw, q, fn.random.split(of_draws, draws))
    return places, step, torch.mean(chances)


def by_quadrature() -> Tensor:
    """Return the posterior moments of mu and tau: a table of means and standard deviations, (2, 2)."""
    mu, log_tau = torch.meshgrid(torch.linspace(-25, 35, 601), torch.linspace(-9, 5, 561), indexing="ij")
    spread = (ERRORS**2 + torch.exp(2 * log_tau)[..., None]).double()
    fit = -0.5 * ((ESTIMATES - mu[..., None]) ** 2 / spread + torch.log(spread)).sum(-1)
    mass = torch.softmax((log_prior(mu, log_tau) + fit).reshape(-1), 0)
    values = torch.stack([mu, torch.exp(log_tau)], -1).double().reshape(-1, 2)
    mean = mass @ values
    return torch.stack([mean, (mass @ (values - mean) ** 2).sqrt()])


def main() -> None:
    """Sample by many chains; compare the moments with those by quadrature."""
    parser = options.parser(__doc__, takes="6 s")
    parser.add_argument("--chains", type=options.count, default=64, help="number of chains")
    parser.add_argument(
        "--draws", type=options.count, default=1_000, help="draws per chain, after half as many to adapt"
    )
    args = options.parse(parser)
    keys = fn.random.split(fn.random.key(args.seed), args.chains)
    places, steps, chances = fn.jit(fn.vmap(lambda key: sample(key, args.draws // 2, args.draws)))(keys)
    mu, tau, z = places[..., 0], torch.exp(places[..., 1]), places[..., 2:]
    rows = [
        [name, *(f"{number:.2f}" for number in (x.mean(), x.std(), *moments))]
        for name, x, moments in zip(("mu", "tau"), (mu, tau), by_quadrature().T, strict=True)
    ]
    effects = (mu[..., None] + tau[..., None] * z).mean((0, 1))
    report.show(
        report.table(["", "mean", "deviation", "exact mean", "exact deviation"], rows, title="The eight schools"),
        report.curve({"estimate": ESTIMATES, "posterior mean": effects}, x_label="school", y_label="effect, points"),
        answer=f"step sizes {steps.min():.2f} to {steps.max():.2f}, {chances.mean():.1%} of proposals accepted",
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
