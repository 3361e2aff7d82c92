"""The in-process sampler: equal to `generate`, seeded, and true to the distribution."""

import logging
from collections import Counter

import pytest
import torch
from tests.conftest import make_llama
from tests.families import make

from neat_align.models.layout.packable import PACKABLE, prepare_for_packing
from neat_align.prompts.chat import PromptFormat
from neat_align.sampling import local
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.sampling.copied_prompts import CopiedPrompts
from neat_align.sampling.draw import Ends, draw_tokens, pick, warpers
from neat_align.sampling.groups import sample_groups
from neat_align.sampling.local import TransformersSampler
from neat_align.sampling.plan import GroupPlan
from neat_align.sampling.shared_prompts import SharedPrompts, can_share
from neat_align.types import Message, Query, Source

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


NO_END = Ends(frozenset())
DECODERS = {"shared": SharedPrompts, "copied": CopiedPrompts}


def ragged_prompts(count=7, longest=30):
    """Token ids, each prompt but the last one several times."""
    rng = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, longest + 1, (count,), generator=rng).tolist()
    prompts = [torch.randint(3, 50, (n,), generator=rng).tolist() for n in lengths]
    return [p for i, p in enumerate(prompts) for _ in range(count - i)]


def generated(model, prompt, count):
    ids = torch.tensor([prompt])
    how = {"max_new_tokens": count, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    rows = model.generate(ids, attention_mask=torch.ones_like(ids), **how)
    return rows[0, len(prompt) :].tolist()


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("family", PACKABLE)
def test_every_family_decodes_what_generate_does(family, decoder):
    model = make(family).eval()
    prepare_for_packing(model)
    prompts = ragged_prompts(5)
    expected = {tuple(p): generated(model, p, 40) for p in prompts}
    decoding = Decoding(max_new_tokens=40, temperature=0.0)
    for seats in (5, 64):  # waiting rows are taken in; all at once
        assert can_share(model, 70)
        drawn = draw_tokens(
            DECODERS[decoder](model), prompts, [0] * len(prompts), decoding, NO_END, seats
        )
        assert drawn == [expected[tuple(p)] for p in prompts]


@pytest.mark.parametrize("decoder", DECODERS)
def test_rows_end_at_different_times_and_disturb_nobody(decoder):
    model = make("llama").eval()
    prepare_for_packing(model)
    prompts, seeds = ragged_prompts(9, 20), list(range(45))
    decoding = Decoding(max_new_tokens=60)
    ends = Ends(frozenset(range(3, 6)))  # about three tokens in fifty: lengths from 1 to 60
    alone = [
        draw_tokens(CopiedPrompts(model), [p], [seed], decoding, ends)[0]
        for p, seed in zip(prompts, seeds)
    ]
    ended = []
    for seats in (1, 4, 16, 64):
        drawn = draw_tokens(
            DECODERS[decoder](model), prompts, seeds, decoding, ends, seats, ended.append
        )
        assert drawn == alone
    assert sum(ended) == 4 * len(prompts)
    assert len({len(ids) for ids in alone}) > 10


@pytest.mark.parametrize("family", ["mistral", "gemma3_text"])
def test_beyond_a_sliding_window_the_general_decoder_is_used(family):
    model = make(family, sliding_window=12).eval()
    prepare_for_packing(model)
    assert can_share(model, 12)
    assert not can_share(model, 13)
    prompts = ragged_prompts(4)
    decoding = Decoding(max_new_tokens=20, temperature=0.0)
    drawn = draw_tokens(CopiedPrompts(model), prompts, [0] * len(prompts), decoding, NO_END)
    assert drawn == [generated(model, prompt, 20) for prompt in prompts]


def test_a_model_with_a_state_of_its_own_is_left_to_generate(tokenizer, queries, caplog):
    local._say_generate.cache_clear()
    model = make("mamba", num_attention_heads=None, vocab_size=len(tokenizer)).eval()
    sampler = TransformersSampler(model, PromptFormat(tokenizer))
    with caplog.at_level(logging.WARNING):
        drawn = sampler.sample(requests(queries), Decoding(8, 0.9, top_k=20))
        again = sampler.sample(requests(queries)[::-1], Decoding(8, 0.9, top_k=20))
    assert drawn == again[::-1]
    assert len({r.token_ids for r in drawn}) > 1
    (message,) = [m for m in caplog.messages if "model.generate" in m]
    assert "mamba" in message
    greedy = sampler.sample(requests(queries), Decoding(8, 0.0))
    ids = PromptFormat(tokenizer).query_ids(queries[0].messages)
    assert list(greedy[0].token_ids) == generated(model, ids, 8)


def test_a_shared_prompt_is_read_once_and_changes_nothing(model, tokenizer, queries):
    prepare_for_packing(model)
    sampler = TransformersSampler(model, PromptFormat(tokenizer))
    four = [
        SamplingRequest(q, Source.PLAIN, "", 10 * i + j)
        for i, q in enumerate(queries[:2])
        for j in range(4)
    ]
    alone = [sampler.sample([request], Decoding(12))[0] for request in four]
    read = []
    forward = model.forward

    def spy(*args, **kwargs):
        read.append(kwargs["input_ids"].numel())
        return forward(*args, **kwargs)

    model.forward = spy
    assert sampler.sample(four, Decoding(12)) == alone
    prompts = [PromptFormat(tokenizer).query_ids(q.messages) for q in queries[:2]]
    assert read[:2] == [sum(map(len, prompts)), 8]  # two prompts, then eight responses


def test_waiting_rows_take_the_seats_of_those_that_ended(model, tokenizer, queries):
    prepare_for_packing(model)
    sampler = TransformersSampler(model, PromptFormat(tokenizer), batch_size=8)
    many = requests(queries * 10)
    rows = []
    step = SharedPrompts.step

    def spy(self, tokens):
        rows.append(len(tokens))
        return step(self, tokens)

    SharedPrompts.step = spy
    try:
        drawn = sampler.sample(many, Decoding(30))
    finally:
        SharedPrompts.step = step
    assert drawn == TransformersSampler(model, PromptFormat(tokenizer)).sample(many, Decoding(30))
    waiting = rows[:-30]  # while there was more to take in
    assert max(rows) <= 8
    assert min(waiting) > 5


def test_a_stop_string_ends_a_response_at_once(model, tokenizer, queries):
    sampler = TransformersSampler(model, PromptFormat(tokenizer))
    free = sampler.sample(requests(queries), Decoding(40))
    stop = free[0].text[8:10]
    stopped = sampler.sample(requests(queries), Decoding(40, stop_strings=(stop,)))
    ended = 0
    for before, after in zip(free, stopped):
        if stop in before.text:
            assert after.text == before.text[: before.text.find(stop)].strip()
            assert (after.finish, after.token_ids) == ("stop", None)
            ended += 1
        else:
            assert after == before
    assert ended
    steps = []
    sampler.model.register_forward_hook(lambda *args: steps.append(1))
    sampler.sample(requests(queries)[:1], Decoding(40, stop_strings=(stop,)))
    assert len(steps) < 25


@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(2),
        Decoding(2, temperature=0.7),
        Decoding(2, top_p=0.8),
        Decoding(2, top_k=5),
        Decoding(2, min_p=0.2),
        Decoding(2, 1.3, top_p=0.9, top_k=12),
    ],
    ids=str,
)
@pytest.mark.parametrize("decoder", DECODERS)
def test_sampled_tokens_follow_the_model(decoder, decoding):
    """The second token, given the first: a G-test that fails once in 10,000 correct runs."""
    model = make("llama", vocab_size=20).eval()
    torch.nn.init.normal_(model.lm_head.weight, std=0.6)
    prepare_for_packing(model)
    prompt, count = [3, 4, 5], 3000
    drawn = draw_tokens(
        DECODERS[decoder](model), [prompt] * count, list(range(count)), decoding, NO_END, count
    )
    first = Counter(ids[0] for ids in drawn).most_common(1)[0][0]
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0, -1:]
        after = model(torch.tensor([[*prompt, first]])).logits[0, -1:]
    for expected_logits, found in (
        (logits, Counter(ids[0] for ids in drawn)),
        (after, Counter(ids[1] for ids in drawn if ids[0] == first)),
    ):
        total = sum(found.values())
        expected = warpers(decoding)(None, expected_logits.float()).softmax(-1)[0] * total
        kept = expected > 0
        assert set(found) <= set(kept.nonzero().flatten().tolist())
        observed = torch.tensor([float(found[i]) for i in range(20)])
        g = 2 * torch.where(observed > 0, observed * (observed / expected).log(), 0)[kept].sum()
        assert g < chi_square_limit(int(kept.sum()) - 1)


