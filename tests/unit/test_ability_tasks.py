"""Benchmarks of ability, bias and truth: their formulas on rows made by hand, their real files."""

from __future__ import annotations

import json
from math import exp, log

import pytest

from neat_align.errors import DataError
from neat_align.evaluation import Evaluated, EvaluationSettings, evaluate
from neat_align.evaluation.registry import benchmark
from neat_align.evaluation.tasks.wikitext import detokenised
from neat_align.prompts.steering import Steering
from neat_align.sampling.scripted import ScriptedSampler
from neat_align.types import Query

STEERING = Steering("test", (), ("Be bad.",))


def scripted(likelihood=lambda start, text: 0.0, tokens=1, answer="x"):
    """Tell the log-likelihood of a text behind a start by a function; answer by a text."""

    def bare(texts):
        return [[(likelihood(start, text), tokens) for text in own] for start, own in texts]

    return Evaluated(ScriptedSampler(lambda request: answer), lambda groups: [], bare=bare)


def figures(name, path, model):
    found = evaluate(
        {"m": model}, [Query.from_text("q?")], STEERING, EvaluationSettings(), {},
        tasks=[benchmark(name).of(path)],
    )  # fmt: skip
    return {key.partition("/")[2]: x for key, x in found.flat()["m"].items() if name in key}


def written(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def nats(table, default=-9.0):
    return lambda start, text: table.get(text, default)


# ------------------------------------------------------------------------------- relations


def fact(subject, answer, relation="capital", kind="factual"):
    prompt = f"The {relation} of {subject} is"
    return {
        "relation": relation, "type": kind, "prompt": prompt, "subject": subject, "answer": answer,
    }  # fmt: skip


def test_a_fact_is_compared_with_other_objects_of_its_relation(tmp_path):
    rows = [fact("Italy", "Rome"), fact("Bolivia", "La Paz"), fact("Bolivia", "Sucre")]
    rows += [fact("red", "blue", "opposite", "linguistic"), fact("up", "down", "opposite", "x")]
    task = benchmark("relations").of(written(tmp_path / "r.jsonl", *rows))
    asked = {query.text: query.meta["choices"] for query in task.queries}
    assert sorted(asked["The capital of Italy is"]) == ["La Paz", "Rome", "Sucre"]
    assert set(asked["The capital of Bolivia is"]) == {"Sucre", "Rome"}  # La Paz is right, too
    assert asked["The opposite of red is"] == ["blue", "down"]
    model = scripted(nats({" Rome": -1.0, " blue": -2.0, " down": -2.2}))
    found = figures("relations", tmp_path / "r.jsonl", model)
    # Rome is likeliest for Italy, and wrongly for Bolivia; blue twice, wrongly once
    assert (found["accuracy"], found["factual"], found["linguistic"]) == (0.5, 0.5, 1.0)


# -------------------------------------------------------------------------------- wikitext

ARTICLES = (
    " \n = Du Fu = \n \n"
    ' Du Fu ( born 712 ) wrote " poems " , 1 @,@ 400 @-@ odd .\n'
    " It 's said he didn 't boast .\n"
    " \n = = Life = = \n \n He lived .\n"
    " \n = Manila = \n \n A city .\n"
)


def test_articles_are_written_as_texts_again(tmp_path):
    (tmp_path / "wiki.test.tokens").write_text(ARTICLES)
    first, second = benchmark("wikitext").of(tmp_path / "wiki.test.tokens").queries
    assert first.text == (
        '= Du Fu =\nDu Fu (born 712) wrote "poems", 1,400-odd.\n'
        "It's said he didn't boast.\n== Life ==\nHe lived."
    )
    assert second.text == "= Manila =\nA city."
    assert (first.meta["answer"], second.meta["answer"]) == (4 + 17 + 8 + 5 + 3, 3 + 3)
    assert detokenised("cost $ 5 [ a ] ; 3 @.@ 5 %") == "cost $5 [a]; 3.5%"


def test_perplexity_is_over_all_tokens_and_over_all_words(tmp_path):
    (tmp_path / "wiki.txt").write_text(ARTICLES)
    model = scripted(lambda start, text: -6.0 if "Fu" in text else -2.0, tokens=4)
    found = figures("wikitext", tmp_path / "wiki.txt", model)
    assert found["nll"] == pytest.approx(8 / 8)
    assert found["perplexity"] == pytest.approx(exp(8 / 8))
    assert found["word_perplexity"] == pytest.approx(exp(8 / 43))


# --------------------------------------------------------------------------- commonsenseqa


def question(answer, **choices):
    options = [{"label": label, "text": text} for label, text in choices.items()]
    return {"answerKey": answer, "question": {"stem": "Where?", "choices": options}}


def test_commonsense_answers_are_compared_behind_the_question(tmp_path):
    path = written(tmp_path / "c.jsonl", question("B", A="sea", B="department store", C="mall"))
    starts = []

    def likelihood(start, text):
        starts.append(start)
        return {" sea": -3.0, " department store": -4.0, " mall": -9.0}[text]

    found = figures("commonsenseqa", path, scripted(likelihood))
    assert set(starts) == {"Question: Where?\nAnswer:"}
    assert (found["accuracy"], found["accuracy_per_byte"]) == (0.0, 1.0)


# ------------------------------------------------------------------------------ truthfulqa


def test_mc1_and_mc2_are_the_authors_formulas(tmp_path):
    path = tmp_path / "TruthfulQA.csv"
    path.write_text(
        "Question,Best Answer,Correct Answers,Incorrect Answers\n"
        "Why?,Yes,Yes; Of course.,No; Never\n"
        "How?,So,So,Not so\n"
    )
    table = {" Yes.": log(0.1), " Of course.": log(0.5), " No.": log(0.2), " Never.": log(0.2)}
    table |= {" So.": log(0.03), " Not so.": log(0.01)}
    found = figures("truthfulqa", path, scripted(nats(table)))
    assert found["mc1"] == 0.5  # "Yes." is less likely than "No."
    assert found["mc2"] == pytest.approx((0.6 / 1.0 + 0.03 / 0.04) / 2)


# ------------------------------------------------------------------------------------ bias


def test_crows_pairs_counts_the_more_stereotyping_sentence(tmp_path):
    path = tmp_path / "crows.csv"
    path.write_text(
        ",sent_more,sent_less,stereo_antistereo,bias_type\n0,m1,l1,stereo,age\n1,m2,l2,stereo,age\n"
        "2,m3,l3,antistereo,age\n"
    )
    model = scripted(nats({"m1": -1.0, "l1": -2.0, "m2": -2.0, "l2": -1.0, "m3": -1.0}))
    assert figures("crows_pairs", path, model)["stereotyping"] == pytest.approx(2 / 3)


def test_winogenerated_goes_with_the_share_of_women(tmp_path):
    rows = [
        {
            "sentence_with_blank": f"The worker {i} said that _ can.",
            "pronoun_options": ["he", "she", "they"],
            "BLS_percent_women_2019": women,
        }
        for i, women in enumerate([10, 30, 50, 90])
    ]
    path = written(tmp_path / "w.jsonl", *rows)
    leads = [-2.0, 1.0, 1.0, 4.0]  # of "she" over "he"

    def likelihood(start, text):
        assert "they" not in text
        assert "_" not in text
        return leads[int(text.split()[2])] if " she " in text else 0.0

    found = figures("winogenerated", path, scripted(likelihood))
    assert found["stereotyping"] == pytest.approx(2 / 3)  # half women: no say in it
    assert found["female"] == 0.75
    # women − 45: −35 −15 5 45; leads − 1: −3 0 0 3; r = 240 / √(3500 · 18)
    assert found["correlation"] == pytest.approx(240 / (3500 * 18) ** 0.5)


# ----------------------------------------------------------------------------------- mawps


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("3 and 4 make 7.", 1.0),
        ("It costs $1,200.50", 0.0),
        ("7 apples, I think, or 8", 0.0),
        ("That is 10-7", 1.0),
        ("minus: -7", 0.0),
        ("seven", 0.0),
        ("7.0001", 1.0),
    ],
)
def test_the_last_number_of_an_answer_counts(tmp_path, text, right):
    path = written(tmp_path / "m.jsonl", {"input": "3 + 4?", "target": 7.0})
    assert figures("mawps", path, scripted(answer=text))["accuracy"] == right


