"""Differentially private learning: DP-SGD on handwritten digits, accuracy against noise.

Every step takes the gradients of all training images, clips each to norm C and adds normal noise with standard
deviation s C to their sum, where s is the noise multiplier. One image more or less changes the sum by at most C, so
that T steps are rho-zCDP, and (epsilon, delta)-private:

    rho = T / (2 s^2)
    epsilon = rho + 2 sqrt(rho log(1 / delta))

Source: Bun, Steinke (2016), https://arxiv.org/abs/1605.02065, propositions 1.3 and 1.6. All images are in every step,
so there is no amplification by sampling; the search for clip, rate and steps is not counted. The runs of all noises
and seeds are one jitted vmap.
"""

import math
from typing import Any

import options
import torch
from digits import Images, load
from torch import Tensor

import funcnet as fn
from funcnet import report

CLIP, RATE, DELTA = 1.0, 2.0, 1e-5
NOISES = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

model = fn.serial(fn.dense(32), torch.tanh, fn.dense(10))


def loss(params: Any, x: Tensor, y: Tensor) -> Tensor:
    """Compute the cross entropy of one image, in nats."""
    return fn.losses.softmax_cross_entropy_with_integer_labels(model.apply(params, x), y)


def accuracy(params: Any, images: Images) -> Tensor:
    """Return the fraction of images that are classified correctly."""
    return (model.apply(params, images.x).argmax(-1) == images.y).float().mean()


def train(key: Tensor, noise: Tensor, images: Images, steps: int) -> Any:
    """Take the given number of private steps; with a noise of 0, gradients are only clipped."""
    of_params, of_noise = fn.random.split(key)
    mean = fn.curvature.clipped_mean(loss, CLIP, noise_multiplier=noise)

    def step(params: Any, key: Tensor) -> tuple[Any, None]:
        return fn.sgd_step(params, mean(params, images.x, images.y, key=key), RATE), None

    return fn.scan(step, model.init(of_params, images.x[0]), fn.random.split(of_noise, steps))[0]


def epsilon(noise: float, steps: int) -> float:
    """Return the privacy loss epsilon of a run, at DELTA."""
    if noise == 0:
        return math.inf
    rho = steps / (2 * noise**2)
    return rho + 2 * math.sqrt(rho * math.log(1 / DELTA))


def main() -> None:
    """Train nets with all noises and seeds at once; show their accuracy, and how many gradients are clipped."""
    parser = options.parser(__doc__, takes="10 s")
    parser.add_argument("--steps", type=options.count, default=100, help="steps of a run, each on all training images")
    parser.add_argument("--seeds", type=options.count, default=4, help="runs per noise multiplier")
    args = options.parse(parser)
    of_split, key = fn.random.split(fn.random.key(args.seed))
    images, test = load(of_split)

    def run(key: Tensor, noise: Tensor, images: Images, test: Images) -> tuple[Tensor, Any]:
        params = train(key, noise, images, args.steps)
        return accuracy(params, test), params

    noises = torch.tensor([0.0, *NOISES]).repeat_interleave(args.seeds)
    keys = fn.random.split(key, args.seeds).repeat(len(NOISES) + 1, 1)
    reached, params = fn.jit(fn.vmap(run, in_dims=(0, 0, None, None)))(keys, noises, images, test)
    each = reached.reshape(-1, args.seeds)
    norms = fn.curvature.per_example_grad_norms(loss)
    first = model.init(fn.random.split(keys[0])[0], images.x[0])
    last = fn.tree.map(lambda leaf: leaf[0], params)
    shares = [
        f"{name} {norm.median().item():.2f} ({(norm > CLIP).float().mean().item():.0%} clipped)"
        for name, norm in (("first", norms(first, *images)), ("last", norms(last, *images)))
    ]
    rows = [
        [f"{noise:g}", f"{epsilon(noise, args.steps):.3g}", f"{row.mean().item():.2%}", f"{row.min().item():.2%}"]
        for noise, row in zip((0.0, *NOISES), each, strict=True)
    ]
    report.show(
        report.table(
            ["noise multiplier", "epsilon", "mean accuracy", "worst seed"],
            rows,
            title=f"{len(test.y)} test images after {args.steps} steps on {len(images.y):,}, clip {CLIP:g}, "
            f"delta {DELTA:g}",
        ),
        f"median norm of an image's gradient without noise: {', '.join(shares)}",
        report.curve(
            {"mean": each[1:].mean(1), "worst seed": each[1:].min(1).values},
            x=torch.tensor(NOISES),
            log_x=True,
            title="Accuracy against noise",
            x_label="noise multiplier",
            y_label="test accuracy",
        ),
        answer=f"accuracy {rows[0][2]} without noise, {rows[5][2]} at epsilon {rows[5][1]}",
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
