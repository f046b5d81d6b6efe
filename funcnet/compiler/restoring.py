"""Undo changes of containers, attributes and variables."""

from types import CellType
from typing import Any

EMPTY = CellType()


def restored(holder: Any, saved: Any) -> bool:
    """Put a saved copy back; return whether something had changed."""
    match holder:
        case list():
            changed = len(holder) != len(saved) or any(a is not b for a, b in zip(holder, saved, strict=True))
            holder[:] = saved if changed else holder
        case set():
            changed = holder != saved
            if changed:
                holder.clear()
                holder.update(saved)
        case dict():
            changed = [*holder] != [*saved] or any(holder[key] is not saved[key] for key in saved)
            if changed:
                holder.clear()
                holder.update(saved)
        case CellType():
            changed = holder != EMPTY and holder.cell_contents is not saved
            holder.cell_contents = saved if changed else holder.cell_contents
        case (dict() as variables, str() as name):
            changed = variables.get(name) is not saved
            variables[name] = saved
        case _:
            changed = any(vars(holder).get(name) is not value for name, value in saved.items())
            for name, value in saved.items() if changed else ():
                setattr(holder, name, value)
    return changed
