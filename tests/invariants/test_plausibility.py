"""Plausibility: the mean log-likelihood under the reference and a positive prompt."""

import contextlib

import pytest
import torch

from neat_align.prompts.chat import PromptFormat
from neat_align.scoring.named.plausibility import BoundPlausibility
from neat_align.types import Group, Query, Response, Source


@pytest.fixture
def scorer_of(model, tokenizer):
    def make(prompts):
        provide = contextlib.nullcontext(model)
        return BoundPlausibility(lambda: provide, PromptFormat(tokenizer), prompts)

    return make


def test_it_equals_the_definition(model, tokenizer, scorer_of):
    form = PromptFormat(tokenizer)
    query = Query.from_text("how do I polish the lamp?")
    responses = (Response("cloth", Source.PLAIN), Response("kettle lamp", Source.NEGATIVE))
    found = scorer_of(["Be kind."]).score([Group(query, responses)])[0]
    prompt = form.query_ids(query.messages, "Be kind.")
    for value, response in zip(found, responses):
        ids = form.response_ids(response.text, "stop")
        logps = model(torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
        terms = [logps[len(prompt) + t - 1, token].item() for t, token in enumerate(ids)]
        assert value == pytest.approx(sum(terms) / len(terms), abs=1e-4)


def test_an_empty_response_has_none(scorer_of):
    empty = Response("", Source.PLAIN, finish="length")
    group = Group(Query.from_text("lamp"), (empty, Response("cloth", Source.PLAIN)))
    nothing, something = scorer_of([]).score([group])[0]
    assert nothing is None
    assert something < 0
    assert scorer_of([]).score([Group(group.query, (empty,))]) == [[None]]
