"""Pages that scripts write are what the scripts would write."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_FOR_US = ("GPL", "AGPL", "Commons Clause", "not declared")


@pytest.mark.parametrize("name", ["performance", "scaling"])
def test_figures_are_those_of_the_benchmarks(name):
    script = ROOT / "scripts" / f"{name}_page.py"
    done = subprocess.run([sys.executable, script, "--check"])
    assert done.returncode == 0, f"run scripts/{name}_page.py again"


def test_every_package_that_is_always_installed_is_listed_with_its_licence():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "licences_page.py", "--check"])
    assert done.returncode == 0, "run scripts/licences_page.py again"


def test_no_licence_binds_the_users_of_what_they_train():
    page, extras, _ = (ROOT / "docs" / "licences.md").read_text().partition("## `[deepspeed]`")
    assert extras
    rows = [line for line in page.splitlines() if line.startswith("| ") and "licence |" not in line]
    assert len(rows) > 40
    assert not [row for row in rows if any(word in row for word in NOT_FOR_US)]
