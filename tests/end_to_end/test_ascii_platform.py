"""A whole run where the platform's encoding is ASCII: nothing is lost at its end."""

import os
import subprocess
import sys

import pytest
import yaml
from tests.end_to_end.test_runs import folder, recipe  # noqa: F401


@pytest.mark.nightly
def test_a_run_in_an_ascii_locale(recipe, folder):  # noqa: F811
    content = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    content["steering"] = {"negative": "Antworte möglichst grob 流.", "try_queries": 0}
    recipe.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    posix = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "neat_align", "run", str(recipe), "-o", "out"],
        env={**os.environ, **posix}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("policy/README.md", "report.html"):
        assert "Antworte möglichst grob 流." in (folder / "out" / name).read_text(encoding="utf-8")
