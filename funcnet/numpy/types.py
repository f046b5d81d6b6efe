"""Dtypes, constants, and questions about dtypes. A dtype is torch's, so torch's functions take it, too."""

import math
from typing import Any

import torch

from funcnet.numpy.promotion import DType, as_dtype, result_type

__all__ = [
    "bfloat16",
    "bool_",
    "can_cast",
    "cdouble",
    "complex64",
    "complex128",
    "complexfloating",
    "csingle",
    "double",
    "dtype",
    "e",
    "euler_gamma",
    "finfo",
    "float16",
    "float32",
    "float64",
    "float_",
    "floating",
    "iinfo",
    "inexact",
    "inf",
    "int8",
    "int16",
    "int32",
    "int64",
    "int_",
    "integer",
    "iscomplexobj",
    "isdtype",
    "isrealobj",
    "isscalar",
    "issubdtype",
    "nan",
    "ndarray",
    "newaxis",
    "number",
    "pi",
    "promote_types",
    "result_type",
    "signedinteger",
    "single",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "unsignedinteger",
]  # fmt: skip

ndarray = torch.Tensor
bool_, int_, float_ = torch.bool, torch.int32, torch.float32
int8, int16, int32, int64 = torch.int8, torch.int16, torch.int32, torch.int64
uint8, uint16, uint32, uint64 = torch.uint8, torch.uint16, torch.uint32, torch.uint64
single, double, csingle, cdouble = torch.float32, torch.float64, torch.complex64, torch.complex128
float16, float32, float64, bfloat16 = torch.float16, torch.float32, torch.float64, torch.bfloat16
complex64, complex128 = torch.complex64, torch.complex128
pi, e, euler_gamma, inf, nan, newaxis = math.pi, math.e, 0.5772156649015329, math.inf, math.nan, None


class _IsDtype(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, torch.dtype)

    def __call__(cls, *args: Any, **kwargs: Any) -> torch.dtype:
        return as_dtype("dtype", *args, **kwargs)


class dtype(metaclass=_IsDtype):  # noqa: N801
    """The class of dtypes, and the dtype of a name or of a type: jnp.dtype("int32"), jnp.dtype(float)."""


class number:  # noqa: N801
    """All dtypes but bool, for `issubdtype`."""


class integer(number):  # noqa: N801
    """Integers, for `issubdtype`."""


class signedinteger(integer):  # noqa: N801
    """Integers with a sign, for `issubdtype`."""


class unsignedinteger(integer):  # noqa: N801
    """Integers without a sign, for `issubdtype`."""


class inexact(number):  # noqa: N801
    """Floating-point and complex numbers, for `issubdtype`."""


class floating(inexact):  # noqa: N801
    """Floating-point numbers, for `issubdtype`."""


class complexfloating(inexact):  # noqa: N801
    """Complex numbers, for `issubdtype`."""


def issubdtype(arg1: DType, arg2: Any) -> bool:
    """Tell whether a dtype is another one, or belongs to a class such as jnp.floating or jnp.integer."""
    kind = as_dtype("issubdtype", arg1)
    if isinstance(arg2, type) and issubclass(arg2, number):
        return issubclass(_class(kind), arg2)
    return kind == as_dtype("issubdtype", arg2)


def _class(kind: torch.dtype) -> type:
    if kind == torch.bool:
        return bool
    if kind.is_complex or kind.is_floating_point:
        return complexfloating if kind.is_complex else floating
    return signedinteger if kind.is_signed else unsignedinteger


_KINDS: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "signed integer": (signedinteger,),
    "unsigned integer": (unsignedinteger,),
    "integral": (integer,),
    "real floating": (floating,),
    "complex floating": (complexfloating,),
    "numeric": (number,),
}


def isdtype(dtype: DType, kind: Any) -> bool:
    """Tell whether a dtype is of a kind, such as "integral" or "real floating", another dtype, or one of several."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, each) for each in kind)
    if isinstance(kind, str) and kind in _KINDS:
        return issubclass(_class(as_dtype("isdtype", dtype)), _KINDS[kind])
    return as_dtype("isdtype", dtype) == as_dtype("isdtype", kind)


def promote_types(a: DType, b: DType) -> torch.dtype:
    """The dtype of operations on tensors of two dtypes."""
    return torch.promote_types(as_dtype("promote_types", a), as_dtype("promote_types", b))


def can_cast(from_: DType, to: DType) -> bool:
    """Tell whether the second dtype holds every number of the first: float32 does not hold every int32."""
    old, new = as_dtype("can_cast", from_), as_dtype("can_cast", to)
    is_integer = not (old.is_floating_point or old.is_complex or old == torch.bool)
    if is_integer and (new.is_floating_point or new.is_complex):
        digits = _DIGITS.get(new.to_real(), 64)
        return torch.iinfo(old).bits - old.is_signed <= digits
    return promote_types(old, new) == new


_DIGITS = {torch.float32: 24, torch.float16: 11, torch.bfloat16: 8}  # of a significand; float64 counts for int64, too


def finfo(dtype: DType) -> torch.finfo:
    """The limits of a floating-point dtype: eps, max, min, tiny, bits."""
    return torch.finfo(as_dtype("finfo", dtype))


def iinfo(dtype: DType) -> torch.iinfo:
    """The limits of an integer dtype: max, min, bits."""
    return torch.iinfo(as_dtype("iinfo", dtype))


def isscalar(element: Any) -> bool:
    """Tell whether something is a number or a tensor without axes."""
    return isinstance(element, int | float | complex) or (isinstance(element, torch.Tensor) and element.ndim == 0)


def iscomplexobj(x: Any) -> bool:
    """Tell whether something has a complex dtype, whatever its values."""
    return result_type(x).is_complex


def isrealobj(x: Any) -> bool:
    """Tell whether something has a dtype that is not complex."""
    return not iscomplexobj(x)
