"""Operators and values that are left out of the comparison with torch, and why."""

_BY_VALUES = "torch chooses the formula of this derivative by the values, which tracing does not have"
_NO_INTEGER = "no integer is infinite or NaN, and what C makes of them differs"
_DIFFERENCE = "torch's rule adds a part of the difference of two neighbours, which is NaN where both are infinite"
_MASK = "torch's rule multiplies by a mask, so that an infinity left out is NaN"
_SINGULAR = "the gradient at a singular matrix is infinite or NaN as rounding has it"
_VECTORS = "torch differs from itself at NaN: its vectors give other gradients than the loop over the rest"
_WELFORD = "torch's running mean of an infinity is NaN"
_STATISTICS = "a row with an infinity has no statistics, and torch's own formulas differ in what is NaN then"

UNDEFINED = {  # operators whose numbers mean nothing: shapes and dtypes are compared
    *("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided"),
}
FINITE_ONLY = {  # operators that are not tried on NaN, infinities and zeros put among their arguments
    "_softmax_backward_data": "no output of softmax is infinite",
    "linalg.eig": "torch itself crashes",
    "linalg.eigvals": "torch itself crashes",
    "_native_batch_norm_legit": _WELFORD,
    "native_batch_norm": _WELFORD,
    "native_group_norm": _WELFORD,
    "nn.functional.instance_norm": _WELFORD,
    "std_mean": _WELFORD,
    "var_mean": _WELFORD,
    "nn.functional.gelu": "torch differs from itself at infinities: its vectors give NaN",
    "linspace.tensor_overload": _NO_INTEGER,
    "logspace.tensor_overload": _NO_INTEGER,
    "nn.functional.interpolate.bilinear": _DIFFERENCE,
    "nn.functional.interpolate.linear": _DIFFERENCE,
    "nn.functional.interpolate.trilinear": _DIFFERENCE,
    "nn.functional.upsample_bilinear": _DIFFERENCE,
    "nn.functional.multi_margin_loss": _MASK,
    "nn.functional.multilabel_margin_loss": _MASK,
}
FINITE_GRADIENTS_ONLY = {
    "cumprod": _BY_VALUES,
    "linalg.vander": _BY_VALUES,
    "masked.cumprod": _BY_VALUES,
    "masked.prod": _BY_VALUES,
    "prod": _BY_VALUES,
    "nn.functional.celu": _VECTORS,
    "nn.functional.elu": _VECTORS,
    "nn.functional.selu": _VECTORS,
    "nn.functional.hardshrink": _VECTORS,
    "nn.functional.hardswish": _VECTORS,
    "nn.functional.hardtanh": _VECTORS,
    "nn.functional.relu6": _VECTORS,
    "nn.functional.softshrink": _VECTORS,
    "nn.functional.layer_norm": _STATISTICS,
    "native_layer_norm": _STATISTICS,
    "linalg.slogdet": _SINGULAR,
    "logdet": _SINGULAR,
    "topk": "torch leaves open which of equal numbers it takes",
}
UNSIGNED = {  # operators whose zeros may have either sign; those of gradients may, as torch's formulas differ in them
    "cumsum": "torch adds to a zero, so that the sum of -0.0 alone is 0.0",
    "native_dropout_backward": "torch multiplies integers by the mask as integers, which have one zero",
    "nn.functional.softshrink": "torch's vectors give 0.0 for a small negative number, its loop over the rest -0.0",
    "nn.functional.adaptive_avg_pool2d": "torch adds to a zero, so that the mean of -0.0 alone is 0.0",
}
VALUES_ONLY = {"topk": "torch leaves open which of equal numbers it takes"}  # the first result only
FLOATS_ONLY = {  # operators that are not tried on integers
    "nn.functional.interpolate.bilinear": "torch rounds to integers after each axis",
    "nn.functional.upsample_bilinear": "torch rounds to integers after each axis",
}
WORSE_THAN_FLOAT64 = {"nn.functional.hardsigmoid": "torch's 1/6 is that of float32"}
