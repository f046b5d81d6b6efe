"""Reports of a run: tables, progress, curves and decision maps in the terminal, in notebooks and as figures.

`summary`, `table`, `curve` and `decision_map` build something to display; `show` prints it and writes a figure.
"""

from funcnet.report.bars import bar, progress, track
from funcnet.report.console import animate, show
from funcnet.report.curves import curve
from funcnet.report.display import Picture, Table
from funcnet.report.maps import decision_map
from funcnet.report.summaries import summary
from funcnet.report.tables import table

__all__ = [
    "Picture",
    "Table",
    "animate",
    "bar",
    "curve",
    "decision_map",
    "progress",
    "show",
    "summary",
    "table",
    "track",
]


def __dir__() -> list[str]:
    return __all__
