"""What `neat doctor` says of a comparison."""

import json

from typer.testing import CliRunner

from neat_align.cli import app
from neat_align.storage.runs import RunDirectory


def test_a_comparisons_cells_are_looked_into(tmp_path):
    RunDirectory.open(tmp_path / "c", {}, resume=False)
    for name, text in (("whole", '{"figures": 1}'), ("broken", '{"fig'), ("begun", None)):
        (tmp_path / "c" / "cells" / name).mkdir(parents=True)
        if text:
            (tmp_path / "c" / "cells" / name / "result.json").write_text(text)
    (tmp_path / "c" / "units").mkdir()
    failed = json.dumps({"error": "RewardError: it raised", "traceback": ""})
    (tmp_path / "c" / "units" / "test-dpo.json").write_text(failed)
    done = CliRunner().invoke(app, ["doctor", str(tmp_path / "c")])
    told = " ".join(done.output.split())
    for words in ("whole │ finished", "begun │ not finished", "broken │ damaged", "it raised"):
        assert words in told
    assert "result.json" in str(done.exception)
