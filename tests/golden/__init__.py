"""Reference values computed with jax 0.10.2 and optax 0.2.8 on the CPU, float64 unless a file says otherwise."""

import json
from pathlib import Path


def load(name):
    """Read one file of reference values."""
    return json.loads((Path(__file__).parent / f"{name}.json").read_text())
