"""Text is UTF-8, whatever the platform's encoding is."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "neat_align"
TEXT_CALLS = {"read_text": 1, "write_text": 2, "open": 4}
"""Method → the place of `encoding` among its positional arguments, counted from 1."""


def without_encoding(source: str) -> list[int]:
    """Lines of calls that read or write text in the platform's encoding."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if _is_of_text(call) and not _says_encoding(call)]


def _is_of_text(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name == "open" and isinstance(call.func, ast.Attribute):
        module = getattr(call.func.value, "id", "")
        if module in ("RunDirectory", "webbrowser", "archive"):  # whose members are bytes
            return False
    if name == "open":
        texts = [
            n.value
            for n in (*call.args[:2], *(k.value for k in call.keywords))
            if isinstance(n, ast.Constant) and isinstance(n.value, str)
        ]
        return not any("b" in text and len(text) <= 3 for text in texts)
    return name in TEXT_CALLS


def _says_encoding(call: ast.Call) -> bool:
    return any(k.arg == "encoding" for k in call.keywords) or (
        getattr(call.func, "attr", "") == "read_text" and bool(call.args)
    )


def test_the_check_finds_what_it_is_for():
    assert without_encoding("p.read_text()\np.write_text(x)\np.open('a')\nopen(p, 'r')") == [
        1,
        2,
        3,
        4,
    ]
    fine = (
        "p.read_text(encoding='utf-8')",
        "p.open('rb')",
        "open(p, 'wb')",
        "RunDirectory.open(a)",
    )
    assert without_encoding("\n".join(fine)) == []


def test_every_text_of_the_package_is_utf_8():
    found = {
        str(path.relative_to(PACKAGE)): lines
        for path in sorted(PACKAGE.rglob("*.py"))
        if (lines := without_encoding(path.read_text(encoding="utf-8")))
    }
    assert not found


POSIX = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("more", [{}, {"PYTHONIOENCODING": "latin-1"}])
def test_the_command_line_prints_in_an_ascii_terminal(tmp_path, more):
    """What the terminal cannot show is shown as an escape, and nothing stops for it."""
    (tmp_path / "r.yaml").write_text("about: 流\nqueries: 流.jsonl\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "neat_align", "recipe", "check", "r.yaml"],
        cwd=tmp_path, env={**os.environ, **POSIX, **more}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"model" in done.stderr
