"""Layers equal their twins in torch.nn, values and gradients, in float64 to 1e-12."""

import pytest
import torch
from tables import numbers
from torch import nn
from torch.testing import assert_close
from torch_twins import KEY, compare, detached, exactly, fill

import funcnet as fn
from funcnet import tree


def conv_params(p):
    return {"w": p["weight"]} | ({"b": p["bias"]} if "bias" in p else {})


@pytest.mark.few(12)
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
    if padding == "same":  # torch warns about uneven padding, with the same result
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


def test_conv_is_initialised_with_the_fans_of_its_kernel():
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


def test_a_dilated_pool_accepts_padding_up_to_its_extent():
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
        return  # one number per group has no variance
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


def test_sinusoidal_positions_equal_the_paper_s():
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


def test_mlp_equals_the_sequence_of_its_parts():
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
    """torch warns if vmap falls back to a loop, and a warning is an error here."""
    xs, keys = numbers(3, *shape), fn.random.split(KEY, 3)
    params = fn.vmap(layer.init, in_dims=(0, None))(keys, xs[0])
    gradient = fn.grad(lambda params, x: layer.apply(params, x).square().sum())
    each = [gradient(*row) for row in zip(tree.unstack(params), xs, strict=True)]
    assert tree.allclose(fn.vmap(gradient)(params, xs), tree.stack(each), rtol=1e-10)


def test_a_loop_under_vmap_would_be_reported():
    with pytest.raises(UserWarning, match="performance drop"):
        fn.vmap(lambda x: torch.histc(x, 3))(numbers(2, 3))
