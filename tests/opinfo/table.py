"""The table of operators: one line per operator in table.txt says how its programs run, and why not natively."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("table.txt")
COLUMNS = tuple(
    (group, kind)
    for group, kinds in (("float", ("f", "vmap", "grad", "vmap(grad)", "scan")), ("int", ("f", "vmap", "scan")))
    for kind in kinds
)
HEAD = """The operators of torch {} (torch.testing._internal.common_methods_invocations.op_db) under jit.

An operator, how its programs run at worst, a letter for each kind of program, and why some are not native.
Programs on float32 and float64: f, vmap(f), grad(f), vmap(grad(f)), f in a scan; then on integers and bool: f, vmap(f),
f in a scan.
n: native C; c: native C that calls torch for some operations; r: replayed operation by operation; x: refused with an
error; -: torch cannot, or there is no such program. Under "auto", a program of c with few other operations is replayed.
"""
LETTERS = {"native": "n", "called": "c", "replay": "r", "refused": "x"}
WORDS = {"n": "native", "c": "called", "r": "replay", "x": "refused", "-": "untried"}
_REASONS = (
    (r".*?(aten\.[\w.]+?)(\.default)?: the native backend has no rule for it.*", r"no rule: \1"),
    (r".*?(aten\.[\w.]+?)(\.default)? (needs the values|reads).*", r"values in Python: \1"),
    (r".*(this operation|int\(\)) needs the values.*", "values in Python"),
    (r".*?(aten\.[\w.]+?)(\.default)? draws from torch's global generator.*", r"random: \1"),
    (r".*this operation draws from.*", "random"),
    (r".*the native backend has no torch\.(\w+).*", r"no \1"),
    (r".*as_strided depends on the memory layout.*", "as_strided of an argument's memory"),
    (r".*torch has no shape rule for (aten\.[\w.]+?)(\.default)?,.*", r"torch has no shape rule: \1"),
    (r".*?(aten\.[\w.]+?)(\.default)? writes to .* in place.*", r"writes to an argument: \1"),
    (r".*expected dense tensors, got a (\w+) one.*", r"\1 tensor"),
    (r"^UnsupportedError: ", ""),
)


@dataclass(frozen=True)
class Row:
    """The status of an operator's programs: one letter for each of COLUMNS."""

    name: str
    letters: str
    reasons: str

    @property
    def worst(self) -> str:
        return WORDS[next((letter for letter in "xrcn" if letter in self.letters), "-")]

    def __str__(self) -> str:
        floats, integers = self.letters[:5], self.letters[5:]
        return f"{self.name:<48} {self.worst:<8} {floats} {integers}  {self.reasons}".rstrip()


def row(trial: Any) -> Row:
    """Summarise a trial: each column has the worst of the operator's samples."""
    found, reasons = defaultdict(set), {}
    for member, (how, why) in trial.status.items():
        kind, case = member.rsplit(" ", 1)
        found["float" if case.startswith("float") else "int", kind].add(LETTERS[how])
        if how != "native":
            reasons |= dict.fromkeys([f"calls {op}" for op in why.split("; ")] if how == "called" else [short(why)])
    letters = "".join(next((x for x in "xrcn" if x in found[column]), "-") for column in COLUMNS)
    return Row(trial.name, letters, "; ".join(sorted(reasons)))


def short(reason: str) -> str:
    """Shorten a message to its kind."""
    for pattern, words in _REASONS:
        reason = re.sub(pattern, words, reason)
    return re.sub(r"of shape \([^)]*\)|\[[\d, ]*\]", "", reason)[:100]


def read() -> dict[str, Row]:
    """Return the rows of table.txt by the operator's name."""
    lines = [line for line in PATH.read_text().splitlines() if line and not line.startswith("#")]
    return {r.name: r for r in map(_parsed, lines)}


def version() -> str:
    """Return the version of torch for which the table was written."""
    return PATH.read_text().split(maxsplit=6)[5]


def _parsed(line: str) -> Row:
    name, _, floats, integers, *reasons = line.split(None, 4)
    return Row(name, floats + integers, "".join(reasons))


def write(rows: list[Row], head: str) -> None:
    """Write table.txt."""
    comment = "".join(f"# {line}\n" for line in head.splitlines())
    PATH.write_text(comment + "".join(f"{r}\n" for r in sorted(rows, key=lambda r: r.name)))


def is_worse(new: str, old: str) -> bool:
    """Compare two letters: an operator that torch could not run may have any letter."""
    return old in "ncr" and new in "crx" and "ncrx".index(new) > "ncrx".index(old)
