"""The report: self-contained, and safe whatever a model wrote."""

from html.parser import HTMLParser

import pytest

from neat_align.report import ReportData, build_report

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>alert(2)</script>",
    "{{ 7 * 7 }} {% raw %}",
    "hidden \u202e reversed \u200b \x1b[31m",
]


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.attributes = [], []

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)
        self.attributes += attrs


def figure(value):
    return {"value": value, "low": value - 0.01, "high": value + 0.01, "n": 50}


def sample(text, model):
    return {
        "query_id": "1", "query": text, "kind": "harmful", "condition": "plain", "steering": text,
        "text": f"{model} {text}", "finish": "stop", "seed": 1, "tokens": 3, "verdict": "harmful",
        "scores": {"train": 0.5}, "earlier": [], "draw": 0,
    }  # fmt: skip


def data(**changes):
    return ReportData(
        **{
            "title": HOSTILE[0],
            "steering": {"name": "s", "positive": [HOSTILE[1]], "negative": [HOSTILE[2]],
                         "held_back_positive": [], "held_back_negative": [HOSTILE[3]]},
            "results": {"seed": 7, "models": {
                "base": {"harmful": figure(0.9), "helpful": figure(0.3)},
                "neat": {"harmful": figure(0.01), "helpful": figure(0.9), "kl": figure(2.5)},
            }},
            "samples": {m: [sample(t, m) for t in HOSTILE] for m in ("base", "neat")},
            "metrics": {"neat": [{"step": i, "loss/rank": 1 / i} for i in range(1, 5)]},
            "settings": {"a": {"b": HOSTILE[0]}},
            "versions": {"torch": "2"},
            **changes,
        }
    )  # fmt: skip


@pytest.fixture
def page(tmp_path):
    build_report(tmp_path / "report.html", data())
    return (tmp_path / "report.html").read_text()


def test_hostile_text_stays_text(page):
    tags = Tags()
    tags.feed(page)
    assert "img" not in tags.found
    assert not any(name.startswith("on") for name, _ in tags.attributes)
    assert "alert(1)</script>" not in page
    assert "{{ 7 * 7 }}" in page
    assert not {"\u202e", "\u200b", "\x1b"} & set(page)


def test_nothing_is_fetched(page):
    tags = Tags()
    tags.feed(page)
    assert "link" not in tags.found
    for name, value in tags.attributes:
        if name in ("src", "href"):
            assert value.startswith("#"), value
    assert "url(" not in page
    assert "@import" not in page


def test_figures_and_responses_of_both_models_are_shown(page):
    for text in ("90.0 %", "1.0 %", "2.50", "base", "neat"):
        assert text in page
    assert "–" in page  # the base has no KL here: missing, not zero


def test_the_same_data_gives_the_same_page(tmp_path, page):
    build_report(tmp_path / "again.html", data())
    assert (tmp_path / "again.html").read_text() == page


def test_a_run_without_samples_or_curves_still_has_a_report(tmp_path):
    build_report(tmp_path / "r.html", data(samples={}, metrics={}))
    assert "90.0 %" in (tmp_path / "r.html").read_text()


def test_the_page_stays_small_with_many_samples(tmp_path):
    many = [{**sample("x" * 200, "neat"), "query_id": str(i)} for i in range(2000)]
    build_report(tmp_path / "r.html", data(samples={"base": many, "neat": many}))
    assert (tmp_path / "r.html").stat().st_size < 500_000


def test_an_interval_that_ends_at_zero_but_for_rounding_is_no_change(tmp_path):
    change = {"value": 0.2, "low": 5e-17, "high": 0.4, "n": 4}
    results = {
        "models": {"base": {"helpful": figure(0.1)}, "neat": {"helpful": figure(0.3)}},
        "differences": {"neat": {"helpful": change}},
    }
    build_report(tmp_path / "r.html", data(results=results))
    html = (tmp_path / "r.html").read_text()
    assert "no clear change" in html
    assert "✓ better" not in html


def test_the_page_says_what_the_prompt_column_is(tmp_path):
    models = {name: {"helpful": figure(0.1)} for name in ("base", "prompt", "neat")}
    build_report(tmp_path / "r.html", data(results={"models": models}))
    assert "a sentence does without training" in (tmp_path / "r.html").read_text()