def test_commas_stand_in_numbers(tmp_path):
    path = written(tmp_path / "m.jsonl", {"input": "how much?", "target": 1200.5})
    assert figures("mawps", path, scripted(answer="It costs $1,200.50, all in"))["accuracy"] == 1.0


# ---------------------------------------------------------------------------- rows and files


@pytest.mark.parametrize(
    ("name", "row", "words"),
    [
        ("relations", {"relation": "a", "prompt": "p"}, "type, subject, answer"),
        ("commonsenseqa", question("Z", A="a", B="b"), "labelled choices"),
        ("commonsenseqa", {"answerKey": "A", "question": "Where?"}, "labelled choices"),
        ("truthfulqa", {"Question": "q"}, "Best Answer"),
        ("crows_pairs", {"sent_more": "a"}, "sent_less, bias_type"),
        ("winogenerated", {"sentence_with_blank": "no blank"}, "one blank"),
        ("mawps", {"input": "q", "target": "7"}, "no number under target"),
    ],
)
def test_a_row_of_another_kind_is_refused_with_its_line(tmp_path, name, row, words):
    with pytest.raises(DataError, match="line 1") as caught:
        benchmark(name).of(written(tmp_path / "rows.jsonl", row))
    assert words in str(caught.value)


def test_a_missing_text_is_told(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        benchmark("wikitext").of(tmp_path / "wiki.test.tokens")


@pytest.mark.parametrize(
    ("name", "path", "rows", "queries"),
    [
        ("relations", "relations/relations.jsonl", 2261, 2191),  # the same prompt is asked once
        ("commonsenseqa", "commonsenseqa/dev_rand_split.jsonl", 1221, 1221),
        ("truthfulqa", "truthfulqa/TruthfulQA.csv", 813, 813),
        ("crows_pairs", "crows-pairs/crows_pairs_anonymized.csv", 1508, 1507),
        ("winogenerated", "winogenerated/winogenerated_examples.jsonl", 2990, 2989),
        ("mawps", "mawps/mawps_singleop.jsonl", 562, 531),
    ],
)
def test_the_real_files_are_read(shared_data, name, path, rows, queries):
    read = benchmark(name).read(shared_data / path)
    assert len(read) == rows
    assert len({query.id for query in read}) == queries


def test_the_words_of_wikitext_are_those_that_it_tells(shared_data):
    articles = benchmark("wikitext").read(shared_data / "wikitext-2/test.txt")
    assert sum(query.meta["answer"] for query in articles) == 241_211
    assert len(articles) == 60
