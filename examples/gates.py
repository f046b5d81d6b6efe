"""AND, OR and NAND as one unit each: by hand, by Rosenblatt's rule, by logistic regression; XOR as their composition.

One unit draws one line and returns 1 on one side of it. That is enough for three of the gates; XOR needs two lines.
"""

from typing import Any

import options
import torch
from torch import Tensor

import funcnet as fn
from funcnet import report

X = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = {
    "AND": torch.tensor([0.0, 0.0, 0.0, 1.0]),
    "OR": torch.tensor([0.0, 1.0, 1.0, 1.0]),
    "NAND": torch.tensor([1.0, 1.0, 1.0, 0.0]),
}
BY_HAND = {
    "AND": {"w": torch.tensor([[1.0], [1.0]]), "b": torch.tensor([-1.5])},
    "OR": {"w": torch.tensor([[1.0], [1.0]]), "b": torch.tensor([-0.5])},
    "NAND": {"w": torch.tensor([[-1.0], [-1.0]]), "b": torch.tensor([1.5])},
}
XOR = torch.tensor([0.0, 1.0, 1.0, 0.0])

unit = fn.dense(1)
perceptron = fn.serial(unit=unit, fire=fn.step)
# XOR fires where OR and NAND both fire: two lines, and an AND of the two sides
xor = fn.serial(
    sides=fn.parallel(OR=perceptron, NAND=perceptron),
    both=lambda sides: torch.cat(list(sides.values()), -1),
    AND=perceptron,
)


def fires(params: Any, x: Tensor) -> Tensor:
    """Return 0 or 1 for every row of x."""
    return perceptron.apply({"unit": params, "fire": ()}, x)[..., 0]


def rosenblatt(y: Tensor, epochs: int = 20) -> tuple[Any, Tensor]:
    """Move the line towards every point that is on the wrong side; count the mistakes of each epoch."""

    def visit(params: Any, example: tuple[Tensor, Tensor]) -> tuple[Any, Tensor]:
        x, y = example
        mistake = y - fires(params, x)
        return {"w": params["w"] + mistake * x[:, None], "b": params["b"] + mistake}, mistake.abs()

    def epoch(params: Any, _: None) -> tuple[Any, Tensor]:
        params, mistakes = fn.scan(visit, params, (X, y))
        return params, mistakes.sum()

    return fn.scan(epoch, {"w": torch.zeros(2, 1), "b": torch.zeros(1)}, length=epochs)


def logistic(key: Tensor, y: Tensor, steps: int = 2_001) -> tuple[Any, Tensor]:
    """Descend along the gradient of the cross entropy, with learning rate 1."""

    def loss(params: Any) -> Tensor:
        return fn.losses.sigmoid_binary_cross_entropy(unit.apply(params, X)[:, 0], y).mean()

    def step(params: Any, _: None) -> tuple[Any, Tensor]:
        value, grads = fn.value_and_grad(loss)(params)
        return fn.sgd_step(params, grads, 1.0), value

    return fn.scan(step, unit.init(key, X), length=steps)


def main() -> str:
    """Solve every gate in each of the three ways and show the lines; return the answer."""
    parser = options.parser(__doc__, takes="2 s", seed="seed of the logistic units' first weights")
    args = options.parse(parser)

    keys = fn.random.split(fn.random.key(args.seed), len(TARGETS))
    targets = torch.stack(list(TARGETS.values()))
    taught, mistakes = fn.jit(fn.vmap(rosenblatt))(targets)
    fitted, losses = fn.jit(fn.vmap(logistic))(keys, targets)  # the three gates at once

    rows = []
    for gate, by_rule, epochs, by_gradient, curve in zip(
        TARGETS, fn.tree.unstack(taught), mistakes, fn.tree.unstack(fitted), losses, strict=True
    ):
        for name, params, how in (
            ("by hand", BY_HAND[gate], "-"),
            ("Rosenblatt", by_rule, f"no mistake after {int((epochs > 0).sum())} epochs"),
            ("logistic", by_gradient, f"loss {curve[0]:.4f} to {curve[-1]:.4f}"),
        ):
            answers = fires(params, X)
            accuracy = (answers == TARGETS[gate]).float().mean().item()
            rows.append([gate, name, " ".join(str(int(a)) for a in answers), accuracy, how])

    units = {gate: {"unit": params, "fire": ()} for gate, params in BY_HAND.items()}
    params = {"sides": {"OR": units["OR"], "NAND": units["NAND"]}, "both": (), "AND": units["AND"]}
    answers = xor.apply(params, X)[:, 0]
    accuracy = (answers == XOR).float().mean().item()
    rows.append(["XOR", "AND of OR, NAND", " ".join(str(int(a)) for a in answers), accuracy, "two lines"])

    lines = [(BY_HAND[gate]["w"][:, 0], BY_HAND[gate]["b"]) for gate in ("OR", "NAND")]
    picture = report.decision_map(
        lambda x: xor.apply(params, x),
        points=X,
        labels=XOR,
        lines=lines,
        quantity="answer",
        title="XOR between the lines of OR and NAND",
    )
    table = report.table(["gate", "unit", "00 01 10 11", "accuracy", "training"], rows, title="One unit per gate")
    said = f"AND, OR and NAND are one unit each; XOR needs two lines, and answers {rows[-1][2]} to 00 01 10 11"
    report.show(table, picture, answer=said, svg=args.svg, dark=args.dark)
    return said


if __name__ == "__main__":
    main()
