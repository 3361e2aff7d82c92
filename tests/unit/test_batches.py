"""What a step is given: whole on its device, in the numbers it was made with."""

from dataclasses import fields, is_dataclass

import pytest
import torch
from tests.families import make
from tests.invariants.test_packing import ragged_groups
from tests.trainers import stored_groups, trainer_of

from neat_align.models.layout import Packed, Padded, layout_of
from neat_align.models.layout.packable import prepare_for_packing
from neat_align.training.batches import training_passes


def tensors_of(record):
    """Yield (name, tensor) of a record and the records in it."""
    for field in fields(record):
        value = getattr(record, field.name)
        for part in value if isinstance(value, tuple | list) else [value]:
            if is_dataclass(part) and hasattr(part, "to"):
                yield from tensors_of(part)
            elif isinstance(part, torch.Tensor):
                yield field.name, part


def passes_of(model, budget=4096, packed=True):
    groups = [g.with_reference([0.5] * len(g.scores)) for g in ragged_groups(0)]
    one = torch.tensor(1.0)
    return training_passes(layout_of(model, 0, budget, packed), groups, one, kl=one)


@pytest.mark.parametrize("packed", [True, False])
def test_a_pass_moves_whole_and_keeps_its_numbers(packed):
    for part in passes_of(make("llama"), budget=30, packed=packed):
        before, after = dict(tensors_of(part)), dict(tensors_of(part.to("meta")))
        assert {"kl", "spread", "reference", "input_ids", "ends_at"} <= before.keys()
        assert {n: t.dtype for n, t in before.items()} == {n: t.dtype for n, t in after.items()}
        assert {t.device.type for t in after.values()} == {"meta"}
        assert before["score"].dtype == torch.float64


def test_deepspeed_makes_no_ties_of_scores(tmp_path, tokenizer, steering, queries):
    groups = stored_groups(tokenizer, queries, steering)
    trainer = trainer_of(tmp_path, tokenizer, steering, groups, max_steps=1)
    trainer.is_deepspeed_enabled = True  # the Trainer then casts what it moves
    (part,) = passes_of(trainer.model)
    part.score[0, :2] = torch.tensor([1.0, 1.0 + 1e-12], dtype=torch.float64)
    moved = trainer._prepare_inputs(part)
    assert moved.score[0, 0] != moved.score[0, 1]


def test_an_idle_pass_weighs_nothing():
    (part,) = passes_of(make("llama"))
    assert part.weight.all()
    assert not part.idle().weight.any()


def test_a_layout_is_chosen_by_the_model_and_may_be_asked_for():
    packs, does_not = make("llama"), make("mamba", num_attention_heads=None)
    assert isinstance(layout_of(packs, 0), Packed)
    assert isinstance(layout_of(packs, 0, packed=False), Padded)
    assert isinstance(layout_of(does_not, 0), Padded)


@pytest.mark.parametrize("budget", [1, 40, 4096])
def test_both_layouts_give_the_same_sums(budget):
    model = make("qwen3")
    prepare_for_packing(model)
    groups = ragged_groups(2)
    packed, padded = (
        layout_of(model, 0, budget, asked).response_logps(groups) for asked in (True, False)
    )
    for one, other in zip(packed, padded, strict=True):
        assert one == pytest.approx(other, abs=1e-4)
