"""Constants of a program are rounded to their dtype before they are converted to another one."""

import pytest
import torch
from backends import QUICK, check, check_alone

NUMBERS = {
    torch.bool: (2, 0.5),
    torch.uint8: (-1, 2.5, 200),
    torch.int8: (-1.5, 100),
    torch.int32: (0.5, -2.5, 1 << 30),
    torch.int64: (0.5, -2.5, 300, -(1 << 40)),
    torch.float32: (0.1, 16777217, 1e-50, -2.5),
    torch.float64: (0.1, -0.0, -2.5),
}
DTYPES = (torch.float64, torch.float32, torch.int64, torch.int32, torch.uint8, torch.bool)


@pytest.mark.parametrize("backend", QUICK)
def test_a_constant_is_converted_from_its_dtype(backend: str) -> None:
    convert = lambda number, held, dtype: lambda x: torch.full((2,), number, dtype=held).to(dtype).double() + x  # noqa: E731
    table = {
        f"{number}, {held} to {dtype}": convert(number, held, dtype)
        for held, numbers in NUMBERS.items()
        for number in numbers
        for dtype in DTYPES
    }
    check(table, torch.ones(2, dtype=torch.float64), backend=backend, ulp=0)


@pytest.mark.parametrize("backend", QUICK)
def test_a_choice_between_constants_is_converted_from_their_dtype(backend: str) -> None:
    table = {
        "where": lambda x: torch.where(x > 0, torch.tensor(0.1), torch.tensor(-0.3)).to(x.dtype),
        "comparison": lambda x: (x > 0).to(torch.uint8).sub(1).to(x.dtype),
        "filled": lambda x: x.new_full((3,), 0.5, dtype=torch.int64).sum(dtype=x.dtype) + x,
    }
    check(table, torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64), backend=backend, ulp=0)


@pytest.mark.parametrize("backend", QUICK)
def test_an_identity_matrix_of_any_size(backend: str) -> None:
    """torch's own rule has indices of the smallest dtype, such as uint16, for which torch has no kernel."""
    table = {f"{n}": lambda x, n=n: (torch.eye(n) + x).double() for n in (0, 3, 300)}
    table["wide"] = lambda x: torch.eye(2, 400, dtype=torch.float64) + x
    check_alone(table, torch.ones(1), backend=backend, ulp=0)
