"""Random programs of views, in-place writes, gathers, loops and derivatives, compared with eager mode and shrunk."""
