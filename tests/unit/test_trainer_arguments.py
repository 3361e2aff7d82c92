"""What users give NEATTrainer first: taken, or told in three parts, all at once."""

import json
from pathlib import Path
from typing import Any, get_type_hints

import datasets
import pandas
import pytest
import torch
from peft import LoraConfig, PeftModel
from tests.conftest import make_llama, stable_id
from tests.trainers import config, length_reward, stored_groups
from transformers import AutoModel, TrainerCallback, TrainingArguments

from neat_align.data import DataSpec, load_queries, save_groups
from neat_align.errors import DataError, InputError, SeveralErrors
from neat_align.objectives import DPO, NEAT
from neat_align.training.arguments import Arguments
from neat_align.training.config import NEATConfig
from neat_align.training.records import Records
from neat_align.training.trainer import NEATTrainer
from neat_align.types import Group, Query

TEXTS = ["How do I boil an egg?", "How do I fold a map?"]


@pytest.fixture
def make(tmp_path, model_dir, steering):
    """Make a trainer of usual arguments, with some replaced."""

    def made(**given):
        usual = {
            "model": model_dir, "args": config(tmp_path), "steering": steering,
            "reward_funcs": length_reward, "train_dataset": TEXTS,
        }  # fmt: skip
        return NEATTrainer(**{**usual, **given})

    return made


# ------------------------------------------------------------------------------ arguments


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, NEAT()),
        ("dpo", DPO()),
        ("DPO", DPO()),
        (DPO, DPO()),
        ({"name": "dpo", "beta": 0.5}, DPO(beta=0.5)),
        (DPO(beta=0.2), DPO(beta=0.2)),
    ],
)
def test_an_objective_by_name_class_or_mapping(make, given, expected):
    assert make(objective=given).objective == expected


def test_args_left_out_or_a_mapping(make, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    settings = {"use_cpu": True, "max_steps": 1, "disable_tqdm": True}
    assert make(args=settings).args.output_dir == "model-NEAT"
    assert make(args={**settings, "output_dir": Path("here")}).args.output_dir == "here"
    monkeypatch.setattr(NEATConfig, "use_cpu", True)
    assert make(args=None).args.output_dir == "model-NEAT"


def test_names_instead_of_objects(make, model_dir):
    trainer = make(reference_model=str(model_dir), processing_class=model_dir, objective="dpo")
    assert trainer.reference.kept is not trainer.model
    assert trainer.prompt_format.tokenizer.eos_token_id is not None


def test_an_adapter_by_its_fields(make):
    trainer = make(peft_config={"r": 3, "lora_alpha": 6})
    assert isinstance(trainer.model, PeftModel)
    assert trainer.model.peft_config["default"].r == 3
    assert make(peft_config=LoraConfig(r=2, target_modules="all-linear")).source


class Seen(TrainerCallback):
    pass


def test_callbacks_optimizers_and_rewards_in_any_form(make, tokenizer):
    model = make_llama(tokenizer)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = make(
        model=model, processing_class=tokenizer, callbacks=Seen, optimizers=(optimizer, None),
        reward_funcs=(length_reward, "polarity"), reward_weights=[1, 0.5],
    )  # fmt: skip
    assert any(isinstance(c, Seen) for c in trainer.callback_handler.callbacks)
    assert trainer.maker.scorers.weights == [1, 0.5]
    trainer.create_optimizer()
    assert trainer.optimizer is optimizer


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"objective": "dop"}, "did you mean 'dpo'?"),
        ({"objective": {"name": "dpo", "betta": 1}}, "beta"),
        ({"objective": 3}, "no objective"),
        ({"objective": torch.nn.Linear}, "no objective"),
        ({"args": "runs/here"}, "NEATConfig(output_dir='runs/here')"),
        ({"args": {"learning_rat": 1}}, "did you mean 'learning_rate'?"),
        ({"args": {"max_steps": 0}}, "untrained"),
        ({"model": None}, "no language model"),
        ({"model": AutoModel}, "no language model"),
        ({"model": "./absent"}, "absent"),
        ({"reference_model": "./absent"}, "absent"),
        ({"reference_model": 3}, "reference_model"),
        ({"processing_class": "./absent"}, "absent"),
        ({"processing_class": 3}, "no tokenizer"),
        ({"peft_config": "lora"}, "no config of an adapter"),
        ({"peft_config": {"rank": 3}}, "no such field"),
        ({"peft_config": {"peft_type": "LORRA"}}, "LORRA"),
        ({"callbacks": [print]}, "no TrainerCallback"),
        ({"reward_funcs": []}, "no reward_funcs"),
        ({"reward_funcs": [length_reward, None]}, "one of them is None"),
        ({"reward_weights": [1.0, 2.0]}, "2 reward_weights for 1"),
        ({"reward_weights": [float("nan")]}, "finite"),
        ({"reward_weights": 1.0}, "no list of numbers"),
        ({"compute_metrics": print}, "reward_funcs"),
        ({"formatting_func": print}, "Query.from_text"),
        ({"tokenizer": 1}, "processing_class"),
        ({"ref_model": 1}, "reference_model"),
        ({"ref_model": "a", "reference_model": "b"}, "give reference_model alone"),
        ({"reward_processing_classes": [1, 2]}, "2 reward_processing_classes for 1"),
        ({"reward_processing_classes": 1}, "functions read no tokenizer"),
        ({"num_generations": 8}, "write positive_samples, negative_samples, plain_samples"),
        ({"quantization_config": 1}, "load the model with it"),
        ({"trian_dataset": 1}, "did you mean 'train_dataset'?"),
        ({"learning_rate": 1e-5}, "args=NEATConfig(learning_rate=…)"),
        ({"model_init": print}, "starts from it anew"),
        ({"data_collator": print}, "leave it out"),
    ],
    ids=stable_id,
)
def test_what_cannot_be_is_told_in_three_parts(make, given, words):
    with pytest.raises(InputError) as caught:
        make(**given)
    text = str(caught.value)
    assert words in text
    assert text.count("why: ") == text.count("fix: ") > 0


