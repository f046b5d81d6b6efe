"""PPO balances a pole on a cart; environment, actor, critic and updates are one jitted function of a key.

Carts are simulated by pure functions, so a whole training run compiles, and vmap trains several seeds at once. Sources:
Barto, Sutton, Anderson (1983), the cart and its pole; Schulman et al. (2017), Proximal Policy Optimization Algorithms,
https://arxiv.org/abs/1707.06347.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

import funcnet as fn
from funcnet import report

CARTS, STEPS, EPOCHS, BLOCK = 16, 128, 4, 512  # carts at once, their steps per update, passes, and steps per minibatch
RATE, DISCOUNT, TRACE, CLIP, LONGEST = 2.5e-3, 0.99, 0.95, 0.2, 500

model = fn.parallel(actor=fn.mlp([64, 64, 2], activation=torch.tanh), critic=fn.mlp([64, 64, 1], activation=torch.tanh))


class Cart(NamedTuple):
    state: Tensor  # (4,): position, velocity, angle, angular velocity, in m, rad and s
    age: Tensor  # () int64, steps since the start


class Step(NamedTuple):
    state: Tensor  # (4,)
    action: Tensor  # () int64
    log_prob: Tensor  # () of the action
    value: Tensor  # () that the critic foresees
    length: Tensor  # () int64, the steps of the episode that ends here, or 0


def start(key: Tensor) -> Cart:
    """Put a cart near the middle, the pole nearly upright."""
    return Cart(fn.random.uniform(key, (4,), minval=-0.05, maxval=0.05), torch.tensor(0))


def move(key: Tensor, cart: Cart, action: Tensor) -> tuple[Cart, Tensor]:
    """Push the cart to the left (0) or to the right (1) for 1/50 s; start again if it or the pole leaves its range."""
    position, velocity, angle, spin = cart.state
    force, sine, cosine = 20.0 * action - 10.0, torch.sin(angle), torch.cos(angle)
    push = (force + 0.05 * spin * spin * sine) / 1.1
    turn = (9.8 * sine - cosine * push) / (0.5 * (4 / 3 - 0.1 * cosine * cosine / 1.1))
    change = torch.stack([velocity, push - 0.05 * turn * cosine / 1.1, spin, turn])
    moved = Cart(cart.state + 0.02 * change, cart.age + 1)
    done = (torch.abs(moved.state[0]) > 2.4) | (torch.abs(moved.state[2]) > 0.2095) | (moved.age >= LONGEST)
    return fn.tree.map(lambda new, old: torch.where(done, new, old), start(key), moved), moved.age * done


def play(params: Any, carts: Cart, key: Tensor) -> tuple[Cart, Step]:
    """Let the actor take one step with every cart."""
    of_action, of_start = fn.random.split(key)
    out = model.apply(params, carts.state)
    log_probs = torch.log_softmax(out["actor"], -1)
    action = fn.random.categorical(of_action, log_probs)
    after, lengths = fn.vmap(move)(fn.random.split(of_start, CARTS), carts, action)
    chosen = torch.gather(log_probs, -1, action[:, None])[:, 0]
    return after, Step(carts.state, action, chosen, out["critic"][:, 0], lengths)


def advantages(steps: Step, last: Tensor) -> Tensor:
    """Estimate how much better each action is than the critic foresaw; every step has reward 1. Shape (STEPS, CARTS)."""

    def back(carry: tuple[Tensor, Tensor], step: Step) -> tuple[tuple[Tensor, Tensor], Tensor]:
        advantage, value = carry
        goes_on = 1.0 * (step.length == 0)
        advantage = 1.0 + DISCOUNT * goes_on * value - step.value + DISCOUNT * TRACE * goes_on * advantage
        return (advantage, step.value), advantage

    return fn.scan(back, (torch.zeros_like(last), last), steps, reverse=True)[1]


def loss(params: Any, steps: Step, advantage: Tensor, target: Tensor) -> Tensor:
    """Compute the clipped loss of the actor, plus half the critic's squared error, minus 0.01 entropy."""
    out = model.apply(params, steps.state)
    log_probs = torch.log_softmax(out["actor"], -1)
    ratio = torch.exp(torch.gather(log_probs, -1, steps.action[:, None])[:, 0] - steps.log_prob)
    advantage = (advantage - torch.mean(advantage)) / (torch.std(advantage, correction=0) + 1e-8)
    gain = torch.minimum(ratio * advantage, torch.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage)
    error = fn.losses.l2_loss(out["critic"][:, 0], target)
    entropy = -torch.sum(torch.exp(log_probs) * log_probs, -1)
    return torch.mean(-gain + 0.5 * error - 0.01 * entropy)


