"""Layers equal their twins in torch.nn, values and gradients, in float64 to 1e-12."""

import pytest
import torch
from tables import numbers
from torch import nn
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree

KEY = fn.random.key(11)


def exactly(actual, expected):
    assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def fill(module):
    """Give a module parameters and statistics that are no defaults."""
    module = module.double()
    values = {name: numbers(*p.shape, seed=i) for i, (name, p) in enumerate(module.state_dict().items())}
    for name, value in module.state_dict().items():
        value.copy_(values[name] + 1.5 if "var" in name else values[name] if value.is_floating_point() else value)
    return module


def compare(layer, params, module, names, x, call=lambda module, x: module(x), **options):
    """Values and all gradients of a layer and its twin; `names` maps the module's parameters to ours."""
    x_twin = x.clone().requires_grad_()
    expected = call(module, x_twin)
    weights = numbers(*expected.shape, seed=9)
    by = torch.autograd.grad((expected * weights).sum(), [x_twin, *(p for n, p in module.named_parameters())])
    exactly(layer.apply(params, x, **options), expected.detach())

    def loss(params, x):
        return (layer.apply(params, x, **options) * weights).sum()

    grads, by_x = fn.grad(loss, (0, 1))(params, x)
    exactly(by_x, by[0])
    exactly(grads, names({n: g for (n, _), g in zip(module.named_parameters(), by[1:], strict=True)}))


def detached(module):
    return {name: p.detach() for name, p in module.named_parameters()}


