"""README's quickstart runs and prints the documented output, and its table names every example."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_quickstart_prints_its_number():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    lines = code.strip().splitlines()
    assert len(lines) <= 25
    (promised,) = re.findall(r"# prints: (.*)", code)
    printed = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == promised.strip()


def test_the_readme_is_short_and_lists_every_example():
    assert len(README.splitlines()) <= 120
    for example in (ROOT / "examples").glob("*.py"):
        assert f"examples/{example.name}" in README
