"""Complex numbers: gradients equal those of backward(), all other derivatives those on pairs of real numbers."""

import math

import pytest
import torch
from complex_numbers import W, X, Z, complex_like, fourier, real_form

import funcnet as fn

DTYPES = [torch.complex64, torch.complex128]


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_of_a_module_equal_those_of_backward(dtype):
    module, params, x, loss = fourier(dtype)
    module(x).square().mean().backward()
    want = {name: parameter.grad for name, parameter in module.named_parameters()}
    for gradient in (fn.grad(loss), fn.jit(fn.grad(loss)), fn.jacrev(loss)):
        assert fn.tree.allclose(gradient(params, x), want, rtol=1e-4, atol=1e-5)
    value, grads = fn.value_and_grad(loss)(params, x)
    assert loss(fn.sgd_step(params, grads, 1e-2), x) < value


def test_gradients_of_examples_and_their_norms():
    module, params, x, loss = fourier()
    grads = fn.per_example_grads(loss)(params, x)
    for i, example in enumerate(x):
        module.zero_grad()
        module(example).square().mean().backward()
        assert torch.allclose(grads["w"][i], module.w.grad) and torch.allclose(grads["mix"][i], module.mix.grad)
    norms = torch.stack([fn.tree.norm(each) for each in fn.tree.unstack(grads)])
    assert torch.allclose(fn.curvature.per_example_grad_norms(loss)(params, x), norms)
    clipped = fn.curvature.clipped_mean(loss, 0.1)(params, x)
    want = fn.tree.map(
        lambda g: (g * (0.1 / norms).clamp(max=1).reshape(-1, *(1,) * (g.ndim - 1)).to(g.dtype)).mean(0), grads
    )
    assert fn.tree.allclose(clipped, want)
    noisy = fn.curvature.clipped_mean(loss, 0.1, noise_multiplier=1.0)(params, x, key=fn.random.key(0))
    assert (noisy["w"] - clipped["w"]).imag.ne(0).all() and noisy["w"].dtype == torch.complex128


def test_norms_and_products_equal_those_of_pairs():
    tree = {"z": W, "x": torch.tensor([1.0, 2.0], dtype=torch.float64), "n": 3}
    other = fn.tree.scale(0.5, {**tree, "z": W.flip(0) * 1j})
    real, real_other = fn.tree.ravel(tree)[0], fn.tree.ravel(other)[0]
    assert real.dtype == torch.float64 and len(real) == 26
    assert torch.allclose(fn.tree.dot(tree, other), real @ real_other)
    assert torch.allclose(fn.tree.norm(tree), real.norm())
    assert torch.allclose(fn.tree.dot(tree, tree), fn.tree.norm(tree) ** 2)
    back = fn.tree.ravel(tree)[1](real)
    assert fn.tree.equal(back, tree)
    clip = fn.optim.clip_by_global_norm(1.0)
    clipped = clip.update(fn.tree.partition(tree, fn.tree.is_inexact)[0], clip.init(tree))[0]
    assert math.isclose(fn.tree.norm(clipped), 1.0, rel_tol=1e-9)
    assert fn.tree.zeros_like(tree)["z"].eq(0).all()
    assert fn.tree.equal(fn.tree.view_as_complex(fn.tree.view_as_real(tree), tree), tree)
    assert fn.tree.equal(fn.tree.view_as_real(W.conj()), torch.view_as_real(W.conj().resolve_conj()))


