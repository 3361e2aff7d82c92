"""Groups without a good or a bad answer: counted, drawn again up to a bound, or left out."""

import json
import shutil

import pyarrow.parquet
import pytest
from tests.trainers import assert_same, rows, stored_groups, trainer_of, weights

from neat_align.errors import InputError, NoSignalError, RecipeError, TrainingError
from neat_align.objectives import NEAT
from neat_align.prompts.steering import Steering
from neat_align.sampling.scripted import ScriptedSampler
from neat_align.training.config import NEATConfig
from neat_align.training.objective_choice import argument_problems, make_objective
from neat_align.training.split_groups import failed_side
from neat_align.types import Group, Query, Response, Source

PAIR = Steering("two channels", ("Be kind.", {"prefix": "kettle"}), ("Be mean.",))
SMALL = {"positive_samples": 1, "good_above": 0.5}


def is_good(completions, **kwargs):
    return [float("kettle" in text) for text in completions]


class Asked(ScriptedSampler):
    """Keeps the requests; their answers are good where `good` says so."""

    def __init__(self, good):
        super().__init__(lambda request: f"{'kettle' if good(request) else 'lamp'} {request.seed}")
        self.requests = []

    def sample(self, requests, decoding):
        self.requests += requests
        return super().sample(requests, decoding)


def begun(request):
    return request.prefix == "kettle"


def trained(path, tokenizer, queries, good=begun, pair=PAIR, **settings):
    given = {"reward_funcs": is_good, "max_steps": 1, "per_device_train_batch_size": 6}
    settings = {**given, **SMALL, **settings}
    trainer = trainer_of(path, tokenizer, pair, queries, sampler=Asked(good), **settings)
    trainer.train()
    return trainer


def group(*scores):
    responses = (Response(f"{i}", Source.PLAIN, score=s) for i, s in enumerate(scores))
    return Group(Query.from_text("why?"), tuple(responses))


def test_a_group_lacks_one_side_at_most():
    assert failed_side(group(0.5, 0.2), 0.5) == Source.POSITIVE  # the border itself is not good
    assert failed_side(group(0.6, 0.7), 0.5) == Source.NEGATIVE
    assert failed_side(group(0.6, 0.5), 0.5) is None


def test_groups_are_counted_as_they_are(tmp_path, tokenizer, queries):
    def good(request):
        return "kettle" in request.query.text and request.source != Source.NEGATIVE

    trained(tmp_path, tokenizer, queries, good)
    (row,) = rows(tmp_path)
    assert (row["groups/no_good"], row["groups/no_bad"]) == (pytest.approx(4 / 6), 0.0)
    assert "groups/drawn_again" not in row
    trained(
        tmp_path / "all",
        tokenizer,
        queries,
        lambda r: True,
        objective=NEAT(rank_weight=1.0),
        good_above=-1.0,
        reward_funcs=lambda completions: [float(len(c)) for c in completions],
    )
    (row,) = rows(tmp_path / "all")
    assert (row["groups/no_good"], row["groups/no_bad"]) == (0.0, 1.0)


def test_a_group_without_a_good_answer_gets_one_from_the_next_channel(tmp_path, tokenizer, queries):
    settings = {"resample_groups": 3, "log_completions": True, "seed": 1}
    trainer = trained(tmp_path, tokenizer, queries, **settings)
    (row,) = rows(tmp_path)
    assert row["groups/no_good"] == 0.0
    first, again = trainer.maker.policy.requests[:18], trainer.maker.policy.requests[18:]
    prompted = [r.query for r in first if r.source == Source.POSITIVE and not begun(r)]
    assert 0 < len(prompted) < 6
    assert [r.query for r in again] == prompted
    assert all(r.source == Source.POSITIVE and begun(r) for r in again)
    assert row["groups/drawn_again"] == pytest.approx(len(prompted) / 6)
    count = 18 + len(prompted)
    assert len({r.seed for r in (*first, *again)}) == count
    assert trainer.maker.responses == count
    table = pyarrow.parquet.read_table(tmp_path / "completions" / "completions_00001.parquet")
    assert len(set(table["completion"].to_pylist())) == table.num_rows == count


@pytest.mark.parametrize("times", [1, 2])
def test_the_bound_is_kept_and_groups_keep_their_size(tmp_path, tokenizer, queries, times):
    def never(request):
        return request.source == Source.PLAIN and "kettle" in request.query.text

    trainer = trained(
        tmp_path, tokenizer, queries, never, resample_groups=times, objective=NEAT(min_gap=0.0),
    )  # fmt: skip
    seen = trainer.maker.policy.requests
    assert len(seen) == 6 * 3 + times * 4  # one positive of each of the four without a good one
    assert rows(tmp_path)[0]["groups/drawn_again"] == pytest.approx(times * 4 / 6)
    of_first = {r.query.id: r for r in seen[:18] if r.source == Source.POSITIVE}
    for number, request in enumerate(seen[18:]):  # the other channel, then the first again
        turn = 1 + number // 4
        assert begun(request) == (begun(of_first[request.query.id]) == (turn == 2))
    assert trainer.maker.responses == len(seen)


