"""The baseline without training: the base model with the rule in its system prompt."""

import pytest
import torch
from tests.conftest import make_llama

from neat_align.errors import RecipeError
from neat_align.evaluation.local import evaluated_model
from neat_align.evaluation.prompted import PromptedSampler, prompted_model
from neat_align.evaluation.suite import EvaluationSettings, evaluate
from neat_align.models.layout import layout_of
from neat_align.models.tokenized import tokenize_group
from neat_align.prompts.chat import PromptFormat
from neat_align.recipe import load_recipe
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.sampling.scripted import ScriptedSampler
from neat_align.study.methods import load_methods, with_method
from neat_align.study.plan import plan_grid
from neat_align.types import Group, Source

PROMPTS = ("Be kind.", "Be good.")


def test_a_positive_prompt_stands_before_every_query_and_before_a_negative_one(queries):
    seen = []

    def answer(request):
        seen.append(request.steering)
        return "answer"

    sampler = PromptedSampler(ScriptedSampler(answer), PROMPTS, "prompt")
    asked = [SamplingRequest(q, Source.PLAIN, "", 1) for q in queries]
    asked += [SamplingRequest(q, Source.NEGATIVE, "Be mean.", 1) for q in queries]
    answers = sampler.sample(asked, Decoding())
    plain, negative = seen[: len(queries)], seen[len(queries) :]
    assert set(plain) == set(PROMPTS)
    assert negative == [f"{text}\n\nBe mean." for text in plain]
    assert [a.steering for a in answers] == [r.steering for r in asked]
    assert {a.sampler for a in answers} == {"prompt"}


def test_its_log_probabilities_are_those_under_the_prompt(tokenizer, steering, queries):
    model = make_llama(tokenizer)
    base = evaluated_model(model, tokenizer, "base")
    prompted = prompted_model(model, tokenizer, PROMPTS, "prompt")
    request = [SamplingRequest(queries[0], Source.PLAIN, "", 1)]
    (answer,) = prompted.sampler.sample(request, Decoding(5))
    group = Group(queries[0], (answer,))
    form, prompt = PromptFormat(tokenizer), prompted.sampler.prompt_of(queries[0])
    expected = layout_of(model, form.pad_id).response_logps([tokenize_group(group, form, prompt)])
    torch.testing.assert_close(prompted.log_probability([group]), expected)
    found = evaluate(
        {"base": base, "prompt": prompted}, queries, steering,
        EvaluationSettings(Decoding(5)), {},
    )  # fmt: skip
    assert found.models["prompt"].figures["kl"].value > 0
    assert "distinct_2" in found.models["prompt"].figures


def test_it_is_a_method_that_trains_nothing():
    assert "system prompt" in load_methods()["prompt"].about
    recipe = load_recipe("world")
    grid = plan_grid(recipe, ["base", "prompt", "neat"], [0], 2)
    assert [m.name for m in grid.tuned_methods] == ["neat"]
    (cell,) = grid.test_cells(grid.variants[0], load_methods()["prompt"], {})
    assert cell.recipe.objective == recipe.objective
    for name in ("prompt", "base"):
        with pytest.raises(RecipeError, match="trains nothing"):
            with_method(recipe, name)


def test_it_needs_a_positive_prompt():
    bare = load_recipe("world", ["steering={negative: [Be rude.]}"])
    with pytest.raises(RecipeError, match="no positive prompt"):
        plan_grid(bare, ["base", "prompt"], [0], 1)
    plan_grid(bare, ["base", "neat"], [0], 1)
