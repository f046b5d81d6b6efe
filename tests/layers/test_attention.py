"""Attention equals torch's, values and gradients, in float64 to 1e-12."""

import pytest
import torch
from tables import numbers
from torch import nn
from torch.testing import assert_close
from torch_twins import KEY, compare, detached, exactly, fill

import funcnet as fn
from funcnet import tree


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


def test_a_fully_masked_query_gets_zero_and_no_nan():
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
