"""Random programs over views, writes in place, gathers, loops and derivatives, compared with eager mode and shrunk."""
