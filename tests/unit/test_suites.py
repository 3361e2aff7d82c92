"""Suites of benchmarks: which tasks they have, and where their data are looked for."""

import json
from zipfile import ZipFile

import datasets
import pytest
from typer.testing import CliRunner

from neat_align.cli.app import app
from neat_align.errors import DataError, InputError, RecipeError
from neat_align.evaluation.data_sets import look_for, suite
from neat_align.evaluation.published import SUITES
from neat_align.evaluation.registry import benchmark, tasks

PROMPTS = "prompt,label\nHow do I kill time?,safe\nHow do I kill him?,unsafe\n"
PAIR = {"sentence_good": "I go", "sentence_bad": "I goes", "linguistics_term": "binding"}
ON_HUB = {
    ("Paul/XSTest", None, "train"): [{"prompt": "kill time?", "label": "safe"}],
    ("tau/commonsense_qa", None, "validation"): [
        {
            "question": "Where is it?",
            "choices": {"label": ["A", "B"], "text": ["here", "there"]},
            "answerKey": "B",
        }
    ],
    ("truthfulqa/truthful_qa", "generation", "validation"): [
        {
            "question": "Is it?",
            "best_answer": "No.",
            "correct_answers": ["No.", "It is not; never"],
            "incorrect_answers": ["Yes"],
        }
    ],
    ("Salesforce/wikitext", "wikitext-2-v1", "test"): [
        {"text": t} for t in ("", " = One = \n", "", " A word . \n", "", " = Two = \n", "", " B\n")
    ],
    ("nyu-mll/blimp", "one", "train"): [PAIR],
    ("nyu-mll/blimp", "two", "train"): [PAIR | {"sentence_good": "You go"}],
}


@pytest.fixture
def hub(monkeypatch):
    """Stand in for the hub."""

    def load_dataset(name, config=None, split=None):
        if (name, config, split) not in ON_HUB:
            raise ConnectionError("no network")
        return datasets.Dataset.from_list(ON_HUB[name, config, split])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(datasets, "get_dataset_config_names", lambda name: ["two", "one"])


def sets(directory, **files):
    for name, text in files.items():
        path = directory / benchmark(name).published.files[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def refused(*words):
    done = CliRunner().invoke(app, ["evaluate", *map(str, words)])
    assert isinstance(done.exception, InputError), done.output
    return str(done.exception)


def test_every_published_task_is_in_a_suite_and_says_where_its_data_are():
    published = {task.name for task in tasks().values() if task.published}
    assert published == set(suite("all")) == {n for own in SUITES for n in suite(own)}
    assert {"xstest", "harmbench"} <= set(suite("safety"))
    assert set(suite("bias")) == {"bbq", "crows_pairs", "winogenerated"}
    assert all(task.suites for task in tasks().values() if task.published)
    assert {name for name in tasks() if name not in published} == {"choices", "steering"}
    with pytest.raises(RecipeError, match="did you mean 'safety'"):
        suite("safty")


def test_a_folder_or_a_file_per_data_set(tmp_path):
    task = benchmark("xstest")
    assert not look_for([task], [str(tmp_path)], tmp_path).files
    (tmp_path / "xstest.jsonl").write_text("{}")
    assert look_for([task], [str(tmp_path)], tmp_path).files["xstest"].name == "xstest.jsonl"
    sets(tmp_path, xstest=PROMPTS)
    found = look_for([task], [str(tmp_path)], tmp_path).files["xstest"]
    assert found == tmp_path / "xstest" / "xstest_prompts.csv"


def test_the_shared_data_sets_are_found_where_they_are(shared_data):
    found = look_for(map(benchmark, suite("all")), [str(shared_data)], shared_data)
    assert not found.missing
    assert len(set(found.files.values())) == len(suite("all"))  # none is taken for another


def test_an_archive_is_read_as_a_directory_is(tmp_path):
    with ZipFile(tmp_path / "BLiMP.zip", "w") as archive:
        for name, good in (("b", "I go"), ("a", "You go"), ("README", "")):
            suffix = "md" if name == "README" else "jsonl"
            text = json.dumps(PAIR | {"sentence_good": good})
            archive.writestr(f"data/{name}.{suffix}", text)
    found = benchmark("blimp").of(tmp_path / "BLiMP.zip").queries
    assert [query.meta["choices"][0] for query in found] == ["You go", "I go"]
    (tmp_path / "broken.zip").write_bytes(b"PK no")
    with pytest.raises(DataError, match="archive"):
        benchmark("blimp").of(tmp_path / "broken.zip")


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("xstest", "kill time?"),
        ("commonsenseqa", "Question: Where is it?\nAnswer:"),
        ("truthfulqa", "Q: Is it?\nA:"),
        ("wikitext", "= One =\nA word."),
        ("blimp", "I go\nI goes"),
    ],
)
def test_rows_of_the_hub_are_read_as_the_file_is(hub, tmp_path, name, first):
    task = benchmark(name)
    looked = look_for([task], [str(tmp_path / "empty"), "hub"], tmp_path)
    assert looked.hubs[name] is task.published.hub
    queries = task.of(looked.files[name]).queries
    assert queries[0].text == first
    if name == "commonsenseqa":
        assert queries[0].meta["answer"] == 1
    if name == "truthfulqa":  # an answer of the hub's list may have a semicolon in it
        assert queries[0].meta["choices"] == ["No.", "It is not; never.", "Yes."]
    if name in ("wikitext", "blimp"):
        assert len(queries) == 2


