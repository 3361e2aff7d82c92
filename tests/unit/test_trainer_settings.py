"""Settings of the Trainer: refused before anything is loaded, and the tables are the real ones."""

import dataclasses
import inspect
import math
from importlib.metadata import version

import pytest
from accelerate.parallelism_config import ParallelismConfig
from transformers import HfArgumentParser, SchedulerType
from transformers.debug_utils import DebugOption
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION
from transformers.trainer_pt_utils import AcceleratorConfig
from transformers.trainer_utils import HubStrategy, IntervalStrategy, SaveStrategy
from transformers.training_args import OptimizerNames, trainer_log_levels
from typer.testing import CliRunner

from neat_align.cli.app import app
from neat_align.config import LIMITS, SETTINGS, help_of
from neat_align.errors import InputError, RecipeError, SeveralErrors
from neat_align.recipe import load_recipe
from neat_align.training import trainer_fields as tables
from neat_align.training import trainer_names, trainer_table
from neat_align.training.config import NEATConfig
from neat_align.training.declared import UNKNOWN, declared_fields
from neat_align.training.settings import setting_problems
from neat_align.training.values import convert


def told(**settings):
    """Return a config's objections to settings, in one text."""
    with pytest.raises(InputError) as caught:
        NEATConfig(output_dir="unused", use_cpu=True, **settings)
    return str(caught.value)


# ------------------------------------------------------------------ the tables are the real ones


def test_every_field_and_default_is_known_without_the_class():
    real = {f.name: f for f in dataclasses.fields(NEATConfig)}
    declared = declared_fields()
    assert set(declared) == set(real)
    for name, field in real.items():
        if declared[name].default is not UNKNOWN and field.default is not dataclasses.MISSING:
            assert declared[name].default == field.default, name


def test_the_table_of_transformers_is_that_of_its_version(monkeypatch):
    table = trainer_table.trainer_table()
    HfArgumentParser(NEATConfig)  # writes other types into the fields
    installed = trainer_table.installed_table()
    if version("transformers") == table["transformers"]:
        assert table == installed, "write it again: python scripts/trainer_arguments.py"
    # Another version's class is asked itself.
    monkeypatch.setattr(trainer_table, "version", lambda name: "0.0")
    monkeypatch.setattr(trainer_table, "installed_table", lambda: {"transformers": "0.0"})
    assert trainer_table.trainer_table.__wrapped__() == {"transformers": "0.0"}


def test_every_setting_of_ours_says_what_it_is():
    ours = {name for name in SETTINGS if name not in trainer_table.trainer_table()["fields"]}
    assert ours == {name for name in SETTINGS if help_of(name)}
    assert set(LIMITS) <= ours


def test_every_name_of_a_table_is_a_field():
    names = {*tables.REFUSED, *tables.LIMITS, *tables.ABOVE, *tables.WHOLE, *trainer_names.CHOICES}
    assert {*names, *tables.NEEDED} <= set(declared_fields())
    assert not set(tables.RENAMED) & set(declared_fields())


@pytest.mark.parametrize(
    ("setting", "real"),
    [
        ("lr_scheduler_type", SchedulerType),
        ("optim", OptimizerNames),
        ("logging_strategy", IntervalStrategy),
        ("eval_strategy", IntervalStrategy),
        ("save_strategy", SaveStrategy),
        ("hub_strategy", HubStrategy),
    ],
)
def test_choices_are_the_enumerations(setting, real):
    assert set(trainer_names.CHOICES[setting]()) == {member.value for member in real}


def test_choices_are_the_names_that_transformers_knows():
    assert set(trainer_names.CHOICES["report_to"]()) == {"none", "all", *INTEGRATION_TO_CALLBACK}
    assert set(trainer_names.LOG_LEVELS) == set(trainer_log_levels)
    assert set(trainer_names.CHOICES["debug"]()) < {option.value for option in DebugOption}


