"""Wrong input to attention, positions and recurrent layers raises a clear error."""

import pytest
import torch

import funcnet as fn

KEY = fn.random.key(0)
X = torch.zeros(4, 2)


def apply(model, x, init_with=X):
    return model.apply(model.init(KEY, init_with), x)


def attend(mask):
    layer, x = fn.multi_head_attention(2), torch.zeros(5, 4)
    return layer.apply(layer.init(KEY, x), x, mask=mask)


def listen(context):
    layer, x = fn.multi_head_attention(2), torch.zeros(4, 5, 2)
    return layer.apply(layer.init(KEY, x), x, context=context)


ERRORS = {
    "attention of half a feature": (
        lambda: fn.multi_head_attention(2, features=4.0),
        ValueError,
        r"multi_head_attention: expected heads that divide the features, got 2 and 4.0",
    ),
    "attention of a negative size": (lambda: fn.multi_head_attention(2, features=-2), ValueError, r"got 2 and -2"),
    "context of another batch": (
        lambda: listen(torch.ones(3, 7, 2)),
        fn.LayerError,
        r"expected a context .* the leading axes of x of shape \(4, 5, 2\), got float32 tensor of shape \(3, 7, 2\)",
    ),
    "context without tokens": (lambda: listen(torch.ones(2)), fn.LayerError, r"expected a context .* \(2,\)"),
    "context of numbers": (lambda: listen(3.0), fn.LayerError, r"expected a context .*, got 3.0"),
    "waves of no length": (
        lambda: fn.sinusoidal_positions(base=0.0),
        ValueError,
        r"sinusoidal_positions: expected a positive base.* got 0.0",
    ),
    "heads that divide no width": (
        lambda: fn.serial(fn.multi_head_attention(3)).init(KEY, torch.zeros(5, 8)),
        fn.LayerError,
        r'multi_head_attention: at params path "0": expected a width divisible by 3 heads, got x of shape \(5, 8\). '
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
        r'learned_positions: at params path "w": .* with at most 3 tokens, got float32 tensor of shape \(4, 2\)',
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
}


@pytest.mark.parametrize("call, error, message", ERRORS.values(), ids=ERRORS)
def test_bad_input_gets_a_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
