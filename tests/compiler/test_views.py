"""Views, concatenations and constants equal ATen's on every backend; natively also views of views and gradients."""

import pytest
import torch
from backends import FLOATS, check, rand, rows
from torch import Tensor

import funcnet as fn
from funcnet.control_flow.scan import scan

SHAPES = {
    "permute": lambda x: x.permute(2, 0, 1) * 2,
    "transpose": lambda x: x.transpose(0, 2).contiguous(),
    "reshape": lambda x: x.permute(2, 0, 1).reshape(-1),
    "view": lambda x: (x + 1).reshape(6, 5),
    "unsqueeze": lambda x: x.unsqueeze(1) + 1,
    "squeeze": lambda x: x[:1].squeeze(0) + 1,
    "expand": lambda x: x[:, :1].expand(2, 4, 5) + 0,
    "slice": lambda x: x[:, 1:, ::2] + 0,
    "select": lambda x: x[1, :, -1] * 3,
    "flip": lambda x: x.flip(0, 2) + 0,
    "diagonal": lambda x: x[0, :, :].diagonal(1) + 0,
    "unfold": lambda x: x.unfold(2, 3, 2) + 0,
    "split": lambda x: torch.add(*x.split(1, 0)),
    "chunk": lambda x: x.chunk(3, 1)[1] + 0,
    "unbind": lambda x: sum(x.unbind(2)),
    "cat": lambda x: torch.cat([x, x * 2, x[:, :1]], 1),
    "stack": lambda x: torch.stack([x, -x], 1),
    "pad": lambda x: torch.nn.functional.pad(x, (1, 2, -1, 1), value=3.5),
    "repeat": lambda x: x.repeat(2, 1, 1, 3),
    "tile": lambda x: x.tile(2),
    "roll": lambda x: x.roll(2, 2),
    "tril": lambda x: x.tril(1),
    "triu": lambda x: x.triu(),
    "outer": lambda x: torch.outer(x[0, 0], x[1, 1]),
    "movedim": lambda x: x.movedim(0, -1) + 1,
    "zeros": lambda x: torch.zeros_like(x) + x.new_ones(5),
    "arange": lambda x: x + torch.arange(5, dtype=x.dtype) * torch.arange(2.0, 5.0, dtype=x.dtype)[:, None],
    "full": lambda x: torch.full((2, 3), 2.5, dtype=x.dtype),
    "eye": lambda x: torch.eye(3, dtype=x.dtype) @ x[0],
    "linspace": lambda x: torch.linspace(0, 1, 5, dtype=x.dtype) + x,
    "one_hot": lambda x: torch.nn.functional.one_hot((x > 0).long(), 3),
    "itself": lambda x: x,
    "twice": lambda x: [x, x, x.sum(0)],
}
FLOATING = ("zeros", "arange", "eye", "linspace")


@pytest.mark.few(2)
@pytest.mark.parametrize("dtype, backend", rows((*FLOATS, torch.int64), inductor=[(torch.float32,), (torch.int64,)]))
def test_shapes(dtype: torch.dtype, backend: str) -> None:
    table = {name: f for name, f in SHAPES.items() if dtype.is_floating_point or name not in FLOATING}
    x = rand(2, 3, 5, dtype=torch.float64).mul(10).to(dtype)
    check(table, x, backend=backend)
    check(table, x.permute(1, 0, 2).contiguous().permute(1, 0, 2), backend=backend)


X = torch.arange(1.0, 61.0, dtype=torch.float64).reshape(3, 4, 5)
PAIRS = [(0, 1), (1, 0), (2, 0), (0, -1), (-1, -2), (1, 2)]
OFFSETS = [-9, -3, -2, -1, 0, 1, 2, 4, 9]


@pytest.mark.few(2)
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_diagonals(pair: tuple[int, int]) -> None:
    def f(x: Tensor) -> list[Tensor]:
        read = [x.diagonal(offset, *pair) for offset in OFFSETS]
        of_a_view = [x[:, 1:, ::2].flip(0).diagonal(offset, *pair) for offset in (-1, 1)]
        new = [torch.full_like(part, 7.0).cumsum(-1) for part in read]
        return [*read, *of_a_view, *(torch.diagonal_scatter(x, y, o, *pair) for y, o in zip(new, OFFSETS, strict=True))]

    check(f, X, ulp=0)


