"""What a model answers to a task, as the records that metrics read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neat_align.errors import DataError
from neat_align.evaluation.results import PLAIN, EvaluationSettings
from neat_align.evaluation.safety import checked_verdict
from neat_align.evaluation.statistics import Interval
from neat_align.evaluation.task import Condition, Generate, LogLikelihood, Task
from neat_align.sampling.base import Sampler, SamplingRequest
from neat_align.sampling.groups import stable_seed
from neat_align.scoring.base import Unscored
from neat_align.types import Group, Query, Response, Source

LogProbability = Callable[[Sequence[Group]], list[list[float]]]
BareLogProbability = Callable[[Sequence[tuple[str, Sequence[str]]]], list[list[tuple[float, int]]]]
Answered = tuple[int, Group]  # which draw of its query, and the query with its one response
Record = dict[str, Any]


@dataclass(frozen=True)
class Evaluated:
    """A model as a task sees it.

    Attributes:
        sampler: answers requests.
        log_probability: sums of response-token log-probs of groups, nats, clean query.
        perplexity: of texts, with its interval; None where it is not wanted.
        bare: log-likelihoods and tokens of texts that go on from a start, without any chat
            template; None where prompts stand before everything the model reads.
    """

    sampler: Sampler
    log_probability: LogProbability | None = None
    perplexity: Callable[[Sequence[Any]], Interval] | None = None
    bare: BareLogProbability | None = None


def task_samples(
    task: Task, name: str, model: Evaluated, settings: EvaluationSettings
) -> list[Record]:
    """Answer a task in its way; one record per response, or per query with choices.

    Of bare texts a prompted model tells nothing: they have no place for its prompt.

    Raises:
        DataError: choices are to be compared, and the model tells no log-probabilities.
    """
    if isinstance(task.answered, Generate):
        return list(records(task.answered, sampled(task, model, settings)))
    if model.log_probability is None:
        why = "it tells no log-probabilities, and the task compares those of choices"
        raise DataError(f"task {task.name} with model {name}", why, "leave one of them out")
    if task.answered.start is None:
        return _compared(task.queries, task.answered, model.log_probability)
    return [] if model.bare is None else list(_bare(task.queries, task.answered, model.bare))


def sampled(
    task: Task, model: Evaluated, settings: EvaluationSettings
) -> dict[str, list[Answered]]:
    """Return, by condition, one group of one response per request that was answered."""
    how = task.answered
    assert isinstance(how, Generate)
    draws = settings.samples_per_query if how.drawn else 1
    decoding, found = how.decoding(settings.decoding), {}
    for condition in how.conditions:
        requests = _requests(condition, task.queries, draws, settings.seed)
        responses = model.sampler.sample(requests, decoding) if requests else []
        found[condition.name] = [
            (i % draws, Group(request.query, (response,)))
            for i, (request, response) in enumerate(zip(requests, responses, strict=True))
            if response is not None
        ]
    return found


def _requests(
    condition: Condition, queries: Sequence[Query], draws: int, seed: int
) -> list[SamplingRequest]:
    """Make one request per query and draw.

    The seeds leave the model out: every model draws with the same ones.
    """
    own = condition.prompts
    return [
        SamplingRequest(
            query,
            condition.source,
            own[(number + draw) % len(own)],
            stable_seed("evaluation", seed, condition.name, query.id, draw),
        )
        for number, query in enumerate(condition.asked(queries))
        for draw in range(draws)
    ]


def records(how: Generate, answers: Mapping[str, list[Answered]]) -> Iterator[Record]:
    """Yield a record per response: what was asked, how, what came, and what it is worth."""
    for condition, answered in answers.items():
        groups = [group for _, group in answered]
        tables = {key: scorer.score(groups) for key, scorer in how.scorers.items() if groups}
        for i, (draw, group) in enumerate(answered):
            query, response = group.query, group.responses[0]
            judged = how.checker and checked_verdict(how.checker, query, response.text)
            yield {
                **_asked(query, condition, draw),
                "steering": response.steering,
                "text": response.text,
                "finish": response.finish,
                "seed": response.seed,
                "tokens": _tokens(response),
                "verdict": judged,
                "scores": {key: _score(table[i][0]) for key, table in tables.items()},
            }


def _compared(
    queries: Sequence[Query], how: LogLikelihood, log_probability: LogProbability
) -> list[Record]:
    """Return one record per query: its choices with their log-likelihoods, nats.

    A choice is not closed by the turn's end: what is compared are its own tokens.
    """
    groups = [
        Group(q, tuple(Response(text, Source.DATA, finish="length") for text in how.choices(q)))
        for q in queries
    ]
    return [
        {
            **_asked(group.query, PLAIN, 0),
            "choices": [response.text for response in group.responses],
            "logps": list(row),
            "answer": group.query.meta.get("answer"),
        }
        for group, row in zip(groups, log_probability(groups), strict=True)
    ]


def _bare(
    queries: Sequence[Query], how: LogLikelihood, bare: BareLogProbability
) -> Iterator[Record]:
    """Yield the same of choices without a chat template; behind a start comes a space."""
    assert how.start is not None
    starts = [how.start(query) for query in queries]
    texts = [
        (start, [f" {choice}" if start else choice for choice in how.choices(query)])
        for start, query in zip(starts, queries, strict=True)
    ]
    for query, row in zip(queries, bare(texts), strict=True):
        yield {
            **_asked(query, PLAIN, 0),
            "choices": list(how.choices(query)),
            "logps": [logp for logp, _ in row],
            "tokens": [tokens for _, tokens in row],
            "answer": query.meta.get("answer"),
        }


def _asked(query: Query, condition: str, draw: int) -> Record:
    return {
        "query_id": query.id,
        "query": query.text,
        "earlier": [message.to_json() for message in query.messages[:-1]],
        "kind": query.meta.get("kind"),
        "condition": condition,
        "draw": draw,
    }


def _score(value: float | None) -> float | None:
    """Return a score, or None where a scorer does not apply or could not tell."""
    return None if isinstance(value, Unscored) else value


def _tokens(response: Response) -> int:
    """Count tokens where the sampler tells them, else words."""
    return len(response.token_ids) if response.token_ids else len(response.text.split())
