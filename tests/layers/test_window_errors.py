"""Wrong input to convolutions and pools raises a clear error."""

import pytest
import torch

import funcnet as fn

KEY = fn.random.key(0)
X = torch.zeros(4, 2)


def apply(model, x, init_with=X):
    return model.apply(model.init(KEY, init_with), x)


ERRORS = {
    "a stride of a half": (lambda: fn.conv(1, (3,), stride=1.5), ValueError, r"conv: expected stride .*, got 1.5"),
    "no dilation": (lambda: fn.conv(1, (3,), dilation=None), ValueError, r"conv: expected dilation .*, got None"),
    "no padding": (lambda: fn.conv(1, (3,), padding=None), ValueError, r"conv: expected padding .*, got None"),
    "padding of a half": (lambda: fn.conv(1, (3,), padding=0.5), ValueError, r"conv: expected padding .*, got 0.5"),
    "a kernel without sizes": (lambda: fn.conv(1, None), ValueError, r"conv: expected kernel_size .*, got None"),
    "no channels": (lambda: fn.conv(0, (3,)), ValueError, r"conv: expected .* features, at least 1, got 0"),
    "an empty series": (
        lambda: apply(fn.conv(1, (1,), padding=2), torch.ones(3, 0), torch.ones(3, 1)),
        fn.LayerError,
        r'conv: .* got x of shape \(3, 0\). Padding "same" allows any size but 0',
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
    "convolution with one size for all axes": (
        lambda: fn.conv(8, 3),
        ValueError,
        r"conv: expected kernel_size to hold 1 to 3 whole numbers, one per axis, such as \(3, 3\) for images, got 3",
    ),
    "convolution over four axes": (lambda: fn.conv(8, (1, 1, 1, 1)), ValueError, r"1 to 3 whole numbers"),
    "stride of 0": (lambda: fn.conv(8, (3, 3), stride=0), ValueError, r"conv: expected stride to be .* got 0"),
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
        r"conv: .* expected channels divisible by 2 groups, got 3 in axis -2",
    ),
    "an image without channels": (
        lambda: fn.conv(4, (3, 3)).init(KEY, torch.zeros(5, 5)),
        fn.LayerError,
        r"conv: .* expected a floating-point x of shape \(\*, channels, size, size\), got float32 .*\(5, 5\)",
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
}


@pytest.mark.parametrize("call, error, message", ERRORS.values(), ids=ERRORS)
def test_bad_input_gets_a_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
