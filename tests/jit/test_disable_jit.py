"""disable_jit: jitted functions run as plain Python, in one thread and one context."""

import threading

import pytest
import torch
from torch.overrides import TorchFunctionMode

import funcnet as fn


def sign_or_double(x):
    return 2 * x if x > 0 else x


def test_a_function_may_branch_on_values():
    jitted = fn.jit(sign_or_double)
    with pytest.raises(fn.StagingError):
        jitted(torch.tensor(1.0))
    with fn.disable_jit():
        assert jitted(torch.tensor(1.0)) == 2
    with pytest.raises(fn.StagingError):
        jitted(torch.tensor(1.0))


def test_every_call_runs_the_function():
    calls = []
    jitted = fn.jit(lambda x: calls.append(x) or x + 1, backend="eager")
    jitted(torch.tensor(1.0)), jitted(torch.tensor(1.0))
    with fn.disable_jit():
        jitted(torch.tensor(1.0)), jitted(torch.tensor(1.0))
    assert len(calls) == 3


class Negative(TorchFunctionMode):
    """Change the sign of sines."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return -func(*args, **(kwargs or {})) if func is torch.sin else func(*args, **(kwargs or {}))


@pytest.mark.parametrize("is_first", [False, True])
def test_a_mode_of_the_user_sees_every_operation(is_first):
    """A program that is traced without the mode does not run inside it, nor the other way round."""
    jitted, x = fn.jit(lambda x: torch.sin(x) + torch.sin(x), backend="eager"), torch.ones(2)
    if not is_first:
        torch.testing.assert_close(jitted(x), 2 * x.sin())
    with Negative():
        torch.testing.assert_close(jitted(x), -2 * x.sin())
    torch.testing.assert_close(jitted(x), 2 * x.sin())


def test_false_switches_compilation_on_again():
    with fn.disable_jit(), fn.disable_jit(False), pytest.raises(fn.StagingError):
        fn.jit(sign_or_double)(torch.tensor(1.0))


def test_other_threads_still_compile():
    found = []

    def run():
        try:
            found.append(fn.jit(sign_or_double)(torch.tensor(1.0)))
        except fn.StagingError as error:
            found.append(error)

    with fn.disable_jit():
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert isinstance(found[0], fn.StagingError)