def test_scheduler_arguments_are_those_of_the_functions():
    given = {"optimizer", "num_warmup_steps", "num_training_steps", "last_epoch"}
    for name, known in trainer_names.SCHEDULER_KEYS.items():
        function = TYPE_TO_SCHEDULER_FUNCTION[SchedulerType(name)]
        assert set(known) == set(inspect.signature(function).parameters) - given, name


@pytest.mark.parametrize("name", [member.value for member in OptimizerNames])
def test_an_optimiser_is_made_or_its_library_is_missed(name):
    more = {"optim_target_modules": "all-linear"} if name.startswith(trainer_names.LOW_RANK) else {}
    if setting_problems({"optim": name, **more}):
        assert "is not installed here" in told(optim=name, **more)
    else:
        assert NEATConfig(output_dir="unused", use_cpu=True, optim=name).optim.value == name


# ------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("name", sorted(tables.REFUSED))
def test_what_nothing_reads_is_refused_with_the_reason(name):
    field = declared_fields()[name]
    value = {
        bool: not field.default, float: 0.5, int: 3, str: "other", list: ["x"], type(None): None,
    }[type(field.default)]  # fmt: skip
    if value is None:
        value = OTHER.get(name, True)
    text = told(**{name: value})
    assert name in text
    assert tables.REFUSED[name][0] in text


