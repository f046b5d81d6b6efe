"""Edge cases of jit: constants that are equal but not identical, and results that are refused."""

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


class Pair(tuple):  # a leaf: a subclass of tuple is not a node
    __slots__ = ()


@dataclasses.dataclass(frozen=True)
class Config:
    scale: object
    label: str = dataclasses.field(default="", compare=False)


@dataclasses.dataclass
class Hashed:
    """A constant that defines its hash, and holds an unhashable object."""

    values: object

    def __hash__(self):
        return 7


@dataclasses.dataclass(eq=False)
class Node:
    """Each object equals only itself; objects may refer to each other."""

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
def test_equal_constants_of_different_types_are_traced_separately(constants):
    f = jit(lambda x, constant: (x, constant), backend="eager")
    for constant in constants:
        assert constant == constants[0]
        assert repr(f(X, constant)[1]) == repr(constant)


def test_the_same_constant_is_traced_once():
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


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_zero_lanes_share_a_result(backend, chunk_size):
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
    with pytest.raises(StagingError, match=rf"needs the values of a tensor in <lambda>, .*test_edges\.py:{line}\."):
        jit(lambda x: fn.vmap(f)(x))(X[0])


def test_random_numbers_of_torch_inside_a_vmap_are_refused():
    with pytest.raises(StagingError, match=r"draws from torch's global generator in <lambda>, .*test_edges\.py"):
        jit(lambda x: fn.vmap(lambda row: row + torch.rand(4))(x))(X[0])


class Holder:
    def __init__(self, x: Tensor) -> None:
        self.x = {"doubled": [2 * x]}


def generator(x):
    yield x


async def coroutine(x):
    return x


HIDDEN = [
    (Holder, "the tree itself, which is one leaf: .* got a Holder, which holds tensors and is not a pytree node"),
    (lambda x: (x, {"state": Config(x)}), 'path "1.state": .* got a Config, which holds tensors'),
    (lambda x: [{x}], 'path "0": .* got a set, which holds tensors'),
    (generator, "got a generator, which runs after tracing has ended"),
    (lambda x: (x, map(torch.sin, x)), 'path "1": .* got a map, which runs after tracing has ended'),
    (coroutine, "got a coroutine, which runs after tracing has ended"),
]


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("f, message", HIDDEN)
def test_results_that_hide_tensors_are_refused(f, message):
    with pytest.raises(StagingError, match=message):
        jit(f)(X)


def test_an_object_without_tensors_may_be_a_result():
    x, config, numbers = jit(lambda x: (x, Config(3), {1, 2}))(X)
    assert (x.equal(X), config, numbers) == (True, Config(3), {1, 2})
    assert jit(lambda x: jit(Holder)(x).x)(X)["doubled"][0].equal(2 * X)  # not a result of the outer trace
    assert jit(lambda x: sum(jit(generator)(x)))(X).equal(X)


def replaces_data(x):
    y = x * 1
    y.data = x * 2
    return y


def test_data_may_be_read_and_written_to_but_not_assigned():
    def writes(x):
        y = x * 1
        y.data.add_(1)
        return y, x.data * 2

    assert fn.tree.equal(jit(writes)(X), (X + 1, X * 2))
    line = replaces_data.__code__.co_firstlineno + 2
    with pytest.raises(StagingError, match=rf"x\.data is assigned to in replaces_data, .*py:{line}\."):
        jit(replaces_data)(X)


def test_a_copy_of_a_traced_tree_is_independent():
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
def test_arguments_that_torch_refuses_are_refused(name, backend):
    """Negative indices in operations other than x[i], and arguments that torch's shape rules accept."""
    i = torch.tensor([0, -1, 1])
    for f in (REFUSED[name], jit(REFUSED[name], backend=backend)):
        with pytest.raises((RuntimeError, IndexError), match=r"range|bound|power|split|type|empty|non-zero|dim"):
            f(X, i)


@pytest.mark.parametrize("backend", BACKENDS)
def test_arguments_that_torch_accepts_are_accepted(backend):
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
    with pytest.raises(StagingError, match="jit: expected dense tensors, got a sparse_coo one in .*test_edges"):
        call()


class Scaled:
    factor = 3.0

    @fn.jit
    def times(self, x, *, more=1):
        return x * self.factor * more


def test_explain_of_a_bound_method():
    assert Scaled().times.explain(X, more=2).operations == {"aten.mul.Tensor": 2}
    assert torch.equal(Scaled().times(X, more=2), 6 * X)


def test_arguments_may_have_any_name():
    f = lambda self, args: self * args  # noqa: E731
    assert torch.equal(jit(f)(self=X, args=3), 3 * X)
    assert torch.equal(jit(fn.vmap(lambda x, self: x * self))(X, self=3), 3 * X)
    assert torch.equal(fn.vmap(lambda x, self: x * self)(X, self=3), 3 * X)
    assert jit(f).explain(self=X, args=3).backend == "native"


def test_explain_inside_another_trace_does_not_change_its_loops():
    inner = jit(torch.sin)

    def f(x):
        assert inner.explain(torch.ones(2)).operations == {"aten.sin.default": 1}
        return fn.scan(lambda c, _: (c + x, None), x, length=5)[0]

    assert jit(f).explain(X).operations["scan"] == 1


@pytest.mark.parametrize("shape", [(1,), (1, 1), (3, 1), (1, 3), (0, 2), (2, 0)])
def test_results_are_row_major_in_axes_of_any_size(shape):
    """A view as another dtype needs a stride of 1, in an axis of size 1 too."""
    result = jit(lambda x: x + 1)(torch.ones(shape))
    assert result.stride() == torch.ones(shape).stride()
    assert result.view(torch.int16).equal((torch.ones(shape) + 1).view(torch.int16))


def test_arguments_on_the_meta_device_give_results_there():
    jitted = jit(fn.vmap(lambda x: fn.scan(lambda c, _: (c.sin(), c.sum()), x, length=5)))
    carry, sums = jitted(torch.ones(3, 4, device="meta"))
    assert carry.is_meta and carry.shape == (3, 4) and sums.is_meta and sums.shape == (3, 5)
    assert "meta" in jitted.explain(torch.ones(3, 4, device="meta")).reason
