"""jit: staging and its backends."""
