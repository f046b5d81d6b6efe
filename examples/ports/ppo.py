"""PPO balances a pole on a cart; environment, actor, critic and updates are one jitted function of a key.

The cart is a pure function, too, so that vmap trains several actors at once. Sources: Barto, Sutton, Anderson (1983),
the cart and its pole; Schulman et al. (2017), Proximal Policy Optimization Algorithms, https://arxiv.org/abs/1707.06347.
"""

from collections import namedtuple
from typing import Any

import torch
from above import options
from torch import Tensor

import funcnet as fn
from funcnet import report

CARTS, STEPS, EPOCHS, BLOCK = 16, 128, 4, 512  # carts at once, their steps per update, passes, and steps per minibatch
RATE, DISCOUNT, TRACE, CLIP, LONGEST = 2.5e-3, 0.99, 0.95, 0.2, 500

model = fn.parallel(actor=fn.mlp([64, 64, 2], activation=torch.tanh), critic=fn.mlp([64, 64, 1], activation=torch.tanh))

Cart = tuple[Tensor, Tensor]  # position, velocity, angle and angular velocity: (4,); steps since the start: () int64
Step = namedtuple("Step", "state action log_prob value length")  # length: of the episode that ends, or 0


def start(key: Tensor) -> Cart:
    return fn.random.uniform(key, (4,), minval=-0.05, maxval=0.05), torch.tensor(0)


def move(key: Tensor, cart: Cart, action: Tensor) -> tuple[Cart, Tensor]:
    """Push the cart to the left (0) or to the right (1) for 1/50 s; start again if it or the pole leaves its range."""
    (_, velocity, angle, spin), age = cart
    force, sine, cosine = 20.0 * action - 10.0, torch.sin(angle), torch.cos(angle)
    push = (force + 0.05 * spin * spin * sine) / 1.1
    turn = (9.8 * sine - cosine * push) / (0.5 * (4 / 3 - 0.1 * cosine * cosine / 1.1))
    state = cart[0] + 0.02 * torch.stack([velocity, push - 0.05 * turn * cosine / 1.1, spin, turn])
    done = (torch.abs(state[0]) > 2.4) | (torch.abs(state[2]) > 0.2095) | (age + 1 >= LONGEST)
    return fn.tree.map(lambda new, old: torch.where(done, new, old), start(key), (state, age + 1)), (age + 1) * done


def play(params: Any, carts: Cart, key: Tensor) -> tuple[Cart, Step]:
    """Let the actor take one step with every cart."""
    of_action, of_start = fn.random.split(key)
    out = model.apply(params, carts[0])
    action = fn.random.categorical(of_action, out["actor"])
    after, lengths = fn.vmap(move)(fn.random.split(of_start, CARTS), carts, action)
    return after, Step(carts[0], action, log_prob(out["actor"], action), out["critic"][:, 0], lengths)


def log_prob(logits: Tensor, action: Tensor) -> Tensor:
    return torch.gather(torch.log_softmax(logits, -1), -1, action[:, None])[:, 0]


def back(carry: tuple[Tensor, Tensor], step: Step) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Estimate by how much an action is better than the critic foresaw, from the next one; every step has reward 1."""
    advantage, value = carry
    advantage = 1.0 + DISCOUNT * (value + TRACE * advantage) * (step.length == 0) - step.value
    return (advantage, step.value), advantage


def loss(params: Any, steps: Step, advantage: Tensor, target: Tensor) -> Tensor:
    """Compute the clipped loss of the actor, plus half the critic's squared error, minus 0.01 entropy."""
    out = model.apply(params, steps.state)
    ratio = torch.exp(log_prob(out["actor"], steps.action) - steps.log_prob)
    advantage = (advantage - torch.mean(advantage)) / (torch.std(advantage, correction=0) + 1e-8)
    gain = torch.minimum(ratio * advantage, torch.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage)
    entropy = -torch.sum(torch.softmax(out["actor"], -1) * torch.log_softmax(out["actor"], -1), -1)
    return torch.mean(0.5 * fn.losses.l2_loss(out["critic"][:, 0], target) - gain - 0.01 * entropy)


def train(key: Tensor, updates: int) -> tuple[Any, Tensor]:
    """Train an actor; return the parameters and the mean length of the episodes that end before each update."""
    of_params, of_carts, of_run = fn.random.split(key, 3)
    schedule = fn.optim.linear_schedule(RATE, 0.0, updates * EPOCHS * STEPS * CARTS // BLOCK)
    optimizer = fn.optim.chain(fn.optim.clip_by_global_norm(0.5), fn.optim.adam(schedule, eps=1e-5))

    def update(carry: Any, key: Tensor) -> tuple[Any, Tensor]:
        (of_steps, of_blocks), (learner, carts) = fn.random.split(key), carry
        carts, steps = fn.scan(lambda c, k: play(learner[0], c, k), carts, fn.random.split(of_steps, STEPS))
        last = model.apply(learner[0], carts[0])["critic"][:, 0]
        advantage = fn.scan(back, (torch.zeros_like(last), last), steps, reverse=True)[1]
        data = fn.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (steps, advantage, advantage + steps.value))

        def learn(learner: Any, block: Tensor) -> tuple[Any, None]:
            grads = fn.grad(loss)(learner[0], *fn.tree.map(lambda x: x[block], data))
            changes, state = optimizer.update(grads, learner[1], learner[0])
            return (fn.optim.apply_updates(learner[0], changes), state), None

        learner, _ = fn.scan(learn, learner, fn.batches(of_blocks, data, BLOCK, epochs=EPOCHS))
        return (learner, carts), torch.sum(steps.length) / torch.sum(steps.length > 0)

    params = model.init(of_params, torch.zeros(4))
    carry = (params, optimizer.init(params)), fn.vmap(start)(fn.random.split(of_carts, CARTS))
    carry, lengths = fn.scan(update, carry, fn.random.split(of_run, updates))
    return carry[0][0], lengths


def main() -> None:
    """Train several actors at once; show how long they balance the pole (with gaps where no episode ends)."""
    parser = options.parser(__doc__, takes="13 s")
    parser.add_argument(
        "--updates", type=options.count, default=80, help=f"updates, after {STEPS * CARTS:,} steps each"
    )
    parser.add_argument("--seeds", type=options.count, default=4, help="actors to train")
    args = options.parse(parser)
    keys = fn.random.split(fn.random.key(args.seed), args.seeds)
    _, lengths = fn.jit(fn.vmap(lambda key: train(key, args.updates)))(keys)
    report.show(
        report.curve({f"actor {i}": row for i, row in enumerate(lengths)}, x_label="update", y_label="steps"),
        answer=f"the last {args.updates // 4} of {args.updates} updates of {STEPS * CARTS:,} steps: {args.seeds} "
        f"actors balance the pole for {lengths[:, -args.updates // 4 :].nanmean():.1f} steps of at most {LONGEST}",
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
