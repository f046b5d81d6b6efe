"""vmap on pytrees against loops."""

import pytest
import torch
from tables import Affine, numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree


def test_vmap_equals_a_loop_over_trees():
    def f(params, x, scale):
        return Affine(params["w"] @ x * scale, x.sum(), name="out"), [params["n"]]

    params = {"w": numbers(5, 2, 3), "n": 7}
    x = numbers(3, 5, seed=1)
    mapped = fn.vmap(f, in_dims=({"w": 0, "n": None}, 1, None), out_dims=(Affine(1, 0, "out"), None))(params, x, 2.0)
    rows = [f({"w": w, "n": 7}, column, 2.0)[0] for w, column in zip(params["w"], x.T, strict=True)]
    expected = Affine(torch.stack([r.w for r in rows], 1), torch.stack([r.b for r in rows]), name="out")
    assert_close(mapped[0].w, expected.w)
    assert mapped[1] == [7]


def test_vmap_shares_a_constant_result_once_and_in_chunks():
    f = fn.vmap(lambda x: (x * 2, torch.ones(2), "name"), out_dims=(-1, None, 0), chunk_size=2)
    x = numbers(5, 3)
    doubled, ones, name = f(x)
    assert_close(doubled, 2 * x.T)
    assert tree.equal((ones, name), (torch.ones(2), "name"))


@pytest.mark.parametrize("chunk_size", [None, 1, 2, 3, 7])
def test_chunks_change_nothing(chunk_size):
    x = numbers(3, 4, seed=2)
    mapped = fn.vmap(lambda x, y: x @ y, in_dims=(1, None), chunk_size=chunk_size)(x, x[:, 0])
    assert_close(mapped, x.T @ x[:, 0])


def test_vmap_of_no_examples_and_of_one():
    assert fn.vmap(torch.sum)(torch.zeros(0, 3)).shape == (0,)
    gradients = fn.vmap(fn.grad(lambda x: 2 * x.sum() + 1), in_dims=1, out_dims=1)  # a number meets a 0-d tensor
    assert gradients(torch.zeros(3, 0, dtype=torch.float64)).shape == (3, 0)
    assert tree.equal(fn.vmap(torch.sum)(torch.ones(1, 3)), torch.tensor([3.0]))


def test_vmap_of_ambiguous_paths():
    both = {1: torch.ones(3), "1": torch.ones(4)}
    with pytest.raises(ValueError, match="expected one size"):
        fn.vmap(lambda p: p)(both)


def test_vmap_accepts_lists_of_axes():
    x, y = numbers(2, 3), numbers(3)
    assert_close(fn.vmap(torch.mul, in_dims=[1, 0])(x, y), x.T * y[:, None])
    doubled, squared = fn.vmap(lambda x: [2 * x, x**2], out_dims=[0, 1])(x)
    assert_close((doubled, squared), (2 * x, (x**2).T))


def test_vmap_exposes_its_function_and_axes():
    mapped = fn.vmap(torch.sin, in_dims=1, out_dims=-1, chunk_size=3)
    assert (mapped.f, mapped.in_dims, mapped.out_dims, mapped.chunk_size) == (torch.sin, 1, -1, 3)


def test_a_result_that_only_an_outer_vmap_maps_is_shared_by_the_inner_one():
    x, y = torch.arange(3.0), torch.arange(2.0)

    def rows(y):
        return fn.vmap(lambda x: (x * y, 2 * y), out_dims=(0, None))(x)

    products, doubled = fn.vmap(rows)(y)
    assert (products.tolist(), doubled.tolist()) == ((y[:, None] * x).tolist(), (2 * y).tolist())
