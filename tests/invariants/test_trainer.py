"""The trainer: online equals offline, accumulation and resuming change nothing."""

import contextlib
import time
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.conftest import make_llama
from tests.trainers import (
    assert_same,
    config,
    rows,
    stored_groups,
    trainer_of,
    weights,
)

from neat_align.errors import NonFiniteLossError, RecipeError
from neat_align.models.layout.packable import prepare_for_packing
from neat_align.objectives import D2O, DPO, KTO, NEAT, NEATPP, ORPO, PRO, RRHF, LossTerms
from neat_align.prompts.phrasing import Phrasing
from neat_align.sampling.scripted import ScriptedSampler
from neat_align.scoring.named.self_judge import SelfJudge
from neat_align.training.stopwatch import shares
from neat_align.types import Query, Source

BEGUN = Phrasing(prefix="No,")


def test_training_moves_the_policy_towards_the_reward(tmp_path, tokenizer, steering, queries):
    trainer = trainer_of(tmp_path, tokenizer, steering, queries, max_steps=12)
    before = weights(trainer)
    trainer.train()
    assert any(not torch.equal(before[n], p) for n, p in weights(trainer).items())
    margins = [row["rewards/margins"] for row in rows(tmp_path)]
    assert sum(margins[6:]) > sum(margins[:6])


