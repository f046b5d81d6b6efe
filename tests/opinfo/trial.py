"""The trial of one operator: how each of its programs runs, and whether its results are right."""

import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from opinfo.compare import Rule, difference
from opinfo.exceptions import UNDEFINED, UNSIGNED
from opinfo.members import Member, members
from opinfo.samples import cases, name_of
from torch import Tensor

import funcnet as fn
from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native import backend

CHARACTERS = 40_000  # characters of C that are compiled at once
LARGE = 60_000  # characters of one program that gcc would compile slowly, so that it is replayed instead


@dataclass
class Trial:
    """The result of trying an operator."""

    name: str
    status: dict[str, tuple[str, str]] = field(default_factory=dict)  # name of a member -> how it runs, and why
    wrong: list[str] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)


class _CompilesError(Exception):
    """The native backend can run a program; holds its translation."""


def attempt(name: str, ops: list[Any], *, native: bool = True, **choice: Any) -> Trial:
    """Try all programs of an operator."""
    trial, batches, known = Trial(name), {True: [], False: []}, set()
    for member in (member for op in ops for case in cases(op, **choice) for member in members(case)):
        trial.counts["programs"] += 1
        how, why, text = _how(member)
        trial.status[member.name] = how, why
        compiled = native and text is not None and len(text) < LARGE
        if compiled and (why, text) not in known:  # a program for other strides has the same C text
            known.add((why, text))
            batches[member.mapped].append((member, len(text)))
        elif how != "refused":
            _replay(trial, member)
    for some in (portion for batch in batches.values() for portion in _portions(batch)):
        _run_native(trial, some)
    return trial


def _how(member: Member) -> tuple[str, str, str | None]:
    """Trace a program; return how it runs, why it is not native, and its C text, if any."""
    translate = backend.translate

    def stop(*args: Any, **options: Any) -> None:
        raise _CompilesError(translate(*args, **options))

    with mock.patch.object(backend, "translate", stop):
        try:
            _jit([member], "native").explain([member.calls[0].args])
        except _CompilesError as found:
            calls = sorted({str(op.target) for op in found.args[0].loops.calls})
            return "called" if calls else "native", "; ".join(calls), found.args[0].text
        except UnsupportedError as error:
            return "replay", _reason(error), None
        except Exception as error:
            return "refused", _reason(error), None
    raise AssertionError("neither compiled nor refused")


def _reason(error: Exception) -> str:
    text = re.sub(r" in \w+, \S+:\d+|<function (\S+) at 0x\w+>", r"\1", str(error).strip().split("\n")[0])
    return f"{type(error).__name__}: {text}"[:160]


def _jit(some: list[Member], backend: str) -> Any:
    def run(args: list[list[Tensor]]) -> list[list[Tensor]]:
        return [member.f(*tensors) for member, tensors in zip(some, args, strict=True)]

    return fn.jit(fn.vmap(run) if some[0].mapped else run, backend=backend)


def _replay(trial: Trial, member: Member) -> None:
    f = _jit([member], "eager")
    for call in member.calls:
        try:
            got = f([call.args])[0]
        except Exception as error:
            if not isinstance(call.want, Exception) and not (call is not member.calls[0] and _raises(member, call)):
                trial.status[member.name] = "refused", _reason(error)
                return
        else:
            _check(trial, member, call, got)


def _raises(member: Member, call: Any) -> bool:
    """Tell whether torch.func also raises an error where a plain call does not."""
    try:
        (fn.vmap(member.f) if member.mapped else member.f)(*call.args)
    except Exception:
        return True
    return False


def _check(trial: Trial, member: Member, call: Any, got: list[Tensor]) -> None:
    trial.counts["runs"] += 1
    got = [torch.zeros_like(t) for t in got] if trial.name in UNDEFINED else got
    if isinstance(call.want, Exception):
        trial.wrong.append(f"{member.name}: returns where torch raises {_reason(call.want)}")
        return
    text = difference(got, call.want, call.exact, _rule(member))
    if text and not ("grad" in member.kind and _is_torch_func(member, call, got)):
        trial.wrong.append(f"{member.name}: {text}")


def _rule(member: Member) -> Rule:
    gradient, name = "grad" in member.kind, name_of(member.case.op)
    return Rule(member.case.elementwise, not gradient and name not in UNSIGNED, 4.0 if gradient else 0.0)


def _is_torch_func(member: Member, call: Any, got: list[Tensor]) -> bool:
    """Tell whether a gradient is torch.func's, whose formulas of some derivatives are not those of torch.autograd."""
    try:
        want = (fn.vmap(member.f) if member.mapped else member.f)(*call.args)
    except Exception:
        return False
    return not difference(got, want, call.exact, _rule(member))


def _portions(batch: list[tuple[Member, int]]) -> Iterator[list[Member]]:
    """Split programs by the lengths of their C texts into parts of about CHARACTERS."""
    some: list[Member] = []
    total = 0
    for member, size in batch:
        if some and total + size > CHARACTERS:
            yield some
            some, total = [], 0
        some.append(member)
        total += size
    if some:
        yield some


def _run_native(trial: Trial, some: list[Member]) -> None:
    """Compile programs as one, and call it with the first, second and third arguments of each."""
    trial.counts["kernels"] += 1
    f = _jit(some, "native")
    for turn in range(max(len(member.calls) for member in some)):
        calls = [member.calls[min(turn, len(member.calls) - 1)] for member in some]
        safe = [m.calls[0] if isinstance(c.want, Exception) else c for m, c in zip(some, calls, strict=True)]
        try:
            got = f([call.args for call in safe])
        except Exception as error:
            if len(some) > 1:  # find the member that raises it
                _run_native(trial, some[: len(some) // 2])
                _run_native(trial, some[len(some) // 2 :])
                return
            if turn and _raises(some[0], safe[0]):
                continue
            trial.wrong.append(f"{some[0].name}: raises {_reason(error)}")
            return
        for member, call, result in zip(some, safe, got, strict=True):
            _check(trial, member, call, result)
        _expect_errors(trial, some, f, safe, calls)


def _expect_errors(trial: Trial, some: list[Member], f: Any, safe: list[Any], calls: list[Any]) -> None:
    """Call with arguments of one program for which torch raises an error, and ordinary arguments of the others."""
    for i, call in enumerate(calls):
        if isinstance(call.want, Exception):
            try:
                f([call.args if i == k else other.args for k, other in enumerate(safe)])
            except Exception:
                continue
            trial.wrong.append(f"{some[i].name}: returns where torch raises {_reason(call.want)}")


def quiet() -> None:
    """Set up a process that tries operators."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
