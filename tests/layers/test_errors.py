"""Wrong input to a layer raises an error that names the place, the expected and the actual value, and a remedy."""

import pytest
import torch

import funcnet as fn

KEY = fn.random.key(0)
X = torch.zeros(4, 2)
MODEL = fn.serial(fn.dense(3), torch.sigmoid, fn.dense(1))
NAMED = fn.serial(body=fn.serial(norm=fn.layer_norm(), lin=fn.dense(3)), head=fn.dense(1))


def apply(model, x, init_with=X):
    return model.apply(model.init(KEY, init_with), x)


def train(model, x):
    return model.apply_with_state(*model.init_with_state(KEY, x), x, train=True)


ERRORS = {
    "wrong trailing size": (
        lambda: apply(MODEL, torch.zeros(32, 4)),
        fn.LayerError,
        r'dense: at params path "0.w": expected a last axis of 2 in x to match w of shape \(2, 3\), got x of shape '
        r"\(32, 4\)\.\nIf the model was initialised with another input, call model.init again",
    ),
    "wrong trailing size, deep and by name": (
        lambda: NAMED.apply(NAMED.init(KEY, X) | {"head": {"w": torch.zeros(5, 1), "b": torch.zeros(1)}}, X),
        fn.LayerError,
        r'dense: at params path "head.w": expected a last axis of 5',
    ),
    "an entry of another layer": (
        lambda: fn.dense(3).apply(fn.dense(3).init(KEY, X) | {"scale": torch.ones(3)}, X),
        fn.LayerError,
        r'dense: .*expected no entries besides "w" and "b", got dict with entries',
    ),
    "an entry of another layer, in conv": (
        lambda: fn.conv(2, (1,)).apply(fn.conv(2, (1,)).init(KEY, X) | {"weight": torch.ones(3)}, X),
        fn.LayerError,
        r'conv: .*expected no entries besides "w" and "b"',
    ),
    "init with less than the kernel": (
        lambda: fn.conv(2, (5, 5)).init(KEY, torch.zeros(1, 3, 3)),
        fn.LayerError,
        "conv: .*at least as large as the kernel",
    ),
    "init of an embedding with floats": (
        lambda: fn.embedding(3, 4).init(KEY, X),
        fn.LayerError,
        "embedding: .*expected integers to look up, got float32 tensor",
    ),
    "wrong width at a norm": (
        lambda: apply(NAMED, torch.zeros(4, 3)),
        fn.LayerError,
        r'layer_norm: at params path "body.norm.scale": expected a last axis of 2 in x',
    ),
    "mixed dtypes": (
        lambda: apply(MODEL, X.double()),
        fn.LayerError,
        r'dense: at params path "0.w": expected x to be torch.float32 on cpu like w, got torch.float64 on cpu',
    ),
    "mixed devices": (
        lambda: apply(MODEL, X.to("meta")),
        fn.LayerError,
        r'dense: at params path "0.w": expected x to be torch.float32 on cpu like w, got torch.float32 on meta',
    ),
    "integers into dense": (
        lambda: MODEL.init(KEY, torch.zeros(4, 2, dtype=torch.int64)),
        fn.LayerError,
        r'dense: at params path "0": expected a floating-point x with a last axis, got int64 tensor',
    ),
    "a number into dense": (lambda: fn.dense(2).init(KEY, torch.tensor(1.0)), fn.LayerError, r"got float32 .* \(\)"),
    "params of another layer": (
        lambda: fn.dense(1).apply({"scale": torch.ones(2)}, X),
        fn.LayerError,
        r'dense: at params the tree itself.*: expected a dict with "w", got dict with entry scale',
    ),
    "too few params": (
        lambda: MODEL.apply(MODEL.init(KEY, X)[:2], X),
        fn.LayerError,
        r"serial: .* expected a tuple of 3, got tuple with entries 0, 1",
    ),
    "params with one more name": (
        lambda: NAMED.apply(NAMED.init(KEY, X) | {"tail": ()}, X),
        fn.LayerError,
        r"serial: .* expected a dict with entries body, head, got dict with entries body, head, tail",
    ),
    "params under other names": (
        lambda: NAMED.apply({"body": (), "tail": ()}, X),
        fn.LayerError,
        r"serial: .* expected a dict with entries body, head, got dict with entries body, tail",
    ),
    "positional and named layers": (
        lambda: fn.serial(fn.dense(1), out=fn.dense(1)),
        TypeError,
        r"serial: expected all layers by position or all by name",
    ),
    "params that are a tensor": (
        lambda: fn.conv(1, (2,)).apply(torch.zeros(3), torch.ones(1, 4)),
        fn.LayerError,
        r'conv: .* expected a dict with "w", got float32 tensor of shape \(3,\)',
    ),
    "momentum above 1": (lambda: fn.batch_norm(momentum=1.5), ValueError, r"a momentum in \[0, 1\].* got 1.5"),
    "no layer": (lambda: fn.serial(3), TypeError, r"as_layer: expected a Layer or a function of x, got 3"),
    "the class of a module": (
        lambda: fn.serial(torch.nn.ReLU),
        TypeError,
        r"Did you mean to call it, as ReLU\(\.\.\.\)",
    ),
    "a module that draws": (
        lambda: fn.serial(torch.nn.Sequential(torch.nn.Dropout(0.5))),
        TypeError,
        r"as_layer: Sequential draws from torch's global generator, expected a function of x. Convert it with from",
    ),
    "a module with buffers": (
        lambda: fn.serial(torch.nn.BatchNorm1d(2, affine=False)),
        TypeError,
        r"as_layer: BatchNorm1d holds its own buffers",
    ),
    "an embedding of negative size": (
        lambda: fn.embedding(-1, 2),
        ValueError,
        r"embedding: expected whole numbers of vectors and features, got -1 and 2",
    ),
    "a module with parameters": (
        lambda: fn.serial(torch.nn.Linear(2, 1)),
        TypeError,
        r"as_layer: Linear holds its own parameters, which no gradient would reach",
    ),
    "residual of another shape": (
        lambda: apply(fn.serial(fn.residual(fn.dense(3))), X),
        fn.LayerError,
        r'residual: at params path "0": expected a layer that keeps the shape \(4, 2\).* got float32 .*\(4, 3\)',
    ),
    "residual of a layer with two results": (
        lambda: apply(fn.residual(fn.parallel(torch.sin, torch.cos)), X),
        fn.LayerError,
        r"residual: .* keeps the shape \(4, 2\) of its input, got tuple with entries 0, 1",
    ),
    "no params": (lambda: MODEL.apply(None, X), fn.LayerError, r"serial: .* expected a tuple of 3, got None"),
    "a list into dense": (
        lambda: MODEL.apply(MODEL.init(KEY, X), [1.0, 2.0]),
        fn.LayerError,
        r'dense: at params path "0": expected a tensor, got list with entries 0, 1',
    ),
    "b of another size": (
        lambda: fn.dense(1).apply({"w": torch.zeros(2, 1), "b": torch.zeros(5)}, X),
        fn.LayerError,
        r'dense: at params path "b": expected a last axis of 5 in w to match b of shape \(5,\), .*\(2, 1\)',
    ),
    "b of another dtype": (
        lambda: fn.dense(1).apply({"w": torch.zeros(2, 1), "b": torch.zeros(1).double()}, X),
        fn.LayerError,
        r'dense: at params path "b": expected w to be torch.float64 on cpu like b, got torch.float32',
    ),
    "b of nothing": (
        lambda: fn.dense(1).apply({"w": torch.zeros(2, 1), "b": None}, X),
        fn.LayerError,
        r'dense: at params path "b": expected a tensor with ndim 1, got None',
    ),
    "w without a second axis": (
        lambda: fn.dense(1).apply({"w": torch.zeros(2)}, X),
        fn.LayerError,
        r'dense: at params path "w": expected a tensor with ndim 2, got float32 tensor of shape \(2,\)',
    ),
    "a norm without shift": (
        lambda: fn.layer_norm().apply({"scale": torch.ones(2)}, X),
        fn.LayerError,
        r'layer_norm: .* expected a dict with "shift", got dict with entry scale',
    ),
    "a norm of a number": (
        lambda: fn.rms_norm().init(KEY, torch.tensor(1.0)),
        fn.LayerError,
        r"rms_norm: .* last axis",
    ),
    "a norm of integers": (
        lambda: fn.layer_norm().init(KEY, torch.ones(2, dtype=torch.int64)),
        fn.LayerError,
        r"layer_norm: .* expected a floating-point x with a last axis, got int64",
    ),
    "embedding without w": (
        lambda: fn.embedding(3, 2).apply({}, torch.tensor(1)),
        fn.LayerError,
        r'embedding: .* expected a dict with "w", got dict with entries \(none\)',
    ),
    "a list to look up": (
        lambda: fn.embedding(3, 2).apply({"w": torch.zeros(3, 2)}, [0, 1]),
        fn.LayerError,
        r'embedding: at params path "w": expected integers to look up, got list',
    ),
    "dense of a negative size": (
        lambda: fn.dense(-1),
        ValueError,
        r"dense: expected a whole number of features.* -1",
    ),
    "dense of a half": (lambda: fn.dense(2.5), ValueError, r"dense: expected a whole number of features, got 2.5"),
    "flatten nothing": (
        lambda: fn.flatten(0),
        ValueError,
        r"flatten: expected a whole number of axes, at least 1, got 0",
    ),
    "a builder that was not called": (
        lambda: fn.serial(fn.dense(3), fn.dense),
        TypeError,
        r"as_layer: dense builds a layer but is not one. Did you mean to call it, as dense\(...\)\?",
    ),
    "another builder that was not called": (lambda: fn.residual(fn.flatten), TypeError, r"mean to call it, as flatten"),
    "flatten too much": (
        lambda: apply(fn.serial(fn.flatten(3)), X),
        fn.LayerError,
        r'flatten: at params path "0": expected at least 3 axes to merge, got x of shape \(4, 2\)',
    ),
    "an axis from the front": (lambda: fn.batch_norm(axis=1), ValueError, r"batch_norm: expected an axis counted from"),
    "batch_norm with a batch of one": (
        lambda: train(fn.serial(fn.dense(3), fn.batch_norm()), X[:1]),
        fn.LayerError,
        r'batch_norm: at params path "1": expected at least 2 values per feature for the statistics, got 1 in x of '
        r"shape \(1, 3\).*larger batches.*train=False uses the statistics of the state",
    ),
    "batch_norm with a batch of none": (lambda: train(fn.batch_norm(), X[:0]), fn.LayerError, r"got 0 in x of shape"),
    "batch_norm of one example under vmap": (
        lambda: fn.vmap(lambda x: train(fn.batch_norm(), x))(X),
        fn.LayerError,
        r"got 1 in x of shape \(2,\).*outside a vmap over examples",
    ),
    "batch_norm without its state": (
        lambda: fn.batch_norm().apply_with_state({"scale": X[0], "shift": X[0]}, (), X, train=False),
        fn.LayerError,
        r"batch_norm: .* expected a state with mean, var and count, got tuple with entries \(none\)",
    ),
    "batch_norm with another's state": (
        lambda: fn.batch_norm().apply_with_state(
            {"scale": X[0], "shift": X[0]}, {"mean": X[0, :1], "var": X[0], "count": 0}, X, train=False
        ),
        fn.LayerError,
        r"batch_norm: .* expected mean in the state to have shape \(2,\), got float32 tensor of shape \(1,\)",
    ),
    "plain apply of batch_norm": (
        lambda: apply(fn.batch_norm(), X),
        fn.LayerError,
        r"batch_norm: .* expected init_with_state, got init. Call params, state = model.init_with_state\(key, x\)",
    ),
    "groups that divide no features of a norm": (
        lambda: fn.group_norm(2).init(KEY, torch.zeros(4, 3)),
        fn.LayerError,
        r"group_norm: .* expected features divisible by 2 groups, got 3",
    ),
    "a policy with a typo": (
        lambda: fn.mixed_precision("compute=bf16"),
        ValueError,
        r"mixed_precision: expected a string such as .*among float16, bfloat16, float32, float64, got 'compute=bf16'",
    ),
    "a dtype as policy": (
        lambda: fn.mixed_precision(torch.bfloat16),
        TypeError,
        r"mixed_precision: expected a fn.Policy of dtypes or a string, got torch.bfloat16",
    ),
    "fractions to look up": (
        lambda: apply(fn.embedding(3, 2), torch.zeros(2), torch.zeros(2, dtype=torch.int64)),
        fn.LayerError,
        r'embedding: at params path "w": expected integers to look up, got float32 tensor',
    ),
    "dropout of everything": (lambda: fn.dropout(1.0), ValueError, r"dropout: expected a rate in \[0, 1\).* got 1.0"),
}


@pytest.mark.parametrize("call, error, message", ERRORS.values(), ids=ERRORS)
def test_bad_input_gets_a_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
