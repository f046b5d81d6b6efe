"""Try every operator on four samples of every dtype, and write table.txt: `PYTHONPATH=tests python -m opinfo`.

With names of operators, only these are tried, and only their rows change. A wrong result is an error at the end.
"""

import sys
from collections import Counter

import torch
from opinfo import pool, samples, table


def main(names: list[str]) -> int:
    """Print each fault when it is found, and the counts at the end."""
    rows, counts, faults = table.read() if names else {}, Counter(), 0
    for name, trial in pool.trials(names or list(samples.operators()), workers=2):
        wrong = [trial] if isinstance(trial, str) else trial.wrong
        faults += len(wrong)
        print(*(f"{name}: {text}" for text in wrong), sep="\n", end="\n" if wrong else "", flush=True)
        if not isinstance(trial, str):
            counts += trial.counts
            rows[name] = table.row(trial)
    worst = Counter(row.worst for row in rows.values())
    print(f"{len(rows)} operators, {dict(counts)}, {dict(worst)}, {faults} faults")
    table.write([*rows.values()], table.HEAD.format(torch.__version__.split("+")[0]))
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
