"""The in-process sampler: equal to `generate`, seeded, and true to the distribution."""

from collections import Counter

import pytest
import torch
from tests.conftest import make_llama

from neat_align.prompt_format import PromptFormat
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.sampling.groups import GroupPlan, sample_groups
from neat_align.sampling.local import TransformersSampler, _pick
from neat_align.types import Query, Source

GREEDY = Decoding(max_new_tokens=12, temperature=0.0)


def requests(queries, seed=0):
    return [
        SamplingRequest(
            q, Source.NEGATIVE if i % 2 else Source.PLAIN, "Be bad." if i % 2 else "", seed + i
        )
        for i, q in enumerate(queries)
    ]


def test_greedy_equals_generate(model, tokenizer, queries):
    prompt_format = PromptFormat(tokenizer)
    drawn = TransformersSampler(model, prompt_format).sample(requests(queries), GREEDY)
    for request, response in zip(requests(queries), drawn):
        ids = torch.tensor([prompt_format.query_ids(request.query.messages, request.steering)])
        generated = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
        )
        assert list(response.token_ids) == generated[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("decoding", [Decoding(20), Decoding(20, 0.7, top_p=0.9, top_k=50)])
def test_a_seed_fixes_a_response_whatever_the_batch(model, tokenizer, queries, decoding):
    prompt_format = PromptFormat(tokenizer)
    runs = [
        TransformersSampler(model, prompt_format, batch_size=size).sample(
            requests(queries), decoding
        )
        for size in (1, 4, 64)
    ]
    assert runs[0] == runs[1] == runs[2]
    other = TransformersSampler(model, prompt_format).sample(requests(queries, seed=99), decoding)
    assert other != runs[0]


def test_a_shared_prompt_is_read_once_and_changes_nothing(model, tokenizer, queries):
    sampler = TransformersSampler(model, PromptFormat(tokenizer))
    four = [
        SamplingRequest(q, Source.PLAIN, "", 10 * i + j)
        for i, q in enumerate(queries[:2])
        for j in range(4)
    ]
    alone = [sampler.sample([request], Decoding(12))[0] for request in four]
    rows = []
    forward = model.forward

    def spy(*args, **kwargs):
        rows.append(len(kwargs["input_ids"]))
        return forward(*args, **kwargs)

    model.forward = spy
    assert sampler.sample(four, Decoding(12)) == alone
    assert rows[:2] == [2, 8]  # two prompts are read, then eight responses go on


def test_every_response_keeps_its_provenance(model, tokenizer, queries):
    drawn = TransformersSampler(model, PromptFormat(tokenizer), "base").sample(
        requests(queries), Decoding(5)
    )
    for request, response in zip(requests(queries), drawn):
        assert (response.source, response.steering) == (request.source, request.steering)
        assert (response.seed, response.sampler) == (request.seed, "base")
        ended = response.token_ids[-1] == tokenizer.eos_token_id
        assert response.finish == ("stop" if ended else "length")
        assert len(response.token_ids) <= 5


def test_draws_follow_the_distribution():
    logits = torch.tensor([[2.0, 0.0, -1.0, float("-inf"), 1.0]])
    count = 40_000
    uniform = torch.rand(count, generator=torch.Generator().manual_seed(0))
    drawn = _pick(logits.expand(count, -1), uniform, Decoding())
    expected = logits.softmax(-1)[0] * count
    found = torch.bincount(drawn, minlength=5).float()
    assert found[3] == 0
    kept = expected > 0
    chi_square = ((found - expected)[kept] ** 2 / expected[kept]).sum()
    assert chi_square < 16.27  # 3 degrees of freedom: exceeded once in 1,000 seeds


def test_top_k_keeps_the_k_likeliest(model, tokenizer, queries):
    one = TransformersSampler(model, PromptFormat(tokenizer)).sample(
        requests(queries), Decoding(12, top_k=1)
    )
    greedy = TransformersSampler(model, PromptFormat(tokenizer)).sample(requests(queries), GREEDY)
    assert [r.text for r in one] == [r.text for r in greedy]


def test_without_a_template_the_response_ends_where_the_human_would_speak(plain_tokenizer):
    sampler = TransformersSampler(make_llama(plain_tokenizer), PromptFormat(plain_tokenizer))
    request = requests([Query.from_text("q")])[0]
    ids = plain_tokenizer("a lamp\n\nHuman: more")["input_ids"]
    response = sampler._response(request, ids)
    assert (response.text, response.finish, response.token_ids) == ("a lamp", "stop", None)


def test_the_mode_of_the_model_is_restored(model, tokenizer, queries):
    model.train()
    TransformersSampler(model, PromptFormat(tokenizer)).sample(requests(queries), GREEDY)
    assert model.training


def test_groups_hold_the_planned_sources_and_use_the_phrasings(model, tokenizer, queries, steering):
    sampler = TransformersSampler(model, PromptFormat(tokenizer))
    plan = GroupPlan(plain=1, positive=2, negative=2)
    groups = sample_groups(sampler, queries, steering, plan, Decoding(4), seed=3)
    again = sample_groups(sampler, queries, steering, plan, Decoding(4), seed=3)
    assert groups == again
    for query, group in zip(queries, groups):
        assert group.query == query
        assert Counter(r.source for r in group.responses) == {
            Source.POSITIVE: 2,
            Source.NEGATIVE: 2,
            Source.PLAIN: 1,
        }
        prompts = {r.steering for r in group.responses if r.source == Source.NEGATIVE}
        assert prompts == set(steering.negative)
