"""The page for those who come from TRL is current, and its example runs."""

import ast
import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "coming-from-trl.md"


def script():
    spec = importlib.util.spec_from_file_location("trl_page", ROOT / "scripts" / "trl_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks():
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_page_is_what_the_tables_say():
    assert PAGE.read_text(encoding="utf-8") == script().page(), "run scripts/trl_page.py again"


def test_the_example_becomes_what_it_says(model_dir, tmp_path):
    before, after = blocks()
    ast.parse(before)
    assert before.count("\n") + 4 >= after.count("\n")  # a few words differ
    text = after.replace("Qwen/Qwen3-0.6B", str(model_dir)).replace(
        "runs/polite", str(tmp_path / "run")
    )
    text = text.replace("max_steps=500,", "max_steps=1, use_cpu=True, steering_try_queries=0,")
    text = text.replace("max_completion_length=128", "max_completion_length=4")
    text = text.replace('"please" in text', "len(text)")  # a random model is not polite
    ran = {}
    exec(compile(text, "coming-from-trl.md", "exec"), ran)
    assert ran["trainer"].state.global_step == 1
