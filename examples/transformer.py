"""A causal transformer of two blocks learns to sort digits.

It reads eight digits and a mark, and then writes the digits in order, predicting each token from the earlier ones.
Lists whose digits add up to a multiple of five are the test set: no such list, in any order, is used for training.
"""

from typing import Any

import options
import torch
from torch import Tensor

import funcnet as fn
from funcnet import report

DIGITS, MARK = 8, 10  # digits in a list, and the token between list and answer
WIDTH, HEADS, BATCH, RATE = 64, 4, 64, 2e-3
HELD_OUT = torch.tensor([0])  # sums, modulo five
TRAINED_ON = torch.tensor([1, 2, 3, 4])

block = fn.serial(
    attend=fn.residual(fn.serial(fn.layer_norm(), fn.multi_head_attention(HEADS, causal=True))),
    think=fn.residual(fn.serial(fn.layer_norm(), fn.mlp([4 * WIDTH, WIDTH], activation=torch.nn.functional.gelu))),
)
model = fn.serial(
    embed=fn.embedding(MARK + 1, WIDTH, w_init=fn.initializers.normal(0.02)),
    place=fn.learned_positions(2 * DIGITS),
    first=block,
    second=block,
    norm=fn.layer_norm(),
    out=fn.dense(MARK),
)


def draw(key: Tensor, count: int, sums: Tensor) -> Tensor:
    """Draw lists whose sums modulo five are among the given ones: (count, DIGITS) int64."""
    of_digits, of_sums = fn.random.split(key)
    digits = fn.random.randint(of_digits, (count, DIGITS), 0, 10)
    wanted = sums[fn.random.randint(of_sums, (count,), 0, len(sums))]
    last = (digits[:, -1] + (wanted - digits.sum(-1)) % 5) % 10
    return torch.cat([digits[:, :-1], last[:, None]], -1)


def logits(params: Any, digits: Tensor, answer: Tensor) -> Tensor:
    """Predict each digit of an answer from the tokens before it: (count, DIGITS, 10)."""
    mark = torch.full_like(digits[:, :1], MARK)
    return model.apply(params, torch.cat([digits, mark, answer[:, :-1]], -1))[:, DIGITS:]


def loss(params: Any, digits: Tensor) -> Tensor:
    """Compute the mean cross entropy of the digits of the answers, in nats."""
    answer = digits.sort(-1).values
    return fn.losses.softmax_cross_entropy_with_integer_labels(logits(params, digits, answer), answer).mean()


def write(params: Any, digits: Tensor) -> Tensor:
    """Let the net write its answers: each digit is the most probable one after those already written."""
    places = torch.arange(DIGITS)

    def next_digit(answer: Tensor, place: Tensor) -> tuple[Tensor, None]:
        return torch.where(places == place, logits(params, digits, answer).argmax(-1), answer), None

    return fn.scan(next_digit, torch.zeros_like(digits), places)[0]


def is_sorted(params: Any, digits: Tensor) -> Tensor:
    """Tell for each list whether the net's complete answer is right."""
    return (write(params, digits) == digits.sort(-1).values).all(-1)


def main() -> None:
    """Train the transformer and let it sort lists that it has not seen."""
    parser = options.parser(__doc__, takes="2 min")
    parser.add_argument("--steps", type=options.count, default=1_000, help="steps of adamw, each on new lists")
    args = options.parse(parser)
    of_params, of_training, of_test = fn.random.split(fn.random.key(args.seed), 3)
    rate = fn.optim.warmup_cosine_decay_schedule(0.0, RATE, args.steps // 10, args.steps)
    optimizer = fn.optim.chain(fn.optim.clip_by_global_norm(1.0), fn.optim.adamw(rate, weight_decay=1e-2))

    def step(carry: Any, key: Tensor) -> Any:
        params, state = carry
        value, grads = fn.value_and_grad(loss)(params, draw(key, BATCH, TRAINED_ON))
        updates, state = optimizer.update(grads, state, params)
        return (fn.optim.apply_updates(params, updates), state), value

    test = draw(of_test, 500, HELD_OUT)
    params = model.init(of_params, torch.zeros(1, 2 * DIGITS, dtype=torch.int64))
    carry, costs, shares = (params, optimizer.init(params)), [], []
    run = fn.jit(lambda carry, keys: fn.scan(step, carry, keys))
    check = fn.jit(is_sorted)
    parts = fn.random.split(of_training, args.steps).chunk(25)
    for keys in report.track(parts, "training"):
        carry, values = run(carry, keys)
        costs.append(values.mean())
        shares.append(check(carry[0], test).float().mean())
    shown = zip(test[:5].tolist(), write(carry[0], test[:5]).tolist(), strict=True)
    steps = torch.tensor([len(keys) for keys in parts]).cumsum(0)
    report.show(
        report.table(["never seen", "the net's answer"], [[" ".join(map(str, s)) for s in row] for row in shown]),
        report.curve(
            {"training cost": torch.stack(costs), "held-out lists that are wrong": 1 - torch.stack(shares)},
            x=steps,
            x_label="step",
            y_label="cost (nats), wrong (share)",
        ),
        answer=f"{shares[-1].item():.1%} of 500 held-out lists are sorted without a mistake after {args.steps:,} steps",
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
