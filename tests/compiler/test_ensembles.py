"""Lanes side by side in vectors of every length, or one after another: their values, and the choice."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from backends import rand
from torch import Tensor
from torch.testing import assert_close

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.native import ensembles
from funcnet.compiler.native.target import Target

WIDTHS = (1, pytest.param(2, marks=pytest.mark.slow), 4, pytest.param(8, marks=pytest.mark.slow))  # for float64


def trained(params: dict[str, Tensor], rate: Tensor, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return the parameters after a few steps of gradient descent, and the losses."""

    def loss(params: dict[str, Tensor]) -> Tensor:
        return (torch.tanh(x @ params["w"]) @ params["v"] - x[:, :1]).square().mean()

    def step(params: dict[str, Tensor], _: None) -> tuple[dict[str, Tensor], Tensor]:
        value, grads = fn.value_and_grad(loss)(params)
        return fn.sgd_step(params, grads, rate), value

    return fn.scan(step, params, length=3)


def nets(lanes: int, hidden: int = 5) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    w, v = rand(lanes, 3, hidden, dtype=torch.float64), rand(hidden, 1, lanes, dtype=torch.float64, seed=1)
    return {"w": w, "v": v}, rand(lanes, dtype=torch.float64, seed=2) / 10, rand(4, 3, dtype=torch.float64, seed=3)


DIMS = ({"w": 0, "v": 2}, 0, None)


@pytest.fixture
def widths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the lanes per block of each choice."""
    found, before = [], ensembles.lanes_per_block

    def recorded(*args: object) -> int:
        found.append(before(*args))
        return found[-1]

    monkeypatch.setattr(ensembles, "lanes_per_block", recorded)
    return found


def by_width(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(ensembles, "lanes_per_block", lambda *_: width)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_width_equals_a_loop(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    by_width(monkeypatch, width)
    f = jit(fn.vmap(trained, in_dims=DIMS, out_dims=({"w": 1, "v": 0}, 1)), backend="native")
    for lanes in (1, 3, 9):
        params, rates, x = nets(lanes)
        got = f(params, rates, x)
        for i in range(lanes):
            want = trained({"w": params["w"][i], "v": params["v"][..., i]}, rates[i], x)
            one = {"w": got[0]["w"].select(1, i), "v": got[0]["v"][i]}, got[1][:, i]
            assert_close(one, want, rtol=1e-12, atol=1e-12)


def mixed(x: Tensor, key: Tensor, shared: Tensor) -> tuple[Tensor, ...]:
    """Return values of several dtypes, a random one, and one that all lanes share."""
    flags = x > 0.5
    return flags, x.argsort(), torch.where(flags, x, -1).to(torch.float64), fn.random.normal(key, (3,)), shared * 2


@pytest.mark.parametrize("width", (1, 4, 16))
def test_results_of_every_dtype(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    by_width(monkeypatch, width if width < 16 else Target.host().vector // 8)
    keys, x = fn.random.split(fn.random.key(0), 5), rand(7, 5, dtype=torch.float32)
    shared = torch.arange(3)
    f = fn.vmap(mixed, in_dims=(1, 0, None), out_dims=(1, 0, 0, 0, None))
    assert_close(jit(f, backend="native")(x, keys, shared), f(x, keys, shared))


@pytest.mark.parametrize("width", (1, 4))
def test_arguments_of_any_layout(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    by_width(monkeypatch, width)
    x = rand(4, 6, 5, dtype=torch.float64)
    f = jit(fn.vmap(lambda x: x.cumsum(0) @ x.mT, in_dims=-1), backend="native")
    for given in (x, x.mT.contiguous().mT, x.flip(2), x[:, ::2, 1:], x[:, :, :1].expand(-1, -1, 3), x[..., :0]):
        want = [lane.cumsum(0) @ lane.mT for lane in given.unbind(-1)]
        got = f(given)
        assert got.shape == (given.shape[-1], 4, 4)
        assert_close([*got], want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("width", (1, 4))
def test_a_failing_lane_raises(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    by_width(monkeypatch, width)
    f = jit(fn.vmap(lambda x, i: x[i] * 2), backend="native")
    x, i = rand(6, 4, dtype=torch.float64), torch.tensor([0, 3, 1, 2, 0, 3])
    assert_close(f(x, i), x[torch.arange(6), i] * 2)
    with pytest.raises(IndexError, match="out of the range"):
        f(x, i.index_fill(0, torch.tensor([4]), 4))


def test_many_lanes_run_in_threads_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    by_width(monkeypatch, 1)
    monkeypatch.setattr(Target, "host", lambda host=Target.host: replace(host(), short_run=1))
    params, rates, x = nets(37)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    got = jit(fn.vmap(trained, in_dims=DIMS), backend="native")(params, rates, x)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert_close(got, jit(fn.vmap(trained, in_dims=DIMS), backend="native")(params, rates, x), rtol=0, atol=0)


def run(f: Callable[..., object], lanes: int, *shape: int) -> None:
    jit(fn.vmap(f), backend="native")(torch.ones(lanes, *shape))


def test_few_lanes_are_not_padded_to_a_vector(widths: list[int]) -> None:
    most = Target.host().vector // 8
    f = jit(fn.vmap(trained, in_dims=DIMS), backend="native")
    for lanes in (1, 2, 3, 4, 64):
        f(*nets(lanes))
    assert widths[0] == 1
    assert all(width <= max(2, lanes + 1) for width, lanes in zip(widths[1:4], (2, 3, 4), strict=True))
    assert widths[4] == most


def test_large_nets_run_one_after_another(widths: list[int]) -> None:
    run(lambda x: (x @ x.mT).tanh() @ x, 16, 300, 300)
    run(lambda x: x.sin().sum(), 5, 1_000)
    assert widths == [1, 1]


def test_few_lanes_of_narrow_arrays_run_one_after_another(widths: list[int]) -> None:
    run(lambda x: x.sin() * 2, 4, 100, 2)  # one loop over 200 elements
    run(lambda x: x.sin() * 2, 64, 1, 2)
    assert widths[0] == 1 and widths[1] > 1


def test_one_compiled_kernel_serves_a_range_of_lanes() -> None:
    f = jit(fn.vmap(lambda x: x * x + 1), backend="native")
    for lanes in (17, 18, 40, 1000):
        assert_close(f(torch.arange(lanes)), torch.arange(lanes) ** 2 + 1)
    (compiled,) = f._programs.values()
    assert len(compiled.choice.kernel.kernels) == 1


@pytest.mark.parametrize("lanes", [1, 16])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_results_without_examples_have_the_axis_at_its_place(axis: int, lanes: int, monkeypatch) -> None:
    monkeypatch.setattr(ensembles, "lanes_per_block", lambda *_: lanes)
    f = fn.vmap(lambda a, b: (a[:, None] + b.sum(0), b), in_dims=(1, None), out_dims=(axis, None))
    x = torch.arange(12.0).reshape(3, 4)
    got, shared = jit(f, backend="native")(x[:, :0], x)
    assert got.shape == f(x[:, :1], x)[0].narrow(axis, 0, 0).shape and torch.equal(shared, x)
