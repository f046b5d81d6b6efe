"""Handwritten digits: a small net, minibatches by key, adamw with warmup and cosine decay.

The data are the 1,797 images of 8 x 8 pixels that come with scikit-learn; a fifth of them, drawn by key, are the test
set. With --sweep, nets with 32 learning rates and 4 seeds are trained at once, by vmap in one jitted call.

Ctrl-C ends the training and shows what was reached; with --checkpoints FOLDER, the same command goes on from there.
"""

from argparse import Namespace
from typing import Any, NamedTuple

import options
import torch
from torch import Tensor

import funcnet as fn
from funcnet import report

BATCH, RATE = 64, 1e-2

model = fn.serial(fn.dense(256), torch.relu, fn.dropout(0.5), fn.dense(10))


class Images(NamedTuple):
    """Images and their digits."""

    x: Tensor  # (images, 64), from 0 to 1
    y: Tensor  # (images,) int64


def load(key: Tensor) -> tuple[Images, Images]:
    """Load the images and split them into training and test images."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise options.missing("scikit-learn", "examples") from error
    digits = load_digits()
    images = Images(torch.as_tensor(digits.data / 16).float(), torch.as_tensor(digits.target).long())
    order = fn.random.permutation(key, len(images.y))
    test = len(order) // 5
    return fn.tree.map(lambda leaf: leaf[order[test:]], images), fn.tree.map(lambda leaf: leaf[order[:test]], images)


def loss(params: Any, images: Images, key: Tensor) -> Tensor:
    """Compute the mean cross entropy, in nats, with dropout."""
    logits = model.apply(params, images.x, key=key)
    return fn.losses.softmax_cross_entropy_with_integer_labels(logits, images.y).mean()


def accuracy(params: Any, images: Images) -> Tensor:
    """Return the fraction of images that are classified correctly."""
    return (model.apply(params, images.x).argmax(-1) == images.y).float().mean()


def optimizer_for(steps: int, rate: float | Tensor) -> fn.optim.GradientTransformation:
    """Build adamw for a run of the given number of steps; weights decay, biases do not."""
    schedule = fn.optim.warmup_cosine_decay_schedule(0.0, rate, steps // 10, steps)
    return fn.optim.adamw(schedule, weight_decay=1e-2, mask=fn.optim.by_path(lambda path: path.endswith("w")))


def step(carry: Any, xs: tuple[Tensor, Tensor], train: Images, optimizer: fn.optim.GradientTransformation) -> Any:
    """Take one step on the images of a block of indices."""
    (params, state), (block, key) = carry, xs
    images = fn.tree.map(lambda leaf: leaf[block], train)
    value, grads = fn.value_and_grad(loss)(params, images, key)
    updates, state = optimizer.update(grads, state, params)
    metrics = {"cost": value, "rate": fn.optim.learning_rate(state)}
    return (fn.optim.apply_updates(params, updates), state), metrics


def start(key: Tensor, train: Images, epochs: int, rate: float | Tensor) -> tuple[Any, Any, Any]:
    """Return the optimizer, the first carry, and for each step the indices of its images and a key for dropout."""
    of_params, of_batches, of_dropout = fn.random.split(key, 3)
    blocks = fn.batches(of_batches, train, BATCH, epochs=epochs)
    optimizer = optimizer_for(len(blocks), rate)
    params = model.init(of_params, train.x[0])
    return optimizer, (params, optimizer.init(params)), (blocks, fn.random.split(of_dropout, len(blocks)))


class Accuracies:
    """The test accuracy after each epoch, by a callback of `fit`; its state is saved with the run."""

    def __init__(self, test: Images) -> None:
        self.test, self.state = test, list[float]()

    def __call__(self, step: int, carry: Any, metrics: Any) -> None:
        self.state.append(accuracy(carry[0], self.test).item())


def show_one(train: Images, test: Images, key: Tensor, args: Namespace) -> None:
    """Train one net; show its accuracy, its confusion table, and its training."""
    epochs = args.epochs or 60
    optimizer, carry, xs = start(key, train, epochs, RATE)
    steps, tested = len(xs[0]) // epochs, Accuracies(test)
    carry, history = fn.fit(
        lambda c, x: step(c, x, train, optimizer),
        carry,
        xs,
        every=steps,
        on_chunk=[tested],
        checkpoints=args.checkpoints,
    )
    costs, accuracies, params = history["cost"].reshape(-1, steps).mean(1), torch.tensor(tested.state), carry[0]
    said = model.apply(params, test.x).argmax(-1)
    confusion = torch.zeros(10, 10, dtype=torch.int64).index_put((test.y, said), torch.tensor(1), accumulate=True)
    rows = [[str(digit), *(str(n) if n else "" for n in row)] for digit, row in enumerate(confusion.tolist())]
    report.show(
        report.summary(model, params),
        report.table(["shown", *map(str, range(10))], rows, title="Answers (columns) by the digit shown (rows)"),
        report.curve(
            {"training cost": costs, "test error": 1 - accuracies},
            x=torch.arange(1, len(costs) + 1),
            log_y=True,
            x_label="epoch",
            y_label="cost (nats), error (share)",
        ),
        answer=f"test accuracy {accuracies[-1].item():.2%} of {len(test.y)} images after {len(costs)} epochs, "
        f"training accuracy {accuracy(params, train).item():.2%}",
        svg=args.svg,
        dark=args.dark,
    )


def show_sweep(train: Images, test: Images, key: Tensor, args: Namespace) -> None:
    """Train nets with 32 learning rates and 4 seeds at once; show their accuracy by learning rate."""

    def run(rate: Tensor, key: Tensor) -> Tensor:
        optimizer, carry, xs = start(key, train, args.epochs or 10, rate)
        (params, _), _ = fn.scan(lambda c, x: step(c, x, train, optimizer), carry, xs)
        return accuracy(params, test)

    rates = torch.logspace(-4.5, 0.0, 32)
    keys = fn.random.split(key, 4)
    each = fn.jit(fn.vmap(run))(rates.repeat_interleave(4), keys.repeat(32, 1)).reshape(32, 4)
    rows = [[f"{rate:.1e}", f"{row.mean():.2%}", f"{row.min():.2%}"] for rate, row in zip(rates, each, strict=True)]
    best = each.mean(1).argmax()
    report.show(
        report.table(["learning rate", "mean", "worst seed"], rows[::3], title="Test accuracy of 4 seeds each"),
        report.curve(
            {"mean": each.mean(1), "worst seed": each.min(1).values},
            x=rates,
            log_x=True,
            x_label="learning rate",
            y_label="test accuracy",
        ),
        answer=f"best learning rate {rates[best].item():.1e}: {each[best].mean().item():.2%}",
        svg=args.svg,
        dark=args.dark,
    )


def main() -> None:
    """Train one net, or sweep the learning rate."""
    parser = options.parser(__doc__, takes="10 s")
    parser.add_argument(
        "--epochs", type=options.count, help="passes over the training images (default: 60, in a sweep 10)"
    )
    parser.add_argument("--sweep", action="store_true", help="train 32 learning rates x 4 seeds at once")
    parser.add_argument(
        "--checkpoints", type=options.folder, help="a folder, from which an interrupted training goes on"
    )
    args = options.parse(parser)
    of_split, key = fn.random.split(fn.random.key(args.seed))
    train, test = load(of_split)
    (show_sweep if args.sweep else show_one)(train, test, key, args)


if __name__ == "__main__":
    main()
