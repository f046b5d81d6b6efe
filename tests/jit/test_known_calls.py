"""Calls that are like a recent one take a short way to the kernel, and calls that are not do not."""

import threading
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from enum import Enum

import pytest
import torch
from torch import nn

import funcnet as fn
from funcnet.compiler import Jit

X = torch.arange(6.0).reshape(2, 3) + 1
HELD = [torch.tensor(2.0), torch.tensor(3.0)]
NEGATED = torch.complex(X, -X).conj().imag


def weighted(x, *rest, **options):
    """A result that depends on every argument, and on the default dtype."""
    scale = torch.full((), 1 / 3) * len(rest) + sum(options.values(), torch.full((), 0.5))
    return {"y": x * scale + sum(rest), "total": x.sum()}


def closed_over(x):
    return x * HELD[0] + HELD[1]


def flagged(x, flag):
    return x + 1 if flag is True else x * 2 if flag == 1 else x - 3


class Mode(Enum):
    TRAIN = 1
    TEST = 2


@dataclass(frozen=True)
class Options:
    scale: float
    mode: Mode = Mode.TRAIN
    comment: object = field(default=None, compare=False)


def with_options(x, options):
    return x * options.scale if options.mode is Mode.TRAIN else -x


def applied(f, x):
    return f(x) + 1


LIKE = {  # name: (function, arguments, keyword arguments), each of which is called twice
    "tensors": (weighted, (X, X), {}),
    "a keyword": (weighted, (X,), {"b": X}),
    "a dict": (lambda d: {k: 2 * v for k, v in d.items()}, ({"a": X, "b": X.double()},), {}),
    "one tensor several times": (weighted, (X, X, X), {}),
    "a number": (weighted, (X, 0.5), {}),
    "a constant": (flagged, (X, True), {}),
    "an enum": (lambda x, mode: x * mode.value, (X, Mode.TEST), {}),
    "a frozen dataclass": (with_options, (X, Options(3.0)), {}),
    "a function": (applied, (torch.sin, X), {}),
    "a function with tensors": (applied, (closed_over, X), {}),
    "closed-over tensors": (closed_over, (X,), {}),
    "only closed-over tensors": (lambda: HELD[0] * 2, (), {}),
    "lanes": (fn.vmap(lambda x: x.sin()), (X,), {}),
    "lanes that are not innermost": (fn.vmap(lambda x: x.sin(), in_dims=1, out_dims=1), (X,), {}),
    "strides": (weighted, (X.T,), {}),
    "a result that is not a tensor": (lambda x: (x + 1, "name", None), (X,), {}),
}


@pytest.mark.parametrize(("f", "args", "kwargs"), LIKE.values(), ids=LIKE)
def test_a_call_like_the_last_one_takes_the_short_way(f, args, kwargs, monkeypatch):
    jitted = fn.jit(f)
    jitted(*args, **kwargs)
    monkeypatch.delattr(Jit, "_call")
    assert fn.tree.allclose(jitted(*args, **kwargs), f(*args, **kwargs))


def test_a_call_with_arrays_takes_the_short_way(monkeypatch):
    np = pytest.importorskip("numpy")
    jitted, array, scale = fn.jit(weighted), X.clone().numpy(), np.float64(0.5)
    jitted(array, scale, b=X)
    monkeypatch.delattr(Jit, "_call")
    for given in (array, array[::-1, ::-1].copy(), array[::-1, ::-1]):
        assert fn.tree.allclose(jitted(given, scale, b=X), weighted(torch.tensor(given.copy()), 0.5, b=X))
    assert fn.tree.allclose(jitted(X.clone(), scale, b=X), weighted(X, 0.5, b=X))


class Model:
    def __init__(self, w):
        self.w = w

    @fn.jit
    def scaled(self, x):
        return x * self.w


def test_a_method_takes_the_short_way(monkeypatch):
    model, other = Model(torch.tensor(2.0)), Model(torch.tensor(3.0))
    model.scaled(X), other.scaled(X)
    monkeypatch.delattr(Jit, "_call")
    model.w = torch.tensor(5.0)
    assert torch.equal(model.scaled(X), 5 * X)
    assert torch.equal(other.scaled(X), 3 * X)


