"""Look inside functions while they run, jitted or transformed: prints, callbacks, NaN and names of parts."""

from typing import NoReturn

from funcnet.absent_names import absent
from funcnet.debug.callbacks import callback, print, pure_callback
from funcnet.debug.nans import debug_nans
from funcnet.debug.scopes import named_scope

__all__ = ["callback", "debug_nans", "named_scope", "print", "pure_callback"]


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, name)


def __dir__() -> list[str]:
    return __all__
