"""torch's own operator samples (OpInfo) under jit, vmap, grad and scan, against eager torch.

table.txt says for each operator whether its programs are native C, replayed or refused, and why: no operator may become
worse than its line, and no result may be wrong. Each operator is tried on one sample of float32 and of int64, with
other values and memory layouts; `PYTHONPATH=tests python -m opinfo` tries four samples of each dtype and writes the
table, in half an hour on two cores.
"""

import pytest
import torch
from opinfo import table

pytestmark = pytest.mark.slow
ROWS = table.read()
BRIEFLY = {"per_dtype": 1, "dtypes": (torch.float32, torch.int64)}


@pytest.fixture(scope="module")
def trials(request):
    """Return the trials of the operators whose tests are to run, by name."""
    pytest.importorskip("numpy")
    pytest.importorskip("expecttest")
    if table.version() != torch.__version__.split("+")[0]:
        pytest.skip(f"the table is of torch {table.version()}")
    from opinfo import pool

    names = [item.callspec.params["name"] for item in request.session.items if "trials" in item.fixturenames]
    return dict(pool.trials(names, workers=2, **BRIEFLY))


@pytest.mark.parametrize("name", ROWS)
def test_an_operator_is_right_and_runs_no_worse_than_the_table_says(name, trials):
    trial = trials[name]
    assert not isinstance(trial, str), trial
    assert not trial.wrong
    now, before = table.row(trial), ROWS[name]
    worse = [
        f"{column}: {table.WORDS[new]} instead of {table.WORDS[old]}"
        for column, new, old in zip(table.COLUMNS, now.letters, before.letters, strict=True)
        if table.is_worse(new, old)
    ]
    assert not worse, now.reasons


def test_the_table_has_every_operator():
    pytest.importorskip("numpy")
    pytest.importorskip("expecttest")
    if table.version() != torch.__version__.split("+")[0]:
        pytest.skip(f"the table is of torch {table.version()}")
    from opinfo import samples

    assert list(ROWS) == sorted(samples.operators())
