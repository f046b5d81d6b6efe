"""The figures of examples/README.md and README.md, as the examples draw them, reduced to a few kB.

`PYTHONPATH=tests python -m gallery` draws all, `... gallery depth ports/vae` some; it needs the extras of the examples.
"""

import sys
import tempfile
from importlib import import_module
from pathlib import Path

from example_runs import EXAMPLES, run

FIGURES = EXAMPLES / "figures"
DARK = "xor_mlp"  # README's figure, drawn for both backgrounds
NAMES = (
    *("gates", "xor_perceptron", "backprop_by_hand", "xor_mlp", "depth", "landscape", "digits", "per_example"),
    *("meta_learning", "transformer", "ntk", "ports/vae", "ports/gp_regression", "ports/deep_equilibrium"),
    *("ports/neural_ode", "ports/pinn"),
)
WIDTH, COLOURS = 560, 200


def draw(name, *options):
    """Run an example and return its figure, which PIL can save."""
    image = import_module("PIL.Image")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figure.png"
        run(name, "--svg", str(path), *options)
        with image.open(path) as figure:
            size = WIDTH, round(WIDTH * figure.height / figure.width)
            return figure.convert("RGB").resize(size, image.Resampling.LANCZOS).quantize(COLOURS, dither=0)


def file(name, suffix=""):
    """Return the path of a figure."""
    return FIGURES / f"{name.split('/')[-1]}{suffix}.png"


def main():
    """Draw the named figures, or all."""
    FIGURES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or NAMES:
        draw(name).save(file(name), optimize=True)
        if name == DARK:
            draw(name, "--dark").save(file(name, "_dark"), optimize=True)


if __name__ == "__main__":
    main()
