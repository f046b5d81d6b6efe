"""What a user gets wrong is answered by name, place, expectation and mend."""

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


def attend(mask):
    layer, x = fn.multi_head_attention(2), torch.zeros(5, 4)
    return layer.apply(layer.init(KEY, x), x, mask=mask)


def listen(context):
    layer, x = fn.multi_head_attention(2), torch.zeros(4, 5, 2)
    return layer.apply(layer.init(KEY, x), x, context=context)


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
        r'dense: at params path "0": expected a floating-point x with a last axis, got a int64 tensor',
    ),
    "a number into dense": (lambda: fn.dense(2).init(KEY, torch.tensor(1.0)), fn.LayerError, r"got a float32 .* \(\)"),
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
    "both forms at once": (
        lambda: fn.serial(fn.dense(1), out=fn.dense(1)),
        TypeError,
        r"serial: expected all layers by position or all by name",
    ),
    "params that are a tensor": (
        lambda: fn.conv(1, (2,)).apply(torch.zeros(3), torch.ones(1, 4)),
        fn.LayerError,
        r'conv: .* expected a dict with "w", got float32 tensor of shape \(3,\)',
    ),
    "a stride of a half": (lambda: fn.conv(1, (3,), stride=1.5), ValueError, r"conv: expected stride .*, got 1.5"),
    "no dilation": (lambda: fn.conv(1, (3,), dilation=None), ValueError, r"conv: expected dilation .*, got None"),
    "no padding": (lambda: fn.conv(1, (3,), padding=None), ValueError, r"conv: expected padding .*, got None"),
    "padding of a half": (lambda: fn.conv(1, (3,), padding=0.5), ValueError, r"conv: expected padding .*, got 0.5"),
    "a kernel without sizes": (lambda: fn.conv(1, None), ValueError, r"conv: expected kernel_size .*, got None"),
    "no channels": (lambda: fn.conv(0, (3,)), ValueError, r"conv: expected .* features, at least 1, got 0"),
    "an empty series": (
        lambda: apply(fn.conv(1, (1,), padding=2), torch.ones(3, 0), torch.ones(3, 1)),
        fn.LayerError,
        r'conv: .* got x of shape \(3, 0\). Padding "same" fits any that is not empty',
    ),
    "a pool of padding": (
        lambda: fn.max_pool((2, 3), padding=(0, 3)),
        ValueError,
        r"max_pool: expected padding smaller than the window of size \(2, 3\), got \(\(0, 0\), \(3, 3\)\)",
    ),
    "a mean of padding": (
        lambda: fn.avg_pool((2,), padding=((0, 2),), count_include_pad=False),
        ValueError,
        r"avg_pool: expected padding sm",
    ),
    "attention of half a feature": (
        lambda: fn.multi_head_attention(2, features=4.0),
        ValueError,
        r"multi_head_attention: expected heads that divide the features, got 2 and 4.0",
    ),
    "attention of less than nothing": (lambda: fn.multi_head_attention(2, features=-2), ValueError, r"got 2 and -2"),
    "context of another batch": (
        lambda: listen(torch.ones(3, 7, 2)),
        fn.LayerError,
        r"expected a context .* the leading axes of x of shape \(4, 5, 2\), got a float32 tensor of shape \(3, 7, 2\)",
    ),
    "context without tokens": (lambda: listen(torch.ones(2)), fn.LayerError, r"expected a context .* \(2,\)"),
    "context of numbers": (lambda: listen(3.0), fn.LayerError, r"expected a context .*, got a 3.0"),
    "waves of no length": (
        lambda: fn.sinusoidal_positions(base=0.0),
        ValueError,
        r"sinusoidal_positions: expected a positive base.* got 0.0",
    ),
    "momentum beyond the batch": (lambda: fn.batch_norm(momentum=1.5), ValueError, r"a momentum in \[0, 1\].* got 1.5"),
    "remat of a layer": (
        lambda: fn.remat(fn.dense(1)),
        TypeError,
        r"remat: expected a function, got Layer.*layer._replace\(apply=fn.remat\(layer.apply\)\)",
    ),
    "no layer": (lambda: fn.serial(3), TypeError, r"as_layer: expected a Layer or a function of x, got 3"),
    "the class of a module": (
        lambda: fn.serial(torch.nn.ReLU),
        TypeError,
        r"Did you mean to call it, as ReLU\(\.\.\.\)",
    ),
    "a module that draws": (
        lambda: fn.serial(torch.nn.Sequential(torch.nn.Dropout(0.5))),
        TypeError,
        r"as_layer: Sequential draws from torch's global generator, expected a function of x. from_module makes it one",
    ),
    "a module with buffers": (
        lambda: fn.serial(torch.nn.BatchNorm1d(2, affine=False)),
        TypeError,
        r"as_layer: BatchNorm1d holds buffers of its own",
    ),
    "an embedding of negative size": (
        lambda: fn.embedding(-1, 2),
        ValueError,
        r"embedding: expected whole numbers of vectors and features, got -1 and 2",
    ),
    "scan without a pair": (
        lambda: fn.scan(lambda c, x: c + 1, torch.tensor(0), length=2),
        TypeError,
        r"scan: expected f to return a pair \(carry, y\), got int64 tensor .* Return \(carry, None\) for no y",
    ),
    "a module with parameters": (
        lambda: fn.serial(torch.nn.Linear(2, 1)),
        TypeError,
        r"as_layer: Linear holds parameters of its own, which no gradient would reach",
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
        r"layer_norm: .* expected a floating-point x with a last axis, got a int64",
    ),
    "embedding without w": (
        lambda: fn.embedding(3, 2).apply({}, torch.tensor(1)),
        fn.LayerError,
        r'embedding: .* expected a dict with "w", got dict with entries \(none\)',
    ),
    "a list to look up": (
        lambda: fn.embedding(3, 2).apply({"w": torch.zeros(3, 2)}, [0, 1]),
        fn.LayerError,
        r'embedding: at params path "w": expected integers to look up, got a list',
    ),
    "dense of less than nothing": (
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
        r"as_layer: dense makes a layer, it is none. Did you mean to call it, as dense\(...\)\?",
    ),
    "another builder that was not called": (lambda: fn.residual(fn.flatten), TypeError, r"mean to call it, as flatten"),
    "flatten too much": (
        lambda: apply(fn.serial(fn.flatten(3)), X),
        fn.LayerError,
        r'flatten: at params path "0": expected at least 3 axes to merge, got x of shape \(4, 2\)',
    ),
    "convolution with one size for all axes": (
        lambda: fn.conv(8, 3),
        ValueError,
        r"conv: expected kernel_size to hold 1 to 3 whole numbers, one an axis, such as \(3, 3\) for images, got 3",
    ),
    "convolution over four axes": (lambda: fn.conv(8, (1, 1, 1, 1)), ValueError, r"1 to 3 whole numbers"),
    "stride of nothing": (lambda: fn.conv(8, (3, 3), stride=0), ValueError, r"conv: expected stride to be .* got 0"),
    "padding of another name": (
        lambda: fn.max_pool((2,), padding="full"),
        ValueError,
        r"""max_pool: expected padding to be "same", "valid", a whole number, .* got 'full'""",
    ),
    "padding for more axes": (lambda: fn.avg_pool((2,), padding=(1, 1)), ValueError, r"for each of 1 axes a number"),
    "groups that divide no features": (
        lambda: fn.conv(3, (3,), groups=2),
        ValueError,
        r"conv: expected groups that divide the features, got 2 and 3",
    ),
    "groups that divide no channels": (
        lambda: fn.conv(4, (1,), groups=2).init(KEY, torch.zeros(3, 5)),
        fn.LayerError,
        r"conv: .* expected channels that 2 groups divide, got 3 in axis -2",
    ),
    "an image without channels": (
        lambda: fn.conv(4, (3, 3)).init(KEY, torch.zeros(5, 5)),
        fn.LayerError,
        r"conv: .* expected a floating-point x of shape \(\*, channels, size, size\), got a float32 .*\(5, 5\)",
    ),
    "channels behind": (
        lambda: apply(fn.serial(c=fn.conv(4, (3, 3))), torch.zeros(9, 9, 3), torch.zeros(3, 9, 9)),
        fn.LayerError,
        r'conv: at params path "c.w": expected axis -3 of x to be 3 to match w of shape \(4, 3, 3, 3\), got x of shape'
        r" \(9, 9, 3\)",
    ),
    "a kernel larger than the image": (
        lambda: apply(fn.conv(4, (3, 3), dilation=2), torch.zeros(3, 4, 9), torch.zeros(3, 9, 9)),
        fn.LayerError,
        r"conv: .* at least as large as the kernel of size \(3, 3\) with dilation \(2, 2\), .*\(3, 4, 9\)",
    ),
    "a pool larger than the image": (
        lambda: apply(fn.max_pool((3,)), X),
        fn.LayerError,
        r"max_pool: .* as large as the kernel of size \(3,\)",
    ),
    "b of another number of channels": (
        lambda: fn.conv(2, (1,)).apply({"w": torch.zeros(2, 3, 1), "b": torch.zeros(4)}, torch.zeros(3, 5)),
        fn.LayerError,
        r'conv: at params path "b": expected axis 0 of w to be 4 to match b of shape \(4,\)',
    ),
    "an axis from the front": (lambda: fn.batch_norm(axis=1), ValueError, r"batch_norm: expected an axis counted from"),
    "batch_norm with a batch of one": (
        lambda: train(fn.serial(fn.dense(3), fn.batch_norm()), X[:1]),
        fn.LayerError,
        r'batch_norm: at params path "1": expected at least 2 values a feature to take statistics of, got 1 in x of '
        r"shape \(1, 3\).*larger batches.*train=False uses the statistics of the state",
    ),
    "batch_norm with a batch of none": (lambda: train(fn.batch_norm(), X[:0]), fn.LayerError, r"got 0 in x of shape"),
    "batch_norm of one example under vmap": (
        lambda: fn.vmap(lambda x: train(fn.batch_norm(), x))(X),
        fn.LayerError,
        r"got 1 in x of shape \(2,\).*outside of a vmap over examples",
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
        r"batch_norm: .* expected the form with state, got init. Call params, state = model.init_with_state\(key, x\)",
    ),
    "groups that divide no features of a norm": (
        lambda: fn.group_norm(2).init(KEY, torch.zeros(4, 3)),
        fn.LayerError,
        r"group_norm: .* expected features that 2 groups divide, got 3",
    ),
    "heads that divide no width": (
        lambda: fn.serial(fn.multi_head_attention(3)).init(KEY, torch.zeros(5, 8)),
        fn.LayerError,
        r'multi_head_attention: at params path "0": expected a width that 3 heads divide, got x of shape \(5, 8\). '
        r"Choose other heads, or features=6",
    ),
    "heads that divide no features": (
        lambda: fn.multi_head_attention(3, features=7),
        ValueError,
        r"multi_head_attention: expected heads that divide the features, got 3 and 7",
    ),
    "attention of one token without an axis": (
        lambda: fn.multi_head_attention(1).init(KEY, torch.zeros(4)),
        fn.LayerError,
        r"multi_head_attention: .* at least 2 axes",
    ),
    "another width into attention": (
        lambda: apply(fn.serial(fn.multi_head_attention(2)), torch.zeros(5, 3), torch.zeros(5, 4)),
        fn.LayerError,
        r'dense: at params path "0.q.w": expected a last axis of 4 in x',
    ),
    "a mask of numbers": (
        lambda: attend(torch.zeros(5, 5)),
        fn.LayerError,
        r"multi_head_attention: .* expected a mask of bools, got float32 tensor of shape \(5, 5\)",
    ),
    "a mask of another shape": (
        lambda: attend(torch.ones(2, 5, dtype=torch.bool)),
        fn.LayerError,
        r"expected a mask that broadcasts to \(\*, heads, queries, keys\), here \(2, 5, 5\), got shape \(2, 5\)",
    ),
    "odd features in waves": (
        lambda: apply(fn.sinusoidal_positions(), torch.zeros(4, 3)),
        fn.LayerError,
        r"sinusoidal_positions: .* expected an even number of features, got 3",
    ),
    "more tokens than positions": (
        lambda: apply(fn.learned_positions(3), X),
        fn.LayerError,
        r'learned_positions: at params path "w": .* with at most 3 tokens, got a float32 tensor of shape \(4, 2\)',
    ),
    "one time without an axis": (lambda: fn.gru(2).init(KEY, X[0]), fn.LayerError, r"gru: .* at least 2 axes"),
    "another width into a recurrent layer": (
        lambda: apply(fn.serial(fn.lstm(3)), torch.zeros(4, 5), X),
        fn.LayerError,
        r'lstm: at params path "0.wi": expected a last axis of 2 in x',
    ),
    "a state matrix of another size": (
        lambda: fn.rnn(3).apply(fn.rnn(3).init(KEY, X) | {"wh": torch.zeros(2, 3)}, X),
        fn.LayerError,
        r'rnn: at params path "wh": expected a first axis of 3, the features, got \(2, 3\)',
    ),
    "matrices of two dtypes": (
        lambda: fn.rnn(3).apply(fn.rnn(3).init(KEY, X) | {"wh": torch.zeros(3, 3).double()}, X),
        fn.LayerError,
        r'rnn: at params path "wh": expected wi to be torch.float64 on cpu like wh, got torch.float32',
    ),
    "a policy with a typo": (
        lambda: fn.mixed_precision("compute=bf16"),
        ValueError,
        r"mixed_precision: expected a text such as .*among float16, bfloat16, float32, float64, got 'compute=bf16'",
    ),
    "a dtype as policy": (
        lambda: fn.mixed_precision(torch.bfloat16),
        TypeError,
        r"mixed_precision: expected a fn.Policy of dtypes or a text, got torch.bfloat16",
    ),
    "fractions to look up": (
        lambda: apply(fn.embedding(3, 2), torch.zeros(2), torch.zeros(2, dtype=torch.int64)),
        fn.LayerError,
        r'embedding: at params path "w": expected integers to look up, got a float32 tensor',
    ),
    "dropout of everything": (lambda: fn.dropout(1.0), ValueError, r"dropout: expected a rate in \[0, 1\).* got 1.0"),
    "a key of the wrong shape": (
        lambda: MODEL.init(torch.zeros(3, dtype=torch.int32), X),
        (TypeError, ValueError),
        r"expected a key, .* got int32 tensor of shape \(3,\).*random.key",
    ),
    "no key at all": (lambda: MODEL.init(0, X), (TypeError, ValueError), r"expected a key, .* got 0.*random.key"),
    "NaN in the data": (
        lambda: fn.checking.check_finite({"x": X, "y": torch.tensor([[0.0], [float("nan")]])}),
        ValueError,
        r'check_finite: at path "y": expected finite numbers in data, got nan at index \(1, 0\)\. Clean or drop',
    ),
    "gradients of another form": (
        lambda: fn.sgd_step({"w": X}, {"b": X}, 0.1),
        ValueError,
        r"^sgd_step: the trees differ in structure at the root: dict with entry w and dict with entry b",
    ),
    "gradients of another shape": (
        lambda: fn.sgd_step([{"w": torch.zeros(2)}], [{"w": torch.zeros(3)}], 0.1),
        ValueError,
        r'^sgd_step: at path "0.w": expected leaves that fit together, got .*\(2,\) on cpu and .*\(3,\) on cpu\.',
    ),
    "a gradient that would widen its parameter": (
        lambda: fn.sgd_step({"w": torch.zeros(1)}, {"w": torch.zeros(3)}, 0.1),
        ValueError,
        r'^sgd_step: at path "w": expected leaves that fit together, got .*\(1,\) on cpu and .*\(3,\) on cpu\.',
    ),
    "learning rates that would widen the parameter": (
        lambda: fn.sgd_step({"w": torch.zeros(1)}, {"w": torch.zeros(1)}, torch.tensor([0.1, 0.2])),
        RuntimeError,
        r"expanded size",
    ),
    "an update that would widen its parameter": (
        lambda: fn.optim.apply_updates({"w": torch.zeros(1)}, {"w": torch.zeros(3)}),
        ValueError,
        r'^optim.apply_updates: at path "w": expected leaves that fit together, got .*\(1,\) .* and .*\(3,\)',
    ),
    "scan without a length": (
        lambda: fn.scan(lambda c, x: (c, x), X),
        ValueError,
        r"scan: expected `length`, or an xs",
    ),
    "scan with two lengths": (
        lambda: fn.scan(lambda c, x: (c, x), X, torch.zeros(3), length=2),
        ValueError,
        r"no other length beside it, got length 2 and xs float32 tensor of shape \(3,\)",
    ),
    "scan of a fractional length": (
        lambda: fn.scan(lambda c, x: (c, x), X, length=2.5),
        TypeError,
        r"scan: expected length to be an int, got 2\.5",
    ),
    "scan unrolled by a string": (
        lambda: fn.scan(lambda c, x: (c, x), X, length=2, unroll="2"),
        TypeError,
        "scan: expected unroll to be an int, got '2'",
    ),
    "scan unrolled by nothing": (
        lambda: fn.scan(lambda c, x: (c, x), X, length=2, unroll=0),
        ValueError,
        "scan: expected unroll to be at least 1, got 0",
    ),
    "scan of no steps whose carry changes dtype": (
        lambda: fn.scan(lambda c, x: ([c[0].double()], None), [X], length=0),
        ValueError,
        r'scan: expected f to return a carry like the one it got, they differ at path "0"',
    ),
    "jit of no function": (
        lambda: fn.jit(X),
        TypeError,
        r"jit: expected f to be callable, got float32 tensor of shape \(4, 2\)",
    ),
    "progress that cannot be called": (
        lambda: fn.jit(torch.sin, progress=True),
        TypeError,
        "jit: expected progress to be callable, got True",
    ),
    "scan whose carry changes shape": (
        lambda: fn.scan(lambda c, x: ({"w": c["w"][:1]}, None), {"w": X}, length=2),
        ValueError,
        r'scan: expected f to return a carry like the one it got, they differ at path "w": .*\(4, 2\).*\(1, 2\)',
    ),
    "scan whose carry changes dtype": (
        lambda: fn.scan(lambda c, x: (c.double(), None), X, length=2),
        ValueError,
        r"they differ at the tree itself.*float32.*float64",
    ),
    "scan whose carry changes structure": (
        lambda: fn.scan(lambda c, x: ((c, c), None), X, length=2),
        ValueError,
        r"they differ at the root: .* and tuple with entries 0, 1",
    ),
}


@pytest.mark.parametrize("call, error, message", ERRORS.values(), ids=ERRORS)
def test_bad_input_gets_a_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
