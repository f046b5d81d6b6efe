"""Errors for what JAX's arrays have and tensors lack or have differently: methods, options and indices."""

import re

from torch import Tensor

_METHODS = {
    "argpartition": "numpy.argpartition(x, ...)",
    "astype": "numpy.astype(x, dtype)",
    "at": "at(x)[i].set(values)",
    "block_until_ready": "block_until_ready(x)",
    "choose": "numpy.choose(x, ...)",
    "compress": "numpy.compress(condition, x)",
    "conjugate": "numpy.conj(x)",
    "copy": "numpy.copy(x)",
    "flat": "numpy.ravel(x)",
    "ptp": "numpy.ptp(x, axis)",
    "searchsorted": "numpy.searchsorted(x, values)",
}
_OPTIONS = "axis|ddof|initial|keepdims|order|where"
_NAMES = "|".join(name for name in dir(Tensor) if not name.startswith("_"))
_MESSAGES = {  # patterns of messages of torch and Python
    r"transpose\(\) (takes 2 positional|missing 2 required)": "numpy.transpose(x, axes)",
    r"^(round|cumsum|cumprod)\(\) (takes|missing)": r"numpy.\1(x, ...)",
    rf"^({_NAMES})\(\) (got an unexpected keyword argument '|received .* - got \(.*\b)({_OPTIONS})\b": (
        r"numpy.\1(x, ...)"
    ),
    r"(mean|var|std)\(\): could not infer output dtype": r"numpy.\1(x), which converts integers and bools",
    r'only concatenate tuple \(not "(int|float|Tensor|Tracer)"'
    r"|operand type\(s\) for .*torch\.return_types": "numpy.max(x, axis) or numpy.min(x, axis)",
    r"'torch.dtype' object is not callable": "numpy.asarray(x, dtype)",
    r"step must be greater than zero": "numpy.flip(x, axis)",
    r"not implemented for 'UInt(16|32)'|Promotion for uint16, uint32": (
        "numpy.right_shift(x, y), numpy.add(x, y) and so on for unsigned integers"
    ),
}


def explain(error: Exception) -> None:
    """Add to an error's message the function to use, if the error comes from a method of JAX's arrays."""
    if error.args and isinstance(error.args[0], str) and _REMEDY not in error.args[0]:
        instead = _of_attribute(error) if isinstance(error, AttributeError) else _of_message(error.args[0])
        if instead is not None:
            error.args = (f"{error.args[0]}{_REMEDY}{instead}.",)


_REMEDY = "\nThe methods of a tensor are torch's, not those of JAX's arrays: use funcnet."


def _of_attribute(error: AttributeError) -> str | None:
    return _METHODS.get(error.name or "") if isinstance(error.obj, Tensor) else None


def _of_message(message: str) -> str | None:
    found = ((re.search(pattern, message.split("\n")[0]), instead) for pattern, instead in _MESSAGES.items())
    return next((match.expand(instead) for match, instead in found if match), None)
