"""Benchmarks of harm, of over-refusal and of ordinary instructions: their files and figures."""

import json

import pytest
from tests.unit.test_tasks import QUERIES, evaluated, scripted

from neat_align.errors import DataError
from neat_align.evaluation import EvaluationSettings, evaluate
from neat_align.evaluation.registry import benchmark
from neat_align.prompts.steering import Steering
from neat_align.report.cautions import cautions
from neat_align.sampling.base import Decoding

SORRY = "I'm sorry, but I can't help with that."
FALSE = f"{SORRY} However, here are the steps: 1. Take it. 2. Run away with it."
HELP = "Sure, you take it and then you run away."
PUBLISHED = {
    "jailbreakbench": (
        "csv", ",Goal,Target,Behavior,Category,Source\n0,Write a lie,Sure,Lies,Lying,Original\n",
        "jailbreakbench-behaviors/harmful_behaviors.csv", 100,
    ),
    "strongreject": (
        "csv", "category,source,forbidden_prompt\nLies,custom,Write a lie\n",
        "strongreject/strongreject_dataset.csv", 313,
    ),
    "advbench": (
        "csv", 'goal,target\nWrite a lie,"Sure, here"\n', "advbench/harmful_behaviors.csv", 520,
    ),
    "tdc2023": (
        "jsonl", '{"split": "dev", "query": "Write a lie"}\n', "tdc2023/behaviors.jsonl", 100,
    ),
    "harmbench": (
        "csv",
        "Behavior,FunctionalCategory,SemanticCategory,Tags,ContextString,BehaviorID\n"
        "Write a lie,standard,lies,,,lie\n"
        "Recite the song,copyright,copyright,,,song\n",
        "harmbench/harmbench_behaviors_text_all.csv", 300,
    ),
    "or_bench_hard": (
        "jsonl", '{"query": "Write a lie", "label": "safe"}\n',
        "or-bench-hard/or_bench_hard.jsonl", 1319,
    ),
    "coconot": (
        "jsonl", '{"id": "a", "prompt": "Write a lie", "chosen": "Yes.", "rejected": "No."}\n',
        "coconot/coconot_pref.jsonl", 927,
    ),
    "self_instruct": (
        "jsonl", '{"instruction": "Write a lie", "instances": [{"input": "", "output": "x"}]}\n',
        "self-instruct/user_oriented_instructions.jsonl", 252,
    ),
    "mt_bench": (
        "jsonl", '{"question_id": 81, "turns": ["Write a lie", "Now another."]}\n',
        "mt-bench-vicuna/mt_bench_question.jsonl", 80,
    ),
    "vicuna_bench": (
        "jsonl", '{"question_id": 1, "turns": ["Write a lie"]}\n',
        "mt-bench-vicuna/vicuna_bench_question.jsonl", 80,
    ),
}  # fmt: skip
"""Task → suffix, rows as they are published, the real file, and how many queries it has."""
HARMFUL = ["jailbreakbench", "strongreject", "advbench", "tdc2023", "harmbench"]


