"""`at`: updates are pure and differentiable, and mean the same in vmap, jit and scan, whatever the index."""

import pytest
import torch

import funcnet as fn

X = torch.arange(24.0, dtype=torch.float64).reshape(2, 3, 4) / 8 - 1
REPEATED = torch.tensor([2, 0, 2, 2, 0, 2, 2])
INDICES = {  # the same in numpy, where torch's own indexing agrees
    "int": (1,),
    "ints": (0, -1, 2),
    "slices": (slice(None), slice(1, None), slice(None, None, 2)),
    "ellipsis": (..., 1),
    "new axis": (0, None, slice(1, 3)),
    "tensor": (slice(None), torch.tensor([2, 0])),
    "two tensors": (torch.tensor([1, 0]), torch.tensor([2, -1])),
    "broadcast tensors": (slice(None), torch.tensor([[1], [-1]]), torch.tensor([0, 3])),
    "number": (torch.tensor(1),),
    "tensor and slice": (torch.tensor([1]), slice(0, 2), 3),
}
UPDATES = {  # in place, on a copy
    "set": lambda x, i, v: x.__setitem__(i, v),
    "add": lambda x, i, v: x.__setitem__(i, x[i] + v),
    "subtract": lambda x, i, v: x.__setitem__(i, x[i] - v),
    "multiply": lambda x, i, v: x.__setitem__(i, x[i] * v),
    "divide": lambda x, i, v: x.__setitem__(i, x[i] / v),
    "power": lambda x, i, v: x.__setitem__(i, x[i] ** v),
    "min": lambda x, i, v: x.__setitem__(i, torch.minimum(x[i], v)),
    "max": lambda x, i, v: x.__setitem__(i, torch.maximum(x[i], v)),
}


def values(index):
    return torch.linspace(-1.3, 1.7, X[index].numel(), dtype=torch.float64).reshape(X[index].shape)


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
@pytest.mark.parametrize("name", UPDATES)
def test_an_update_is_a_write_to_a_copy(index, name):
    x, v, before = X.abs() + 0.5, values(index), X.clone()
    want = x.clone()
    UPDATES[name](want, index, v)
    assert torch.equal(getattr(fn.at(x)[index], name)(v).nan_to_num(7), want.nan_to_num(7))
    assert torch.equal(X, before) and torch.equal(fn.at(X)[index].get(), X[index])


@pytest.mark.few(8)
@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
@pytest.mark.parametrize("name", UPDATES)
def test_derivatives_are_those_of_finite_differences(index, name):
    x, v = X.abs() + 0.55, values(index).abs() + 0.51
    fn.checking.check_grads(lambda x, v: getattr(fn.at(x)[index], name)(v).sin().sum(), (x, v))


@pytest.mark.parametrize("name", ["add", "multiply", "min", "max", "subtract", "divide"])
def test_repeated_indices_all_count(name):
    x, v = X[0, :, 0].abs() + 0.5, torch.tensor([0.25, 3.0, -2.0, 1.5, -1.0, 0.5, 2.5], dtype=torch.float64)
    want = x.clone()
    for i, value in zip(REPEATED, v, strict=True):
        UPDATES[name](want, i, value)
    torch.testing.assert_close(getattr(fn.at(x)[REPEATED], name)(v), want)


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_updates_by_traced_indices_are_the_same_in_jit(backend):
    def f(x, i, v):
        return [
            fn.at(x)[i].set(v[0]),
            fn.at(x)[:, i[0]].add(v[:, 0] * 2),
            fn.at(x)[i, i.flip(0)].set(-1.0),
            fn.at(x)[i[0]].multiply(3.0),
            fn.at(x)[1:, ::2].set(0.0),
            fn.at(x)[i].get(mode="fill"),
            fn.at(x)[i].min(v[0], unique_indices=True),
        ]

    x, v = X[:, :, 0].expand(2, 3).repeat(2, 1), X[0].T[:4, :3]
    for i in (torch.tensor([1, 0, 3]), torch.tensor([-1, 9, 2]), torch.tensor([2, -9, 1])):
        rows = (x, i, torch.stack([torch.ones(3), torch.zeros(3), v[0], v[1]]).double())
        for got, want in zip(fn.jit(f, backend=backend)(*rows), f(*rows), strict=True):
            torch.testing.assert_close(got, want, equal_nan=True)


@pytest.mark.parametrize("in_dims", [(0, 0, 0), (None, 0, None), (0, None, None), (None, None, 0)])
def test_vmap_equals_a_loop(in_dims):
    def f(x, i, v):
        return fn.at(x)[i].set(v), fn.at(x)[:, i].add(v[:, None]), fn.at(x)[i[0]].max(v), fn.at(x)[i].get()

    x, i = X[0, :, :3].contiguous(), torch.tensor([2, 0, 7])
    args = (torch.stack([x, x + 1]), torch.stack([i, i - 1]), torch.stack([x[0], x[1] - 3]))
    given = tuple(arg if dim == 0 else arg[0] for arg, dim in zip(args, in_dims, strict=True))
    lanes = [f(*(arg[k] if dim == 0 else arg[0] for arg, dim in zip(args, in_dims, strict=True))) for k in (0, 1)]
    for got, *want in zip(fn.vmap(f, in_dims=in_dims)(*given), *lanes, strict=True):
        torch.testing.assert_close(got, torch.stack(want))


def test_a_scan_fills_an_array():
    def step(out, i):
        return fn.at(out)[i].set(i * 2.0), None

    out, _ = fn.jit(lambda: fn.scan(step, torch.zeros(4), torch.arange(6)))()
    assert out.tolist() == [0.0, 2.0, 4.0, 6.0]


def test_a_mask_selects_elements():
    x, mask = X[0], X[0] > 0
    got = fn.jit(lambda x, mask: fn.at(x)[mask].power(2), backend="eager")(x, mask)
    assert torch.equal(got, torch.where(mask, x**2, x))
    assert torch.equal(fn.at(x)[mask].get(), x[mask])
    assert torch.equal(fn.at(x)[mask].set(torch.arange(int(mask.sum())))[mask].long(), torch.arange(int(mask.sum())))


def test_an_empty_index_selects_nothing():
    none = torch.zeros(0, dtype=torch.int64)
    assert torch.equal(fn.at(X)[none].set(5.0), X) and torch.equal(fn.at(X)[1:1].add(5.0), X)
    assert fn.at(X)[none].get().shape == (0, 3, 4)


@pytest.mark.parametrize(
    "index, error, message",
    [
        ((0, 0, 0, 0), IndexError, "at: expected an index of at most 3 axes, got 4"),
        (("a",), IndexError, "at: expected an index of ints, slices, None, ... and integer tensors, got 'a'"),
        ((torch.tensor([0.5]),), IndexError, "at: expected integers or bools as indices, got a torch.float32 tensor"),
    ],
)
def test_an_index_of_another_kind_is_refused(index, error, message):
    with pytest.raises(error, match=message):
        fn.at(X)[index].set(0.0)


def test_values_of_another_shape_and_unknown_modes_are_refused():
    with pytest.raises(ValueError, match=r"at\.set: expected values that broadcast to .* got shape \(5,\)"):
        fn.at(X)[0].set(torch.zeros(5))
    with pytest.raises(ValueError, match="at.add: expected mode to be one of None, drop, .* got 'wrap'"):
        fn.at(X)[0].add(1.0, mode="wrap")
    with pytest.raises(TypeError, match="unexpected keyword argument 'fill'"):
        fn.at(X)[0].get(fill=0)