def conv_params(p):
    return {"w": p["weight"]} | ({"b": p["bias"]} if "bias" in p else {})


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    "stride, padding, dilation", [(1, "same", 2), (2, 0, 1), (2, 1, 2), (3, 2, 1), (1, "valid", 1)]
)
@pytest.mark.parametrize("groups, use_bias", [(1, True), (2, False), (4, True)])
def test_conv(axes, stride, padding, dilation, groups, use_bias):
    kernel, sizes = (3, 2, 3)[:axes], (7, 6, 5)[:axes]
    build = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    module = fill(build(4, 8, kernel, bias=use_bias, **options))
    layer = fn.conv(8, kernel, use_bias=use_bias, **options)
    if padding == "same":  # torch warns of an uneven one, and pads the same
        module.padding, even = 0, module
        pads = [
            n for k in reversed(kernel) for n in (dilation * (k - 1) // 2, dilation * (k - 1) - dilation * (k - 1) // 2)
        ]
        call = lambda module, x: even(nn.functional.pad(x, pads))  # noqa: E731
    else:
        call = lambda module, x: module(x)  # noqa: E731
    compare(layer, conv_params(detached(module)), module, conv_params, numbers(3, 4, *sizes), call)


@pytest.mark.parametrize("n", range(1, 12))
@pytest.mark.parametrize("size, stride, dilation", [(3, 1, 1), (2, 3, 1), (3, 2, 2), (4, 2, 1), (1, 2, 1)])
def test_same_padding_gives_every_step_a_position(n, size, stride, dilation):
    layer = fn.conv(1, (size,), stride=stride, dilation=dilation, padding="same", use_bias=False)
    x = numbers(1, n)
    y = layer.apply({"w": torch.ones(1, 1, size).double()}, x)
    assert y.shape[-1] == -(-n // stride)
    reach = dilation * (size - 1) + 1
    total = max((y.shape[-1] - 1) * stride + reach - n, 0)
    wide = nn.functional.pad(x, (total // 2, total - total // 2 + stride))
    exactly(
        y, torch.stack([wide[:, i * stride : i * stride + reach : dilation].sum(-1) for i in range(y.shape[-1])], -1)
    )


def test_conv_starts_with_the_fans_of_its_kernel():
    x = torch.zeros(16, 9, 9)
    params = fn.conv(64, (5, 5), groups=2).init(KEY, x)
    assert params["w"].shape == (64, 8, 5, 5) and params["w"].is_contiguous() and not params["b"].any()
    assert abs(params["w"].std().item() - (8 * 25) ** -0.5) < 0.001
    w_init = fn.initializers.orthogonal()
    w = fn.conv(6, (3, 3), w_init=w_init, use_bias=False).init(KEY, x)["w"].flatten(1)
    assert_close(w @ w.T, torch.eye(6), atol=1e-5, rtol=0)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("size, stride, padding, dilation", [(2, None, 0, 1), (3, 2, 1, 1), (3, 1, 1, 2), (2, 3, 1, 1)])
def test_max_pool(axes, size, stride, padding, dilation):
    build = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[axes - 1]
    module = build(size, stride, padding, dilation)
    layer = fn.max_pool((size,) * axes, stride=stride, padding=padding, dilation=dilation)
    x = numbers(2, 3, *(7, 6, 5)[:axes])
    compare(layer, (), module, lambda p: (), x)
    compare(layer, (), module, lambda p: (), (3 * x).round())  # with ties


def test_a_dilated_pool_takes_padding_up_to_its_reach():
    x = torch.tensor([1.0, 2.0, 3.0])
    exactly(fn.max_pool((2,), stride=1, padding=2, dilation=2).apply((), x), torch.tensor([1.0, 2.0, 3.0, 2.0, 3.0]))


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("size, stride, padding", [(2, None, 0), (3, 2, 1), (3, 1, 1), (2, 3, 1)])
@pytest.mark.parametrize("count", [True, False])
def test_avg_pool(axes, size, stride, padding, count):
    build = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[axes - 1]
    module = build(size, stride, padding, count_include_pad=count)
    layer = fn.avg_pool((size,) * axes, stride=stride, padding=padding, count_include_pad=count)
    compare(layer, (), module, lambda p: (), numbers(2, 3, *(7, 6, 5)[:axes]))


def norm_params(p):
    return {"scale": p["weight"], "shift": p["bias"]}


@pytest.mark.parametrize("shape, axis", [((5, 6), -1), ((5, 6, 3), -2), ((2, 6, 3, 4), -3), ((1, 6, 2, 3, 4), -4)])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_group_norm(shape, axis, groups, eps):
    if shape[1] == groups and len(shape) == 2:
        return  # one number a group has no variance
    module = fill(nn.GroupNorm(groups, 6, eps))
    layer = fn.group_norm(groups, axis=axis, eps=eps)
    compare(layer, norm_params(detached(module)), module, norm_params, numbers(*shape))


@pytest.mark.parametrize("shape, axis", [((5, 3), -1), ((5, 3, 2), -2), ((2, 3, 4, 2), -3), ((1, 3, 2, 3, 4), -4)])
@pytest.mark.parametrize("momentum", [0.1, 0.7, torch.tensor(0.3), None])
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_batch_norm(shape, axis, momentum, eps):
    build = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[len(shape)]
    twin_momentum = momentum.item() if isinstance(momentum, torch.Tensor) else momentum
    module = fill(build(3, eps, twin_momentum))
    layer = fn.batch_norm(axis=axis, momentum=momentum, eps=eps)
    params = norm_params(detached(module))

    def statistics():
        count = module.num_batches_tracked.clone()
        return {"mean": module.running_mean.clone(), "var": module.running_var.clone(), "count": count}

    state = statistics()
    for i in range(3):
        x = numbers(*shape, seed=i)
        for train in (True, False):
            module.train(train)

            def apply(params, x, state=state, train=train):
                return layer.apply_with_state(params, state, x, train=train)[0]

            after = layer.apply_with_state(params, state, x, train=train)[1]
            compare(layer._replace(apply=apply), params, module, norm_params, x)
            exactly(after, statistics())
            state = after
    assert state["count"] == 3


def test_batch_norm_of_16_bits_keeps_wide_statistics():
    layer, x = fn.batch_norm(), 200 * numbers(64, 2).half()
    params, _ = layer.init_with_state(KEY, x)
    state = layer.init_with_state(KEY, x.float())[1]
    y, state = layer.apply_with_state(params, state, x, train=True)
    assert y.dtype == torch.float16 and state["var"].dtype == torch.float32
    assert_close(state["var"], 0.9 + 0.1 * x.float().var(0), rtol=1e-5, atol=0)
    assert_close(y.float(), (x.float() - x.float().mean(0)) / x.float().std(0, correction=0), atol=2e-3, rtol=0)


def attention_params(p):
    w, b = (p[f"in_proj_{kind}"].chunk(3) if f"in_proj_{kind}" in p else [None] * 3 for kind in ("weight", "bias"))
    parts = {name: (w, b) for name, w, b in zip("qkv", w, b, strict=True)}
    if w[0] is None:
        raise AssertionError
    parts["out"] = (p["out_proj.weight"], p.get("out_proj.bias"))
    return {name: {"w": w.T} | ({} if b is None else {"b": b}) for name, (w, b) in parts.items()}


@pytest.mark.parametrize("heads, bias", [(1, True), (2, False), (3, True)])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_multi_head_attention(heads, bias, causal, masked):
    module = fill(nn.MultiheadAttention(6, heads, bias=bias, batch_first=True))
    x = numbers(2, 5, 6)
    padding = torch.zeros(2, 5, dtype=torch.bool)
    padding[0, 3:], padding[1, 4:] = True, True
    future = torch.ones(5, 5, dtype=torch.bool).triu(1) if causal else None

    def call(module, x):
        return module(x, x, x, need_weights=False, attn_mask=future, key_padding_mask=padding if masked else None)[0]

    layer = fn.multi_head_attention(heads, causal=causal, use_bias=bias)
    mask = ~padding[:, None, None] if masked else None
    compare(layer, attention_params(detached(module)), module, attention_params, x, call, mask=mask)


def test_attention_to_other_tokens():
    module = fill(nn.MultiheadAttention(6, 2, batch_first=True, kdim=4, vdim=4))
    x, context = numbers(2, 3, 6), numbers(2, 5, 4, seed=1)

    def names(p):
        parts = dict(zip("qkv", p["in_proj_bias"].chunk(3), strict=True))
        return {name: {"w": p[f"{name}_proj_weight"].T, "b": b} for name, b in parts.items()} | {
            "out": {"w": p["out_proj.weight"].T, "b": p["out_proj.bias"]}
        }

    layer = fn.multi_head_attention(2)
    shapes = tree.map(lambda leaf: tuple(leaf.shape), layer.init(KEY, x, context=context))
    assert shapes == tree.map(lambda leaf: tuple(leaf.shape), names(detached(module)))

    def call(module, x):
        return module(x, context, context, need_weights=False)[0]

    compare(layer, names(detached(module)), module, names, x, call, context=context)


def test_a_query_that_may_attend_to_nothing_gets_zero_and_no_nan():
    layer, x = fn.multi_head_attention(2), numbers(3, 4)
    params = layer.init(KEY, x)
    mask = torch.tensor([[True, False, True], [False] * 3, [True, True, False]])
    y = layer.apply(params, x, mask=mask)
    exactly(y[1], params["out"]["b"])
    grads = fn.grad(lambda params, x: layer.apply(params, x, mask=mask).square().sum(), (0, 1))(params, x)
    assert all(leaf.isfinite().all() for leaf in tree.leaves(grads))
    assert not fn.jacrev(lambda x: layer.apply(params, x, mask=mask)[0])(x)[:, 1].any()


def test_dropped_attention_weights_keep_their_mean():
    layer, x = fn.multi_head_attention(1, dropout_rate=0.5), numbers(4, 6)
    params = layer.init(KEY, x)
    keys = fn.random.split(KEY, 4000)
    noisy = fn.vmap(lambda key: layer.apply(params, x, key=key))(keys)
    assert noisy.std(0).min() > 1e-3
    assert_close(noisy.mean(0), layer.apply(params, x), atol=0.05, rtol=0)


def recurrent_params(p):
    return {
        "wi": p["weight_ih_l0"].T,
        "wh": p["weight_hh_l0"].T,
        "bi": p["bias_ih_l0"],
        "bh": p["bias_hh_l0"],
    }


@pytest.mark.parametrize(
    "layer, module",
    [
        (fn.rnn(3), nn.RNN(2, 3, batch_first=True)),
        (fn.rnn(3, activation=torch.relu), nn.RNN(2, 3, nonlinearity="relu", batch_first=True)),
        (fn.gru(3), nn.GRU(2, 3, batch_first=True)),
        (fn.lstm(3), nn.LSTM(2, 3, batch_first=True)),
    ],
    ids=["rnn", "rnn of relu", "gru", "lstm"],
)
@pytest.mark.parametrize("shape", [(6, 2), (4, 1, 2), (3, 7, 2)], ids=str)
def test_recurrent_layers(layer, module, shape):
    module = fill(module)
    compare(layer, recurrent_params(detached(module)), module, recurrent_params, numbers(*shape), lambda m, x: m(x)[0])


@pytest.mark.parametrize("build, gates", [(fn.rnn, 1), (fn.gru, 3), (fn.lstm, 4)])
def test_recurrent_layers_start_uniform_like_torch_s(build, gates):
    params = build(100).init(KEY, torch.zeros(3, 50))
    assert {name: tuple(p.shape) for name, p in params.items()} == {
        "wi": (50, gates * 100),
        "wh": (100, gates * 100),
        "bi": (gates * 100,),
        "bh": (gates * 100,),
    }
    for p in params.values():
        assert p.abs().max() <= 0.1 and p.abs().max() > 0.09 and abs(p.mean()) < 0.02
    assert not torch.equal(params["bi"], params["bh"])
    assert build(3).apply(build(3).init(KEY, torch.zeros(2, 2)), torch.zeros(5, 0, 2)).shape == (5, 0, 3)


def test_sinusoidal_positions_are_the_paper_s():
    y = fn.sinusoidal_positions(base=100.0).apply((), torch.zeros(2, 7, 6).double())
    for t in range(7):
        for i in range(3):
            angle = torch.tensor(t / 100 ** (2 * i / 6), dtype=torch.float64)
            exactly(y[:, t, 2 * i : 2 * i + 2], torch.stack((angle.sin(), angle.cos())).expand(2, 2))


def test_learned_positions_are_added_in_order():
    layer, x = fn.learned_positions(5), numbers(2, 3, 4)
    params = layer.init(KEY, x)
    assert params["w"].shape == (5, 4) and params["w"].std() < 0.05
    exactly(layer.apply(params, x), x + nn.functional.embedding(torch.arange(3), params["w"]))


def test_mlp_is_the_sequence_of_its_parts():
    x = numbers(5, 3)
    model = fn.mlp([4, 2], activation=torch.tanh, dropout_rate=0.3)
    alike = fn.serial(fn.dense(4), torch.tanh, fn.dropout(0.3), fn.dense(2))
    params = alike.init(KEY, x)
    assert tree.equal(model.init(KEY, x), params)
    assert tree.equal(model.apply(params, x, key=KEY), alike.apply(params, x, key=KEY))
    assert len(fn.mlp([4, 2]).init(KEY, x)) == 3 and len(fn.mlp([4], activate_last=True).init(KEY, x)) == 2
    assert tree.equal(fn.mlp([]).apply((), x), x)


def test_context_broadcasts_against_x():
    layer, x, context = fn.multi_head_attention(2), numbers(5, 4), numbers(3, 6, 2)
    params = layer.init(KEY, x, context=context)
    mask = numbers(3, 1, 5, 6) > -0.5
    y = layer.apply(params, x, context=context, mask=mask)
    exactly(y, torch.stack([layer.apply(params, x, context=c, mask=m) for c, m in zip(context, mask, strict=True)]))
    xs = numbers(3, 5, 4)
    exactly(layer.apply(params, xs, context=context[0])[1], layer.apply(params, xs[1], context=context[0]))


@pytest.mark.parametrize(
    "layer, shape",
    [(fn.multi_head_attention(2, causal=True), (5, 4)), (fn.lstm(3), (5, 4)), (fn.conv(3, (2,)), (4, 5))],
    ids=["attention", "lstm", "conv"],
)
def test_nothing_falls_back_to_a_loop_under_vmap(layer, shape):
    """torch warns where vmap loops, and a warning is an error here."""
    xs, keys = numbers(3, *shape), fn.random.split(KEY, 3)
    params = fn.vmap(layer.init, in_dims=(0, None))(keys, xs[0])
    gradient = fn.grad(lambda params, x: layer.apply(params, x).square().sum())
    each = [gradient(*row) for row in zip(tree.unstack(params), xs, strict=True)]
    assert tree.allclose(fn.vmap(gradient)(params, xs), tree.stack(each), rtol=1e-10)


def test_a_loop_under_vmap_would_be_told():
    with pytest.raises(UserWarning, match="performance drop"):
        fn.vmap(lambda x: torch.histc(x, 3))(numbers(2, 3))


@pytest.mark.parametrize("build", [fn.rnn, fn.gru, fn.lstm])
def test_recurrent_layers_stay_one_loop_in_jit(build):
    layer, x = build(3), numbers(2, 50, 2)
    params = layer.init(KEY, x)
    staged = fn.jit(layer.apply)
    assert staged.explain(params, x).operations["scan"] == 1
    exactly(staged(params, x), layer.apply(params, x))
    exactly(fn.jit(fn.vmap(layer.apply, in_dims=(None, 0)))(params, x), layer.apply(params, x))


@pytest.mark.parametrize("build", [fn.rnn, fn.gru, fn.lstm])
@pytest.mark.parametrize(
    "derive",
    [
        lambda f: fn.grad(f, (0, 1)),
        lambda f: lambda p, x: fn.jvp(f, (p, x), (p, x.cos())),
        lambda f: fn.grad(lambda p, x: tree.norm(fn.grad(f, (0, 1))(p, x)), (0, 1)),
        lambda f: lambda p, x: fn.jvp(fn.grad(f), (p, x), (p, x.cos())),
        lambda f: fn.vmap(fn.grad(f, (0, 1)), in_dims=(None, 0)),
        lambda f: fn.grad(lambda p, x: fn.vmap(f, in_dims=(None, 0))(p, x).sum(), (0, 1)),
        lambda f: fn.grad(fn.remat(f)),
    ],
    ids=["grad", "jvp", "grad of grad", "jvp of grad", "vmap of grad", "grad of vmap", "remat"],
)
def test_derivatives_of_recurrent_layers_are_loops_in_jit(build, derive):
    layer, x = build(3), numbers(2, 20, 2)
    params = layer.init(KEY, x)
    f = derive(lambda params, x: layer.apply(params, x).square().sum())
    staged = fn.jit(f)
    assert staged.explain(params, x).operations["scan"] in (2, 4)
    assert sum(staged.explain(params, x).operations.values()) < 600
    assert tree.allclose(staged(params, x), f(params, x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("build", [fn.rnn, fn.gru, fn.lstm])
@pytest.mark.parametrize("time", [0, 1, 2])
def test_derivatives_over_few_times_in_jit(build, time):
    layer, x = build(3), numbers(2, time, 2)
    params = layer.init(KEY, x)
    gradient = fn.grad(lambda params, x: layer.apply(params, x).square().sum(), (0, 1))
    assert tree.allclose(fn.jit(gradient)(params, x), gradient(params, x), rtol=1e-12)


def test_an_activation_may_close_over_what_is_differentiated():
    x = numbers(4, 2)
    params = fn.rnn(3).init(KEY, x)

    def loss(slope):
        return fn.rnn(3, activation=lambda h: torch.tanh(slope * h)).apply(params, x).sum()

    slope = torch.tensor(0.7, dtype=torch.float64)
    exactly(fn.jit(fn.grad(loss))(slope), fn.grad(loss)(slope))
    exactly(fn.jit(lambda slope: fn.jvp(loss, (slope,), (slope,)))(slope), fn.jvp(loss, (slope,), (slope,)))
    fn.checking.check_grads(loss, (slope,))