def test_functions_and_options_among_the_arguments_are_told_apart():
    held = {"w": torch.tensor(2.0)}
    functions = [lambda x: x * held["w"], lambda x: x + held["w"], torch.sin, Model(torch.tensor(4.0)).scaled]
    options = [Options(1.0), Options(1.0, Mode.TEST), Options(2.0), Options(2.0, comment=[1])]
    on_function, on_options = fn.jit(applied, backend="eager"), fn.jit(with_options, backend="eager")
    for value in (2.0, 3.0, [1.0, 2.0, 3.0]):
        held["w"] = torch.tensor(value)
        for f in functions * 2:
            torch.testing.assert_close(on_function(f, X), f(X) + 1)
        for each in options * 2:
            torch.testing.assert_close(on_options(X, each), with_options(X, each))


OTHERS = [  # calls that differ from one of X, X in a way that a short way must not overlook
    ((X, X.double()), {}),
    ((X.int(), X), {}),
    ((X, X[:1]), {}),
    ((X, X.T.contiguous().T), {}),
    ((X, NEGATED), {}),
    ((X[..., None].expand(2, 3, 1), X[..., None]), {}),
    ((nn.Parameter(X, requires_grad=False), X), {}),
    ((X, X, X), {}),
    ((X, 2.0), {}),
    ((X, 2), {}),
    ((X, True), {}),
    ((X,), {"b": X}),
]


@pytest.mark.parametrize("first", [(X, X), (X, 2.0), (X, 2), (X, True)], ids=["tensors", "float", "int", "bool"])
def test_a_call_unlike_the_last_one_has_its_own_result(first):
    for args, kwargs in OTHERS:
        jitted = fn.jit(weighted, backend="eager")
        jitted(*first)
        assert same(jitted(*args, **kwargs), weighted(*args, **kwargs))
        assert same(jitted(*first), weighted(*first))


def test_an_int_beyond_64_bits_is_not_traced():
    jitted = fn.jit(lambda x, n: x + n % 7, backend="eager")
    for n in (1, 2, 3, 2**70, 3, -(2**63), -(2**63) - 1):
        assert same(jitted(X, n), X + n % 7)


def same(a, b):
    assert fn.tree.structure(a) == fn.tree.structure(b)
    return all(x.dtype == y.dtype and torch.allclose(x, y) for x, y in zip(*map(fn.tree.leaves, (a, b)), strict=True))


@pytest.mark.parametrize("other", [X.T.contiguous().T, NEGATED, X[:, :1].expand(2, 3)], ids=["strides", "neg", "zero"])
def test_layouts_of_memory_are_told_apart(other):
    for f in (weighted, fn.vmap(weighted), fn.vmap(weighted, in_dims=1)):
        jitted = fn.jit(f, backend="native")
        for x in (X, other, X, other):
            assert fn.tree.allclose(jitted(x), f(x))


def test_positional_containers_are_not_keyword_arguments():
    jitted = fn.jit(lambda *args, **kwargs: (len(args), sorted(kwargs), fn.tree.leaves((args, kwargs))[0] + 1))
    for _ in range(2):
        assert jitted(X, b=X)[:2] == (1, ["b"])
        assert jitted((X,), {"b": X})[:2] == (2, [])
        assert jitted([(X,), {"b": X}])[:2] == (1, [])


def test_the_default_dtype_is_part_of_a_call():
    jitted = fn.jit(lambda x: x + torch.full((2, 3), 1 / 3), backend="native")
    assert jitted(X).dtype == jitted(X).dtype == torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        assert jitted(X).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_default_device_is_part_of_a_call():
    jitted = fn.jit(lambda x: x.new_zeros(()) + torch.ones(()).device.type.count("meta"), backend="eager")
    with torch.device("meta"):
        assert [jitted(X).item(), jitted(X).item()] == [1, 1]
    assert [jitted(X).item(), jitted(X).item()] == [0, 0]
    with torch.device("meta"):
        assert jitted(X).item() == 1


