"""What training logs is what it trained on, however the step was cut."""

import pytest
import torch
from tests.trainers import rows, stored_groups, trainer_of, weights

from neat_align.errors import DataError, NoSignalError
from neat_align.models.tokenized import TokenizedGroup
from neat_align.objectives import CPO, DPO, KTO, NEAT, ORPO, RRHF, SFT, SimPO
from neat_align.objectives.contract import example_batch
from neat_align.training.batches import mismatched_pairs
from neat_align.training.config import NEATConfig
from neat_align.training.trainer import NEATTrainer
from neat_align.types import Group, Query, Response, Source


def scored(text, *answers, sources=(Source.POSITIVE, Source.NEGATIVE)):
    responses = (Response(t, s, score=float(len(t))) for t, s in zip(answers, sources))
    return Group(Query.from_text(text), tuple(responses))


def test_every_group_of_one_query_is_trained_on(tmp_path, tokenizer, steering):
    same = "how do I polish the lamp?"
    groups = [scored(same, "cloth", "my own kettle"), scored(same, "today", "lamp lamp")]
    seen = []
    trainer = trainer_of(
        tmp_path, tokenizer, steering, groups, max_steps=2,
        negative_context=0.0,
    )  # fmt: skip
    entries, tokenize = trainer.source.entries, trainer.source.entries.tokenized
    entries.tokenized = lambda batch, step: seen.extend(found := tokenize(batch, step)) or found
    trainer.train()
    answers = {tuple(ids) for entry in seen for ids in entry.response_ids}
    assert len(answers) == 4
    assert len(trainer.source.entries.known) == 2
    references = [tuple(entry.reference) for entry in seen]
    assert len(set(references)) == 2  # each has a reference of its own


def test_groups_of_one_query_draw_their_contexts_apart(tmp_path, tokenizer, steering):
    groups = [scored("how do I polish the lamp?", "cloth", "x" * i) for i in range(1, 13)]
    trainer = trainer_of(tmp_path, tokenizer, steering, groups, negative_context=0.5, max_steps=1)
    entries_of = trainer.source.entries.tokenized
    entries = [len(entries_of([group], 0)) for group in groups]
    assert set(entries) == {1, 2}
    assert entries == [len(entries_of([group], 0)) for group in groups]


@pytest.mark.parametrize("objective", [NEAT(), DPO(), RRHF(), ORPO()], ids=lambda o: o.name)
@pytest.mark.parametrize("budget", [4096, 60])
def test_the_logged_terms_add_up_to_the_loss(
    tmp_path, tokenizer, steering, queries, objective, budget
):
    groups = stored_groups(tokenizer, queries, steering)
    trainer = trainer_of(
        tmp_path, tokenizer, steering, groups, objective, negative_context=0.5, max_steps=3,
        per_device_train_batch_size=2, gradient_accumulation_steps=2,
        max_tokens_per_pass=budget,
    )  # fmt: skip
    trainer.train()  # six groups in steps of four and two
    factors = objective(example_batch(0)).weights
    for row in rows(tmp_path):
        terms = {name[5:]: row[name] for name in row if name.startswith("loss/")}
        assert terms
        total = sum(factors.get(name, 1.0) * value for name, value in terms.items())
        assert total == pytest.approx(row["loss"], rel=1e-4), row