def train(key: Tensor, updates: int) -> tuple[Any, Tensor]:
    """Train one actor; return the parameters and the mean length of the episodes that end in each update."""
    of_params, of_carts, of_run = fn.random.split(key, 3)
    schedule = fn.optim.linear_schedule(RATE, 0.0, updates * EPOCHS * STEPS * CARTS // BLOCK)
    optimizer = fn.optim.chain(fn.optim.clip_by_global_norm(0.5), fn.optim.adam(schedule, eps=1e-5))

    def learn(carry: Any, block: Any) -> tuple[Any, None]:
        params, state = carry
        changes, state = optimizer.update(fn.grad(loss)(params, *block), state, params)
        return (fn.optim.apply_updates(params, changes), state), None

    def update(carry: Any, key: Tensor) -> tuple[Any, Tensor]:
        params, state, carts = carry
        of_steps, of_blocks = fn.random.split(key)
        carts, steps = fn.scan(lambda c, k: play(params, c, k), carts, fn.random.split(of_steps, STEPS))
        advantage = advantages(steps, model.apply(params, carts.state)["critic"][:, 0])
        data = fn.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (steps, advantage, advantage + steps.value))
        blocks = fn.batches(of_blocks, data, BLOCK, epochs=EPOCHS)
        (params, state), _ = fn.scan(lambda c, i: learn(c, fn.tree.map(lambda x: x[i], data)), (params, state), blocks)
        return (params, state, carts), steps.length.sum() / (steps.length > 0).sum()

    params = model.init(of_params, torch.zeros(4))
    carts = fn.vmap(start)(fn.random.split(of_carts, CARTS))
    (params, _, _), lengths = fn.scan(update, (params, optimizer.init(params), carts), fn.random.split(of_run, updates))
    return params, lengths


def balance(params: Any, key: Tensor) -> Tensor:
    """Count the steps until a cart ends its episode, if the actor always takes its most probable action."""

    def step(carry: tuple[Cart, Tensor]) -> tuple[Cart, Tensor]:
        return move(key, carry[0], torch.argmax(model.apply(params, carry[0].state)["actor"]))

    return fn.while_loop(lambda carry: carry[1] == 0, step, (start(key), torch.tensor(0)))[1]


def main() -> None:
    """Train several actors at once; show how long they balance the pole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="seed of the key")
    parser.add_argument("--updates", type=int, default=80, help=f"updates, after {STEPS * CARTS:,} steps each")
    parser.add_argument("--seeds", type=int, default=4, help="actors to train")
    parser.add_argument("--svg", type=Path, help="write the picture to this file, too")
    args = parser.parse_args()
    of_train, of_test = fn.random.split(fn.random.key(args.seed))
    params, lengths = fn.jit(fn.vmap(lambda k: train(k, args.updates)))(fn.random.split(of_train, args.seeds))
    test = fn.jit(fn.vmap(fn.vmap(balance, in_dims=(None, 0)), in_dims=(0, None)))
    steps = test(params, fn.random.split(of_test, 100)).double()
    report.show(
        f"after {args.updates} updates of {STEPS * CARTS:,} steps, {args.seeds} actors balance 100 new poles for "
        f"{steps.mean():.1f} steps of {LONGEST}, the worst actor for {steps.mean(1).min():.1f}",
        report.curve(
            {"mean": lengths.nanmean(0), "worst actor": lengths.nan_to_num(torch.inf).amin(0)},
            title="Length of the episodes that ended, by update",
            x_label="update",
            y_label="steps",
        ),
        svg=args.svg,
    )


if __name__ == "__main__":
    main()