def chi_square_limit(freedom):
    """Return the 1 − 10⁻⁴ quantile, by Wilson and Hilferty; a bit more for few degrees."""
    if freedom == 0:
        return 1e-6
    spread = 2 / (9 * freedom)
    return freedom * (1 - spread + 3.72 * spread**0.5) ** 3 + 2


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
    drawn = pick(logits.expand(count, -1), uniform, Decoding())
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
    response = sampler._response(request, ids, Decoding())
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


def test_a_begun_answer_is_drawn_behind_its_beginning(model, tokenizer, queries):
    own = PromptFormat(tokenizer)
    turns = (("clean the cloth", "today"),)
    asked = SamplingRequest(queries[0], Source.NEGATIVE, "Be mean.", 5, turns, "the lamp")
    (found,) = TransformersSampler(model, own).sample([asked], Decoding(5, temperature=0.0))
    shown = Query((*Query.from_text("clean the cloth").messages, Message("assistant", "today"),
                   *queries[0].messages))  # fmt: skip
    begun = own.prefix_ids("the lamp", queries[0])
    ids = [*own.query_ids(shown, "Be mean."), *begun]
    drawn = []
    while len(drawn) < 5 and not set(drawn) & own.stop_ids:
        logits = model(torch.tensor([[*ids, *drawn]])).logits[0, -1]
        drawn.append(int(logits.argmax()))
    assert list(found.token_ids) == [*begun, *drawn]
    assert found.text.startswith("the lamp")
    assert (found.prefix, found.turns, found.steering) == ("the lamp", turns, "Be mean.")
