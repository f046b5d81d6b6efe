"""The Layer type, its errors for inputs that do not fit, and the conversion of functions to layers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, NoReturn

from torch import Tensor, nn

from funcnet import _torch, random, tree
from funcnet.initializers import Initializer
from funcnet.random import Key
from funcnet.reprs import Call, text
from funcnet.tree import Tree

Params = Tree
State = Tree


class Stateful(NamedTuple):
    """The functions of a layer with state, such as running statistics, which they take and return."""

    init: Callable[[Key, Any], tuple[Params, State]]
    apply: Callable[..., tuple[Any, State]]  # (params, state, x, *, key=None, train) -> (y, state)


class Layer(NamedTuple):
    """A model, or a part of one: the pair of `init(key, x) -> params` and `apply(params, x, *, key=None) -> y`.

    Every layer also has `init_with_state` and `apply_with_state`. If a layer has state (`stateful` is then set), only
    these can be called.
    """

    init: Callable[[Key, Any], Params]
    apply: Callable[..., Any]

    @property
    def stateful(self) -> Stateful | None:
        """The functions of a layer that has state."""
        init, apply = self
        if isinstance(init, NeedsState) and isinstance(apply, NeedsState):
            return Stateful(init.with_state, apply.with_state)
        return None

    def init_with_state(self, key: Key, x: Any) -> tuple[Params, State]:
        """Return params and state; the state of a stateless layer is ()."""
        return self.stateful.init(key, x) if self.stateful else (self.init(key, x), ())

    def apply_with_state(
        self, params: Params, state: State, x: Any, *, key: Key | None = None, train: bool
    ) -> tuple[Any, State]:
        """Return y and the new state. Statistics are taken from x if `train`, and from the state otherwise.

        `train` does not switch randomness on; a key does.
        """
        if self.stateful:
            return self.stateful.apply(params, state, x, key=key, train=train)
        return self.apply(params, x, key=key), state

    def made_by(self, call: Call | str) -> "Layer":
        """Return the same layer, which prints as the call or function that made it."""
        layer = _BuiltLayer(*self)
        layer.call = call
        return layer


class _BuiltLayer(Layer):
    """A layer that prints as the call of its builder, and whose functions are named in errors by their role."""

    call: Call | str

    def init(self, key: Key, x: Any, **kwargs: Any) -> Params:
        """Make the parameters, from a key and an example of the input."""
        return self[0](key, x, **kwargs)

    def apply(self, params: Params, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the output of the layer."""
        return self[1](params, x, *args, **kwargs)

    init.__qualname__, apply.__qualname__ = "Layer.init", "Layer.apply"  # as Python's own errors show them

    def __repr__(self) -> str:
        return str(self.call)


@dataclass(frozen=True)
class NeedsState:
    """Takes the place of `init` or `apply` in a layer with state, and raises when called without state."""

    with_state: Callable[..., tuple[Any, State]]
    refuse: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.refuse(*args, **kwargs)


def stateful(name: str, init: Callable[..., tuple[Params, State]], apply: Callable[..., tuple[Any, State]]) -> Layer:
    """Build a layer with state from its two functions.

    Args:
        name: The name of the layer in error messages.
        init: (key, x) -> (params, state).
        apply: (params, state, x, *, key=None, train) -> (y, state), with a new state of the same structure.
    Returns:
        A layer. Its plain init and apply raise a LayerError that names the functions with state.
    Example:
        >>> counter = fn.stateful(
        ...     "counter",
        ...     init=lambda key, x: ((), torch.tensor(0)),
        ...     apply=lambda params, state, x, *, key=None, train: (x, state + train),
        ... )
        >>> params, state = counter.init_with_state(fn.random.key(0), torch.ones(2))
        >>> counter.apply_with_state(params, state, torch.ones(2), train=True)
        (tensor([1., 1.]), tensor(1))
    """
    refuse_init, refuse_apply = (partial(_refuse, operation=name, called=called) for called in ("init", "apply"))
    return Layer(NeedsState(init, refuse_init), NeedsState(apply, refuse_apply))


_WITH_STATE = {
    "init": "params, state = model.init_with_state(key, x)",
    "apply": "y, state = model.apply_with_state(params, state, x, key=key, train=True)",
}


def _refuse(*args: Any, operation: str, called: str, **kwargs: Any) -> NoReturn:
    raise LayerError(operation, "", f"expected {called}_with_state, got {called}. Call {_WITH_STATE[called]}.")


class LayerError(ValueError):
    """An input or parameters that do not fit a layer; the message names the layer by the path of its parameters."""

    def __init__(self, operation: str, path: str, message: str) -> None:
        super().__init__(f"{operation}: at params {tree.place(path)}: {message}")
        self.operation, self.path, self.message = operation, path, message

    def __reduce__(self) -> tuple[Any, ...]:
        return LayerError, (self.operation, self.path, self.message)

    def within(self, name: str) -> "LayerError":
        """Return the same error with its path extended by the layer's name in the enclosing model."""
        return LayerError(self.operation, f"{name}.{self.path}" if self.path else name, self.message)