def test_autocast_is_part_of_a_call():
    jitted = fn.jit(lambda x: x @ x.T, backend="eager")
    jitted(X), jitted(X)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert jitted(X).dtype == jitted(X).dtype == torch.bfloat16
    assert jitted(X).dtype == torch.float32


def test_gradients_flow_through_a_known_call():
    jitted = fn.jit(lambda x: (x**3).sum(), backend="native")
    jitted(X), jitted(X)
    recorded = X.clone().requires_grad_()
    jitted(recorded).backward()
    torch.testing.assert_close(recorded.grad, 3 * X**2)
    with torch.no_grad():
        assert not jitted(recorded).requires_grad
    assert jitted(recorded).requires_grad
    torch.testing.assert_close(fn.grad(jitted)(X), 3 * X**2)
    torch.testing.assert_close(torch.func.grad(jitted)(X), 3 * X**2)
    torch.testing.assert_close(fn.jvp(jitted, (X,), (torch.ones_like(X),))[1], (3 * X**2).sum())
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(X, torch.ones_like(X))
        torch.testing.assert_close(torch.autograd.forward_ad.unpack_dual(jitted(dual)).tangent, (3 * X**2).sum())


def test_many_signatures_in_turn_take_the_short_way(monkeypatch):
    jitted, plain = fn.jit(with_all, backend="eager"), with_all
    given = [(X[:, :1].repeat(1, size), scale, flag) for size in (1, 2) for scale in (2.0, 3.0) for flag in "ab"]
    for _ in range(2):
        for x, scale, flag in given:
            jitted({"x": x}, scale, flag), jitted([x], scale, flag)
    monkeypatch.delattr(Jit, "_call")
    for x, scale, flag in given:
        for tree in ({"x": x}, [x]):
            assert torch.equal(jitted(tree, scale, flag), plain(tree, scale, flag))


def with_all(tree, scale, flag):
    return fn.tree.leaves(tree)[0] * scale + int(flag == "a") - 2 * int(isinstance(tree, list))


def test_many_signatures_in_turn():
    jitted = fn.jit(weighted, backend="eager")
    for _ in range(20):
        for size in range(1, 7):
            assert jitted(X[:, :1].repeat(1, size))["y"].shape == (2, size)


def test_flags_of_a_failed_run_are_cleared():
    jitted = fn.jit(lambda x, i: x[i], backend="native")
    for _ in range(3):
        assert jitted(X[0], torch.tensor(1)) == 2
        with pytest.raises(IndexError):
            jitted(X[0], torch.tensor(3))


def test_threads_do_not_share_the_arguments_of_a_run():
    jitted = fn.jit(lambda x: [x + i for i in range(3)], backend="native")
    rows = [torch.full((4,), float(i)) for i in range(4)]
    jitted(rows[0])
    failures = []

    def run(row):
        for _ in range(300):
            if not all(torch.equal(y, row + i) for i, y in enumerate(jitted(row))):
                failures.append(row)

    threads = [threading.Thread(target=run, args=(row,)) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_dicts_of_another_type_have_their_own_result():
    jitted = fn.jit(lambda d: fn.tree.map(lambda x: x + 1, d), backend="eager")
    inner = [{"b": X}, OrderedDict(b=X), defaultdict(list, b=X), defaultdict(int, b=X), {"b": {"c": X}}]
    for d in ({"a": part} for part in inner):
        jitted(inner[0]), jitted({"a": inner[0]})
        assert same(jitted(d), fn.tree.map(lambda x: x + 1, d))
        assert type(jitted(d)["a"]) is type(d["a"])


def test_structures_that_take_turns_keep_their_results():
    jitted = fn.jit(lambda d, **options: (d, X + len(options)), backend="eager")
    trees = [[X], {"a": X}, deque([X], 3), [X, None]]
    for _ in range(3):
        for d in trees:
            assert same(jitted(d), (d, X))
            assert same(jitted(d, a=X), (d, X + 1))
