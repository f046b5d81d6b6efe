"""Values that are known while a function is traced: masks, index lists and lengths made of Python's values."""

import math

import pytest
import torch

import funcnet as fn

MASK = [True, False, True, True]
X = fn.random.normal(fn.random.key(0), (4, 2), torch.float64)


def with_rows_replaced(x):
    y = x.clone()
    y[MASK] = 3 * x[1:]
    return y


def mask_written_by_parts():
    mask = torch.zeros(4, dtype=torch.bool)
    mask[1] = True
    mask[2:] = True
    return mask


WINDOW = {"window": torch.ones(4, dtype=torch.float64), "hop_length": 2}

# name: a function of a (4, 2) tensor
FUNCTIONS = {
    "a list": lambda x: x[MASK],
    "a list for the last axis": lambda x: x[..., [False, True]],
    "a mask of all axes": lambda x: x[torch.tensor([[1, 0], [0, 1], [1, 1], [0, 0]]) > 0],
    "a mask and indices": lambda x: x[MASK, [1, 0, 1]],
    "a mask and None": lambda x: x[torch.tensor(MASK), None],
    "a computed mask": lambda x: x[~torch.tensor(MASK) | (torch.arange(4) % 2 == 0)],
    "a mask that is written to": lambda x: x[mask_written_by_parts()],
    "a write": with_rows_replaced,
    "masked_select": lambda x: torch.masked_select(x, torch.tensor(MASK)[:, None]),
    "nonzero": lambda x: x[torch.tensor(MASK).nonzero()[:, 0]],
    "unique": lambda x: x[torch.unique(torch.tensor([2, 0, 2]))],
    "repeat_interleave": lambda x: x.repeat_interleave(torch.tensor([1, 0, 2, 1]), 0),
    "bincount": lambda x: x * torch.bincount(torch.tensor([0, 1, 1])),
    "one_hot": lambda x: x * torch.nn.functional.one_hot(torch.tensor([0, 1, 1, 0])),
    "a mask of another layout": lambda x: x[torch.arange(4).reshape(2, 2).t().reshape(-1).view(4) > 0],
    "a window that istft checks": lambda x: torch.istft(
        torch.stft(x.flatten(), 4, **WINDOW, return_complex=True), 4, **WINDOW
    ),
    "item": lambda x: x * torch.tensor(2.5).item(),
    "tolist": lambda x: torch.cat([part.sin() for part in x.split(torch.tensor([1, 3]).tolist())]),
    "a branch": lambda x: x if torch.tensor(MASK).any() else -x,
    "a slice": lambda x: x[: torch.tensor([3, 1]).max()],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_equal_those_of_eager_calls(name):
    f = FUNCTIONS[name]
    assert fn.tree.difference(fn.jit(f, backend="eager")(X), f(X)) is None


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_of_each_example_equal_a_loop(name):
    rows = torch.stack([X, 2 * X])

    def loss(x):
        return FUNCTIONS[name](x).sin().sum()

    loop = torch.stack([fn.grad(loss)(row) for row in rows])
    for batched in (fn.vmap(fn.grad(loss)), fn.grad(lambda rows: fn.vmap(loss)(rows).sum())):
        assert fn.tree.difference(fn.jit(batched, backend="eager")(rows), loop, atol=1e-14) is None


@pytest.mark.parametrize("backend", ["eager", "native"])
@pytest.mark.parametrize("center", [True, False])
def test_istft_reads_the_sum_of_its_windows(backend, center):
    window = torch.hann_window(16, dtype=torch.float64) + 0.1  # the sum must not be 0

    def istft(spectrum):
        return torch.istft(spectrum, 16, window=window, center=center)

    signal = fn.random.normal(fn.random.key(0), (2, 52), torch.float64)
    spectrum = torch.stft(signal, 16, window=window, center=center, return_complex=True)
    assert fn.tree.difference(fn.jit(istft, backend=backend)(spectrum), istft(spectrum), atol=1e-14) is None
    assert fn.tree.difference(istft(spectrum), signal, atol=1e-12) is None


def test_a_mask_in_a_native_kernel():
    jitted = fn.jit(fn.grad(lambda x: x[MASK].square().sum()))
    assert jitted.explain(X).backend == "native"
    assert fn.tree.difference(jitted(X), 2 * X * torch.tensor(MASK)[:, None]) is None


def test_a_numpy_mask_of_a_closure():
    numpy = pytest.importorskip("numpy")
    mask = numpy.array(MASK)
    jitted = fn.jit(lambda x: x[mask] + x[:3][~mask[:3]], backend="eager")
    assert fn.tree.difference(jitted(X), X[MASK] + X[1]) is None


KNOWN = torch.tensor(MASK)
CLOSED = {
    "a mask": lambda x: x[KNOWN],
    "a computed mask": lambda x: x[~KNOWN],
    "indices": lambda x: x[KNOWN.nonzero()[:, 0]],
    "a branch": lambda x: x if KNOWN[1] else 2 * x,
    "a number": lambda x: x[: KNOWN.sum().item()],
    "classes": lambda x: x @ torch.nn.functional.one_hot(KNOWN.long())[:2].to(x),
    "a write": lambda x: x.clone().masked_scatter(KNOWN[:, None], 3 * x),
}


@pytest.mark.parametrize("name", CLOSED)
def test_a_closed_over_tensor_whose_values_were_read_is_read_again(name):
    f = CLOSED[name]
    try:
        for jitted in (fn.jit(f, backend="eager"), fn.jit(fn.grad(lambda x: f(x).sin().sum()), backend="eager")):
            for mask in (MASK, [False, True, True, False], MASK):
                KNOWN.copy_(torch.tensor(mask))
                assert fn.tree.difference(jitted(X), jitted.f(X)) is None
    finally:
        KNOWN.copy_(torch.tensor(MASK))


def test_numpy_arrays_made_of_closed_over_tensors():
    numpy, mask = pytest.importorskip("numpy"), torch.tensor(MASK)
    for f in (
        lambda x: x[mask.numpy()],
        lambda x: x[numpy.asarray(mask)],
        lambda x: x * torch.tensor(mask.tolist())[0],
    ):
        assert fn.tree.difference(fn.jit(f, backend="eager")(X), f(X)) is None


def test_values_that_are_nan_are_read_once():
    bound = torch.tensor([1.0, torch.nan])
    jitted = fn.jit(lambda x: x if bound.isnan().any() else 2 * x, backend="eager")
    assert torch.equal(jitted(X), X) and torch.equal(jitted(X), X)
    bound.fill_(0)
    assert torch.equal(jitted(X), 2 * X)


def test_zeros_of_both_signs_are_read():
    zero = torch.tensor(0.0)
    jitted = fn.jit(lambda x: x * math.copysign(1.0, zero.item()), backend="eager")
    assert torch.equal(jitted(X), X)
    zero.fill_(-0.0)
    assert torch.equal(jitted(X), -X)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: X[x[:, 0] > 0],
        lambda x: X[(x > 0).all(1) & torch.tensor(MASK)],
        lambda x: torch.masked_select(X, x > 0),
        lambda x: (x.argmax() + torch.tensor(1)).item(),
        fn.vmap(lambda row: (row + torch.ones(2)).tolist()),
    ],
)
def test_values_that_depend_on_an_argument_are_refused(f):
    with pytest.raises(RuntimeError, match="needs the values of a tensor"):
        fn.jit(f)(X)