def as_layer(layer: Layer | Callable[[Any], Any]) -> Layer:
    """Turn any function of x into a layer without parameters; a layer is returned unchanged.

    Raises:
        TypeError: The argument is not callable, is a function that builds layers, or is a torch.nn.Module that is not a
            function of x alone: one with parameters or buffers, which init would not see, or one that draws random
            numbers.
    Example:
        >>> fn.as_layer(torch.tanh)
        tanh
        >>> fn.as_layer(torch.tanh).apply((), torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7616])
    """
    if isinstance(layer, Layer):
        return layer
    if not callable(layer):
        raise TypeError(f"as_layer: expected a Layer or a function of x, got {layer!r}.")
    is_class = isinstance(layer, type) and issubclass(layer, nn.Module)
    if is_class or getattr(layer, "__annotations__", {}).get("return") is Layer:
        name = getattr(layer, "__name__", "it")
        raise TypeError(f"as_layer: {name} builds a layer but is not one. Did you mean to call it, as {name}(...)?")
    if isinstance(layer, nn.Module):
        _check_pure(layer)
    return Layer(init=no_params, apply=partial(_call, f=layer)).made_by(text(layer))


def _check_pure(module: nn.Module) -> None:
    """Refuse a module that is not a function of x alone."""
    name, draws = type(module).__name__, any(isinstance(part, _RANDOM) for part in module.modules())
    if any(True for _ in module.parameters()):
        raise TypeError(f"as_layer: {name} holds its own parameters, which no gradient would reach.")
    if draws or any(True for _ in module.buffers()):
        why = "draws from torch's global generator" if draws else "holds its own buffers"
        raise TypeError(f"as_layer: {name} {why}, expected a function of x. Convert it with from_module.")


_RANDOM = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.RReLU)


def _call(params: Params, x: Any, *, f: Callable[[Any], Any], key: Key | None = None) -> Any:
    return f(x)


def no_params(key: Key, x: Any) -> Params:
    """Initialise a layer without parameters."""
    return ()


def check_example(operation: str, x: Any, axes: int = 1) -> None:
    """Refuse an example input that lacks the last axes or the floating-point dtype that parameters are made from."""
    if not tree.is_floating(x) or x.ndim < axes:
        needed = "a last axis" if axes == 1 else f"at least {axes} axes"
        raise LayerError(operation, "", f"expected a floating-point x with {needed}, got {tree.describe(x)}.")


def check_names(operation: str, params: Params, names: Sequence[str]) -> None:
    """Refuse params with an entry that the layer does not read."""
    if isinstance(params, Mapping) and len(params) > sum(name in params for name in names):
        expected = " and ".join(f'"{name}"' for name in names)
        raise LayerError(operation, "", f"expected no entries besides {expected}, got {tree.describe(params)}.")


def parameter(operation: str, params: Params, name: str, ndim: int) -> Tensor:
    """Look up a parameter by name."""
    if not isinstance(params, Mapping) or name not in params:
        raise LayerError(operation, "", f'expected a dict with "{name}", got {tree.describe(params)}.')
    found = params[name]
    if not tree.is_tensor(found) or found.ndim != ndim:
        raise LayerError(operation, name, f"expected a tensor with ndim {ndim}, got {tree.describe(found)}.")
    return found


def matching(
    operation: str, params: Params, name: str, x: Any, ndim: int = 1, what: str = "x", axis: int = -1
) -> Tensor:
    """Look up a parameter whose first axis must match an axis of x, by default the last."""
    with _torch.without_torch_function():  # the mode of a transformation need not see each read of a shape
        w = parameter(operation, params, name, ndim)
        check_fits(operation, name, w, x, size=w.shape[0], what=what, axis=axis)
    return w


def check_fits(operation: str, name: str, w: Tensor, x: Any, *, size: int, what: str = "x", axis: int = -1) -> None:
    """Refuse an x that does not match the parameter in the size of an axis, in dtype or in device."""
    if not tree.is_tensor(x):
        raise LayerError(operation, "", f"expected a tensor, got {tree.describe(x)}.")
    if x.ndim < -axis or x.shape[axis] != size:
        expected = f"a last axis of {size} in {what}" if axis == -1 else f"axis {axis} of {what} to be {size}"
        raise LayerError(operation, name, _other_size(expected, name, w, what, x))
    if (x.dtype, x.device) != (w.dtype, w.device):
        raise LayerError(operation, name, _other_kind(name, w, what, x))


def inside(label: str, f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of the layer with this label; the path in an error is extended by the label."""
    try:
        return f(*args, **kwargs)
    except LayerError as error:
        raise error.within(label) from None


def draw(
    key: Key, inits: dict[str, Initializer], shapes: dict[str, tuple[int, ...]], like: Tensor
) -> dict[str, Tensor]:
    """Make parameters, each from its own key, which does not depend on the other parameters."""
    keys = dict(zip(shapes, random.split(key, len(shapes)), strict=True))
    return {name: init(keys[name], shapes[name], like.dtype, like.device) for name, init in inits.items()}


def at_least_float32(x: Tensor) -> Tensor:
    """Convert float16 and bfloat16 to float32, because the square of a float16 above 256 is infinite."""
    return x.float() if x.dtype.itemsize < 4 else x


def _other_size(expected: str, name: str, w: Tensor, what: str, x: Tensor) -> str:
    return (
        f"expected {expected} to match {name} of shape {tuple(w.shape)}, "
        f"got {what} of shape {tuple(x.shape)}.\nIf the model was initialised with another input, "
        "call model.init again with an example of the new one."
    )


def _other_kind(name: str, w: Tensor, what: str, x: Tensor) -> str:
    return (
        f"expected {what} to be {w.dtype} on {w.device} like {name}, got {x.dtype} on {x.device}. "
        "Convert one of them with .to()."
    )
