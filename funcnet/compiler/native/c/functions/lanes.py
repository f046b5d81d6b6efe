"""C text that runs lane by lane."""


def each_lane(statement: str, count: int | str = "L") -> str:
    """Return a loop that runs a statement for every lane i."""
    return f"for (int i = 0; i < {count}; ++i) {statement}"
