"""Log-probabilities do not depend on padding, batch, or neighbours."""

import pytest
import torch

from neat_align.errors import DataError
from neat_align.models.layout import layout_of
from neat_align.models.layout.base import group_sums, token_logps
from neat_align.models.layout.padded import padded_rows
from neat_align.models.logprobs import response_logps
from neat_align.models.tokenized import TokenizedGroup, tokenize_group
from neat_align.prompts.chat import PromptFormat
from neat_align.types import Group, Query, Response, Source


def groups():
    ragged = [([3, 4, 5], [[6, 7, 0], [8], [9, 10, 11, 12, 0]]), ([13], [[14, 0], [15, 16]])]
    return [TokenizedGroup(q, r, [0.0] * len(r), [Source.PLAIN] * len(r)) for q, r in ragged]


def one_by_one(model, query, response):
    """Compute the definition: log-softmax of every position, summed over the response."""
    ids = torch.tensor([query + response])
    logps = model(ids).logits[0].log_softmax(-1)
    return sum(logps[len(query) + t - 1, token].item() for t, token in enumerate(response))


@pytest.mark.parametrize("max_tokens", [1, 9, 20, 4096])
def test_sums_equal_the_definition_for_every_max_tokens(model, max_tokens):
    found = layout_of(model, 0, max_tokens).response_logps(groups())
    for group, sums in zip(groups(), found):
        expected = [one_by_one(model, group.query_ids, r) for r in group.response_ids]
        assert sums == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("pad_id", [0, 1, 17])
def test_the_pad_token_has_no_effect(model, pad_id):
    found = layout_of(model, pad_id).response_logps(groups())
    assert found[0] == pytest.approx(layout_of(model, 0).response_logps(groups())[0], abs=1e-5)


def test_gradients_equal_those_of_single_rows(model):
    def gradient(loss):
        model.zero_grad()
        loss.backward()
        return torch.cat([p.grad.flatten().clone() for p in model.parameters()])

    batch = padded_rows(groups(), 0)
    together = gradient(token_logps(model, batch).sum())
    alone = sum(
        gradient(
            token_logps(model, padded_rows([TokenizedGroup(g.query_ids, [r], [0.0], [])], 0)).sum()
        )
        for g in groups()
        for r in g.response_ids
    )
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_rows_return_to_their_groups():
    sums = group_sums(torch.arange(5.0), [3, 2])
    assert sums.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 0.0]]


def test_the_model_keeps_its_mode(model, tokenizer):
    model.train()
    group = Group(Query.from_text("lamp"), (Response("cloth", Source.PLAIN),))
    response_logps(model, PromptFormat(tokenizer), [group])
    assert model.training


def test_sampled_tokens_are_kept_and_eos_ends_finished_responses_only(tokenizer):
    prompt_format = PromptFormat(tokenizer)
    responses = (
        Response("lamp", Source.PLAIN, token_ids=(9, 9)),
        Response("lamp", Source.PLAIN, finish="stop"),
        Response("lamp", Source.PLAIN, finish="length"),
    )
    kept, finished, cut = tokenize_group(
        Group(Query.from_text("q"), responses), prompt_format
    ).response_ids
    assert kept == [9, 9]
    assert finished == [*cut, tokenizer.eos_token_id]
    assert tokenizer.eos_token_id not in cut


def test_a_response_without_tokens_is_refused(tokenizer):
    group = Group(Query.from_text("q"), (Response("", Source.PLAIN, finish="length"),))
    with pytest.raises(DataError, match="empty response"):
        tokenize_group(group, PromptFormat(tokenizer))


def test_a_long_query_keeps_its_end(tokenizer):
    group = Group(Query.from_text("lamp " * 50), (Response("cloth", Source.PLAIN),))
    whole = tokenize_group(group, PromptFormat(tokenizer)).query_ids
    assert tokenize_group(group, PromptFormat(tokenizer), "", 7).query_ids == whole[-7:]
