"""A variational autoencoder of handwritten digits with two latent variables, and the digits that it imagines.

The encoder maps an image to a normal distribution of the latent variables, the decoder maps them to a probability for
each pixel; both are trained on the evidence lower bound. The data are the 1,797 images of 8 x 8 pixels that come with
scikit-learn, a pixel of intensity p counted as 1 with probability p; a fifth of them is the test set. Source: Kingma,
Welling (2013), Auto-Encoding Variational Bayes, https://arxiv.org/abs/1312.6114.
"""

from functools import partial
from typing import Any

import torch
from above import options
from torch import Tensor

import funcnet as fn
from funcnet import report

LATENT, HIDDEN, BATCH, RATE = 2, 128, 64, 2e-3
SIDE, ROWS = 8, 4  # pixels of an image, images on a side of the picture

encoder = fn.mlp([HIDDEN, 2 * LATENT], activation=torch.tanh)
decoder = fn.mlp([HIDDEN, SIDE * SIDE], activation=torch.tanh)


def load(key: Tensor) -> tuple[Tensor, Tensor]:
    """Load the images, (images, 64) from 0 to 1, and split them into training and test images."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise options.missing("scikit-learn", "examples") from error
    images = torch.as_tensor(load_digits().data / 16).float()
    images = images[fn.random.permutation(key, len(images))]
    return images[len(images) // 5 :], images[: len(images) // 5]


def bound(params: Any, x: Tensor, key: Tensor) -> Tensor:
    """Estimate the mean evidence lower bound of images, in nats, with one draw of the latent variables each."""
    mean, log_scale = torch.chunk(encoder.apply(params["encoder"], x), 2, -1)
    z = mean + torch.exp(log_scale) * fn.random.normal(key, mean.shape)
    logits = decoder.apply(params["decoder"], z)
    fit = -torch.sum(fn.losses.sigmoid_binary_cross_entropy(logits, x), -1)
    divergence = torch.sum(0.5 * (torch.exp(2 * log_scale) + mean**2 - 1) - log_scale, -1)
    return torch.mean(fit - divergence)


def start(key: Tensor, x: Tensor) -> Any:
    of_encoder, of_decoder = fn.random.split(key)
    return {"encoder": encoder.init(of_encoder, x[0]), "decoder": decoder.init(of_decoder, torch.zeros(LATENT))}


def train(key: Tensor, x: Tensor, epochs: int) -> tuple[Any, Tensor]:
    """Train by Adam on minibatches; return the parameters and the bound at every step."""
    of_params, of_blocks, of_draws = fn.random.split(key, 3)
    optimizer = fn.optim.adam(RATE)

    def step(carry: Any, xs: tuple[Tensor, Tensor]) -> tuple[Any, Tensor]:
        (params, state), (block, key) = carry, xs
        value, grads = fn.value_and_grad(lambda params: -bound(params, x[block], key))(params)
        updates, state = optimizer.update(grads, state, params)
        return (fn.optim.apply_updates(params, updates), state), -value

    params = start(of_params, x)
    blocks = fn.batches(of_blocks, x, BATCH, epochs=epochs)
    xs = blocks, fn.random.split(of_draws, len(blocks))
    (params, _), bounds = fn.scan(step, (params, optimizer.init(params)), xs)
    return params, bounds


def imagine(params: Any, places: Tensor) -> Tensor:
    """Return the pixels at places of a picture of ROWS x ROWS images whose latent variables are normal quantiles."""
    image, pixel = (places * ROWS).floor(), (places * ROWS % 1 * (SIDE + 1)).long()  # with a gap between images
    z = fn.scipy.stats.norm.ppf((image + 0.5) / ROWS)
    pixels = torch.sigmoid(decoder.apply(params["decoder"], z))
    is_gap, pixel = (pixel == SIDE).any(1, keepdim=True), pixel.clamp(max=SIDE - 1)
    return pixels.gather(1, (SIDE - 1 - pixel[:, 1:]) * SIDE + pixel[:, :1]).masked_fill(is_gap, 0.0)


def main() -> None:
    """Train; show the bound, and the images of a grid of latent variables."""
    parser = options.parser(__doc__, takes="20 s")
    parser.add_argument("--epochs", type=options.count, default=100, help="passes over the training images")
    args = options.parse(parser)
    of_split, of_train, of_test = fn.random.split(fn.random.key(args.seed), 3)
    images, test = load(of_split)
    params, bounds = fn.jit(partial(train, epochs=args.epochs))(of_train, images)
    epochs = bounds.reshape(args.epochs, -1).mean(1)
    report.show(
        report.curve({"bound": epochs}, x_label="epoch", y_label="bound, nats", height=10),
        report.decision_map(
            partial(imagine, params),
            x_range=(0, 1),
            y_range=(0, 1),
            height=ROWS * (SIDE + 1),
            quantity="P(pixel = 1)",
            title="Images by quantiles of the latent variables",
            x_label="quantile of z1",
            y_label="quantile of z2",
            contour=False,
        ),
        answer=f"evidence lower bound {epochs[0]:.2f} nats in the first epoch, {epochs[-1]:.2f} in the last; of the "
        f"{len(test)} test images {bound(params, test, of_test):.2f}",
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
