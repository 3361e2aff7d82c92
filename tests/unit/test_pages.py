"""Pages that scripts write are what the scripts would write."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_FOR_US = ("GPL", "AGPL", "Commons Clause", "not declared")


@pytest.mark.parametrize("name", ["performance_page", "scaling_page", "method_pages"])
def test_pages_are_what_the_code_and_the_benchmarks_say(name):
    script = ROOT / "scripts" / f"{name}.py"
    done = subprocess.run([sys.executable, script, "--check"])
    assert done.returncode == 0, f"run scripts/{name}.py again"


def test_the_table_of_readme_is_that_of_the_study():
    code = runpy.run_path(str(ROOT / "scripts" / "results_page.py"))
    summary = json.loads((ROOT / "docs" / "results" / "comparison.json").read_text())
    assert code["readme_table"](summary) in (ROOT / "README.md").read_text()


def test_every_package_that_is_always_installed_is_listed_with_its_licence():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "licences_page.py", "--check"])
    assert done.returncode == 0, "run scripts/licences_page.py again"


def test_no_licence_binds_the_users_of_what_they_train():
    page, extras, _ = (ROOT / "docs" / "licences.md").read_text().partition("## `[deepspeed]`")
    assert extras
    rows = [line for line in page.splitlines() if line.startswith("| ") and "licence |" not in line]
    assert len(rows) > 40
    assert not [row for row in rows if any(word in row for word in NOT_FOR_US)]