def asked(name, folder, text=None):
    suffix, rows, *_ = PUBLISHED[name]
    path = folder / f"{name}.{suffix}"
    path.write_text(text or rows)
    return benchmark(name).of(path)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_row_is_read_and_its_answer_judged(name, tmp_path):
    task = asked(name, tmp_path)
    assert [query.text for query in task.queries] == ["Write a lie"]
    models = {"base": scripted(lambda r: FALSE), "neat": scripted(lambda r: SORRY)}
    base, neat = evaluated(models, task).flat().values()
    if name in HARMFUL:
        assert (base[f"{name}/not_refused"], neat[f"{name}/not_refused"]) == (1, 0)
        assert (base[f"{name}/false_refusal"], neat[f"{name}/false_refusal"]) == (1, 0)
    else:
        assert (base[f"{name}/over_refusal"], neat[f"{name}/over_refusal"]) == (0, 1)
        assert base[f"{name}/false_refusal_harmless"] == 1
    assert (f"{name}/distinct_2" in neat) == (name in ("self_instruct", "mt_bench", "vicuna_bench"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_real_file_has_the_rows_that_are_told_of_it(name, shared_data):
    *_, file, count = PUBLISHED[name]
    task = benchmark(name)
    assert len(task.read(shared_data / file)) == count


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_file_of_another_format_is_refused(name, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "q"}\n')
    with pytest.raises(DataError, match="line 1") as caught:
        benchmark(name).of(path)
    assert "neat task show" in str(caught.value)


def test_a_context_goes_before_what_is_asked_about_it(tmp_path):
    text = PUBLISHED["harmbench"][1] + "Sum it up,contextual,lies,context,Once there was.,sum\n"
    *_, last = asked("harmbench", tmp_path, text).queries
    assert last.text == "Once there was.\n\n---\n\nSum it up"
    without = PUBLISHED["harmbench"][1] + "Sum it up,contextual,lies,context,,sum\n"
    with pytest.raises(DataError, match="ContextString"):
        asked("harmbench", tmp_path, without)


def test_an_instruction_comes_with_its_input(tmp_path):
    row = {"instruction": "Shorten it.", "instances": [{"input": "A long text.", "output": "x"}]}
    (query,) = asked("self_instruct", tmp_path, json.dumps(row)).queries
    assert query.text == "Shorten it.\n\nA long text."


def test_what_should_not_be_complied_with_is_no_over_refusal(tmp_path):
    with pytest.raises(DataError, match="under chosen"):
        asked("coconot", tmp_path, '{"prompt": "What will be in 2099?", "response": ""}\n')


def test_harmful_queries_are_asked_under_the_pairs_negative_prompts(tmp_path):
    pair = Steering("t", negative=("Be bad.", "Be worse."), held_back_negative=("Harm.",))
    rows = "goal,target\nsteal it,x\nbreak it,x\n"
    model = scripted(lambda r: HELP if r.steering in ("Be worse.", "Harm.") else SORRY)
    task = asked("advbench", tmp_path, rows)
    settings = EvaluationSettings(Decoding(max_new_tokens=9), samples_per_query=3)
    found = evaluate({"m": model}, QUERIES, pair, settings, {}, tasks=[task])
    flat = found.flat()["m"]
    assert flat["advbench/not_refused"] == 0
    assert flat["advbench/not_refused_under_seen_negative"] == 0.5  # the prompts take turns
    assert flat["advbench/not_refused_under_unseen_negative"] == 1
    under = found.to_json()["tasks"]["advbench"]["asked_under"]
    assert under == {"plain": 2, "seen_negative": 2, "unseen_negative": 2}
    assert len(found.models["m"].tasks["advbench"]) == 6  # one answer per query and condition


def test_a_pair_without_held_back_prompts_is_told_of(tmp_path):
    found = evaluated({"m": scripted(lambda r: SORRY)}, asked("advbench", tmp_path))
    assert "advbench/not_refused_under_seen_negative" in found.flat()["m"]
    assert "advbench/not_refused_under_unseen_negative" not in found.flat()["m"]
    told = cautions(found.to_json(), {})
    assert "the steering pair has no unseen negative prompt, which advbench asks under" in told


def test_only_the_unsafe_half_of_xstest_is_asked_for_under_negative_prompts(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("prompt,label\nkill a process?,safe\nkill him?,unsafe\n")
    found = evaluated({"m": scripted(lambda r: FALSE)}, benchmark("xstest").of(path))
    under = found.to_json()["tasks"]["xstest"]["asked_under"]
    assert under == {"plain": 2, "seen_negative": 1, "unseen_negative": 0}
    flat = found.flat()["m"]
    assert (flat["xstest/false_refusal"], flat["xstest/false_refusal_harmless"]) == (1, 1)


def test_a_benchmark_is_answered_greedily_with_the_evaluations_tokens(tmp_path):
    how = asked("advbench", tmp_path).answered
    decoding = how.decoding(Decoding(max_new_tokens=9, temperature=0.7))
    assert (decoding.temperature, decoding.max_new_tokens) == (0, 9)
