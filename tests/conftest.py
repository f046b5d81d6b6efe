"""Every program that the tests compile is verified between the passes; of long tables, few rows are quick."""

import os
from collections import defaultdict

import pytest

os.environ["FUNCNET_VERIFY"] = "1"  # read when the compiler is imported
# read when torch is imported: threads that wait actively take the cores from other test processes
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.hookimpl(tryfirst=True)  # before tests are deselected by their markers
def pytest_collection_modifyitems(items):
    tables = defaultdict(list)
    for item in items:
        if (few := item.get_closest_marker("few")) is not None and item.get_closest_marker("slow") is None:
            tables[(item.parent.nodeid, item.originalname, *few.args)].append(item)
    for (*_, n), rows in tables.items():
        kept = {i * len(rows) // n for i in range(n)}
        for i, item in enumerate(rows):
            if i not in kept:
                item.add_marker(pytest.mark.slow)
