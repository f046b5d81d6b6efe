"""Operators and values that are excluded from the comparison with torch, and the reasons."""

_BY_VALUES = "torch chooses the formula of this derivative by the values, which are unknown during tracing"
_NO_INTEGER = "integers have no infinity or NaN, and conversions of these in C differ"
_DIFFERENCE = "torch's rule adds a part of the difference of two neighbours, which is NaN where both are infinite"
_MASK = "torch's rule multiplies by a mask, so that a masked infinity becomes NaN"
_SINGULAR = "the gradient at a singular matrix is infinite or NaN, depending on rounding"
_VECTORS = "torch differs from itself at NaN: its vector code and its scalar tail loop give different gradients"
_WELFORD = "torch's running mean of an infinity is NaN"
_EQUAL = "torch leaves open which of equal numbers it takes"
_STATISTICS = "a row with an infinity has no statistics, and torch's own formulas give NaN in different places"
_FOURIER = "which coefficients of an array with an infinity are NaN depends on the algorithm"
_PRODUCTS = "whether products of an infinity are NaN depends on the order of the sums"
_TRANSFORMS = [
    f"fft.{kind}{axes}" for kind in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft") for axes in ("", 2, "n")
]

UNDEFINED = {  # operators with undefined values: only shapes and dtypes are compared
    *("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided"),
}
FINITE_ONLY = {  # operators that are not tried with NaN, infinities and zeros in their arguments
    "_softmax_backward_data": "no output of softmax is infinite",
    "linalg.eig": "torch itself crashes",
    "linalg.eigvals": "torch itself crashes",
    "_native_batch_norm_legit": _WELFORD,
    "native_batch_norm": _WELFORD,
    "native_group_norm": _WELFORD,
    "nn.functional.instance_norm": _WELFORD,
    "std_mean": _WELFORD,
    "var_mean": _WELFORD,
    "nn.functional.gelu": "torch differs from itself at infinities: its vector code gives NaN",
    **dict.fromkeys([*_TRANSFORMS, "stft"], _FOURIER),
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
    "nn.functional.bilinear": _PRODUCTS,
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
    "kthvalue": _EQUAL,
    "topk": _EQUAL,
}
UNSIGNED = {  # operators whose zeros may have either sign; zeros in gradients may, because torch's formulas differ
    "cumsum": "torch adds to a zero, so that the sum of -0.0 alone is 0.0",
    **dict.fromkeys(_TRANSFORMS, "the sign of a coefficient that is zero depends on the algorithm"),
    "native_dropout_backward": "torch multiplies integers by the mask as integers, which have one zero",
    "nn.functional.softshrink": "for a small negative number, torch's vector code gives 0.0 and its tail loop -0.0",
    "nn.functional.adaptive_avg_pool2d": "torch adds to a zero, so that the mean of -0.0 alone is 0.0",
}
VALUES_ONLY = {"kthvalue": _EQUAL, "topk": _EQUAL}  # the first result only
FLOATS_ONLY = {  # operators that are not tried on integers
    "nn.functional.interpolate.bilinear": "torch rounds to integers after each axis",
    "nn.functional.upsample_bilinear": "torch rounds to integers after each axis",
}
WORSE_THAN_FLOAT64 = {"nn.functional.hardsigmoid": "torch's 1/6 is that of float32"}
CANCELLING = {  # elementwise operators whose errors are compared with the largest number of a result
    f"polygamma.polygamma_n_{n}": "between poles, torch adds terms of both signs that cancel" for n in range(5)
}
