"""Native kernels with indices, steps, lanes and offsets beyond 2¹⁶, and numbers beyond 2³²."""

import pytest
import torch
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit
from funcnet.control_flow.scan import scan

N = 70_001


def numbers(*shape: int) -> Tensor:
    """Return integers as floats, whose sums are exact in any order."""
    return torch.randint(-50, 50, shape, generator=torch.Generator().manual_seed(0)).double()


ALONG = {
    "map": lambda x: x * 2 + torch.arange(N),
    "sum": lambda x: x.sum(),
    "sum_of_some": lambda x: x[65_530:].sum(),
    "best": lambda x: [*(x - torch.arange(N)).min(0), (x + torch.arange(N) * 2).argmax()],
    "cumsum": lambda x: x.cumsum(0),
    "cummax": lambda x: [*x.cummax(0)],
    "sort": lambda x: [*x.sort(stable=True)],
    "gather": lambda x: x[torch.arange(N - 1, -1, -3)],
    "scatter": lambda x: torch.zeros(N).double().scatter(0, torch.arange(N - 1, 0, -2), x[: N // 2]),
    "scatter_add": lambda x: torch.zeros(66_000).double().scatter_add(0, torch.arange(N) % 66_000, x),
    "slice": lambda x: x[65_537::7] + x[:638],
    "flip": lambda x: x.flip(0)[-4:],
    "join": lambda x: torch.cat([x, -x[:70_000], x[69_990:]])[139_990:],
    "pad": lambda x: torch.nn.functional.pad(x, (66_000, 1), value=3.0)[65_990:66_010],
    "product": lambda x: x @ x.flip(0),
    "outer": lambda x: x[:66_000, None] @ x[None, :2],
    "inner": lambda x: x[:70_000].reshape(7, -1).mT @ x[:7, None],
}


@pytest.mark.parametrize("name", ALONG)
def test_a_long_axis(name: str) -> None:
    x = numbers(N)
    got, want = jit(ALONG[name], backend="native")(x), ALONG[name](x)
    assert fn.tree.difference(got, want, rtol=0, atol=0) is None


ACROSS = {
    "sum": lambda x: [x.sum(0), x.sum(1), x.sum()],
    "place": lambda x: [x.argmax(), (x + torch.arange(270)[:, None]).argmax(), x.argmin(1)],
    "steps": lambda x: x[:, ::2].mT[::5].sum(1),
    "select": lambda x: x[-1] + x[:, -1],
    "rows": lambda x: x[torch.tensor([269, 0, 268]), torch.tensor([269, 1, 3])],
    "into_rows": lambda x: x.index_put((torch.tensor([269, 0]), torch.tensor([268, 269])), x[0, :2], accumulate=True),
    "ties": lambda x: (x == x.amax(0)).sum(0),
    "transposed": lambda x: x.mT.reshape(-1)[65_000::300],
    "product": lambda x: [x[:, :3].mT @ x, x.mT[260:] @ x[:, 250:]],
    "gradient": fn.grad(lambda x: (x[200:, 100:] * x.mT[200:, 100:]).sum()),
}


@pytest.mark.parametrize("name", ACROSS)
def test_many_rows(name: str) -> None:
    x = numbers(270, 270)
    got, want = jit(ACROSS[name], backend="native")(x), ACROSS[name](x)
    assert fn.tree.difference(got, want, rtol=0, atol=0) is None


@pytest.mark.slow
def test_a_long_loop() -> None:
    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        return scan(lambda c, v: ((c * 3 + v) % 1009, c + v), x[0], x)

    x = numbers(N).long()
    assert fn.tree.difference(jit(f, backend="native")(x), f(x)) is None


@pytest.mark.slow
def test_loops_in_loops() -> None:
    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        def row(c: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
            c, ys = scan(lambda c, v: ((c * 3 + v) % 1009, c), c, values)
            return c, ys[-2:].flip(0) + values[:2]

        return scan(row, x[0, 0], x)

    x = numbers(300, 250).long()
    assert fn.tree.difference(jit(f, backend="native")(x), f(x)) is None


def test_many_lanes() -> None:
    f = fn.vmap(lambda x, y: (x.flip(0).cumsum(0), x.sum() + y, y * 2), in_dims=(1, None), out_dims=(1, 0, None))
    x, y = numbers(3, N), numbers(2)
    assert fn.tree.difference(jit(f, backend="native")(x, y), f(x, y)) is None


def test_numbers_beyond_32_bits() -> None:
    def f(x: Tensor) -> list[Tensor]:
        far = torch.arange(2**40, 2**40 + 5 * 2**33, 2**33)
        sums = [(x << 35).sum(), (x << 35).cumsum(0), (x << 35).prod(), (x << 35).amax()]
        return [far, far + x, far * x, far // (x + 9), far % 2**34 + far.argmax(), x + 2**62 + 2**62, *sums]

    x = torch.tensor([3, -1, 7, 0, -(2**45)])
    assert fn.tree.difference(jit(f, backend="native")(x), f(x)) is None
