"""The sampler that answers from a script."""

import pytest

from neat_align.errors import InputError
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.sampling.scripted import ScriptedSampler
from neat_align.types import Query, Source

SCRIPT = {"positive": ["yes", "sure", "gladly"], "negative": ["no", "never", "go away"]}


def requests(n=12):
    sides = [(Source.POSITIVE, "Be kind."), (Source.NEGATIVE, "Be mean.")]
    return [
        SamplingRequest(Query.from_text(f"q{i}"), *sides[i % 2], seed=100 + i) for i in range(n)
    ]


def test_every_request_is_answered_in_order_with_its_provenance():
    asked = requests()
    answers = ScriptedSampler(SCRIPT, name="dry").sample(asked, Decoding())
    assert [(a.source, a.steering, a.seed) for a in answers] == [
        (r.source, r.steering, r.seed) for r in asked
    ]
    assert all(a.text in SCRIPT[a.source] for a in answers)
    assert {a.sampler for a in answers} == {"dry"}
    assert {a.finish for a in answers} == {"stop"}


def test_the_seed_fixes_an_answer_whatever_else_is_asked():
    sampler, asked = ScriptedSampler(SCRIPT), requests()
    together = sampler.sample(asked, Decoding())
    alone = [sampler.sample([r], Decoding())[0] for r in reversed(asked)]
    assert together == alone[::-1]
    assert len({a.text for a in together}) > 2


def test_a_function_as_script():
    sampler = ScriptedSampler(lambda request: f"{request.query.text}: {request.source}")
    assert [a.text for a in sampler.sample(requests(2), Decoding())] == [
        "q0: positive",
        "q1: negative",
    ]


@pytest.mark.parametrize("script", [{}, {"positive": []}, {"positive": "yes"}])
def test_a_source_without_a_list_of_answers(script):
    with pytest.raises(InputError, match="source positive"):
        ScriptedSampler(script).sample(requests(1), Decoding())
