"""Texts beyond a model's context are refused: by the sampler, the trainer, the reward model."""

from types import SimpleNamespace

import pytest
from tests.conftest import make_llama
from tests.trainers import trainer_of
from transformers import LlamaForSequenceClassification

from neat_align.errors import DataError
from neat_align.models.context import check_fits, context_length
from neat_align.prompts.chat import PromptFormat
from neat_align.prompts.steering import Steering
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.sampling.local import TransformersSampler
from neat_align.scoring.reward_model import RewardModelScorer
from neat_align.types import Group, Query, Response, Source

CONTEXT = 256  # of the models here


def query_of(tokenizer, tokens):
    """Make a query whose prompt has so many tokens."""
    query = Query.from_text("?")
    while len(PromptFormat(tokenizer).query_ids(query.messages)) < tokens:
        query = Query.from_text("\t" + query.text)
    return query


def test_the_sampler_refuses_what_leaves_no_room(model, tokenizer):
    sampler = TransformersSampler(model, PromptFormat(tokenizer))
    fits, beyond = query_of(tokenizer, CONTEXT - 8), query_of(tokenizer, CONTEXT - 7)
    requests = [SamplingRequest(q, Source.PLAIN, "", 0) for q in (fits, beyond, beyond)]
    assert sampler.sample(requests[:1], Decoding(8))
    with pytest.raises(DataError, match=f"{beyond.id} with {CONTEXT + 1} tokens") as caught:
        sampler.sample(requests, Decoding(8))
    assert "and 1 more" in caught.value.given
    assert f"holds {CONTEXT}" in caught.value.why


def test_training_refuses_before_it_begins(tmp_path, tokenizer, steering, queries):
    prompt_format, settings = PromptFormat(tokenizer), {"max_steps": 1, "max_new_tokens": 6}
    messages = Query.from_text("?").messages
    longest = max(
        len(prompt_format.query_ids(messages, text)) - len(prompt_format.query_ids(messages))
        for text in (*steering.positive, *steering.negative)
    )
    fits = query_of(tokenizer, CONTEXT - 6 - longest)
    trainer_of(tmp_path, tokenizer, steering, [fits], **settings).train()
    beyond = query_of(tokenizer, CONTEXT - 5)
    with pytest.raises(DataError, match=beyond.id):
        trainer_of(tmp_path, tokenizer, steering, [*queries, beyond], **settings)


def test_a_reward_model_refuses_what_it_cannot_read(tokenizer):
    config = make_llama(tokenizer).config
    config.num_labels = 1
    scorer = RewardModelScorer(LlamaForSequenceClassification(config).eval(), tokenizer)
    responses = (Response("a", Source.PLAIN), Response("b", Source.PLAIN))
    assert scorer.score([Group(query_of(tokenizer, CONTEXT - 4), responses)])
    with pytest.raises(DataError, match="reward model"):
        scorer.score([Group(query_of(tokenizer, CONTEXT), responses)])


def test_a_model_without_a_limit_takes_all(tokenizer):
    endless = SimpleNamespace(config=SimpleNamespace(get_text_config=SimpleNamespace))
    assert context_length(endless) is None
    check_fits(endless, [("a", 10**9)], "text", "")


def test_training_counts_turns_and_the_beginning_of_an_answer(tmp_path, tokenizer, queries):
    settings = {"max_steps": 1, "max_new_tokens": 6, "negative_context": 0.0}
    shown = [{"user": "the lamp " * 200, "assistant": "today"}]
    for channel in ({"turns": shown}, {"prefix": "the lamp " * 200 + "today"}):
        pair = Steering("long", negative=[channel])
        with pytest.raises(DataError, match="steering and max_new_tokens"):
            trainer_of(tmp_path, tokenizer, pair, queries, **settings)
