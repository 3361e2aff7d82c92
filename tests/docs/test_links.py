"""Every link between pages leads somewhere, and every page is reached from the map."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
IN_CODE = re.compile(r"\[\w+\.py\]\((\.\./src/[^)]+)\) `([\w.]+)`")


def without_code(page):
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def links(page):
    """Yield (path, anchor) of each link to a file of ours."""
    for target in LINK.findall(without_code(page)):
        if "://" not in target and not target.startswith("mailto:"):
            path, _, anchor = target.partition("#")
            yield (page.parent / path if path else page).resolve(), anchor


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", without_code(page), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", t).strip().lower().replace(" ", "-") for t in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for path, anchor in links(page):
        assert path.exists(), path
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{path}#{anchor}"


def test_every_page_is_reached_from_the_map():
    reached, waiting = set(), [ROOT / "docs" / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            waiting += [path for path, _ in links(page)]
    missing = [p for p in PAGES if p not in reached and p.parent.name != "decisions"]
    assert [str(p.relative_to(ROOT)) for p in missing] == []
    assert ROOT / "docs" / "README.md" in {path for path, _ in links(ROOT / "README.md")}


def defined(path):
    """Yield the dotted names of a file's functions and classes."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
            for inner in getattr(node, "body", ()):
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}"


def test_the_code_that_the_paper_page_names_is_there():
    page = ROOT / "docs" / "paper-to-code.md"
    named = IN_CODE.findall(page.read_text(encoding="utf-8"))
    assert len(named) > 15
    for path, name in named:
        assert name in set(defined((page.parent / path).resolve())), f"{path}: {name}"