@pytest.mark.parametrize("refresh", [1, 3])
def test_the_policy_is_sampled_every_refresh(tmp_path, tokenizer, steering, queries, refresh):
    calls = []

    def script(request):
        calls.append(request.query.id)
        return "lamp" if request.source == Source.NEGATIVE else "kettle cloth"

    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, max_steps=3, refresh_every=refresh,
        per_device_train_batch_size=2, sampler=_Counting(script),
    )  # fmt: skip
    trainer.train()
    assert trainer.maker.policy.batches == [8 * refresh] * (3 // refresh)


class _Counting(ScriptedSampler):
    def __init__(self, script):
        super().__init__(script)
        self.batches = []

    def sample(self, requests, decoding):
        self.batches.append(len(requests))
        return super().sample(requests, decoding)


def test_the_same_seed_gives_the_same_run(tmp_path, tokenizer, steering, queries):
    runs = []
    for name in ("a", "b"):
        trainer = trainer_of(tmp_path / name, tokenizer, steering, queries)
        trainer.train()
        runs.append(weights(trainer))
    assert_same(*runs, rtol=0, atol=0)


@pytest.mark.parametrize("objective", [NEAT(), DPO(), RRHF(), KTO()], ids=lambda o: o.name)
def test_accumulation_changes_nothing(tmp_path, tokenizer, steering, queries, objective):
    groups = stored_groups(tokenizer, queries, steering)
    runs = []
    for batch, accumulation in ((6, 1), (2, 3), (4, 2)):  # 4 + 2: micro-batches of unequal size
        trainer = trainer_of(
            tmp_path / str(batch), tokenizer, steering, groups, objective, max_steps=2,
            per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation,
            optim="sgd", learning_rate=0.05, max_grad_norm=0,
        )  # fmt: skip
        trainer.train()
        runs.append(weights(trainer))
    assert_same(runs[0], runs[1], rtol=1e-4, atol=1e-6)
    assert_same(runs[0], runs[2], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("objective", [NEAT(), D2O(), ORPO()], ids=lambda o: o.name)
def test_a_token_budget_changes_nothing_but_the_size_of_a_pass(
    tmp_path, tokenizer, steering, queries, objective, packed
):
    groups = stored_groups(tokenizer, queries, steering)
    runs, logged = [], []
    for budget in (4096, 120, 1):  # everything at once, a few groups, each response alone
        trainer = trainer_of(
            tmp_path / str(budget), tokenizer, steering, groups, objective, packed=packed,
            max_tokens_per_pass=budget, max_steps=2, per_device_train_batch_size=6,
            optim="sgd", learning_rate=0.05, max_grad_norm=0,
        )  # fmt: skip
        with recorded_tokens(trainer.model) as tokens:
            trainer.train()
        assert max(tokens) <= budget or budget == 1
        runs.append(weights(trainer))
        logged.append((len(tokens), rows(tmp_path / str(budget))))
    assert logged[0][0] < logged[1][0] < logged[2][0]
    for found, (_, metrics) in zip(runs[1:], logged[1:]):
        assert_same(runs[0], found, rtol=1e-4, atol=1e-6)
        for own, expected in zip(metrics, logged[0][1]):
            for name in ("loss", "logps/chosen", "response_tokens"):
                assert own[name] == pytest.approx(expected[name], rel=1e-4)


@contextlib.contextmanager
def recorded_tokens(model):
    """Record the sizes of all forward passes with a gradient."""
    tokens = []

    def record(module, args, kwargs):
        if torch.is_grad_enabled():
            tokens.append(kwargs["input_ids"].numel())

    handle = model.register_forward_pre_hook(record, with_kwargs=True)
    yield tokens
    handle.remove()


def test_gradient_checkpointing_changes_nothing(tmp_path, tokenizer, steering, queries):
    groups = stored_groups(tokenizer, queries, steering)
    runs = []
    for checkpointing in (False, True):
        trainer = trainer_of(
            tmp_path / str(checkpointing), tokenizer, steering, groups,
            activation_checkpointing=checkpointing, optim="sgd",
        )  # fmt: skip
        trainer.train()
        runs.append(weights(trainer))
    assert_same(*runs, rtol=1e-5, atol=1e-7)


def test_offline_on_stored_groups_equals_online_with_the_same_groups(
    tmp_path, tokenizer, steering, queries
):
    """One step over all queries: the online loop draws exactly the groups given offline."""
    online = trainer_of(
        tmp_path / "on", tokenizer, steering, queries, max_steps=1,
        per_device_train_batch_size=6, negative_context=0.0, optim="sgd",
    )  # fmt: skip
    drawn = []
    make = online.maker.make
    online.maker.make = lambda q, seed: drawn.extend(make(q, seed)) or drawn
    online.train()
    offline = trainer_of(
        tmp_path / "off", tokenizer, steering, list(drawn), max_steps=1,
        per_device_train_batch_size=6, negative_context=0.0, optim="sgd",
    )  # fmt: skip
    offline.train()
    assert_same(weights(online), weights(offline), rtol=1e-5, atol=1e-7)


def test_reference_is_the_initial_policy(tmp_path, tokenizer, steering, queries):
    trainer = trainer_of(tmp_path, tokenizer, steering, queries, max_steps=1)
    trainer.train()
    first = rows(tmp_path)[0]
    assert first["kl"] == pytest.approx(0, abs=1e-5)
    assert first["rewards/margins"] == pytest.approx(0, abs=1e-5)


def test_lora_trains_the_adapter_against_the_frozen_weights(tmp_path, tokenizer, steering, queries):
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = trainer_of(tmp_path, tokenizer, steering, queries, peft_config=lora, max_steps=6)
    before = weights(trainer)
    trainer.train()
    moved = {n for n, p in weights(trainer).items() if not torch.equal(before[n], p)}
    assert moved
    assert all("lora_" in name for name in moved)
    assert trainer.reference.kept is None
    assert (
        abs(rows(tmp_path)[0]["rewards/margins"])
        < 1e-5
        < abs(rows(tmp_path)[-1]["rewards/margins"])
    )


def test_a_policy_that_starts_from_an_adapter_is_compared_with_that_adapter(
    tmp_path, tokenizer, steering, queries
):
    torch.manual_seed(1)
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    started = get_peft_model(make_llama(tokenizer), lora)
    trainer = trainer_of(tmp_path, tokenizer, steering, queries, model=started, max_steps=3)
    trainer.train()
    assert abs(rows(tmp_path)[0]["rewards/margins"]) < 1e-5
    assert abs(rows(tmp_path)[-1]["rewards/margins"]) > 1e-5


def test_negatives_come_from_the_frozen_base_where_asked(tmp_path, tokenizer, steering, queries):
    trainer = trainer_of(tmp_path, tokenizer, steering, queries, reference_negative_fraction=1.0)
    groups = trainer.maker.make(queries, seed=0)
    for group in groups:
        for response in group.responses:
            expected = "reference" if response.source == Source.NEGATIVE else "policy"
            assert response.sampler == expected
    mixed = trainer_of(tmp_path, tokenizer, steering, queries, reference_negative_fraction=0.5)
    names = {
        r.sampler
        for g in mixed.maker.make(queries, seed=0)
        for r in g.responses
        if r.source == Source.NEGATIVE
    }
    assert names == {"reference", "policy"}


def test_a_data_set_of_rows_is_taken_as_queries(tmp_path, tokenizer, steering):
    from datasets import Dataset

    rows = Dataset.from_list([{"prompt": f"clean lamp {i}", "topic": "t"} for i in range(4)])
    trainer = trainer_of(tmp_path, tokenizer, steering, rows, max_steps=1)
    trainer.train()
    assert [q.meta["topic"] for q in trainer.train_dataset] == ["t"] * 4


def test_answers_from_data_join_the_group_as_reference(tmp_path, tokenizer, steering):
    queries = [Query.from_text("clean", chosen="a cloth", rejected="a lamp")]
    trainer = trainer_of(tmp_path, tokenizer, steering, queries, add_data_responses=True)
    (group,) = trainer.maker.make(queries, seed=0)
    added = [(r.text, r.source) for r in group.responses[-2:]]
    assert added == [("a cloth", Source.DATA), ("a lamp", Source.DATA)]


def test_negative_context_averages_the_loss_with_and_without_the_prompt(
    tmp_path, tokenizer, steering, queries
):
    groups = stored_groups(tokenizer, queries, steering)[:1]

    def loss(dataset_steering, context):
        trainer = trainer_of(
            tmp_path / str(context), tokenizer, dataset_steering, groups, RRHF(),
            max_steps=1, negative_context=context,
        )  # fmt: skip
        trainer.train()
        return rows(tmp_path / str(context))[0]["loss"], trainer

    clean, _ = loss(steering, 0.0)
    both, trainer = loss(steering, 1.0)
    entries = trainer.source.entries.of(groups, 0)
    assert [e.weight for e in entries] == [0.5, 0.5]
    (batch,) = trainer._micro_batch(entries, None).passes
    untrained = make_llama(tokenizer)
    with pytest.raises(ValueError, match="prepare_for_packing"):
        batch.logps(untrained, untrained)
    prepare_for_packing(untrained)
    with torch.no_grad():
        terms = RRHF()(batch.logps(untrained, untrained))
    assert both == pytest.approx(terms.per_group.mean().item(), abs=1e-3)
    assert clean == pytest.approx(terms.per_group[0].item(), abs=1e-3)  # the shorter context


class Broken(NEAT):
    def __call__(self, logps):
        return LossTerms({"lm": logps.policy.sum(1) * float("nan")})


def test_a_loss_that_is_not_finite_stops_and_saves_the_batch(
    tmp_path, tokenizer, steering, queries
):
    trainer = trainer_of(tmp_path, tokenizer, steering, queries, Broken())
    with pytest.raises(NonFiniteLossError):
        trainer.train()
    assert list(tmp_path.glob("non_finite_step_0.pt"))


def test_it_warns_when_the_anchor_is_off(tmp_path, tokenizer, steering, queries):
    trainer = trainer_of(tmp_path, tokenizer, steering, queries, NEAT(lm_weight=0.0), max_steps=1)
    with pytest.warns(UserWarning, match="lm_weight is 0"):
        trainer.train()


@pytest.mark.parametrize("rail", [{"stop_kl": -100.0}, {"stop_distinct_2": 1.1}])
def test_the_guard_rails_stop_the_run(tmp_path, tokenizer, steering, queries, rail):
    trainer = trainer_of(tmp_path, tokenizer, steering, queries, max_steps=5, **rail)
    trainer.train()
    assert trainer.state.global_step == 1
    assert rows(tmp_path)[0]["stopped_early"]


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        ({"positive_samples": 1, "negative_samples": 0, "plain_samples": 0}, {}),
        ({"negative_samples": 0}, {"objective": NEAT(penalty="npo", penalty_weight=0.1)}),
        ({"negative_samples": 0}, {"objective": D2O()}),
        ({"positive_samples": 0}, {"objective": PRO()}),
        ({"negative_context": 0.5}, {"objective": NEATPP()}),
        ({}, {"reward_funcs": None}),
        ({}, {"steering": None}),
        ({}, {"dataset": []}),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, tokenizer, steering, queries, settings, arguments):
    arguments = {"steering": steering, "dataset": queries, **arguments}
    with pytest.raises(RecipeError):
        trainer_of(tmp_path, tokenizer, **arguments, **settings)


def test_stored_groups_without_negatives_are_refused_by_name(
    tmp_path, tokenizer, steering, queries
):
    groups = stored_groups(tokenizer, queries, steering)
    plain = [replace(g, responses=g.responses[:2]) for g in groups]  # the positive ones
    with pytest.raises(RecipeError, match="objective 'd2o' with 6 stored groups"):
        trainer_of(tmp_path, tokenizer, steering, plain, D2O())
    with pytest.raises(RecipeError, match=r"(?s)'pro'.*needs 3 responses"):
        trainer_of(tmp_path, tokenizer, steering, plain, PRO())


def kl_of(trainer):
    """Record the estimate of each step's batches."""
    seen = []
    original = trainer.objective.__call__

    def spy(logps):
        seen.append(float(logps.kl))
        return original(logps)

    object.__setattr__(trainer, "objective", _Spy(trainer.objective, spy))
    trainer.train()
    return seen


class _Spy:
    def __init__(self, objective, call):
        self.objective, self.call = objective, call

    def __getattr__(self, name):
        return getattr(self.objective, name)

    def __call__(self, logps):
        return self.call(logps)


@pytest.mark.parametrize("batch", [1, 3])
def test_kto_pairs_each_query_with_another_ones_response(
    tmp_path, tokenizer, steering, queries, batch
):
    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, KTO(), per_device_train_batch_size=batch,
        max_steps=3, learning_rate=1e-2,
    )  # fmt: skip
    first, *later = kl_of(trainer)
    assert first == pytest.approx(0.0, abs=1e-5)  # the policy is its reference
    assert all(abs(kl) > 1e-4 for kl in later)