OTHER = {
    "accelerator_config": AcceleratorConfig(split_batches=True),
    "parallelism_config": ParallelismConfig(),
    "label_names": ["x"],
    "eval_accumulation_steps": 3,
}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr_scheduler_type": "cosin"}, "did you mean 'cosine'?"),
        ({"lr_scheduler_type": "cosine_with_min_lr"}, "needs min_lr or min_lr_rate"),
        ({"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"cycles": 1}}, "num_cycles"),
        ({"lr_scheduler_type": "linear", "lr_scheduler_kwargs": {"x": 1}}, "no such argument"),
        ({"lr_scheduler_type": "constant", "lr_scheduler_kwargs": {"x": 1}}, "nothing would read"),
        ({"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"lr_end": 1}}, "smaller than"),
        ({"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": "x"}, "it is no mapping"),
        ({"lr_scheduler_type": "greedy"}, "there is none"),
        ({"lr_scheduler_type": "constant", "warmup_steps": 5}, "nothing would read it"),
        ({"optim": "adamw_8bits"}, "did you mean 'adamw_8bit'?"),
        ({"optim": "sgd", "optim_args": "momentun=0.9"}, "did you mean 'momentum'?"),
        ({"optim": "sgd", "optim_args": "momentum"}, "no name=value"),
        ({"optim": "sgd", "optim_args": "momentum=x"}, "could not convert"),
        ({"optim": "sgd", "optim_args": "nesterov=true"}, "momentum"),
        ({"optim": "sgd", "adam_beta1": 0.5}, "nothing would read it"),
        ({"optim": "adamw_torch", "optim_args": "eps=1"}, "nothing would read it"),
        ({"adam_beta1": 1.0}, "below 1"),
        ({"adam_epsilon": 0.0}, "divides by zero"),
        ({"per_device_train_batch_size": 0}, "at least 1"),
        ({"per_device_train_batch_size": 2.5}, "not of the type int"),
        ({"per_device_train_batch_size": True}, "not of the type int"),
        ({"gradient_accumulation_steps": 0}, "at least 1"),
        ({"max_steps": 0}, "untrained"),
        ({"max_steps": -5}, "untrained"),
        ({"max_steps": 2.5}, "not of the type int"),
        ({"max_steps": None}, "not of the type int"),
        ({"num_train_epochs": 0}, "untrained"),
        ({"num_train_epochs": float("nan")}, "untrained"),
        ({"max_steps": 5, "num_train_epochs": 2}, "it alone counts"),
        ({"learning_rate": -1.0}, "above 0"),
        ({"learning_rate": 0}, "does not train"),
        ({"learning_rate": math.inf}, "above 0"),
        ({"learning_rate": "fast"}, "not of the type float"),
        ({"learning_rate": [1e-6]}, "not of the type float"),
        ({"weight_decay": -0.1}, "at least 0"),
        ({"max_grad_norm": -1}, "at least 0"),
        ({"warmup_steps": -1}, "at least 0"),
        ({"warmup_steps": 10.5}, "counts steps"),
        ({"logging_steps": 0}, "above 0"),
        ({"logging_steps": 2.5}, "use 2, or a share"),
        ({"save_steps": -1}, "above 0"),
        ({"save_total_limit": 0}, "at least 1"),
        ({"save_strategy": "never"}, "use one of"),
        ({"save_strategy": True}, "quote them"),
        ({"save_strategy": "best"}, "set metric_for_best_model"),
        ({"eval_strategy": "epochs"}, "did you mean 'epoch'?"),
        ({"eval_steps": 5}, "set eval_strategy: steps"),
        ({"eval_delay": 5}, "nothing would read it"),
        ({"load_best_model_at_end": True}, "nothing would read it"),
        ({"load_best_model_at_end": True, "eval_strategy": "epoch"}, "evaluates by 'epoch'"),
        (
            {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 3},
            "a multiple of it",
        ),
        ({"metric_for_best_model": "eval/reward"}, "nothing would read it"),
        ({"greater_is_better": True}, "nothing would read it"),
        ({"bf16": True, "fp16": True}, "one precision"),
        ({"fsdp": True}, "one process"),
        ({"fsdp_config": {"version": 2}}, "nothing would read it"),
        ({"deepspeed": "absent.json"}, "no such file"),
        ({"tf32": True}, "tf32"),
        ({"torch_compile_mode": "fast"}, "there is none"),
        ({"debug": "underflow"}, "underflow_overflow"),
        ({"debug": "tpu_metrics_debug"}, "underflow_overflow"),
        ({"log_level": "loud"}, "use one of"),
        ({"report_to": "wandbb"}, "did you mean 'wandb'?"),
        ({"report_to": ["none", 5]}, "not of the type"),
        ({"report_to": "clearml"}, "not installed"),
        ({"run_name": "mine"}, "nothing would read it"),
        ({"hub_model_id": "me/mine"}, "nothing would read it"),
        ({"dataloader_prefetch_factor": 2}, "nothing would read it"),
        ({"dataloader_num_workers": -1}, "at least 0"),
        ({"train_sampling_strategy": "group_by_length"}, "use one of"),
        ({"seed": -1}, "between 0 and"),
        ({"seed": 2**32}, "between 0 and"),
        ({"data_seed": -1}, "between 0 and"),
        ({"neftune_noise_alpha": 0.0}, "above 0"),
        ({"neftune_noise_alpha": "nan"}, "above 0"),
        ({"torch_empty_cache_steps": 0}, "at least 1"),
        ({"ddp_timeout": 0}, "at least 1"),
        ({"ddp_backend": "glu"}, "did you mean 'gloo'?"),
        ({"positive_samples": -1}, "at least 0"),
        ({"max_query_tokens": 0}, "at least 1"),
        ({"stop_distinct_2": -1}, "at least 0"),
        ({"temperature": math.inf}, "at least 0"),
        ({"reference_negative_fraction": 0.5, "negative_samples": 0}, "nothing would read it"),
        ({"engine_tolerance": 0.5}, "nothing would read it"),
        ({"warmup_ratio": 0.1}, "below 1 it is a share"),
        ({"learning_rat": 0.1}, "did you mean 'learning_rate'?"),
    ],
    ids=str,
)
def test_an_impossible_setting_is_told_in_three_parts(settings, words):
    text = told(**settings)
    assert words in text
    assert text.count("why: ") == text.count("fix: ") > 0


def test_all_problems_are_told_at_once():
    with pytest.raises(SeveralErrors) as caught:
        NEATConfig(output_dir="unused", optim="adamm", max_steps=0, label_names=["x"])
    assert len(caught.value.errors) == 3


def test_a_key_is_not_shown():
    assert "hf_secret" not in told(hub_token="hf_secret")
    assert "hf_secret" not in told(hub_token={"key": "hf_secret"})


# ------------------------------------------------------------------------- what is accepted


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ("1e-6", "float", 1e-6),
        ("5", "int", 5),
        (5.0, "int", 5),
        ("1_000", "int", 1000),
        ("True", "bool", True),
        (False, "IntervalStrategy | str", "no"),
        ("END", "tuple[str, ...]", ("END",)),
        (["END"], "tuple[str, ...]", ("END",)),
        ("x", "list[str] | None", ["x"]),
        (5, "str | None", "5"),
        (None, "int | None", None),
        ({"a": 1}, "dict | str | None", {"a": 1}),
    ],
)
def test_values_become_what_the_field_declares(value, annotation, expected):
    assert convert(value, annotation) == expected


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (None, "float"), (True, "int"), (1, "bool"), ("yes", "bool"), ("x", "int"),
        ([1], "dict | None"), ({"a": 1}, "list[str]"), (["a", 1], "list[str]"), ("", "float"),
    ],
)  # fmt: skip
def test_values_of_another_type_are_refused(value, annotation):
    with pytest.raises((ValueError, TypeError)):
        convert(value, annotation)


