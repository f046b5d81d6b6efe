"""The command line of the examples, from the folder above: a program finds the modules of its own folder only."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import options

__all__ = ["options"]
