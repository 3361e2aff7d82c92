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


def demo_run(folder, seed, broken, distinct):
    """Write what a demo leaves: four answers of each model, some of which break the rule."""
    figures = {"breaks_rule": broken / 4, "distinct_2": distinct, "ppl_pretrain": 20.0}
    figures |= {"kl": 0.0, "mine/accuracy": 0.5}
    models = {
        name: {metric: {"value": v, "low": v, "high": v, "n": 4} for metric, v in figures.items()}
        for name in ("base", "prompt", "neat")
    }
    samples = [
        {"condition": "plain", "query_id": str(i), "draw": 0, "text": "a b c", "tokens": 3,
         "scores": {"rule": float(i >= broken)}}
        for i in range(4)
    ]  # fmt: skip
    (folder / "samples").mkdir(parents=True)
    (folder / "evaluation.json").write_text(json.dumps({"seed": seed, "models": models}))
    for name in models:
        lines = "".join(json.dumps(sample) + "\n" for sample in samples)
        (folder / "samples" / f"{name}.jsonl").write_text(lines)
    return folder


def test_the_demos_table_is_over_queries_and_seeds(tmp_path):
    table = runpy.run_path(str(ROOT / "scripts" / "demo_table.py"))["demo_table"]
    runs = [
        demo_run(tmp_path / str(seed), seed, *own)
        for seed, own in {3: (0, 0.5), 5: (2, 0.7)}.items()
    ]
    lines = table(runs)
    rows = {
        line.split("|")[1].strip(): line.split("|")[-2].strip() for line in lines if line[:1] == "|"
    }
    assert rows["Breaks the rule"].startswith("25.0 % [0.0 %, ")
    assert rows["Distinct-2"].startswith("0.600 [0.")
    assert "0.600 [0.600" not in rows["Distinct-2"]
    assert rows["Perplexity"] == "20.0 [20.0, 20.0]"
    assert "0.500" in rows["mine/accuracy"] or "50.0 %" in rows["mine/accuracy"]
    assert "seeds 3, 5; 95 % intervals over queries and seeds" in lines[-1]
    assert "seed 3; 95 % intervals over queries in brackets" in table(runs[:1])[-1]
    with pytest.raises(SystemExit, match="same seed"):
        table([runs[0], runs[0]])


def test_a_share_of_nothing_keeps_an_interval_over_seeds(tmp_path):
    table = runpy.run_path(str(ROOT / "scripts" / "demo_table.py"))["demo_table"]
    lines = table([demo_run(tmp_path / str(seed), seed, 0, 0.5) for seed in (0, 1)])
    (row,) = [line for line in lines if line.startswith("| Breaks the rule |")]
    assert "0.0 % [0.0 %, 0.0 %]" not in row
    assert "0.0 % [0.0 %, " in row


def test_every_package_that_is_always_installed_is_listed_with_its_licence():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "licences_page.py", "--check"])
    assert done.returncode == 0, "run scripts/licences_page.py again"


def test_no_licence_binds_the_users_of_what_they_train():
    page, extras, _ = (ROOT / "docs" / "licences.md").read_text().partition("## `[deepspeed]`")
    assert extras
    rows = [line for line in page.splitlines() if line.startswith("| ") and "licence |" not in line]
    assert len(rows) > 40
    assert not [row for row in rows if any(word in row for word in NOT_FOR_US)]