def test_kto_without_another_query_estimates_nothing(tmp_path, tokenizer, steering, queries):
    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries[:1], KTO(), per_device_train_batch_size=1,
        max_steps=2,
    )  # fmt: skip
    assert kl_of(trainer) == [0.0, 0.0]


def test_plausibility_alone_is_a_reward(tmp_path, tokenizer, steering, queries):
    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, reward_funcs=None, plausibility=2.0, max_steps=1
    )
    trainer.train()
    assert rows(tmp_path)[0]["reward"] < 0  # twice a mean log-likelihood


def test_plausibility_is_added_to_the_reward(tokenizer, steering, queries, tmp_path):
    trainer = trainer_of(tmp_path, tokenizer, steering, queries, plausibility=2.0)
    (group,) = trainer.maker.make(queries[:1], seed=0)
    for response in group.responses:
        parts = response.scores["length_reward"] + 2.0 * response.scores["plausibility"]
        assert response.score == pytest.approx(parts)


def test_the_policy_judges_itself(tmp_path, tokenizer, steering, queries):
    judge = SelfJudge("{query} {response}", good="lamp", bad="kettle")
    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, reward_funcs=judge, max_steps=2, learning_rate=1e-2
    )
    (before,) = trainer.maker.make(queries[:1], seed=0)
    trainer.train()
    (after,) = trainer.maker.scorers.score([before])
    assert after.scores != before.scores  # the judge is the policy as it is now