@pytest.mark.slow
def test_gradients_of_diagonals() -> None:
    def loss(x: Tensor) -> Tensor:
        return sum(((x.diagonal(o, *p) * (o + 3)).sin().sum() for o in (-2, 0, 1) for p in PAIRS), torch.zeros(()))

    check(fn.grad(loss), X / 10, ulp=16, atol=1e-12)


VIEWS = {
    "cut": lambda x: x[1:9, -3:-1, 4:0],
    "steps": lambda x: x[:, ::3, 1::2],
    "steps_of_steps": lambda x: x[..., ::2][..., 1::2][:, 1::2],
    "steps_backwards": lambda x: x.flip(0, 2)[1:, :, ::3].flip(1),
    "select": lambda x: x[-1, :, -2] + x[0, -4, 1],
    "permute": lambda x: x.permute(-1, 0, -2)[2:, 1:],
    "windows": lambda x: x.unfold(1, 2, 1).unfold(2, 3, 2),
    "windows_of_steps": lambda x: x.mT[:, 1::2].unfold(-1, 3, 1).flip(-1),
    "window_of_all": lambda x: x.unfold(-1, 5, 7),
    "squeeze": lambda x: x[:1, :, :1].squeeze((0, 2)) + x[:, 2:3].squeeze(1)[1, :4],
    "unsqueeze": lambda x: x[1, ::2].unsqueeze(1).unsqueeze(-1) * x[2, :3].mT.unsqueeze(-3),
    "expand": lambda x: x[:, :1].expand(2, -1, 4, -1).permute(2, 1, 0, 3)[1:, ::2],
    "merged": lambda x: x.permute(0, 2, 1).reshape(3, 20)[:, ::3].reshape(-1),
    "split": lambda x: x.flip(0).reshape(6, 2, 5)[1::2].reshape(3, 1, 10),
    "nothing": lambda x: x[:0].reshape(0, 10).expand(3, 0, 10),
    "strided": lambda x: (x * 1).as_strided((4, 3), (2, 7), 5),
    "overlapping": lambda x: (x + 1).as_strided((5, 4), (1, 1)),
    "strided_copies": lambda x: (
        x.mT.contiguous().as_strided((3, 3), (4, 7)) + x[1:].clone().as_strided((3, 3), (9, 2), 3)
    ),
    "strided_flip": lambda x: x.flip(0, 2).as_strided((30,), (2,)),
    "strided_number": lambda x: torch.full_like(x, 2.5).as_strided((2, 2), (30, 1)),
    "join_with_nothing": lambda x: torch.cat([x.new_zeros(0), x, x.new_zeros(3, 0, 5)], 1),
}


def test_views_of_views() -> None:
    check(lambda x: [view(x) for view in VIEWS.values()], X, ulp=0)
    check(lambda x: [view(x * 2) * 3 for view in VIEWS.values()], X, ulp=0)


def test_gradients_of_views() -> None:
    names = [name for name in VIEWS if not name.startswith(("strided", "overlapping"))]
    check(lambda x: [fn.grad(lambda x, n=n: VIEWS[n](x).sin().sum())(x) for n in names], X / 10, ulp=16, atol=1e-12)


def test_views_of_a_loop_s_slices_and_carries() -> None:
    def f(x: Tensor) -> tuple[Tensor, ...]:
        def step(carry: tuple[Tensor, Tensor], row: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
            a, b = carry
            a = a.mT.flip(0) + row.diagonal(1, 1, 0)
            return (a, torch.cat([b[2:], row[::3, 0]])), row.unfold(0, 2, 3)[:, 1] + a[1:, -1:]

        (a, b), ys = scan(step, (X[0, :3, :3], X[1, 0]), x.permute(1, 2, 0).flip(0))
        return a, b, ys

    check(f, X, ulp=0)