def test_the_negative_side_is_drawn_again_where_no_answer_is_bad(tmp_path, tokenizer, queries):
    pair = Steering("bad ones", ("Be kind.",), ("Be mean.", "Be rude."))

    def good(request):
        return request.steering != "Be rude."

    trainer = trained(
        tmp_path, tokenizer, queries, good, pair, resample_groups=1,
    )  # fmt: skip
    again = trainer.maker.policy.requests[18:]
    assert {r.steering for r in again} == {"Be rude."}
    assert rows(tmp_path)[0]["groups/no_bad"] == 0.0


def test_groups_that_stay_on_one_side_are_left_out(tmp_path, tokenizer, queries):
    def good(request):
        return begun(request) and "kettle" in request.query.text

    trainer = trained(tmp_path, tokenizer, queries, good, resample_groups=1, drop_unsplit=True)
    (row,) = rows(tmp_path)
    assert row["groups/left_out"] == pytest.approx(4 / 6)
    assert row["signal/usable"] == pytest.approx(2 / 6)
    few = [q for q in queries if "kettle" in q.text]
    other = trained(
        tmp_path / "few", tokenizer, few, good, resample_groups=1, per_device_train_batch_size=2
    )
    assert_same(weights(trainer), weights(other), rtol=1e-4, atol=1e-6)


def test_a_refresh_of_which_nothing_is_left_trains_on_nothing(tmp_path, tokenizer, queries, caplog):
    settings = {"drop_unsplit": True, "optim": "sgd", "max_steps": 2, "refresh_every": 1}
    given = {"per_device_train_batch_size": 3, "data_seed": 0}

    def good(request):
        return "kettle" in request.query.text and request.source == Source.POSITIVE

    bad = [q for q in queries if "kettle" not in q.text]
    mixed = [*bad[:3], *[q for q in queries if "kettle" in q.text], bad[3]]
    order = {"train_sampling_strategy": "sequential"}
    trainer = trainer_of(
        tmp_path, tokenizer, PAIR, mixed, sampler=Asked(good), reward_funcs=is_good,
        **SMALL, **settings, **given, **order,
    )  # fmt: skip
    before = weights(trainer)
    after = []
    trainer.add_callback(_AfterEachStep(lambda: after.append(weights(trainer))))
    trainer.train()
    assert_same(before, after[0], rtol=0, atol=0)
    assert any((after[1][name] != before[name]).any() for name in before)
    assert "train on nothing" in caplog.text
    assert [row["groups/left_out"] for row in rows(tmp_path)] == [1.0, pytest.approx(1 / 3)]
    with pytest.raises(NoSignalError, match="6 groups of this run, 6 of them left out"):
        trained(tmp_path / "none", tokenizer, queries, lambda r: False, drop_unsplit=True)