FUNCTIONS = {
    "polynomial": lambda z: (z**3 + z.conj() * 2).abs().square().sum(),
    "exp": lambda z: torch.exp(z * (0.3 - 0.2j)).real.sum(),
    "angle": lambda z: (z.angle() * z.abs()).sum(),
    "matmul": lambda z: (z @ z.mH).abs().sin().sum(),
    "fft": lambda z: torch.fft.fft(z).abs().log().sum(),
    "solve": lambda z: torch.linalg.solve(z[:, :3], z[:, 3]).abs().sum(),
    "parts": lambda z: (z.real * z.imag.sin()).sum(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_derivative_equals_that_of_pairs(name):
    f = FUNCTIONS[name]
    g, vector, _ = real_form(f, W)
    v = complex_like(3, 4, seed=5)
    u = fn.tree.ravel(v)[0]
    assert torch.allclose(fn.tree.ravel(fn.grad(f)(W))[0], fn.grad(g)(vector))
    want = fn.jvp(g, (vector,), (u,))
    for got in (fn.jvp(f, (W,), (v,)), fn.jit(lambda z, v: fn.jvp(f, (z,), (v,)))(W, v)):
        assert all(map(torch.allclose, got, want))
    assert torch.allclose(fn.linearize(f, W)[1](v), want[1])
    hv = fn.hvp(g, vector, u)
    for got in (fn.hvp(f, W, v), fn.curvature.hessian_operator(f, W)(v), fn.jvp(fn.grad(f), (W,), (v,))[1]):
        assert torch.allclose(fn.tree.ravel(got)[0], hv)
    assert torch.allclose(fn.tree.ravel(fn.curvature.hessian_diag(f, W))[0], fn.hessian(g)(vector).diagonal())
    fn.checking.check_grads(f, (W,), order=2)


def test_derivatives_of_complex_results():
    f = lambda z: (z * z.sum() + z.conj() * 2j, z.abs())  # noqa: E731
    z, v, w = (complex_like(3, seed=seed) for seed in range(3))
    (_, pushed), (_, pull) = fn.jvp(f, (z,), (v,)), fn.vjp(f, z)
    eps = 1e-6
    numerical = fn.tree.scale(0.5 / eps, fn.tree.sub(f(z + eps * v), f(z - eps * v)))
    assert fn.tree.allclose(pushed, numerical, rtol=1e-6)
    cotangent = (w, w.real)
    assert torch.allclose(fn.tree.dot(pull(cotangent)[0], v), fn.tree.dot(cotangent, pushed))
    assert fn.tree.allclose(fn.linearize(f, z)[1](v), pushed)
    fn.checking.check_grads(f, (z,), order=2)
    by_real = fn.jacfwd(lambda t: torch.exp(1j * t))(X.double())
    assert torch.allclose(by_real.diagonal(), 1j * torch.exp(1j * X.double()))
    assert torch.allclose(fn.jacrev(lambda t: torch.exp(1j * t))(X.double()), by_real)
    rows = torch.stack([fn.grad(lambda z, i=i: z.abs()[i].sin())(z) for i in range(3)])
    for jacobian in (fn.jacfwd, fn.jacrev, lambda f: fn.jit(fn.jacrev(f))):
        assert torch.allclose(jacobian(lambda z: z.abs().sin())(z), rows)


@pytest.mark.parametrize(
    "call",
    [
        lambda: fn.jacfwd(lambda z: z * z)(Z),
        lambda: fn.hessian(lambda z: z.abs().sum())(Z),
        lambda: fn.hessian(lambda p: (p["z"].abs() * p["x"]).sum())({"z": Z, "x": X}),
        lambda: fn.jacrev(lambda z: z * 2)(Z),
    ],
)
def test_jacobians_of_complex_numbers_are_refused(call):
    with pytest.raises(TypeError, match=r"expected real tensors in the argument or .* fn\.tree\.view_as_real"):
        call()


def test_a_complex_loss_is_refused():
    with pytest.raises(TypeError, match=r"got complex64 tensor of shape \(\).* Take its \.abs\(\) or \.real"):
        fn.grad(lambda z: z.sum())(Z)
    for project in (fn.optim.projections.projection_non_negative, fn.optim.projections.projection_simplex):
        with pytest.raises(TypeError, match="expected real tensors, got complex64"):
            project({"z": Z})


def test_curvature_products_equal_those_of_pairs():
    _, params, x, loss = fourier()
    _, vector, unravel = real_form(lambda p: loss(p, x), params)
    v = fn.tree.map(lambda p: torch.ones_like(p) * (1 + 0.5j if p.is_complex() else 1), params)
    u = fn.tree.ravel(v)[0]
    outputs = lambda p: torch.fft.irfft((p["w"] * torch.fft.rfft(p["scale"] * x)) @ p["mix"], n=4)  # noqa: E731
    flat = lambda r: outputs(unravel(r))  # noqa: E731
    half = lambda y: y.square().sum()  # noqa: E731
    got, want = fn.curvature.ggnvp(outputs, half, params, v), fn.curvature.ggnvp(flat, half, vector, u)
    assert torch.allclose(fn.tree.ravel(got)[0], want)
    got, want = fn.curvature.fisher_vp(outputs, params, v), fn.curvature.fisher_vp(flat, vector, u)
    assert torch.allclose(fn.tree.ravel(got)[0], want)
    times = lambda t: fn.curvature.ggnvp(outputs, half, params, t)  # noqa: E731
    solved = fn.curvature.cg(times, v, damping=1.0, maxiter=200, tol=1e-10)
    assert solved.converged and fn.tree.allclose(fn.tree.add(times(solved.x), solved.x), v, rtol=1e-6)
    dense = torch.stack([fn.tree.ravel(times(unravel(e)))[0] for e in torch.eye(len(vector), dtype=vector.dtype)])
    found = fn.curvature.lanczos(times, params, fn.random.key(0), k=2)
    assert torch.allclose(found.values, torch.linalg.eigvalsh(dense).flip(0)[:2])
    kernel = fn.curvature.ntk(lambda p, x: loss(p, x)[None], params, x)
    grads = torch.stack([fn.tree.ravel(g)[0] for g in fn.tree.unstack(fn.per_example_grads(loss)(params, x))])
    assert torch.allclose(kernel[:, :, 0, 0], grads @ grads.T)
    near = fn.tree.add(params, fn.tree.scale(1e-3, v))
    assert torch.allclose(fn.curvature.taylor(loss, params, order=3)(near, x), loss(near, x), rtol=1e-10)


def test_matrices_and_lines():
    o = fn.optim.orthogonalize(W, [(1.5, -0.5, 0.0)] * 40)
    u, _, v = torch.linalg.svd(W, full_matrices=False)
    assert torch.allclose(o, u @ v) and torch.allclose(o @ o.mH, torch.eye(3, dtype=W.dtype))
    muon = fn.optim.muon(0.1, adaptive=True)
    assert muon.update({"z": W}, muon.init({"z": W}), {"z": W})[0]["z"].imag.ne(0).all()
    f = lambda z: (z - (1 + 2j)).abs().square().sum()  # noqa: E731
    optimizer, z = fn.optim.lbfgs(), W
    state = optimizer.init(z)
    for _ in range(4):
        value, grad = fn.value_and_grad(f)(z)
        updates, state = optimizer.update(grad, state, z, value=value, grad=grad, value_fn=f)
        z = fn.optim.apply_updates(z, updates)
    assert torch.allclose(z, torch.full_like(z, 1 + 2j))
    noise = fn.optim.add_noise(1.0, 0.5, 0)
    noisy = noise.update(W, noise.init(W))[0] - W
    assert noisy.real.ne(noisy.imag).all()
    assert torch.allclose(fn.optim.incremental_update(W, W * 0, torch.tensor(0.25)), W / 4)


def test_checks_and_modules_support_complex_leaves():
    with pytest.raises(ValueError, match="check_finite"):
        fn.checking.check_finite({"z": torch.tensor([1, complex("nan")])})
    (row,) = fn.checking.compare({"z": Z + 3j}, {"z": Z})
    assert math.isclose(row.max_absolute, 3.0, rel_tol=1e-5)
    module = fn.to_module(lambda p, x: p["z"] * x, {"z": Z})
    assert dict(module.named_parameters())["z"].dtype == torch.complex64
    with pytest.raises(AssertionError, match="disagree"):
        fn.checking.check_grads(_Wrong.apply, (W,))


class _Wrong(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(z):
        return z.abs().square().sum()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, cotangent):
        return 2 * ctx.saved_tensors[0].conj() * cotangent

    @staticmethod
    def jvp(ctx, tangent):
        return 2 * (ctx.saved_tensors[0].conj() * tangent).real.sum()
