"""Type checkers know the signatures of transformed functions and reject wrong calls of them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("typed_program.py")
CHECKERS = {
    "mypy": ["mypy", "--strict", "--config-file=", "--cache-dir", "{cache}", str(PROGRAM)],
    "basedpyright": ["basedpyright", "--pythonpath", sys.executable, "--level", "error", str(PROGRAM)],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKERS)
def test_a_program_is_checked_as_marked(name, tmp_path):
    executable = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if executable is None:
        pytest.skip(f"{name} is not installed; the extra lint brings it")
    command = [executable, *(part.format(cache=tmp_path) for part in CHECKERS[name][1:])]
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM.parent.parent), "MYPYPATH": str(PROGRAM.parent.parent)}
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    lines = {int(line) for line in re.findall(r"typed_program\.py:(\d+)[:\d]* ?-? error", found.stdout)}
    source = PROGRAM.read_text().splitlines()
    assert lines == {number for number, line in enumerate(source, 1) if line.endswith("# rejected")}, found.stdout
