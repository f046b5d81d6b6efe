"""jit at its edges: constants that are equal but not the same, elements at computed places, results that cannot be."""

import copy
import dataclasses
import inspect

import pytest
import torch
from torch import Tensor

import funcnet as fn
from funcnet.compiler import StagingError, jit

X = torch.linspace(-1.0, 2.0, 24, dtype=torch.float64).reshape(2, 3, 4)
BACKENDS = ["eager", "native"]


class Pair(tuple):  # a leaf: only tuples themselves are nodes
    __slots__ = ()


@dataclasses.dataclass(frozen=True)
class Config:
    scale: object
    label: str = dataclasses.field(default="", compare=False)


@dataclasses.dataclass
class Hashed:
    """It says itself what its hash is, and holds what has none."""

    values: object

    def __hash__(self):
        return 7


@dataclasses.dataclass(eq=False)
class Node:
    """Each is equal to itself alone; they may lead to each other."""

    items: list
    other: object = None


@dataclasses.dataclass(frozen=True)
class Partly:
    number: object
    rest: dict = dataclasses.field(default_factory=dict, hash=False)


ALIKE = [
    (complex(0, 0.0), complex(0, -0.0)),
    (Config(1), Config(1.0), Config(True)),
    (Config(0.0), Config(-0.0)),
    (Config(Config((1,))), Config(Config((1.0,)))),
    (Pair((2,)), Pair((2.0,))),
    (frozenset({1}), frozenset({True})),
    (Hashed({"a": [1]}), Hashed({"a": [1.0]})),
    (Hashed([{2}]), Hashed([{2.0}])),
    (Partly(1), Partly(True)),
]


@pytest.mark.parametrize("constants", ALIKE, ids=str)
def test_equal_constants_that_are_not_the_same_are_staged_apart(constants):
    f = jit(lambda x, constant: (x, constant), backend="eager")
    for constant in constants:
        assert constant == constants[0]
        assert repr(f(X, constant)[1]) == repr(constant)


def test_the_same_constant_is_staged_once():
    calls = []
    f = jit(lambda x, constant: (calls.append(None), x)[1], backend="eager")
    for make in (lambda: complex(float("nan"), 1), lambda: Config(Pair((1.5,))), lambda: Config):
        calls.clear()
        f(X, make())
        f(X, make())
        assert len(calls) == 1, make()
    node = Node([1])
    node.other = Node([2], node)
    for constant in (node, Hashed({"a": [1]}), Partly(1, {"a": 1})):
        calls.clear()
        f(X, constant)
        f(X, constant)
        assert len(calls) == 1, type(constant)
    calls.clear()
    f(X, Config(7, "one"))
    f(X, Config(7, "other"))  # the label is not compared
    assert len(calls) == 1


def set_row(x, i):
    y = x * 1
    y[i] = x[0] + 5
    return y


def set_under_mask(x, i):
    y = x * 1
    y[torch.tensor([[True, False, True], [False, False, True]]), i + 1] = -9
    return y


def set_element(x, i):
    y = x * 1
    y[:, i, 1:3] = 7
    y[i, -1, i] += 1
    return y, y.sum()


