"""Reports of a run: tables, progress, curves and decision maps in the terminal, each also as an SVG picture.

`summary`, `table`, `curve` and `decision_map` build something to display; `show` prints it and writes the picture.
"""

from funcnet.report.bars import bar, progress, track
from funcnet.report.console import show
from funcnet.report.curves import curve
from funcnet.report.maps import decision_map
from funcnet.report.summaries import summary
from funcnet.report.tables import table

__all__ = ["bar", "curve", "decision_map", "progress", "show", "summary", "table", "track"]
