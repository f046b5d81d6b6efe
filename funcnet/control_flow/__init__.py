"""Branches and loops as functions: eager, compiled, and under every transformation."""

from funcnet.control_flow.conditional import cond, select, switch
from funcnet.control_flow.loops import fori_loop, while_loop
from funcnet.control_flow.mapping import map
from funcnet.control_flow.prefixes import associative_scan
from funcnet.control_flow.scan import scan

__all__ = ["associative_scan", "cond", "fori_loop", "map", "scan", "select", "switch", "while_loop"]