@pytest.mark.parametrize(
    ("wrong", "belongs"),
    [
        (NEAT(), "objective"),
        (DPO, "objective"),
        (NEATConfig, "args"),
        ({"max_steps": 1}, "args"),
        ("a model", "reference_model"),
    ],
    ids=str,
)
def test_the_order_is_told_where_another_was_meant(model_dir, tmp_path, tokenizer, wrong, belongs):
    wrong = config(tmp_path) if wrong is NEATConfig else wrong
    wrong = make_llama(tokenizer) if wrong == "a model" else wrong
    with pytest.raises(InputError) as caught:
        NEATTrainer(model_dir, wrong, [{"prompt": "a"}], train_dataset=TEXTS)
    assert f"give it as {belongs}=" in str(caught.value)
    assert "NEATTrainer(model, reward_funcs, args, train_dataset" in str(caught.value)


def test_every_argument_has_a_type_that_says_something():
    hints = get_type_hints(NEATTrainer.__init__)
    assert [n for n, hint in hints.items() if hint is Any] == ["unknown"]
    assert {n: hints[n] for n in get_type_hints(Arguments)} == get_type_hints(Arguments)


def test_settings_of_the_trainers_own_class_are_refused(make, tmp_path):
    with pytest.raises(InputError, match="NEATConfig"):
        make(args=TrainingArguments(output_dir=str(tmp_path), use_cpu=True))


def test_everything_is_told_at_once(make):
    with pytest.raises(SeveralErrors) as caught:
        make(objective="dop", peft_config=3, callbacks=3, train_dataset=5, tokenizer=1, args=3)
    assert len(caught.value.errors) == 6


# ---------------------------------------------------------------------------------- data

ROWS = [{"prompt": text} for text in TEXTS]
CONVERSATIONS = [[{"role": "user", "content": text}] for text in TEXTS]
ANSWER = [{"role": "assistant", "content": "so"}]
FORMS = {
    "texts": TEXTS,
    "tuple": tuple(TEXTS),
    "rows": ROWS,
    "conversations": CONVERSATIONS,
    "messages": [{"messages": c} for c in CONVERSATIONS],
    "dataset": datasets.Dataset.from_list(ROWS),
    "conversational": datasets.Dataset.from_list([{"prompt": c} for c in CONVERSATIONS]),
    "preferences": datasets.Dataset.from_list(
        [{"prompt": t, "chosen": "a", "rejected": "b"} for t in TEXTS]
    ),
    "implicit": datasets.Dataset.from_list(
        [{"chosen": c + ANSWER, "rejected": c + ANSWER} for c in CONVERSATIONS]
    ),
    "one split": datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}),
    "frame": pandas.DataFrame(ROWS),
    "column": pandas.DataFrame(ROWS)["prompt"],
    "arrow": datasets.Dataset.from_list(ROWS).data.table,
    "keys": dict.fromkeys(TEXTS).keys(),
}


