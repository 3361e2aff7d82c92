"""TRL's trainers train on the expanded data set as it is written."""

import importlib

import pytest
import torch
from datasets import load_dataset
from tests.conftest import make_llama

from neat_align.data import save_groups
from neat_align.types import Group, Query, Response, Source

# TRL and what it imports warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def dataset(tmp_path):
    groups = [
        Group(
            Query.from_text(f"how do I clean lamp {i}?"),
            (
                Response("with a cloth", Source.POSITIVE, "Be kind.", score=1.0, seed=i),
                Response("no", Source.NEGATIVE, "Be mean.", "length", {"r": None}, -1.0),
            ),
        )
        for i in range(4)
    ]
    for part in range(2):
        save_groups(tmp_path / "data" / f"{part}.parquet", groups[2 * part : 2 * part + 2])
    files = str(tmp_path / "data" / "*.parquet")
    return load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "c"))


def arguments(tmp_path, **more):
    return {
        "output_dir": str(tmp_path / "out"),
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "learning_rate": 1e-3,
        "gradient_checkpointing": False,
        **more,
    }


@pytest.mark.parametrize(
    ("module", "name"), [("trl", "DPO"), ("trl.experimental.kto", "KTO")], ids=["dpo", "kto"]
)
def test_preference_trainers(tmp_path, dataset, tokenizer, module, name):
    part = importlib.import_module(module)
    trainer = getattr(part, f"{name}Trainer")(
        make_llama(tokenizer), make_llama(tokenizer),
        args=getattr(part, f"{name}Config")(**arguments(tmp_path)),
        train_dataset=dataset, processing_class=tokenizer,
    )  # fmt: skip
    assert_trains(trainer)


def assert_trains(trainer):
    before = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    trainer.train()
    assert trainer.state.global_step == 2
    after = dict(trainer.model.named_parameters())
    assert any(not torch.equal(before[n], after[n]) for n in before)


def test_reward(tmp_path, dataset, tokenizer):
    from transformers import LlamaForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    config = make_llama(tokenizer).config
    config.num_labels, config.pad_token_id = 1, tokenizer.pad_token_id
    trainer = RewardTrainer(
        LlamaForSequenceClassification(config), args=RewardConfig(**arguments(tmp_path)),
        train_dataset=dataset, processing_class=tokenizer,
    )  # fmt: skip
    assert_trains(trainer)


def test_sft(tmp_path, dataset, tokenizer):
    from trl import SFTConfig, SFTTrainer

    trainer = SFTTrainer(
        make_llama(tokenizer), args=SFTConfig(**arguments(tmp_path)),
        train_dataset=dataset, processing_class=tokenizer,
    )  # fmt: skip
    assert_trains(trainer)
