"""Large kernels are divided into C functions, of which equal ones are compiled once; the results do not change."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from deep_networks import deep, layers
from tables import numbers
from torch import Tensor
from torch.testing import assert_close

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.native.target import Target

HOST = Target.host()
FUNCTION = re.compile(
    r"^(?:SHARED|static) (?:inline|OUTLINED|__attribute__\(\(noinline\)\)) "
    r"void (block|section\d+_?|pack\d+)\([^)]*\) \{\n(.*?)^}",
    re.M | re.S,
)

CALL = r"section\d+\(&run"


def functions(f, *args) -> dict[str, int]:
    """Return the functions of a kernel with the statements in them, and the number of lines of each."""
    text = jit(f).lower(*args).as_text("c")
    return {name: body.count("\n") for name, body in FUNCTION.findall(text)}


def sections(f, *args) -> int:
    return sum(name.endswith("_") for name in functions(f, *args))


def unrolled(steps: int):
    """Return a recurrent network whose steps are not in a scan."""

    def f(w: Tensor, x: Tensor) -> Tensor:
        h = torch.zeros(2, 6)
        for t in range(steps):
            h = torch.tanh(h @ w + x[t])
        return h

    return f, (numbers(6, 6).float() / 6, numbers(steps, 2, 6).float())


def test_equal_layers_are_compiled_once() -> None:
    few, many = (jit(deep).lower(layers(depth)).as_text("c") for depth in (5, 10))
    called, defined = (
        [len(re.findall(pattern, text)) for text in (few, many)] for pattern in (CALL, r"section\d+_\(v")
    )
    assert called[1] - called[0] >= 5 * 5  # two statements forwards and three backwards per layer
    assert defined[1] <= defined[0] + 2  # one nest updates all layers, and small ones copy them to the results


def test_the_c_compiler_does_not_copy_sections_for_constant_arguments(folder: Path) -> None:
    """gcc 12 copies them if it knows that a loop around their calls has few steps."""
    jit(deep, backend="native")(layers(9))
    (kernel,) = folder.rglob("*.so")
    assert b"section1\0" in kernel.read_bytes()
    assert not re.findall(rb"section\d+\.constprop", kernel.read_bytes())


def test_unrolled_steps_are_compiled_once() -> None:
    few, many = unrolled(20), unrolled(40)
    assert sections(few[0], *few[1]) == sections(many[0], *many[1])


@pytest.mark.parametrize("program", [(deep, (layers(6),)), unrolled(20)], ids=["layers", "steps"])
def test_results_equal_eager_mode(program) -> None:
    f, args = program
    assert_close(jit(f, backend="native")(*args), f(*args), rtol=1e-5, atol=1e-6)


def test_lanes_equal_single_runs() -> None:
    lanes = layers(3, 5)
    assert sections(fn.vmap(deep), lanes) > 0
    got = jit(fn.vmap(deep), backend="native")(lanes)
    for i in range(5):
        one = deep(fn.tree.map(lambda x, i=i: x[i], lanes))
        assert_close(fn.tree.map(lambda x, i=i: x[i], got), one, rtol=1e-5, atol=1e-6)


def test_no_function_of_a_kernel_with_many_statements_is_long() -> None:
    leaves = [torch.ones(n) for n in range(1, 61)]
    f = lambda leaves: [leaf * 2 + leaf.sum() for leaf in leaves]  # noqa: E731
    lengths = functions(f, leaves)
    block = lengths.pop("block")
    assert sum(lengths.values()) > 700
    assert max(lengths.values()) < 4 * HOST.section
    assert block < 2 * len(lengths)
    assert_close(jit(f, backend="native")(leaves), f(leaves))


def test_leaves_of_one_shape_are_compiled_once() -> None:
    f = lambda leaves: [leaf * 2 + 1 for leaf in leaves]  # noqa: E731
    assert sections(f, [torch.ones(3)] * 200) <= 2  # the last nest is over fewer leaves
    assert_close(
        jit(f, backend="native")([torch.arange(3.0) + i for i in range(200)])[199], torch.arange(3.0) * 2 + 399
    )


def chain(length: int):
    """Return a function with one long chain of operations on arrays of one shape, and a sum at every tenth."""

    def f(x: Tensor) -> tuple[Tensor, list[Tensor]]:
        y, sums = x, []
        for i in range(length):
            x, y = (torch.sin(x) * 0.9 + y, x) if i % 3 else (x / (1 + y * y), x)
            sums += [x.sum()] * (i % 10 == 0)
        return torch.where(x > y, x, y), sums

    return f


@pytest.mark.slow
def test_a_long_chain_of_operations_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    f, x = chain(60), numbers(2, 7)
    whole = jit(f, backend="native")(x[0])
    assert_close(whole, f(x[0]), rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(Target, "host", lambda: replace(HOST, body=11))
    assert jit(f).lower(x[0]).as_text("loops").count("for i < 7") >= 180 // 11
    assert fn.tree.difference(jit(f, backend="native")(x[0]), whole, rtol=0, atol=0) is None
    assert_close(jit(fn.vmap(f), backend="native")(x), fn.vmap(f)(x), rtol=1e-12, atol=1e-12)


def test_a_small_kernel_is_one_function() -> None:
    assert [*functions(lambda x: (x @ x).tanh().sum(), torch.ones(2, 2))] == ["block"]


def mixed(x: Tensor, i: Tensor) -> list[Tensor]:
    """Use every kind of statement, a loop in a loop, and masks."""
    rows = fn.scan(lambda c, row: (c + row.cumsum(0), fn.scan(lambda d, v: (d + v, d), c.sum(), row)[1]), x[0], x)
    ordered, places = x.sort(-1)
    taken = torch.where(x > 0.5, x[i], -1).amax(0)
    put = torch.zeros(9, dtype=x.dtype).index_add(0, i, x[:, 1])
    return [
        *rows,
        ordered,
        places,
        taken,
        put,
        x @ x.mT,
        (x > 0) & (x < 1),
        x.flip(1)[:, 2:],
        torch.linalg.vecdot(x, x),
    ]


@pytest.fixture
def every_statement_is_a_section(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = replace(HOST, inline=0, section=1)
    monkeypatch.setattr(Target, "host", lambda: machine)


@pytest.mark.usefixtures("every_statement_is_a_section")
def test_every_kind_of_statement_is_a_section() -> None:
    x, i = numbers(3, 7, 40), torch.tensor([[0, 3, 3, 6, 1, 8, 2], [1, 1, 1, 1, 1, 1, 1], [6, 5, 4, 3, 2, 1, 0]])
    i = i.clamp(max=6)
    assert_close(jit(mixed, backend="native")(x[0], i[0]), mixed(x[0], i[0]), rtol=1e-12, atol=1e-12)
    got = jit(fn.vmap(mixed), backend="native")(x, i)
    for lane in range(3):
        want = mixed(x[lane], i[lane])
        assert_close([result[lane] for result in got], want, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("every_statement_is_a_section")
def test_a_section_without_elements() -> None:
    f, x = lambda x: x.cumsum(0), torch.ones(0, 2)
    assert sections(f, x) == 1
    assert jit(f, backend="native")(x).shape == (0, 2)


@pytest.mark.usefixtures("every_statement_is_a_section")
def test_errors_in_sections_are_raised() -> None:
    f = jit(lambda x, i: x[i] * 2, backend="native")
    with pytest.raises(IndexError, match="out of the range"):
        f(torch.arange(4.0), torch.tensor([1, 4]))
    g = jit(lambda a, b: a // b, backend="native")
    with pytest.raises(RuntimeError, match="division by zero"):
        g(torch.tensor([1, 2]), torch.tensor([1, 0]))


@pytest.mark.usefixtures("every_statement_is_a_section")
def test_a_failed_call_ends_the_sections_after_it() -> None:
    """They would read what the call has not written, here as an index."""

    def f(x: Tensor) -> Tensor:
        values = torch.linalg.svdvals(x, driver="gesvd")  # on a CPU torch's error
        return x.reshape(-1)[torch.where(values == 1, 0, 100)] * 2

    with pytest.raises(RuntimeError, match="driver"):
        jit(f, backend="native")(torch.zeros(2, 2))


@pytest.mark.usefixtures("every_statement_is_a_section")
def test_steps_of_loops_in_sections_are_counted() -> None:
    heard: list[tuple[int, int]] = []
    f = lambda x: fn.scan(lambda c, _: (c * 0.5, None), x, length=7)[0]  # noqa: E731
    jit(f, backend="native", progress=lambda *steps: heard.append(steps))(torch.ones(3))
    assert heard[-1] == (7, 7)
    assert jit(f, progress=print).lower(torch.ones(3)).as_text("loops").count("section") > 0


@pytest.mark.slow
def test_ten_thousand_leaves() -> None:
    leaves = {str(i): torch.full((3,), i / 100) for i in range(10_000)}
    f = lambda t: fn.tree.map(lambda x: x * 2 + 1, t)  # noqa: E731
    assert_close(jit(f, backend="native")(leaves), f(leaves))
    total = lambda t: sum((x * x).sum() for x in fn.tree.leaves(t))  # noqa: E731
    assert_close(jit(fn.grad(total), backend="native")(leaves), fn.tree.map(lambda x: 2 * x, leaves))


@pytest.mark.slow
def test_an_update_of_two_thousand_leaves() -> None:
    leaves = {str(i): torch.full((3,), i / 100) for i in range(2_000)}
    optimizer = fn.optim.adam(0.1)
    state = optimizer.init(leaves)
    update = jit(optimizer.update, backend="native")
    got, want = update(leaves, state, leaves), optimizer.update(leaves, state, leaves)
    assert fn.tree.difference(got, want, rtol=1e-5, atol=1e-6) is None


def test_many_functions_of_numbers_are_called() -> None:
    """Each would be inlined otherwise: the C compiler takes 10 ms for one."""

    def f(x: Tensor) -> Tensor:
        for i in range(30):
            x = 0.5 * torch.sin(x) + 0.01 * i * torch.exp(-x)
        return x

    x = torch.tensor(0.3)
    text = jit(f).lower(x).as_text("c")
    for name in ("sin", "near_sin"):
        assert len(re.findall(rf"\b{name}_f32_call\(", text)) == 30 + 1  # and the definition
    assert_close(jit(f, backend="native")(x), f(x))
    xs = torch.linspace(-1, 1, 20)
    assert_close(jit(fn.vmap(f), backend="native")(xs), fn.vmap(f)(xs))


def test_many_numbers_are_computed_in_short_bodies() -> None:
    """C compilers are superlinear in the length of a body."""
    leaves = [torch.tensor(float(i)) for i in range(150)]
    f = lambda leaves: [2 * leaf + 1 for leaf in leaves]  # noqa: E731
    assert jit(f).lower(leaves).as_text("loops").count("for one element") >= 3
    assert jit(f, backend="native")(leaves) == f(leaves)