@pytest.mark.parametrize("name", FORMS)
def test_data_in_any_form_are_queries(name):
    records = Records(FORMS[name])
    assert [query.text for query in records] == TEXTS
    assert [query.text for query in load_queries(FORMS[name])] == TEXTS


class Mapped(torch.utils.data.Dataset):
    def __len__(self):
        return len(TEXTS)

    def __getitem__(self, index):
        return {"prompt": TEXTS[index]}


class Streamed(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter(ROWS)


def test_torch_datasets_and_streams(make, tmp_path):
    assert [query.text for query in Records(Mapped())] == TEXTS
    stream = datasets.IterableDataset.from_generator(lambda: iter(ROWS * 9))
    for data in (stream, Streamed(), (row for row in ROWS), iter(TEXTS)):
        trainer = make(train_dataset=data)  # 4 steps of 2 queries
        assert len(trainer.train_dataset) <= 8
        assert trainer.train_dataset[0].text == TEXTS[0]
    endless = ({"prompt": f"query {i}"} for i in iter(int, 1))
    with pytest.raises(DataError, match="set max_steps"):
        make(train_dataset=endless, args=config(tmp_path, max_steps=-1))


def test_what_pandas_has_not_is_absent():
    frame = pandas.DataFrame([{"prompt": "a", "chosen": "x"}, {"prompt": "b"}])
    assert [query.meta["chosen"] for query in Records(frame)] == ["x", None]


def test_files_of_queries_and_of_groups(tmp_path, tokenizer, queries, steering):
    path = tmp_path / "queries.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for given in (path, str(path), DataSpec(path)):
        assert [q.text for q in Records(given)] == TEXTS
    assert [q.text for q in load_queries(path)] == TEXTS
    groups = stored_groups(tokenizer, queries[:2], steering)
    for name in ("groups.jsonl", "groups.parquet"):
        save_groups(tmp_path / name, groups)
        found = Records(tmp_path / name)
        assert all(isinstance(group, Group) for group in found)
        assert [g.query.id for g in found] == [g.query.id for g in groups]
    table = datasets.Dataset.from_parquet(str(tmp_path / "groups.parquet"))
    assert isinstance(Records(table)[0], Group)
    assert isinstance(Records([groups[0].to_json()])[0], Group)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (5, "no collection of rows"),
        ("absent.jsonl", "no such file"),
        (Query.from_text("a"), "no collection of rows"),
        ({"a", "b"}, "no order"),
        ({"prompt": TEXTS, "topic": TEXTS}, "not rows"),
        ({}, "not rows"),
        (datasets.DatasetDict({n: datasets.Dataset.from_list(ROWS) for n in "ab"}), "e.g. dataset"),
        ([*ROWS, 3], "row 3: a row of type int"),
        ([*ROWS, {"prompt": ""}], "row 3"),
        ([*ROWS, {"prompt": None}], "row 3"),
        ([{"text": "a"}], "row 1: a row with the columns 'text'"),
        (pandas.DataFrame([{"question_": "a"}]), "row 1"),
        ([{"query": {"messages": []}, "responses": 3}], "not a group"),
        (None, "no training data"),
        ([], "no training data"),
        (pandas.DataFrame(), "no training data"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_data_that_cannot_be_used_are_named_by_row(make, data, words):
    with pytest.raises(InputError) as caught:
        make(train_dataset=data)
    assert words in str(caught.value)


def test_queries_and_groups_are_not_mixed(make, tokenizer, queries, steering):
    groups = stored_groups(tokenizer, queries[:1], steering)
    with pytest.raises(DataError, match="row 2: a query among other rows"):
        make(train_dataset=[*groups, *queries[:1]])
    bare = [Group(g.query, tuple(r.with_scores({}, None) for r in g.responses)) for g in groups]
    with pytest.raises(DataError, match="an unscored group"):
        make(train_dataset=bare)


@pytest.mark.parametrize("accumulation", [1, 3])
def test_data_smaller_than_a_batch(make, tmp_path, accumulation):
    settings = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": accumulation}
    make(args=config(tmp_path, max_steps=1, **settings)).train()
    with pytest.raises(InputError, match="nothing would be trained on"):
        make(args=config(tmp_path, dataloader_drop_last=True, **settings))