TAKEN = {
    "first": lambda x, i: x[i],
    "second": lambda x, i: x[:, i],
    "last": lambda x, i: x[..., i],
    "before the last": lambda x, i: x[..., i, 1:],
    "twice": lambda x, i: x[i, i],
    "twice apart": lambda x, i: x[i, :, i],
    "new axes": lambda x, i: x[None, True, i, None],
    "beside a list": lambda x, i: x[i, :, [3, 0, 1]],
    "beside a number": lambda x, i: x[True, ..., 1, i],
    "negative": lambda x, i: x[i - 2],
    "of one lane": lambda x, i: torch.arange(5)[i] + x[0, 0],
    "gradient": fn.grad(lambda x, i: x[i, 1:].sin().sum() * x[1, i].cos().prod()),
    "in a scan": lambda x, i: fn.scan(lambda c, j: (c + x[j, i], x[i, j]), x[0, 0], torch.tensor([1, 0, 1])),
    "gradient of a scan": fn.grad(
        lambda x, i: fn.scan(lambda c, j: (c * x[0, j, i].sin() + x[i, i, j], None), x[0, 0, 0], torch.arange(3))[0]
    ),
    "gradient of a scan of scans": fn.grad(
        lambda x, i: fn.scan(
            lambda c, j: fn.scan(lambda c, k: (c * x[j, k].sin(), x[k, i].sum()), c, torch.tensor([1, 0])),
            x[0, 0],
            torch.tensor([0, 1, 1]),
        )[1].sum()
    ),
    "in a vmap": lambda x, i: fn.vmap(lambda row: row[i])(x),
    "row set": set_row,
    "elements set": set_element,
    "elements under a mask set": set_under_mask,
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_a_number_in_a_tensor_is_an_index(name, backend, dtype):
    f, places = TAKEN[name], torch.tensor([1, 0, 1], dtype=dtype)
    one = jit(f, backend=backend)
    want = [f(X, place) for place in places]
    for place, expected in zip(places, want, strict=True):
        assert fn.tree.difference(one(X, place), expected, atol=1e-12) is None
    lanes = jit(fn.vmap(f, in_dims=(None, 0)), backend=backend)(X, places)
    assert fn.tree.difference(lanes, fn.tree.stack(want), atol=1e-12) is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_closed_over_index_is_read_at_each_call(backend):
    place = torch.tensor(0)
    f = jit(lambda x: x[place], backend=backend)
    assert torch.equal(f(X), X[0])
    place.add_(1)
    assert torch.equal(f(X), X[1])
    place.add_(1)
    with pytest.raises(IndexError):
        f(X)


def add_to_row(y, i):
    y[i] += 1
    y[i, 1:] *= 2


def add_to_view(y, i):
    y[0].t()[i] -= 3
    y[i] -= y[i - 1]


def bring_back(y, i):
    row = y[i]
    row.mul_(2)
    row += 1
    y[i] = row


def swap(y, i):
    row = y[i].clone()
    row[0] = 7
    y[i] = y[i - 1]
    y[i - 1] = row


def count(y, i):
    def step(c, j):
        c = c * 1
        c[j] += 1
        c[j, i] += 2 * c[i, j]
        return c, c[j].sum()

    y += fn.scan(step, y * 1, torch.tensor([0, 1, 1, 0]))[0]


def multiply_views(y, i):
    y[1:].mul_(y[:1, 1:2] + i)
    y.view(6, 4).T[1:, ::2].sub_(y[1, 1, 1] * 2)
    y.as_strided((2, 3), (12, 4), 2).mul_(3)


def multiply_in_a_loop(y, i):
    def step(c, _):
        c = c.sin()
        c[1:, :2].mul_(c[:1, 1:] + i)
        return c, None

    y += fn.scan(step, y * 1, length=3)[0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "write", [add_to_row, add_to_view, bring_back, swap, count, multiply_views, multiply_in_a_loop]
)
def test_elements_are_written_in_place(write, backend):
    def f(x, i):
        y = x * 1
        write(y, i)
        return y

    places = torch.tensor([1, 0])
    want = [f(X, place) for place in places]
    assert fn.tree.difference(jit(f, backend=backend)(X, places[0]), want[0], atol=1e-12) is None
    lanes = jit(fn.vmap(f, in_dims=(None, 0)), backend=backend)(X, places)
    assert fn.tree.difference(lanes, torch.stack(want), atol=1e-12) is None
    gradient = fn.grad(lambda x, i: f(x, i).sin().sum())
    want = [gradient(X, place) for place in places]
    assert fn.tree.difference(jit(gradient, backend=backend)(X, places[0]), want[0], atol=1e-12) is None
    lanes = jit(fn.vmap(gradient, in_dims=(None, 0)), backend=backend)(X, places)
    assert fn.tree.difference(lanes, torch.stack(want), atol=1e-12) is None


def chained(y, i):
    y[i][0] = 3


def through_a_name(y, i):
    row = y[i]
    row += 1


def brought_elsewhere(y, i):
    row = y[i]
    row.mul_(2)
    y[i - 1] = row


def by_a_function(y, i):
    y[i, 1:].zero_()


@pytest.mark.parametrize("write", [chained, through_a_name, brought_elsewhere, by_a_function])
def test_writes_that_would_be_lost_are_refused_with_their_line(write):
    """torch has a view where staging has a copy."""

    def f(x, i):
        y = x * 1
        write(y, i)
        return y.sum()

    line = write.__code__.co_firstlineno + (2 if "row" in write.__code__.co_varnames else 1)
    message = rf"x\[i\], for a tensor i, is written to in place in {write.__name__}, .*test_jit_edges\.py:{line};"
    for g in (f, fn.grad(f)):
        with pytest.raises(StagingError, match=message):
            jit(g)(X, torch.tensor(1))


def test_a_copy_that_torch_would_have_changed_is_refused():
    def swap(x, i):
        y = x * 1
        row = y[i]
        y[i] = y[i - 1]
        y[i - 1] = row
        return y

    line = swap.__code__.co_firstlineno + 4
    with pytest.raises(StagingError, match=rf"is used in swap, .*test_jit_edges\.py:{line} after a write to x"):
        jit(swap)(X, torch.tensor(1))


def loops_that_all_share(row):
    total, totals = fn.scan(lambda c, x: (c * 2 + x.sum(), c), torch.ones((), dtype=X.dtype), X[0])
    return total, totals, fn.scan(lambda c, _: (c + row.sum(), c), total, length=2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loop_that_all_examples_share_stays_shared(backend):
    batched = fn.vmap(loops_that_all_share, out_dims=(None, None, 0))
    for f in (batched, lambda x: batched(x)):
        assert fn.tree.difference(jit(f, backend=backend)(X[1]), batched(X[1]), atol=1e-12) is None


MISFITS = [
    lambda x, i: x.__setitem__(([0, 1], i), 1.0),
    lambda x, i: x.__setitem__((0, [0, 1], i), 1.0),
    lambda x, i: x.__setitem__((slice(None), i), x[:, :2]),
    lambda x, i: x.index_put_((i[:2],), x[:1, :2] * 1, accumulate=True),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("write", MISFITS)
def test_writes_that_do_not_fit_are_refused(write, backend):
    i = torch.tensor([0, 2, 1])
    for f in (write, jit(lambda x, i: write(x * 1, i), backend=backend)):
        with pytest.raises((RuntimeError, IndexError), match="(?i)mismatch|expand"):
            f(X.clone(), i)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_no_lanes_still_share_a_result(backend, chunk_size):
    def f(x, y):
        return x * 2, (y @ y.T).sum(0), 100 // y.long().sum() + 0 * y.long(), x.sum()

    batched = fn.vmap(f, in_dims=(1, None), out_dims=(1, None, None, 0), chunk_size=chunk_size)
    got, want = jit(batched, backend=backend)(X[0][:, :0], X[1]), batched(X[0][:, :0], X[1])
    assert fn.tree.difference(got, want, atol=1e-12) is None


VMAPPED = [
    lambda row: row if row.sum() > 0 else -row,
    lambda row: row * row.sum().item(),
    lambda row: row[row > 0],
    lambda row: row.nonzero(),
    lambda row: row if torch.equal(row, 2 * row) else -row,
    lambda row: row if torch.allclose(row, 2 * row) else -row,
    lambda row: [row for _ in range(row.sum().long())],
]


@pytest.mark.parametrize("f", VMAPPED)
def test_code_inside_a_vmap_that_reads_values_is_refused_with_its_line(f):
    line = inspect.getsourcelines(f)[1]
    with pytest.raises(StagingError, match=rf"needs the values of a tensor in <lambda>, .*test_jit_edges\.py:{line}\."):
        jit(lambda x: fn.vmap(f)(x))(X[0])


def test_random_numbers_of_torch_inside_a_vmap_are_refused():
    with pytest.raises(StagingError, match=r"draws from torch's global generator in <lambda>, .*test_jit_edges\.py"):
        jit(lambda x: fn.vmap(lambda row: row + torch.rand(4))(x))(X[0])


class Holder:
    def __init__(self, x: Tensor) -> None:
        self.x = {"doubled": [2 * x]}


def generator(x):
    yield x


async def coroutine(x):
    return x


HIDDEN = [
    (Holder, "the tree itself, which is one leaf: .* got a Holder, which holds tensors and is no pytree node"),
    (lambda x: (x, {"state": Config(x)}), 'path "1.state": .* got a Config, which holds tensors'),
    (lambda x: [{x}], 'path "0": .* got a set, which holds tensors'),
    (generator, "got a generator, which runs when the staging has ended"),
    (lambda x: (x, map(torch.sin, x)), 'path "1": .* got a map, which runs when the staging has ended'),
    (coroutine, "got a coroutine, which runs when the staging has ended"),
]


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("f, message", HIDDEN)
def test_results_that_hide_tensors_are_refused(f, message):
    with pytest.raises(StagingError, match=message):
        jit(f)(X)


def test_what_holds_no_tensor_may_be_a_result():
    x, config, numbers = jit(lambda x: (x, Config(3), {1, 2}))(X)
    assert (x.equal(X), config, numbers) == (True, Config(3), {1, 2})
    assert jit(lambda x: jit(Holder)(x).x)(X)["doubled"][0].equal(2 * X)  # inside of another one it is no result
    assert jit(lambda x: sum(jit(generator)(x)))(X).equal(X)


def replaces_data(x):
    y = x * 1
    y.data = x * 2
    return y


def test_data_may_be_read_and_written_to_but_not_replaced():
    def writes(x):
        y = x * 1
        y.data.add_(1)
        return y, x.data * 2

    assert fn.tree.equal(jit(writes)(X), (X + 1, X * 2))
    line = replaces_data.__code__.co_firstlineno + 2
    with pytest.raises(StagingError, match=rf"x\.data is replaced in replaces_data, .*py:{line}\."):
        jit(replaces_data)(X)


def test_a_copy_of_a_traced_tree_is_one_of_its_own():
    def f(x):
        before = {"a": [x * 2, x]}
        after = copy.deepcopy(before)
        after["a"][0].add_(1)
        return before, after

    assert fn.tree.equal(jit(f)(X), ({"a": [X * 2, X]}, {"a": [X * 2 + 1, X]}))


REFUSED = {
    "a power": lambda x, i: i**-1,
    "gather": lambda x, i: x[0].gather(1, i[None]),
    "scatter": lambda x, i: x[0].scatter(1, i[None], 1.0),
    "scatter_add": lambda x, i: x[0].scatter_add(1, i[None], x[0, :1]),
    "index_select": lambda x, i: x.index_select(1, i),
    "embedding": lambda x, i: torch.nn.functional.embedding(i, x[0]),
    "cross_entropy": lambda x, i: torch.nn.functional.cross_entropy(x[0], i),
    "nll_loss": fn.grad(lambda x, i: torch.nn.functional.nll_loss(x[0], i)),
    "split": lambda x, i: x.split([1, 2], 2),
    "a product": lambda x, i: x[0] @ x[0].float().T,
    "products": lambda x, i: x @ x.float().mT,
    "max": lambda x, i: x[:, :0].max(1),
    "min": lambda x, i: x[:0].min(),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_torch_refuses_is_refused(name, backend):
    """Negative numbers where only x[i] counts from the end, and forms that torch's shape rules let pass."""
    i = torch.tensor([0, -1, 1])
    for f in (REFUSED[name], jit(REFUSED[name], backend=backend)):
        with pytest.raises((RuntimeError, IndexError), match=r"range|bound|power|split|type|empty|non-zero|dim"):
            f(X, i)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_with_what_torch_takes(backend):
    def f(x, i):
        largest = x.max(2).indices, x[:, :, :0].max(1).values, x.amin(), x.min(), i**2, x**-1
        parts = x.split([1, 3], -1), x[0] @ x[1].T, x.gather(1, i.expand(2, 1, 3)), x.index_select(1, i)
        return largest, parts, torch.nn.functional.cross_entropy(x[0], i), x.scatter_add(2, i.expand(2, 3, 3), x)

    i = torch.tensor([0, 2, 1])
    assert fn.tree.difference(jit(f, backend=backend)(X, i), f(X, i), atol=1e-12) is None


EYE = torch.eye(2).to_sparse()
SPARSE = [
    lambda: jit(lambda x: x.to_dense())(EYE),
    lambda: jit(lambda x: torch.mv(EYE, x))(torch.ones(2)),
    lambda: jit(lambda x: torch.sparse_coo_tensor(torch.tensor([[0, 1]]), x, (2,)).to_dense())(torch.ones(2)),
]


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("call", SPARSE)
def test_sparse_tensors_are_refused(call):
    with pytest.raises(StagingError, match="jit: expected dense tensors, got a sparse_coo one in .*test_jit_edges"):
        call()


class Scaled:
    factor = 3.0

    @fn.jit
    def times(self, x, *, more=1):
        return x * self.factor * more


def test_a_bound_method_explains_itself():
    assert Scaled().times.explain(X, more=2).operations == {"aten.mul.Tensor": 2}
    assert torch.equal(Scaled().times(X, more=2), 6 * X)


def test_a_function_may_name_its_arguments_as_it_likes():
    f = lambda self, args: self * args  # noqa: E731
    assert torch.equal(jit(f)(self=X, args=3), 3 * X)
    assert torch.equal(jit(fn.vmap(lambda x, self: x * self))(X, self=3), 3 * X)
    assert torch.equal(fn.vmap(lambda x, self: x * self)(X, self=3), 3 * X)
    assert jit(f).explain(self=X, args=3).backend == "native"


def test_explaining_a_call_inside_of_another_staging_leaves_its_loops_alone():
    inner = jit(torch.sin)

    def f(x):
        assert inner.explain(torch.ones(2)).operations == {"aten.sin.default": 1}
        return fn.scan(lambda c, _: (c + x, None), x, length=5)[0]

    assert jit(f).explain(X).operations["scan"] == 1
