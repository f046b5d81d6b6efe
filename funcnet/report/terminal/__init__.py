"""The painter of the terminal: pictures as text that rich prints in any width."""

from funcnet.report.pictures import Curves, Map
from funcnet.report.terminal import curves, maps
from funcnet.report.terminal.plot import Plot

__all__ = ["plot"]


def plot(picture: Curves | Map) -> Plot:
    """Return the picture as something that rich prints."""
    return curves.plot(picture) if isinstance(picture, Curves) else maps.plot(picture)