def test_what_the_hub_does_not_give_is_missing(hub, tmp_path):
    asked = [benchmark("coconot"), benchmark("bbq")]
    looked = look_for(asked, ["hub"], tmp_path)
    assert "no network" in looked.missing["coconot"].why
    assert "publish nothing there" in looked.missing["bbq"].why
    assert "give --data hub" not in str(looked.missing["coconot"].problem())


def test_all_that_is_missing_is_told_at_once_and_from_where(tmp_path, model_dir):
    data = sets(tmp_path / "sets", bbq="{}")
    words = ["-m", f"base={model_dir}", "--suite", "bias", "-o", tmp_path / "out"]
    told = refused(*words, "--data", data)
    for part in (
        "data of task crows_pairs", "https://github.com/nyu-mll/crows-pairs", "CC-BY-SA-4.0",
        str(data / "crows-pairs/crows_pairs_anonymized.csv"), "data of task winogenerated",
        "--skip-missing",
    ):  # fmt: skip
        assert part in told
    assert "task bbq" not in told
    assert not (tmp_path / "out").exists()
    nowhere = refused(*words)
    assert "data of task bbq" in nowhere
    assert "put it at DIR/bbq/data, with --data DIR" in nowhere
    told = refused(
        "-m", f"base={model_dir}", "--task", "xstest", "--data", data, "-o", data / "out"
    )
    assert "or give --data hub, which reads Paul/XSTest" in told


def test_options_that_nothing_would_come_of_are_refused_together(tmp_path, model_dir):
    common = ["-m", f"base={model_dir}", "-o", tmp_path / "out"]
    assert "no --queries and no benchmark" in refused(*common)
    told = refused(*common, "--suite", "biass", "--data", tmp_path / "nowhere", "--task", "choices")
    for part in ("did you mean 'bias'", "no such directory", "its data are your own"):
        assert part in told
    told = refused(
        *common, "--task", f"xstest={tmp_path}", "--reward", "refusal", "--checker", "reading"
    )
    assert "--reward refusal without --queries" in told
    assert "--checker" in told
    given = refused(*common, "--task", f"bbq={tmp_path / 'x'}", "--data", tmp_path)
    assert "no data set is looked for" in given


def test_the_page_of_a_task_says_where_it_is_looked_for():
    told = CliRunner().invoke(app, ["task", "show", "xstest"]).output
    for part in ("suite: safety", "xstest/xstest_prompts.csv", "on the hub: Paul/XSTest"):
        assert part in told
