"""The names that a function's code looks up, which tell the variables and attributes that it may depend on."""

import dis
from inspect import iscode
from types import CodeType

Names = tuple[list[str], list[str]]  # those of global variables, and all, attributes included

_CODES: dict[int, tuple[CodeType, Names]] = {}
_MOST = 4096


def names(code: CodeType) -> Names:
    """List the names that a code, including that of nested functions, looks up; an import counts as `__import__`."""
    known = _CODES.get(id(code))
    if known is None:
        if len(_CODES) >= _MOST:
            _CODES.clear()
        known = _CODES[id(code)] = code, _found(code)
    return known[1]


def _found(code: CodeType) -> Names:
    steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
    variables = [name for kind, name in steps if kind in ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL")]
    variables += ["__import__" for kind, _ in steps if kind == "IMPORT_NAME"]
    inner = [_found(part) for part in code.co_consts if iscode(part)]
    variables += [name for found, _ in inner for name in found]
    names = [*code.co_names, *(name for _, found in inner for name in found)]
    return list(dict.fromkeys(variables)), list(dict.fromkeys(names))
