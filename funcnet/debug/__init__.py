"""Look inside functions while they run, jitted or transformed: prints, callbacks, NaN and names of parts."""

from funcnet.debug.callbacks import callback, print, pure_callback
from funcnet.debug.nans import debug_nans
from funcnet.debug.scopes import named_scope

__all__ = ["callback", "debug_nans", "named_scope", "print", "pure_callback"]


def __dir__() -> list[str]:
    return __all__
