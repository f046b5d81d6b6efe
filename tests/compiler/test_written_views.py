"""In-place writes: through windows and expands, to views of tensors reshaped since, and to init and xs of a scan."""

import pytest
import torch
from backends import QUICK, check

from funcnet.compiler import StagingError, jit
from funcnet.control_flow.scan import scan


def windows(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y.unfold(0, 2, 3)[:, 1] *= 10
    y.unfold(1, 1, 2).select(1, 0).fill_(0.5)
    return y * 2


def no_window(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[:0].unfold(1, 2, 2).fill_(7)
    y.unfold(-1, 4, 1).neg_()
    return y


def number(x: torch.Tensor) -> torch.Tensor:
    y = x.sum()
    y.unfold(0, 1, 1).mul_(3)
    return y


def expanded(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    y = x[:1].clone()
    y.expand(1, 1, 4)[0].mul_(3)
    y[:0].expand(0, 4).fill_(7)
    y.expand(0, 1, 4).mul_(5)
    batch = torch.func.vmap(lambda _: x[0] * 2)(x[:1, 0])  # the batch shares its result by an expand
    batch.neg_()
    return y, batch


def test_writes_through_an_expand_of_size_1() -> None:
    check(expanded, torch.arange(20, dtype=torch.float64).reshape(5, 4))


def test_a_write_through_an_expand_that_repeats_elements_is_refused() -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y.expand(2, 4).add_(1)
        return y

    with pytest.raises(RuntimeError, match="single memory location"):
        f(torch.ones(4))
    with pytest.raises(StagingError, match=r"expand, from \(4,\) to \(2, 4\), to elements that share memory.*clone"):
        jit(f)(torch.ones(4))


@pytest.mark.parametrize("backend", QUICK)
def test_writes_to_windows_that_share_no_element(backend: str) -> None:
    x = torch.arange(20, dtype=torch.float64).reshape(5, 4)
    check({"windows": windows, "no window": no_window, "number": number}, x, backend=backend)


def test_a_write_to_windows_that_share_elements_is_refused() -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y.unfold(0, 2, 1).add_(1)
        return y

    with pytest.raises(StagingError, match="windows of 2 elements, 1 apart, which share elements.*clone"):
        jit(f)(torch.ones(4))


def turned(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return views of a tensor that is reshaped in place afterwards."""
    y = x.clone()
    row, column, both = y[0], y[:, 1:2], y.t()
    y.t_()
    y[1] += 10
    y.unsqueeze_(0).transpose_(0, 2)
    row.mul_(2)
    y[0] = 7
    column[0].neg_()
    y.squeeze_(1)
    return y, row, column, both, column.squeeze()


@pytest.mark.parametrize("backend", QUICK)
def test_views_stay_those_of_a_tensor_that_is_reshaped_in_place(backend: str) -> None:
    check(turned, torch.arange(12, dtype=torch.float64).reshape(3, 4) + 1, backend=backend)


def filled(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return tensors with the layout of x or row-major ones: reshape copies some of them."""
    made = [
        torch.zeros_like(x),
        torch.ones_like(x, memory_format=torch.contiguous_format),
        torch.full_like(x, 0.5),
        torch.fill(x, 2),
        torch.empty_like(x).zero_(),
        x.new_zeros(x.shape),
    ]
    for y in made:
        y.reshape(-1).add_(1)
        y.flatten()[1] = 7
        y.contiguous()[0] = 5
    return tuple(made)


def pooled(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return results whose layout depends on the operation."""
    made = [
        torch.nn.functional.max_pool1d(x, 2),
        torch.nn.functional.avg_pool1d(x, 2),
        torch.baddbmm(x[None], x[None], x[None].new_ones(1, x.shape[1], x.shape[1]))[0],
        torch.select_scatter(x, x[0], 0, 1),
        torch.nn.functional.layer_norm(x, x.shape[-1:]),
        torch.rot90(x),
        x.softmax(0),
    ]
    for y in made:
        y.reshape(-1)[1:].mul_(3)
    return tuple(made)


@pytest.mark.parametrize("backend", QUICK)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["rows", "columns"])
def test_a_result_has_the_layout_of_eager_mode(order: tuple[int, int], backend: str) -> None:
    x = torch.arange(12, dtype=torch.float64).reshape(3, 4).permute(order)
    for f in (filled, pooled):
        for got, want in zip(jit(f, backend=backend)(x), f(x), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("length", [0, 1, 3])
def test_a_last_carry_is_not_a_view_of_init_or_xs(length: int) -> None:
    def f(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        carry, rows = x[0].clone(), x[:length].clone()
        (same, row, turned), _ = scan(
            lambda c, r: ((c[0], r, (c[2] * 2).t().contiguous().t()), None), (carry, carry, x), rows
        )
        carry.zero_()
        rows.zero_()
        turned.reshape(-1)[1] = 7
        return same, row, turned, carry

    check(f, torch.arange(12, dtype=torch.float64).reshape(3, 4), ulp=0)


@pytest.mark.parametrize("length", [1, 2])
def test_outputs_of_a_scan_are_not_views_of_init_or_xs(length: int) -> None:
    def f(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        carry, rows = x[0].clone(), x[:length].clone()
        last, (carries, slices) = scan(lambda carry, row: (carry + row, (carry, row)), carry, rows)
        carry.zero_()
        rows.zero_()
        carries.add_(1)
        return last, carries, slices, carry, rows

    check(f, torch.arange(6, dtype=torch.float64).reshape(3, 2), ulp=0)
