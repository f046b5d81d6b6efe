"""jit: keys of the cache, backends, and behaviour inside other transformations."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from backends import BACKENDS
from torch.fx.experimental.proxy_tensor import make_fx

import funcnet as fn
from funcnet.compiler import backends, jit
from funcnet.compiler.errors import NoCompilerError, UnsupportedError
from funcnet.compiler.native.lowering.table import RULES
from funcnet.control_flow.scan import scan

X = torch.linspace(-1.0, 2.0, 12, dtype=torch.float64).reshape(3, 4)


def counted(f):
    calls = []

    def g(*args, **kwargs):
        calls.append(None)
        return f(*args, **kwargs)

    return jit(g, backend="eager"), calls


SIGNATURES = [
    (torch.zeros(3),),
    (torch.zeros(4),),
    (torch.zeros(3, dtype=torch.float64),),
    (torch.zeros(3, 2),),
    (torch.zeros(2, 3).T,),
    ([torch.zeros(3)],),
    ({"x": torch.zeros(3)},),
    (torch.zeros(3), 1),
    (torch.zeros(3), 1.0),
    (torch.zeros(3), True),
    (torch.zeros(3), "name"),
    (torch.zeros(3), None),
    (1, torch.zeros(3)),
]


@pytest.mark.filterwarnings("ignore:jit. g is traced for the 10th time")
def test_traces_once_per_signature():
    f, calls = counted(lambda *args: args)
    for i, args in enumerate(SIGNATURES):
        for _ in range(2):
            assert repr(f(*args)) == repr(args)
            assert len(calls) == i + 1
    for value in (0.0, -0.0, float("nan")):
        assert repr(f(torch.ones(3), value)) == repr((torch.ones(3), value))
    assert len(calls) == len(SIGNATURES)


def test_keyword_arguments_and_the_default_dtype_are_part_of_the_key():
    f, calls = counted(lambda x, scale=1.0: torch.ones(2) * scale * x.sum())
    results = [f(torch.ones(2)), f(torch.ones(2), scale=2.0), f(x=torch.ones(2))]
    assert ([result.tolist() for result in results], len(calls)) == ([[2, 2], [4, 4], [2, 2]], 3)
    torch.set_default_dtype(torch.float64)
    try:
        assert f(torch.ones(2)).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_may_have_leaves_other_than_tensors(backend):
    f = jit(lambda x, name: {"a": [x * len(name), None], "b": (name, 3), "c": x.shape}, backend=backend)
    for name in ("net", "model"):
        expected = {"a": [torch.full((2,), float(len(name))), None], "b": (name, 3), "c": torch.Size([2])}
        assert fn.tree.difference(f(torch.ones(2), name), expected) is None


def test_a_constant_that_is_not_hashable_is_named():
    class Unhashable:
        __hash__ = None

    with pytest.raises(TypeError, match=r"at path '0.1' .* expected a tensor or a hashable constant, got Unhashable"):
        jit(lambda x, y: x)(torch.ones(2), Unhashable())


def objective(w):
    return (torch.sin(w) * X[0]).square().sum() + scan(lambda c, z: (c * z.cos(), c), w.sum(), X[0])[0]


W = X[1]
TRANSFORMED = [
    fn.grad,
    fn.value_and_grad,
    fn.hessian,
    lambda f: lambda w: fn.jvp(f, (w,), (w,)),
    lambda f: fn.vmap(fn.grad(f), in_dims=1),
    lambda f: fn.grad(lambda w: fn.vmap(f)(torch.stack([w, 2 * w])).sum()),
    lambda f: jit(jit(f)),
    lambda f: jit(fn.grad(jit(f))),
    lambda f: fn.remat(f),
]


@pytest.mark.parametrize("transform", TRANSFORMED)
def test_jit_inside_other_transformations(transform):
    argument = torch.stack([W, -W], 1) if transform is TRANSFORMED[4] else W
    got, want = transform(jit(objective))(argument), transform(objective)(argument)
    assert fn.tree.difference(got, want, atol=1e-12) is None


def test_autograd_records_what_requires_grad():
    leaf, closed = W.clone().requires_grad_(), W.clone().requires_grad_()
    jit(lambda w: (w * closed).sum())(leaf).backward()
    assert torch.equal(leaf.grad, W)
    jit(lambda w: (w * closed).sum())(W).backward()
    assert torch.equal(closed.grad, 2 * W)
    with torch.no_grad():
        assert not jit(lambda w: w * 2)(leaf).requires_grad


@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_agree(backend):
    def f(x, labels):
        value, grads = fn.value_and_grad(lambda x: torch.nn.functional.cross_entropy(x.tanh(), labels))(x)
        carry, ys = scan(lambda c, row: (c + row.sin(), (c.sum(), row * 2)), x[0], x)
        return {"value": value, "grads": grads, "scan": (carry, ys)}

    labels = torch.tensor([3, 0, 1])
    explained = (run := jit(f, backend=backend)).explain(X, labels)
    assert (explained.backend, explained.reason, explained.operations["scan"]) == (backend, "requested", 1)
    assert fn.tree.difference(run(X, labels), f(X, labels), atol=1e-12) is None


def test_any_callable_and_any_result():
    module = torch.nn.Linear(4, 2).double().requires_grad_(False)
    params = dict(module.named_parameters())
    call = jit(lambda params, x: torch.func.functional_call(module, params, (x,)))
    assert fn.tree.difference(call(params, X), module(X), atol=1e-12) is None
    assert jit(partial(torch.add, alpha=2))(X, X).equal(3 * X)
    assert jit(lambda: torch.ones(2))().tolist() == [1.0, 1.0]
    assert (jit(lambda x: ())(X), jit(lambda x: 3)(X), jit(lambda x: None)(X)) == ((), 3, None)
    assert jit(lambda x: x[:0])(X).shape == (0, 4)


def test_jit_inside_other_tracers_and_modes():
    assert make_fx(lambda x: jit(torch.sin)(x))(X).code.count("aten.sin") == 1
    assert torch.compile(lambda x: jit(torch.sin)(x), backend="eager")(X).equal(X.sin())
    with torch.inference_mode():
        assert jit(fn.grad(lambda x: x.sum()))(X).equal(torch.ones_like(X))
    with torch.autocast("cpu"):
        assert jit(lambda x: x @ x.T)(X.float()).dtype == torch.bfloat16
    assert jit(lambda x: x @ x.T)(X.float()).dtype == torch.float32


def test_threads_may_share_a_jitted_function():
    f = jit(lambda x: scan(lambda c, row: (c + row.sin(), c), x[0], x), backend="eager")
    arguments = [torch.full((2 + i % 3, 4), float(i)) for i in range(12)]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(f, arguments))
    assert all(fn.tree.difference(r, f.f(a), atol=1e-5) is None for r, a in zip(results, arguments, strict=True))


def test_explain_counts_operations_and_gives_a_reason():
    explained = jit(lambda x: scan(lambda c, row: (c + row, c * row), x[0], x)).explain(X)
    assert (explained.backend, explained.reason) == ("native", "all tensors are on the CPU")
    assert explained.operations == {"aten.select.int": 1, "scan": 1, "aten.add.Tensor": 1, "aten.mul.Tensor": 1}
    assert explained.kernel_size > 0
    assert jit(lambda x: scan(lambda c, row: (c + row, c * row), x[0], x)).explain(X).cache_hit


def test_auto_falls_back_and_names_the_operation():
    f = jit(lambda x: (x @ x.T).to(torch.float8_e5m2).float())
    explained = f.explain(X)
    assert explained.backend == "eager"
    assert "float8_e5m2" in explained.reason
    assert torch.equal(f(X), f.f(X))
    with pytest.raises(UnsupportedError, match="float8_e5m2"):
        jit(f.f, backend="native")(X)


def test_auto_without_a_compiler_warns_once(monkeypatch):
    def missing(*_, **__):
        raise NoCompilerError("no C compiler")

    monkeypatch.setattr(backends, "_warned", set())
    monkeypatch.setattr("funcnet.compiler.native.backend.prepare", missing)
    with pytest.warns(UserWarning, match="falls back to the eager backend: no C compiler"):
        assert torch.equal(jit(torch.sin)(X), X.sin())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert jit(torch.cos).explain(X).backend == "eager"
    with pytest.raises(NoCompilerError, match="no C compiler"):
        jit(torch.sin, backend="native")(X)


def test_auto_falls_back_with_a_warning_after_a_bug_in_the_native_backend(monkeypatch):
    monkeypatch.setitem(RULES, "sign", lambda b, x: x.no_such_thing)
    with pytest.warns(
        UserWarning, match="falls back .* a bug in the native backend raised AttributeError.*no_such_thing"
    ):
        f = jit(lambda x: x.sign() * 2)
        assert torch.equal(f(X), X.sign() * 2)
    assert f.explain(X).backend == "eager" and "no_such_thing" in f.explain(X).reason
    with pytest.raises(AttributeError, match="no_such_thing"):
        jit(torch.sign, backend="native")(X)


def test_an_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="expected backend to be one of auto, native, inductor, eager, got 'gpu'"):
        jit(torch.sin, backend="gpu")


def test_name_and_docstring_are_the_functions():
    assert (jit(objective).__name__, jit(objective).__wrapped__) == ("objective", objective)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tensors_on_a_gpu_go_to_inductor():
    f = jit(lambda x: scan(lambda c, row: (c + row.sin(), c), x[0], x))
    assert f.explain(X.cuda()).backend == "inductor"
    assert fn.tree.difference(f(X.cuda()), f.f(X.cuda()), atol=1e-12) is None


def test_another_default_device_leaves_cpu_arguments_on_the_cpu():
    f = fn.jit(lambda x: x * 2)
    expected = f(torch.ones(3))
    torch.set_default_device("meta")
    try:
        assert torch.equal(f(torch.ones(3, device="cpu")), expected)
    finally:
        torch.set_default_device(None)


def test_forward_mode_of_torch_works():
    from torch.autograd import forward_ad

    x, tangent = torch.tensor([1.0, 3.0]), torch.tensor([1.0, 2.0])
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, tangent)
        pushed = forward_ad.unpack_dual(fn.jit(lambda x: x * x)(dual)).tangent
    assert torch.equal(pushed, 2 * x * tangent)


class Scaled:
    factor = 3.0

    @fn.jit
    def times(self, x):
        return x * self.factor


def test_a_decorated_method():
    assert torch.equal(Scaled().times(torch.ones(2)), torch.full((2,), 3.0))
