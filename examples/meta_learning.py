"""Learning to learn: sinusoids from ten points each, after five steps of gradient descent (MAML).

Every task is a sinusoid with its own amplitude and phase. The initial parameters are trained so that a few inner steps
on ten points of a task adapt the net to that task: the gradient of the error after the steps goes through the steps.
Initial parameters trained on all tasks at once, without inner steps, can only learn the tasks' mean, and adapt badly.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import options
import torch
from torch import Tensor

import funcnet as fn
from funcnet import report

SHOTS, INNER_STEPS, INNER_RATE = 10, 5, 0.02
TASKS, BLOCK = 16, 250  # tasks per step, steps between updates of the progress bar

model = fn.serial(fn.dense(40), torch.tanh, fn.dense(40), torch.tanh, fn.dense(1))


class Task(NamedTuple):
    """Points of one sinusoid, to adapt to and to test on."""

    x: Tensor  # (shots, 1)
    y: Tensor  # (shots, 1)
    test_x: Tensor  # (shots, 1)
    test_y: Tensor  # (shots, 1)


def sinusoid(key: Tensor) -> Task:
    """Draw a task: y = amplitude sin(x - phase)."""
    of_amplitude, of_phase, of_x = fn.random.split(key, 3)
    amplitude = fn.random.uniform(of_amplitude, minval=0.1, maxval=5.0)
    phase = fn.random.uniform(of_phase, maxval=math.pi)
    x = fn.random.uniform(of_x, (2, SHOTS, 1), minval=-5.0, maxval=5.0)
    y = amplitude * torch.sin(x - phase)
    return Task(x[0], y[0], x[1], y[1])


def error(params: Any, x: Tensor, y: Tensor) -> Tensor:
    """Compute the mean squared error of a net."""
    return fn.losses.squared_error(model.apply(params, x), y).mean()


def adapt(params: Any, task: Task, steps: int) -> Any:
    """Take some steps of gradient descent on the points of a task."""

    def step(params: Any, _: Any) -> tuple[Any, None]:
        return fn.sgd_step(params, fn.grad(error)(params, task.x, task.y), INNER_RATE), None

    return fn.scan(step, params, length=steps)[0]


def error_after(params: Any, key: Tensor, steps: int) -> Tensor:
    """Compute the mean error on unseen points of several tasks, after some steps on each."""

    def one(key: Tensor) -> Tensor:
        task = sinusoid(key)
        return error(adapt(params, task, steps), task.test_x, task.test_y)

    return fn.vmap(one)(fn.random.split(key, TASKS)).mean()


def train(key: Tensor, steps: int, inner_steps: int, name: str) -> tuple[Any, Tensor]:
    """Train initial parameters for the given number of inner steps; return them and the error at each outer step."""
    optimizer = fn.optim.adam(fn.optim.cosine_decay_schedule(2e-3, steps))

    def step(carry: Any, key: Tensor) -> tuple[Any, Tensor]:
        params, state = carry
        value, grads = fn.value_and_grad(partial(error_after, key=key, steps=inner_steps))(params)
        updates, state = optimizer.update(grads, state, params)
        return (fn.optim.apply_updates(params, updates), state), value

    of_start, of_tasks = fn.random.split(key)
    params = model.init(of_start, torch.zeros(1, 1))
    carry, keys, errors = (params, optimizer.init(params)), fn.random.split(of_tasks, steps), []
    run = fn.jit(partial(fn.scan, step))
    for block in report.track(keys.split(BLOCK), name):
        carry, values = run(carry, block)
        errors.append(values)
    return carry[0], torch.cat(errors)


def main() -> None:
    """Train initial parameters with and without inner steps; compare how they adapt to new tasks."""
    parser = options.parser(__doc__, takes="20 s")
    parser.add_argument("--steps", type=options.count, default=3_000, help="outer steps")
    args = options.parse(parser)

    key, test_key = fn.random.split(fn.random.key(args.seed))
    runs = {
        "adaptation (MAML)": train(key, args.steps, INNER_STEPS, "with inner steps"),
        "all tasks at once": train(key, args.steps, 0, "without inner steps"),
    }
    after = [0, INNER_STEPS, 2 * INNER_STEPS, 4 * INNER_STEPS]
    keys = fn.random.split(test_key, 20)
    rows = [
        [name, *(f"{fn.vmap(lambda key, p=p, n=n: error_after(p, key, n))(keys).mean():.3f}" for n in after)]
        for name, (p, _) in runs.items()
    ]
    width = max(1, args.steps // 100)  # steps averaged per point of the curve
    report.show(
        report.table(
            ["trained on", *(f"{n} steps" if n else "no step" for n in after)],
            rows,
            title=f"Mean squared error on {20 * TASKS} new sinusoids, adapted to {SHOTS} points of each",
        ),
        report.curve(
            {name: torch.stack([part.mean() for part in errors.split(width)]) for name, (_, errors) in runs.items()},
            x=torch.arange(0, args.steps, width),
            x_label="outer step",
            y_label="mean squared error",
        ),
        answer=f"after {INNER_STEPS} steps the error is {rows[0][2]}, from a start trained on all tasks {rows[1][2]}",
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
