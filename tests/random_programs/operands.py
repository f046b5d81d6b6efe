"""Operands of the statements of random programs, and suitable arguments for them."""

from collections.abc import Sequence
from math import prod

from torch import Tensor

from random_programs.scope import Scope, SkipError


class Operand:
    """A tensor in a template: {x} is its name; {x:axis} and similar fields are suitable arguments."""

    def __init__(self, scope: Scope, text: str) -> None:
        self.scope, self.text, self.rng = scope, text, scope.rng
        self.tensor: Tensor = eval(text, dict(scope.values))
        self.axis = 0  # the last one that was named

    def __format__(self, spec: str) -> str:
        if not spec:
            return self.text
        if spec in ("first", "second", "final"):  # the axis of the next index
            self.axis = {"first": 0, "second": 1, "final": -1}[spec]
            return ""
        return str(getattr(self, f"_{spec}")())

    def size(self) -> int:
        if not self.tensor.ndim:
            raise SkipError
        return self.tensor.shape[self.axis]

    def _size(self) -> int:
        return self.size()

    def _axis(self) -> int:
        if not self.tensor.ndim:
            raise SkipError
        self.axis = self.rng.randrange(-self.tensor.ndim, self.tensor.ndim)
        return self.axis

    def _axes(self) -> str:
        count = self.rng.randint(1, max(1, self.tensor.ndim))
        return str(tuple(self.rng.sample(range(self.tensor.ndim), min(count, self.tensor.ndim))))

    def _two(self) -> str:
        if self.tensor.ndim < 2:
            raise SkipError
        return "{}, {}".format(*self.rng.sample(range(self.tensor.ndim), 2))

    def _order(self) -> str:
        return str(tuple(self.rng.sample(range(self.tensor.ndim), self.tensor.ndim)))

    def _new(self) -> int:
        return self.rng.randint(-self.tensor.ndim - 1, self.tensor.ndim)

    def _shape(self) -> str:
        """Return a shape with the same number of elements."""
        left, sizes = self.tensor.numel(), list[int]()
        while left > 1 and len(sizes) < 3:
            sizes.append(self.rng.choice([n for n in range(1, left + 1) if left % n == 0]))
            left //= sizes[-1]
        return str((*sizes, -1 if self.tensor.numel() else 0))

    def _wider(self) -> str:
        wider = [self.rng.choice((2, 3)) if size == 1 else -1 for size in self.tensor.shape]
        return str((*[2] * self.rng.randint(0, 1), *wider))

    def _times(self) -> str:
        return str((*[2] * self.rng.randint(0, 1), *(self.rng.choice((1, 1, 2)) for _ in self.tensor.shape)))

    def _place(self) -> int:
        size = self.size()
        if not size:
            raise SkipError
        return self.rng.randrange(-size, size)

    def _part(self) -> str:
        start = self.rng.randint(0, self.size())
        return f"{start}, {self.rng.randint(0, self.size() - start)}"

    def _window(self) -> str:
        return f"{self.rng.randint(1, max(1, min(3, self.size())))}, {self.rng.randint(1, 3)}"

    def _offset(self) -> int:
        return self.rng.randint(-1, 1)

    def _slice(self, size: int) -> str:
        start, stop, step = self.rng.randint(-1, max(size - 1, 0)), self.rng.choice(("", size, -1, size + 2)), ""
        if self.rng.random() < 0.4:
            step = f":{self.rng.randint(1, 3)}"
        return f"{start or ''}:{stop}{step}"

    def _ending(self) -> str:
        self.axis = -1
        return self._slice(self.size())

    def _index(self) -> str:
        """Return an index of slices, numbers, new axes and an ellipsis."""
        parts = list[str]()
        for size in self.tensor.shape[: self.rng.randint(1, 3)]:
            kinds = [self._slice(size), self._slice(size), ":", str(self.rng.randrange(-size, size)) if size else ":"]
            parts += [self.rng.choice(kinds), *(["None"] if self.rng.random() < 0.1 else [])]
        return ", ".join(parts) or "None"

    def _strided(self) -> str:
        """Return sizes, strides and an offset inside a dense tensor."""
        if self.tensor.numel() < 4:
            raise SkipError
        count = self.tensor.numel()
        a, step = self.rng.randint(1, 2), self.rng.randint(1, 2)
        b = self.rng.randint(1, min(3, (count - 1) // 2))
        used = (a - 1) * step + (b - 1)
        return f"({a}, {b}), ({step}, 1), {self.rng.randint(0, count - 1 - used)}"

    def _like(self) -> str:
        return self.scope.pick(lambda y: y.shape == self.tensor.shape and y.dtype == self.tensor.dtype)

    def _matrix(self) -> str:
        if self.tensor.ndim != 2:
            raise SkipError
        return self.text

    def _partner(self) -> str:
        """Return a right factor for a matrix product with this tensor."""
        size = self.tensor.shape[-1]
        fits = lambda y: y.dtype == self.tensor.dtype and y.ndim and y.shape[max(0, y.ndim - 2)] == size  # noqa: E731
        return self.scope.pick(fits)

    def _numbers(self, shape: Sequence[int], size: int) -> str:
        """Return computed indices along an axis, some of them equal."""
        if size < 1:
            raise SkipError
        start = self.scope.pick(lambda y: not y.is_floating_point() or not self.scope.special)
        whole = f"{start}.mul(3).add(0.01).floor()" if self.scope.values[start].is_floating_point() else start
        steps = f"torch.arange({prod(shape)}).reshape({tuple(shape)}) * {self.rng.choice((0, 1, 2, 3, 5))}"
        return f"(({steps} + {whole}.sum().long()) % {size})"

    def _at(self) -> str:
        """Return one computed index."""
        return f"{self._numbers((), self.size())}"

    def _rows(self) -> str:
        return self._numbers((self.rng.randint(0, 4),), self.size())

    def _signed(self) -> str:
        return f"({self._rows()} - {self.size()})"

    def _distinct(self) -> str:
        start = self.scope.pick(lambda y: not y.is_floating_point())
        if not self.size():
            raise SkipError
        return f"((torch.arange({self.rng.randint(1, self.size())}) + {start}.sum()) % {self.size()})"

    def _indices(self) -> str:
        """Return indices along an axis for all other axes, as for gather and scatter."""
        shape, size = list(self.tensor.shape), self.size()
        shape[self.axis] = self.rng.randint(0, 4)
        return self._numbers(shape, size)

    def _flat(self) -> str:
        return self._numbers((self.rng.randint(0, 5),), self.tensor.numel())

    def _both(self) -> str:
        """Return indices along the first two axes."""
        if self.tensor.ndim < 2:
            raise SkipError
        return ", ".join(self._numbers((3,), size) for size in self.tensor.shape[:2])


def broadcasts(y: Tensor, x: Tensor) -> bool:
    pairs = zip(reversed(x.shape), reversed(y.shape), strict=False)
    return all(a == b or 1 in (a, b) for a, b in pairs)


def fills(y: Tensor, shape: Sequence[int]) -> bool:
    """Tell whether a tensor broadcasts to a shape."""
    ends = zip(reversed(shape), reversed(y.shape), strict=False)
    return y.ndim <= len(shape) and all(b in (a, 1) for a, b in ends)