@pytest.mark.parametrize("objective", [NEAT(), SFT()], ids=lambda o: o.name)
def test_figures_of_log_probs_are_those_of_the_clean_query(
    tmp_path, tokenizer, steering, queries, objective
):
    groups = stored_groups(tokenizer, queries, steering)
    logged = []
    for share, budget in ((0.0, 4096), (0.5, 60), (1.0, 4096)):
        path = tmp_path / str(share)
        trainer_of(
            path, tokenizer, steering, groups, objective, negative_context=share,
            max_steps=1, per_device_train_batch_size=6, max_tokens_per_pass=budget,
        ).train()  # fmt: skip
        row = rows(path)[0]
        names = ("kl", "logps/", "rewards/margins", "response_tokens", "signal/", "negatives/")
        logged.append({k: v for k, v in row.items() if k.startswith(names)})
    for other in logged[1:]:
        assert other == pytest.approx(logged[0], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("objective", [DPO(beta=0.5), NEAT(), KTO()], ids=lambda o: o.name)
def test_margins_mean_one_thing_whatever_the_objective(
    tmp_path, tokenizer, steering, queries, objective
):
    """(s_w − s_w^ref) − (s_l − s_l^ref): here the reference is the policy with other weights."""
    groups = stored_groups(tokenizer, queries, steering)
    trainer = trainer_of(
        tmp_path, tokenizer, steering, groups, objective, max_steps=1, negative_context=0.0,
        per_device_train_batch_size=6,
    )  # fmt: skip
    entries = trainer.source.entries.tokenized(groups, 0)
    margins = []
    for entry in entries:  # move the reference by known amounts
        entry.reference[:] = [r - i for i, r in enumerate(entry.reference)]
        scores = entry.scores
        best, worst = scores.index(max(scores)), scores.index(min(scores))
        margins.append(best - worst)
    trainer.train()
    row = rows(tmp_path)[0]
    assert row["rewards/margins"] == pytest.approx(sum(margins) / len(margins), abs=1e-3)
    assert row["rewards/accuracies"] == pytest.approx(sum(m > 0 for m in margins) / len(margins))


@pytest.mark.parametrize("objective", [SimPO(), CPO()], ids=lambda o: o.name)
def test_without_a_reference_there_are_no_margins(
    tmp_path, tokenizer, steering, queries, objective
):
    groups = stored_groups(tokenizer, queries, steering)
    trainer_of(tmp_path, tokenizer, steering, groups, objective, max_steps=1).train()
    assert not [name for name in rows(tmp_path)[0] if name.startswith(("rewards/", "kl"))]


def entry(query, response, clean=True):
    return TokenizedGroup([query], [[response]], [0.0], [Source.PLAIN], clean=clean)


def test_a_mismatched_pair_never_holds_its_own_querys_answer():
    groups = [entry(1, 11), entry(1, 12), entry(2, 21), entry(9, 11, clean=False), entry(1, 13)]
    pairs = [(p.query_ids[0], p.response_ids[0][0]) for p in mismatched_pairs(groups, [])]
    assert pairs == [(1, 21), (1, 21), (2, 13), (1, 21)]


def zero_one(completions, **kwargs):
    return [float("a" in c) for c in completions]


def test_a_reward_of_noughts_and_ones_is_ranked_by(tmp_path, tokenizer, steering, queries):
    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, reward_funcs=zero_one, max_steps=4,
        max_new_tokens=3, per_device_train_batch_size=4,
    )  # fmt: skip
    trainer.train()
    found = rows(tmp_path)
    assert max(row["loss/rank"] for row in found) > 0
    assert all(0 <= row["signal/usable"] <= 1 for row in found)
    assert found[-1]["signal/spread"] == pytest.approx(0.433, abs=0.07)
    assert {name for row in found for name in row} >= {
        "spread/positive", "spread/negative", "spread/plain", "negatives/below_plain",
    }  # fmt: skip


@pytest.mark.parametrize("objective", [NEAT(), NEAT.paper(), SFT()], ids=str)
def test_a_constant_reward_trains_nothing(tmp_path, tokenizer, steering, queries, objective):
    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, objective, max_steps=2,
        reward_funcs=lambda completions, **kwargs: [0.7] * len(completions),
    )  # fmt: skip
    with pytest.raises(NoSignalError, match="imitate an arbitrary one"):
        trainer.train()


def test_stored_groups_without_a_signal_are_refused_before_a_model_is_loaded(tmp_path, steering):
    tied = Group(
        Query.from_text("how?"),
        tuple(Response(t, Source.POSITIVE, score=0.5) for t in ("this way", "that way")),
    )
    with pytest.raises(DataError, match="1 stored groups"):
        NEATTrainer(
            model=str(tmp_path / "there is no model"),
            args=NEATConfig(output_dir=str(tmp_path), use_cpu=True),
            objective=DPO(),
            steering=steering,
            train_dataset=[tied],
        )


def test_accumulation_changes_no_figure_of_an_online_run(tmp_path, tokenizer, steering, queries):
    runs = []
    for batch, accumulation in ((6, 1), (2, 3)):
        trainer = trainer_of(
            tmp_path / str(batch), tokenizer, steering, queries, max_steps=2, optim="sgd",
            per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation,
            learning_rate=0.05, max_grad_norm=0, negative_context=0.5,
        )  # fmt: skip
        trainer.train()
        timeless = [
            {k: v for k, v in row.items() if "second" not in k}
            for row in rows(tmp_path / str(batch))
        ]
        runs.append((timeless, trainer.signal.state(), weights(trainer)))
    assert runs[0][1] == runs[1][1]
    for one, other in zip(runs[0][0], runs[1][0], strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-4)
    for name, tensor in runs[0][2].items():
        torch.testing.assert_close(runs[1][2][name], tensor, rtol=1e-3, atol=1e-5)
