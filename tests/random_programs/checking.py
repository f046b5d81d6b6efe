"""Comparison of a random program under jit with eager mode."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from backends import other
from torch import Tensor

import funcnet as fn
from random_programs.scope import Program, flat

LANES = 19  # not a multiple of 4, 8 or 16, the lanes of a block
MODES = ("alone", "lanes", "grad", "lanes grad", "replayed")

Function = Callable[..., Any]


class DifferenceError(Exception):
    """A jitted program differs from eager mode, or is not pure."""


def target(program: Program, mode: str) -> Function:
    """Return the program as a function of one example, which also returns gradients if the mode requires them."""
    f, floating = program.function, [i for i, x in enumerate(program.args.values()) if x.is_floating_point()]
    if "grad" not in mode:
        return f

    def loss(*args: Tensor) -> Tensor:
        results = [x.double() for x in f(*args) if x.is_floating_point()]
        weights = [(torch.arange(x.numel()).reshape(x.shape) + 1).double().cos() for x in results]
        return sum(((x * w).sum() for x, w in zip(results, weights, strict=True)), torch.zeros((), dtype=torch.float64))

    return lambda *args: (*f(*args), *fn.grad(loss, tuple(floating))(*args))


def check(program: Program, mode: str) -> str:
    """Raise DifferenceError if jit differs from eager mode by more than rounding errors.

    Returns:
        "same"; "unsteady" if the result of eager mode jumps when the arguments change by their rounding error; or
        "impure" if the program writes to an argument or fails in lanes: whether reshape copies depends on the layout.
    """
    f, backend = target(program, mode), "eager" if mode == "replayed" else "native"
    args = [*program.args.values()]
    if "lanes" not in mode:
        examples, jitted, given, select = [args], fn.jit(f, backend=backend), args, lambda x, _: x
    else:
        examples, jitted, given, select = in_lanes(program, f, backend)
    if not all(is_pure(f, example) for example in examples):
        return "impure"
    results = run(jitted, given)
    with flushed() if backend == "native" else nullcontext():
        found = [verdict(program, f, example, [select(x, i) for x in results]) for i, example in enumerate(examples)]
    return min(found, key="same".__eq__)


def in_lanes(
    program: Program, f: Function, backend: str
) -> tuple[list[list[Tensor]], Function, list[Tensor], Function]:
    """Return some examples, the program over all lanes, its arguments, and a function that selects an example."""
    rng, chosen = random.Random(program.text), (0, 5, LANES - 1)
    dims = [None if name in program.shared else rng.choice((0, -1)) for name in program.args]
    pairs = [*zip(program.args.values(), dims, strict=True)]
    given = [x if d is None else torch.stack([other(x, i) for i in range(LANES)], d) for x, d in pairs]
    examples = [[x if d is None else x.select(d, i) for x, d in zip(given, dims, strict=True)] for i in chosen]
    axis = rng.choice((0, 0, -1))
    jitted = fn.jit(fn.vmap(f, in_dims=tuple(dims), out_dims=axis), backend=backend)
    return examples, jitted, given, lambda x, i: x.select(axis, chosen[i])


def is_pure(f: Function, args: Sequence[Tensor]) -> bool:
    """Tell whether eager mode runs on arguments of this layout without modifying them."""
    try:
        f(*(given := copies(args)))
    except RuntimeError:
        return False
    return all(same_bits(a, b) for a, b in zip(given, args, strict=True))


def run(jitted: Function, args: Sequence[Tensor]) -> list[Tensor]:
    """Run a program twice and check that it is pure."""
    given = copies(args)
    first, second = flat(jitted(*given)), flat(jitted(*given))
    if not all(same_bits(a, b) for a, b in zip(given, args, strict=True)):
        raise DifferenceError("an argument has been written to")
    if not all(same_bits(a, b) for a, b in zip(first, second, strict=True)):
        raise DifferenceError("the second run differs from the first")
    places = [{x.untyped_storage().data_ptr() for x in tensors if x.numel()} for tensors in (given, first)]
    if places[0] & places[1]:
        raise DifferenceError("a result shares memory with an argument")
    return first


def same_bits(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(0.5), b.nan_to_num(0.5))


def verdict(program: Program, f: Function, args: Sequence[Tensor], got: Sequence[Tensor]) -> str:
    """Compare results with those of eager mode."""
    want = flat(f(*copies(args)))
    close = 3e-2 if has_halves(program) else 1e-11 if is_double(program) else 2e-5
    differing = [(i, text) for i, (a, b) in enumerate(zip(got, want, strict=True)) if (text := difference(a, b, close))]
    for i, text in differing:
        if got[i].dtype != want[i].dtype or got[i].shape != want[i].shape or is_steady(program, f, args, i, got[i]):
            raise DifferenceError(f"result {i}: {text}")
    return "unsteady" if differing else "same"


@contextmanager
def flushed() -> Iterator[None]:
    """Flush denormals, as native kernels do, because they affect comparisons."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def copies(args: Sequence[Tensor]) -> list[Tensor]:
    """Copy tensors with their layout, gaps and repeated elements included."""
    return [memory(x).clone().as_strided(x.shape, x.stride(), x.storage_offset()) for x in args]


def memory(x: Tensor) -> Tensor:
    """Return all elements of a tensor's storage."""
    return torch.empty(0, dtype=x.dtype).set_(x.untyped_storage())


def has_halves(program: Program) -> bool:
    """Tell whether a value of the program is rounded to 16 bits."""
    return "half()" in program.text or "bfloat16" in program.text


def is_double(program: Program) -> bool:
    """Tell whether no value of the program is rounded to float32."""
    dtypes = {dtype for _, dtype in program.known.values()}
    return torch.float32 not in dtypes and not any(word in program.text for word in ("float()", "uniform", " / "))


def difference(a: Tensor, b: Tensor, close: float) -> str:
    """Describe how a differs from b; "" if it does not."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"expected {b.dtype}{list(b.shape)}, got {a.dtype}{list(a.shape)}"
    if b.dtype == torch.bool and (a.contiguous().view(torch.uint8) > 1).any():
        return f"expected {b}, got a bool that is neither 0 nor 1"
    largest = b.nan_to_num(0, 0, 0).abs().max().item() if b.is_floating_point() and b.numel() else 0.0
    atol = close * (1 + largest) if b.is_floating_point() else 0.0
    equal = torch.isclose(a, b, rtol=atol, atol=atol, equal_nan=b.is_floating_point())
    return "" if bool(equal.all()) else f"expected {b}, got {a}"


def is_steady(program: Program, f: Function, args: Sequence[Tensor], result: int, got: Tensor) -> bool:
    """Tell whether the result of eager mode changes by less than the difference when the arguments change slightly."""
    by = 4e-3 if has_halves(program) else 1e-12 if is_double(program) else 3e-6
    want = flat(f(*copies(args)))[result]
    for seed in range(6):
        moved = flat(f(*disturbed(args, by, seed)))[result]
        if moved.shape == want.shape and 30 * distance(moved, want) > distance(got, want):
            return False
    return True


def disturbed(args: Sequence[Tensor], by: float, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    moved = copies(args)
    for x in moved:
        if x.is_floating_point():
            whole = memory(x)
            noise = 2 * torch.rand(whole.shape, generator=generator, dtype=torch.float64) - 1
            whole.copy_((whole * (1 + by * noise)).to(x.dtype))
    return moved


def distance(a: Tensor, b: Tensor) -> float:
    a, b = a.double(), b.double()
    gap = torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a - b).abs()).nan_to_num(1e300, 1e300, 1e300)
    return gap.max().item() if gap.numel() else 0.0