def test_a_config_can_be_copied():
    settings = {"eval_strategy": "steps", "load_best_model_at_end": True, "save_steps": 2}
    config = NEATConfig(output_dir="unused", use_cpu=True, gradient_checkpointing=True, **settings)
    copied = dataclasses.replace(config, learning_rate="1e-3")
    assert copied.learning_rate == 1e-3
    assert copied.activation_checkpointing


def test_texts_of_one_word_are_not_taken_apart():
    assert NEATConfig(output_dir="unused", stop_strings="END").stop_strings == ["END"]


# ------------------------------------------------------------------------- in a recipe

RECIPE = """
model: {model}
queries: {queries}
steering: harmless
reward: {{polarity: true}}
train: {{{train}}}
"""


def recipe_of(tmp_path, train):
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"prompt": "hello"}\n')
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(model=tmp_path, queries=queries, train=train))
    return path


def test_a_strategy_of_no_need_not_be_quoted(tmp_path):
    assert load_recipe(recipe_of(tmp_path, "save_strategy: no")).train["save_strategy"] == "no"


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("eval_strategy: yes", "quote them"),
        ("warmup_ratio: 0.1", "warmup_steps"),
        ("hub_token: hf_secret", "HF_TOKEN"),
        ("resume_from_checkpoint: x", "--resume"),
        ("1: 2", "valid string"),
        ("learning_rate: null", "not of the type float"),
    ],
)
def test_a_recipe_says_so_when_it_is_read(tmp_path, train, words):
    with pytest.raises(RecipeError, match=words) as caught:
        load_recipe(recipe_of(tmp_path, train))
    assert "hf_secret" not in str(caught.value)


def test_recipe_check_names_everything_with_its_place(tmp_path, model_dir):
    train = "optim: adamw_8bits, max_steps: 0, label_names: [x], lr_scheduler_type: cosin"
    path = recipe_of(tmp_path, train)
    done = CliRunner().invoke(app, ["recipe", "check", str(path), f"model={model_dir}"])
    assert isinstance(done.exception, SeveralErrors)
    found = {error.given.partition("=")[0] for error in done.exception.errors}
    assert found == {
        "train.optim", "train.max_steps", "train.label_names", "train.lr_scheduler_type",
    }  # fmt: skip


def test_a_run_builds_the_real_settings_before_any_model(tmp_path, model_dir, monkeypatch):
    monkeypatch.setattr("neat_align.models.load_causal_lm", lambda *_: pytest.fail("loaded"))
    path = recipe_of(tmp_path, "optim: sgd, optim_args: momentum=x, use_cpu: true")
    output = tmp_path / "run"
    words = ["run", str(path), f"model={model_dir}", "-o", str(output)]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, RecipeError)
    assert "could not convert" in str(done.exception)
    assert not output.exists()