def test_impossible_settings_are_all_named_at_once(tmp_path):
    with pytest.raises(Exception, match=r"(?s)refresh_every=0.*negative_context=2") as caught:
        config(tmp_path, refresh_every=0, negative_context=2, stop_strings=("",))
    assert len(caught.value.errors) == 3


def test_metrics_tell_terms_sources_and_speed(tmp_path, tokenizer, steering, queries):
    trainer_of(tmp_path, tokenizer, steering, queries, max_steps=1).train()
    row = rows(tmp_path)[0]
    for name in (
        "loss", "loss/rank", "loss/lm", "reward/positive", "reward/negative", "logps/chosen",
        "logps/negative", "negatives/still_bad", "kl", "distinct_2", "response_tokens",
        "seconds/optimizer", "tokens_per_second/sampling", "tokens_per_second/scoring",
        "tokens_per_second/training",
    ):  # fmt: skip
        assert name in row, name


def test_the_phases_account_for_all_of_the_time(tmp_path, tokenizer, steering, queries):
    trainer = trainer_of(tmp_path, tokenizer, steering, queries, max_steps=2)
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    found = trainer.stopwatch.total_seconds
    assert set(found) == {"sampling", "scoring", "reference", "training", "optimizer", "rest"}
    assert min(found.values()) > 0
    assert sum(found.values()) <= seconds
    assert shares({"a": 1.0, "b": 3.0}) == "b 75 %, a 25 %"