def _AfterEachStep(look):
    from transformers import TrainerCallback

    class Callback(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            look()

    return Callback()


def test_a_resumed_run_ends_alike_with_the_border_of_the_trial(tmp_path, tokenizer, queries):
    def good(request):
        return begun(request) or (request.source == Source.POSITIVE and request.seed % 3 == 0)

    settings = {
        "good_above": None, "steering_try_queries": 4, "steering_force": True,
        "resample_groups": 2, "drop_unsplit": True, "refresh_every": 2, "max_steps": 5,
        "per_device_train_batch_size": 2, "save_strategy": "steps", "save_steps": 3,
        "objective": NEAT(lm_gate="threshold"),
    }  # fmt: skip
    whole = trained(tmp_path / "whole", tokenizer, queries, good, **settings)
    assert whole.signal.border == whole.steering_trial.border is not None
    (tmp_path / "cut").mkdir()
    shutil.copytree(tmp_path / "whole" / "checkpoint-3", tmp_path / "cut" / "checkpoint-3")
    resumed = trainer_of(
        tmp_path / "cut", tokenizer, PAIR, queries, sampler=Asked(good), reward_funcs=is_good,
        **{**SMALL, **settings},
    )  # fmt: skip
    resumed.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-3"))
    assert resumed.signal.state() == whole.signal.state()
    assert_same(weights(whole), weights(resumed), rtol=0, atol=0)


def test_the_anchor_is_open_where_the_best_answer_is_good(tmp_path, tokenizer, queries):
    def good(request):
        return request.source == Source.POSITIVE and "kettle" in request.query.text

    settings = {"negative_context": 0.5, "max_tokens_per_pass": 60}
    for name, gate in (("border", "threshold"), ("plain", "above_plain"), ("off", "off")):
        objective = NEAT(lm_gate=gate)
        trained(tmp_path / name, tokenizer, queries, good, objective=objective, **settings)
    opened = {name: rows(tmp_path / name)[0]["lm/open"] for name in ("border", "plain", "off")}
    assert opened == {"border": pytest.approx(1 / 3), "plain": pytest.approx(1 / 3), "off": 1.0}


@pytest.mark.parametrize(
    ("settings", "objective", "named"),
    [
        ({"plain_samples": 0}, NEAT(lm_gate="above_plain"), "sampled without a prompt"),
        ({}, NEAT(lm_gate="threshold"), "without good_above"),
        ({"resample_groups": 1}, NEAT(), "resample_groups=1 without good_above"),
        ({"drop_unsplit": True}, NEAT(), "drop_unsplit=True without good_above"),
        (
            {"eval_on_start": True, "steering_try_queries": 4, "eval_strategy": "steps"},
            NEAT(lm_gate="threshold"),
            "evaluated before",
        ),
    ],
)
def test_what_cannot_be_told_apart_is_refused(
    tmp_path, tokenizer, steering, queries, settings, objective, named
):
    with pytest.raises(InputError, match=named):
        trainer_of(
            tmp_path, tokenizer, steering, queries, objective, model="nothing-is-loaded",
            eval_dataset=queries[:1], **settings,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "objective", "named"),
    [
        ({}, NEAT(lm_gate="above_plain"), "sampled without a prompt"),
        ({}, NEAT(lm_gate="threshold", rank_weight=0.0), "without good_above"),
        ({"good_above": 0.3}, NEAT(), "does not ask which answers are good"),
        ({"resample_groups": 2}, NEAT(), "none is drawn again"),
        ({"drop_unsplit": True, "good_above": 0.3}, NEAT(), "none is drawn again"),
        ({"max_dispute": 0.5}, NEAT(), "max_dispute=0.5 with stored groups"),
    ],
)
def test_stored_groups_are_refused_what_they_cannot_do(
    tmp_path, tokenizer, steering, queries, settings, objective, named
):
    stored = stored_groups(tokenizer, queries, steering)  # without plain responses
    with pytest.raises(InputError, match=named):
        trainer_of(
            tmp_path, tokenizer, steering, stored, objective, model="nothing-is-loaded", **settings
        )


def test_stored_groups_are_gated_by_a_border_that_is_given(tmp_path, tokenizer, steering, queries):
    stored = stored_groups(tokenizer, queries, steering)
    border = sorted(max(g.scores) for g in stored)[2]
    trainer_of(
        tmp_path, tokenizer, steering, stored, NEAT(lm_gate="threshold"), good_above=border,
        max_steps=1, per_device_train_batch_size=6,
    ).train()  # fmt: skip
    opened = sum(max(g.scores) > border for g in stored) / 6
    assert 0 < opened < 1
    assert rows(tmp_path)[0]["lm/open"] == pytest.approx(opened)


def test_a_reward_that_looks_at_the_prompt_gives_no_border(tmp_path, tokenizer, queries):
    mixed = {"reward_funcs": [is_good, "polarity"], "good_above": None, "steering_try_queries": 4}
    mixed |= {"steering_force": True, "objective": NEAT(lm_gate="threshold")}
    with pytest.raises(TrainingError, match="looks at how an answer was asked for"):
        trained(tmp_path, tokenizer, queries, **mixed)


def test_an_evaluation_before_there_is_a_border_says_so(tmp_path, tokenizer, queries):
    trainer = trainer_of(
        tmp_path, tokenizer, PAIR, queries, NEAT(lm_gate="threshold"), steering_try_queries=4
    )
    with pytest.raises(TrainingError, match="border between good and bad"):
        trainer.evaluate(queries[:1])


def test_settings_that_nothing_would_read(tmp_path):
    with pytest.raises(RecipeError, match="resample_groups=2"):
        NEATConfig(
            output_dir=str(tmp_path), use_cpu=True, resample_groups=2, positive_samples=0,
            negative_samples=0, plain_samples=2,
        )  # fmt: skip


def test_a_bare_off_in_yaml_is_the_word():
    section = {"name": "neat", "lm_gate": False, "lm_threshold": None}
    assert argument_problems(NEAT, section) == []
    assert make_objective(section) == NEAT(lm_gate="off")
    assert "lm_gate" in json.dumps([str(p) for p in argument_problems(NEAT, {"lm_gate": True})])
