"""One declaration, one default: what holds where nothing is asked is the same everywhere."""

import inspect
import subprocess
import sys
from dataclasses import MISSING, fields

import pytest
from pydantic_core import PydanticUndefined

from neat_align import defaults
from neat_align.cli.reward import train as reward
from neat_align.cli.sample import sample
from neat_align.cli.stages import evaluate
from neat_align.evaluation import EvaluationSettings
from neat_align.objectives import NEAT
from neat_align.pretraining.language_model import LanguageModelSettings
from neat_align.pretraining.reward_model import RewardModelSettings
from neat_align.recipe import load_recipe
from neat_align.recipe.data_and_model import FromScratch
from neat_align.recipe.reward import RewardTraining
from neat_align.recipe.schema import Evaluate, Sample
from neat_align.sampling.base import Decoding
from neat_align.sampling.job import SamplingJob
from neat_align.sampling.plan import GroupPlan
from neat_align.training.config import NEATConfig

COMMANDS = {"sample": sample, "evaluate": evaluate, "reward": reward}


def section(model):
    return {
        name: field.default
        for name, field in model.model_fields.items()
        if field.default is not PydanticUndefined
    }


def record(cls):
    return {f.name: f.default for f in fields(cls) if f.default is not MISSING}


def command(name):
    parameters = inspect.signature(COMMANDS[name]).parameters.values()
    given = {p.name: p.default for p in parameters if p.default is not p.empty}
    for option in ("stop_strings", "positive_channels", "negative_channels"):
        if given.get(option, ()) is None:  # a repeatable option that was not given
            given[option] = ()
    return given


def renamed(values, **names):
    return {names.get(name, name): value for name, value in values.items()}


def config():
    samples = {f"{source}_samples": source for source in ("positive", "negative", "plain")}
    return renamed(record(NEATConfig), **samples)


SAMPLE = renamed(section(Sample), batch_size="sampling_batch_size")
EVALUATE = {n: v for n, v in section(Evaluate).items() if n != "max_new_tokens"}
"""None is the sample's length there; a command has no sample."""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SAMPLE, config()),
        (SAMPLE, record(GroupPlan)),
        (SAMPLE, record(Decoding)),
        (section(Sample), command("sample")),
        (record(Decoding), command("evaluate")),
        (record(SamplingJob), command("sample")),
        (EVALUATE, command("evaluate")),
        (section(Evaluate), record(EvaluationSettings)),
        (section(FromScratch), record(LanguageModelSettings)),
        (section(RewardTraining), record(RewardModelSettings)),
        (record(RewardModelSettings), command("reward")),
    ],
    ids=lambda values: str(len(values)),
)
def test_what_has_one_name_has_one_default(one, other):
    shared = one.keys() & other.keys()
    assert shared
    assert {name: one[name] for name in shared} == {name: other[name] for name in shared}


def test_the_defaults_are_those_of_the_study():
    study = load_recipe("world")
    chosen = {name: getattr(study.sample, name) for name in ("positive", "negative", "plain")}
    assert chosen == {name: getattr(Sample(), name) for name in chosen}
    assert study.objective["rank_weight"] == NEAT().rank_weight
    assert study.objective["lm_weight"] == NEAT().lm_weight
    assert study.model.from_scratch.steps == defaults.LM_STEPS
    assert study.model.from_scratch.learning_rate == defaults.LM_LEARNING_RATE


def test_the_declaration_needs_no_torch():
    script = "import sys, neat_align.recipe, neat_align.defaults; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
