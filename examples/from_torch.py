"""GPT-2 models of the transformers package as a pure function: an ensemble of four, and per-example gradients.

The sequences count: they start anywhere and increase by a constant, modulo 17. Every sixteenth is noise instead, which
can only be memorised: its gradients stay large, so that per-example gradient norms find it.
"""

from typing import Any

import options
import torch
from torch import Tensor

import funcnet as fn
from funcnet import report

VOCABULARY, LENGTH, MEMBERS, NOISY = 17, 8, 4, 16

optimizer = fn.optim.adam(3e-3)


def gpt2(seed: int) -> Any:
    """Build a small GPT-2 with random weights in the usual way."""
    try:
        import transformers
    except ImportError as error:
        raise options.missing("transformers", "models") from error
    torch.manual_seed(seed)  # torch's modules draw their first weights from the global generator
    sizes: dict[str, Any] = {
        "n_positions": LENGTH,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=VOCABULARY, use_cache=False, **sizes))


def counting(key: Tensor, count: int) -> Tensor:
    """Draw sequences that count, each with its own start and constant."""
    of_start, of_stride = fn.random.split(key)
    start = fn.random.randint(of_start, (count, 1), 0, VOCABULARY, torch.int64)
    stride = fn.random.randint(of_stride, (count, 1), 1, VOCABULARY, torch.int64)
    return (start + stride * torch.arange(LENGTH)) % VOCABULARY


def cross_entropy(logits: Tensor, tokens: Tensor) -> Tensor:
    """Compute the mean cross entropy, in nats, of the tokens from the third on, which the first two determine."""
    each = fn.losses.softmax_cross_entropy_with_integer_labels(logits[..., 1:-1, :], tokens[..., 2:])
    return each.mean(-1)


def right(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return the fraction of sequences whose last token is predicted correctly."""
    return (logits[:, -2].argmax(-1) == tokens[:, -1]).float().mean()


def main() -> None:
    """Train an ensemble of GPT-2s; show its accuracy, and the examples that it has not learned."""
    parser = options.parser(__doc__, takes="1 min", seed="seed of the key and of the models' first weights")
    parser.add_argument("--steps", type=options.count, default=200, help="steps of training, each on all sequences")
    args = options.parse(parser)
    of_data, of_noise, of_test, key = fn.random.split(fn.random.key(args.seed), 4)

    modules = [gpt2(args.seed + i) for i in range(MEMBERS)]
    params = fn.tree.stack([fn.from_module(module)[1] for module in modules])
    train, _, state = fn.from_module(modules[0].train())  # with dropout, which draws from the key
    run, _, _ = fn.from_module(modules[0].eval())

    data, test = counting(of_data, 256), counting(of_test, 256)
    is_noise = torch.arange(len(data)) % NOISY == 0
    noise = fn.random.randint(of_noise, data.shape, 0, VOCABULARY, torch.int64)
    data = torch.where(is_noise[:, None], noise, data)

    def step(params: Any, moments: Any, key: Tensor) -> tuple[Any, Any, Tensor]:
        """Take one step of one model."""

        def loss(params: Any) -> Tensor:
            output, _ = train(params, state, input_ids=data, key=key)
            return cross_entropy(output["logits"], data).mean()

        value, grads = fn.value_and_grad(loss)(params)
        updates, moments = optimizer.update(grads, moments, params)
        return fn.optim.apply_updates(params, updates), moments, value

    def loss_of_one(params: Any, tokens: Tensor) -> Tensor:
        output, _ = run(params, state, input_ids=tokens[None])
        return cross_entropy(output["logits"][0], tokens)

    # the native backend is not faster here, and gcc would take 20 seconds
    jitted, moments, costs = fn.jit(fn.vmap(step), backend="eager"), fn.vmap(optimizer.init)(params), []
    for i in report.track(range(args.steps), "training"):
        keys = fn.random.split(fn.random.fold_in(key, i), MEMBERS)
        params, moments, cost = jitted(params, moments, keys)
        costs.append(cost)

    logits = fn.vmap(lambda params: run(params, state, input_ids=test)[0]["logits"])(params)
    mixed = logits.log_softmax(-1).logsumexp(0)  # the mean of the models' probabilities
    names = [*(f"model {i}" for i in range(MEMBERS)), "all together"]
    rows = [
        [name, f"{cross_entropy(each, test).mean():.3f}", f"{right(each, test):.1%}"]
        for name, each in zip(names, [*logits, mixed], strict=True)
    ]
    norms = fn.vmap(fn.curvature.per_example_grad_norms(loss_of_one), in_dims=(0, None))(params, data).mean(0)
    largest = norms.argsort(descending=True)[: int(is_noise.sum())]
    report.show(
        report.table(
            ["", "cross entropy", "last token correct"],
            rows,
            title=f"{len(test)} new sequences after {args.steps} steps",
        ),
        f"median norm of an example's gradient: noise {norms[is_noise].median():.2f}, others "
        f"{norms[~is_noise].median():.3f}",
        report.curve(
            {f"model {i}": column for i, column in enumerate(torch.stack(costs, 1))},
            log_y=True,
            title="Cost in training",
            x_label="step",
            y_label="cost (nats)",
        ),
        answer=f"together, the models are right in {rows[-1][2]} of the last tokens; of the {len(largest)} examples "
        f"with the largest norms, {int(is_noise[largest].sum())} are noise",
        svg=args.svg,
        dark=args.dark,
    )


if __name__ == "__main__":
    main()
