"""What is left out of the comparison with torch, and why."""

_BY_VALUES = "torch chooses the formula of this derivative by the values, which are not there while staging"
_NO_INTEGER = "no integer is infinite or NaN, and what C makes of them differs"

UNDEFINED = {  # operators whose numbers mean nothing: shapes and dtypes are compared
    *("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided"),
}
FINITE_ONLY = {  # operators that are not tried on NaN, infinities and zeros put among their arguments
    "linalg.eig": "torch itself crashes",
    "linalg.eigvals": "torch itself crashes",
    "linspace.tensor_overload": _NO_INTEGER,
    "logspace.tensor_overload": _NO_INTEGER,
}
FINITE_GRADIENTS_ONLY = {
    "cumprod": _BY_VALUES,
    "linalg.vander": _BY_VALUES,
    "masked.cumprod": _BY_VALUES,
    "masked.prod": _BY_VALUES,
    "prod": _BY_VALUES,
}
