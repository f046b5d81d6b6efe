"""Programs for several ranks, run by test_distributed.py: each prints what it found on rank 0, or its error."""

import os
import sys
import time
from pathlib import Path

import torch

import funcnet as fn

ranks = fn.distributed


def ensembles():
    """Compare a training run of each example with one process."""
    model = fn.serial(fn.dense(5), torch.tanh, fn.dense(1))
    x = torch.linspace(-1, 1, 6)[:, None]

    def train(key, rate):
        def step(params, _):
            value, grads = fn.value_and_grad(lambda p: (model.apply(p, x) - x.sin()).square().mean())(params)
            return fn.sgd_step(params, grads, rate), value

        params, losses = fn.scan(step, model.init(key, x), length=20)
        return {"params": params, "losses": losses, "n": 3}

    for count in (1, 2, 3, 17, 40):
        keys, rates = fn.random.split(fn.random.key(0), count), torch.linspace(0.01, 0.1, count)
        whole = fn.jit(fn.vmap(train))(keys, rates)
        assert fn.tree.equal(ranks.vmap(train)(keys, rates), whole), count
        mine = ranks.vmap(train, gather=False)(keys, rates)
        start, end = (r * count // ranks.size() for r in (ranks.rank(), ranks.rank() + 1))
        assert torch.equal(mine["losses"], whole["losses"][start:end])
    x = torch.arange(12.0).reshape(3, 4)
    got = ranks.vmap(lambda a, b: (a + b.sum(), b), in_dims=(1, None), out_dims=(-1, None))(x, x)
    assert fn.tree.equal(got, fn.jit(fn.vmap(lambda a, b: (a + b.sum(), b), (1, None), (-1, None)))(x, x))
    return "equal"


def sums():
    """Compare sums and means with their terms, which are known."""
    rank, size = ranks.rank(), ranks.size()
    terms = [
        {"a": torch.full((3,), 0.1 + r), "b": torch.tensor(2 * r), "c": torch.tensor([1.5], dtype=torch.bfloat16)}
        for r in range(size)
    ]
    total = terms[0]
    for term in terms[1:]:
        total = fn.tree.map(torch.add, total, term)
    assert fn.tree.equal(ranks.sum(terms[rank]), total), (ranks.sum(terms[rank]), total)
    for dtype in (torch.float64, torch.complex64, torch.int32):  # in shared memory that grows
        large = [fn.random.normal(fn.random.key(r), (3, 20_001)).mul(100).to(dtype) for r in range(size)]
        total = large[0]
        for term in large[1:]:
            total = total + term
        for _ in range(3):
            assert torch.equal(ranks.sum(large[rank]), total)
        assert torch.equal(ranks.sum(large[rank].mT), total.mT)
    weights = [float(r + 1) for r in range(size)]
    mean = sum(w * t["a"] for w, t in zip(weights, terms, strict=True)) / sum(weights)
    torch.testing.assert_close(ranks.mean(terms[rank]["a"], weight=weights[rank]), mean)
    step = lambda c, _: (ranks.mean(c + rank), c)  # noqa: E731
    loops = [fn.jit(lambda c: fn.scan(step, c, length=3), backend=b)(torch.zeros(2)) for b in ("auto", "eager")]
    eager = fn.scan(step, torch.zeros(2), length=3)
    assert all(fn.tree.equal(loop, eager) for loop in loops)
    assert torch.equal(fn.vmap(ranks.sum)(torch.ones(4, 2)), torch.full((4, 2), float(size)))
    return "equal"


START = {"w": torch.zeros(2, 1)}


def examples():
    """Return batches of 7 examples, and a random key for each."""
    return fn.random.normal(fn.random.key(1), (30, 7, 2)), fn.random.split(fn.random.key(2), 30)


def step(params, x):
    x, key = x
    loss, grads = fn.value_and_grad(lambda p: ((x @ p["w"] - 1) ** 2).mean())(params)
    loss, grads = ranks.mean((loss, grads), weight=len(x))
    return fn.sgd_step(params, grads, 0.05), {"loss": loss, "key": key}


def training(folder, stop=""):
    """Fit a line to uneven batches; rank 0 may die on the way in its first life."""

    def leave(count, carry, metrics):
        if stop and count == 20 and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
            os.kill(os.getpid(), 9)

    options = {"every": 5, "checkpoints": folder, "on_chunk": [leave], "progress": False, "batch_dims": (0, None)}
    carry, history = ranks.fit(step, START, examples(), **options)
    return f"{carry['w'].flatten().tolist()} {history['loss'].sum().item()} {len(history['loss'])}"


def uneven():
    """Fit batches whose sizes differ, or are smaller than the number of ranks; average narrow numbers."""
    for sizes in ([4, 4, 3], [2, 2, 1]):
        data = [fn.random.normal(fn.random.key(i), (size, 2)) for i, size in enumerate(sizes)]
        w, _ = ranks.fit(lambda w, x: (step(w, (x, 0))[0], w["w"].sum()), START, iter(data), progress=False)
        want = START
        for x in data:
            loss = lambda p, x=x: ((x @ p["w"] - 1) ** 2).mean()  # noqa: E731
            want = fn.sgd_step(want, fn.grad(loss)(want), 0.05)
        torch.testing.assert_close(w["w"], want["w"])
    assert ranks.mean(torch.tensor([4e4], dtype=torch.float16)).item() == 40000
    for transformed in (fn.grad(lambda x: ranks.vmap(torch.square)(x).sum()), fn.jit(ranks.vmap(torch.square))):
        try:
            transformed(torch.ones(3))
        except RuntimeError as error:
            assert "distributed.vmap" in str(error)
        else:
            raise AssertionError("a distributed vmap ran inside a transformation")
    return "equal"


def ensembles_and_sums():
    assert ensembles() == sums() == uneven()
    return "equal"


def failing():
    """Raise on rank 1 while the others wait for it."""
    if ranks.rank() == 1:
        ranks.vmap(lambda x: x.no_such_attribute)(torch.ones(4))
    return ranks.sum(torch.ones(1))


def unequal(first, size):
    """Sum tensors that have an element less on rank 1, after a sum of tensors of one size."""
    ranks.sum(torch.ones(int(first)))
    return ranks.sum(torch.ones(int(size) - ranks.rank()))


def failing_in_fit(folder):
    """Raise on rank 1, in the fourth chunk, while rank 0 waits for its gradients."""

    def batches():
        for i, (x, key) in enumerate(zip(*examples(), strict=True)):
            if i == 20 and ranks.rank() == 1:
                raise LookupError("the disk of rank 1 is gone")
            yield x, key

    options = {"every": 5, "checkpoints": fn.checkpoint.Checkpoints(folder, every=1000), "progress": False}
    return ranks.fit(step, START, batches(), batch_dims=(0, None), **options)


def interrupted(folder):
    """Run until an interrupt; the first chunk writes a file, so that the interrupt can come after it."""
    told = lambda *_: Path(f"{folder}/running").touch()  # noqa: E731
    checkpoints = fn.checkpoint.Checkpoints(f"{folder}/checkpoints", every=10**9)
    slow = lambda w, _: (ranks.mean(w.sin()), None)  # noqa: E731
    try:
        return ranks.fit(slow, torch.ones(9), steps=10**9, every=200, on_chunk=[told], checkpoints=checkpoints)
    except KeyboardInterrupt as error:
        print(f"rank {ranks.rank()}: {error}", flush=True)
        sys.exit(0)


def dying():
    """Die on the last rank while the others run a long kernel."""
    ranks.sum(torch.ones(1))
    if ranks.rank() == ranks.size() - 1:
        os.kill(os.getpid(), 9)
    forever = lambda x: fn.scan(lambda c, _: (c.sin(), None), x, length=10**10)[0]  # noqa: E731
    return ranks.vmap(forever)(torch.ones(64, 1000))


if __name__ == "__main__":
    start = time.monotonic()
    try:
        found = globals()[sys.argv[1]](*sys.argv[2:])
    except Exception as error:
        import traceback

        traceback.print_exc()
        print(
            f"rank {ranks.rank()} after {time.monotonic() - start:.1f} s: {type(error).__name__}: {error}", flush=True
        )
        sys.exit(1)
    if ranks.rank() == 0:
        print(found, flush=True)
