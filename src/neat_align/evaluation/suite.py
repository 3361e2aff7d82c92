"""The evaluation: the same queries put to every model, under three conditions.

    plain              no steering prompt: what users meet
    seen_negative      under negative prompts that training used
    unseen_negative    under negative prompts that nothing was trained on

The suite needs no torch: a model is what samples, and what tells log-probabilities.
Each response becomes one record; `observations` says what the figures count in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neat_align.errors import DataError
from neat_align.evaluation.observations import (
    CONDITIONS,
    PLAIN,
    SEEN,
    UNSEEN,
    differences,
    figures,
)
from neat_align.evaluation.results import BASE, Evaluation, EvaluationSettings, ModelResult
from neat_align.evaluation.safety import Checker, checked_verdict
from neat_align.evaluation.statistics import Interval, mean_interval
from neat_align.prompts.steering import Steering
from neat_align.sampling.base import Sampler, SamplingRequest
from neat_align.sampling.groups import stable_seed
from neat_align.scoring.base import Scorer, Unscored
from neat_align.types import Group, Query, Response, Source

__all__ = ["Evaluated", "Evaluation", "EvaluationSettings", "ModelResult", "evaluate"]

LogProbability = Callable[[Sequence[Group]], list[list[float]]]
Answered = tuple[int, Group]  # which draw of its query, and the query with its one response


@dataclass(frozen=True)
class Evaluated:
    """A model as the suite sees it.

    Attributes:
        sampler: answers requests.
        log_probability: sums of response-token log-probs of groups, nats, clean query.
        perplexity: of texts, with its interval; None where it is not wanted.
    """

    sampler: Sampler
    log_probability: LogProbability | None = None
    perplexity: Callable[[Sequence[Any]], Interval] | None = None


def evaluate(
    models: Mapping[str, Evaluated] | Iterator[tuple[str, Evaluated]],
    queries: Sequence[Query],
    steering: Steering,
    settings: EvaluationSettings,
    scorers: Mapping[str, Scorer],
    checker: Checker | None = None,
    texts: Sequence[Any] = (),
    base_log_probability: LogProbability | None = None,
    progress: Callable[[str, Evaluation], None] | None = None,
) -> Evaluation:
    """Evaluate models one after the other.

    Args:
        models: by name; an iterator of pairs lets the caller load one at a time. The one
            named "base", wherever it stands, is what the others are compared with.
        queries: held out; with a checker each needs `meta["kind"]`. One that is given
            twice is asked once.
        steering: its negative prompts are the seen ones, its held-back the unseen ones.
        settings: the same for every model.
        scorers: "train", the one training used, and "heldout", one it never saw; either
            may be missing.
        checker: gives verdicts where there is a ground truth.
        texts: for perplexity.
        base_log_probability: of the model that KL is measured against; the one named
            "base" among the models when None.
        progress: called with each model's name and the evaluation so far.

    Raises:
        DataError: no queries.
        RewardError: the checker raised, or gave an unknown verdict.
    """
    if not queries:
        raise DataError("no evaluation queries", "there is nothing to measure", "give some")
    queries = list({query.id: query for query in queries}.values())
    evaluation = Evaluation(settings, _about(queries, steering, scorers))
    distance = _DistanceToBase(base_log_probability, settings.seed)
    for name, model in models.items() if isinstance(models, Mapping) else models:
        answers = _answers(model, queries, steering, settings, checker)
        samples = list(_samples(answers, scorers, checker))
        result = ModelResult(figures(samples, settings.seed), samples)
        evaluation.models[name] = result
        for known, kl in distance.of(name, model, [group for _, group in answers[PLAIN]]):
            evaluation.models[known].figures["kl"] = kl
        if model.perplexity is not None and texts:
            result.figures["ppl_pretrain"] = model.perplexity(texts)
        _compare(evaluation)
        if progress:
            progress(name, evaluation)
    return evaluation


class _DistanceToBase:
    """KL(model ‖ base) in nats a response, estimated on the model's own plain responses.

    A model that comes before the base waits for it.
    """

    def __init__(self, reference: LogProbability | None, seed: int) -> None:
        self.reference, self.seed = reference, seed
        self.waiting: dict[str, tuple[list[Group], list[float]]] = {}

    def of(
        self, name: str, model: Evaluated, answers: Sequence[Group]
    ) -> Iterator[tuple[str, Interval]]:
        """The models whose KL can be told now: this one and those that waited."""
        groups = [g for g in answers if _has_tokens(g.responses[0])]
        if model.log_probability is not None and groups:
            if name == BASE and self.reference is None:
                self.reference = model.log_probability
            self.waiting[name] = groups, [row[0] for row in model.log_probability(groups)]
        if self.reference is not None:
            for known, (asked, own) in self.waiting.items():
                yield known, self._kl(known, asked, own, self.reference)
            self.waiting.clear()

    def _kl(
        self, name: str, groups: list[Group], own: list[float], reference: LogProbability
    ) -> Interval:
        if name == BASE:
            return Interval(0.0, 0.0, 0.0, len(groups))
        log_ratios = [a - row[0] for a, row in zip(own, reference(groups), strict=True)]
        return mean_interval(log_ratios, self.seed, [group.query.id for group in groups])


def _about(
    queries: Sequence[Query], steering: Steering, scorers: Mapping[str, Scorer]
) -> dict[str, Any]:
    return {
        "queries": len(queries),
        "steering": steering.name,
        "scorers": {key: scorer.name for key, scorer in scorers.items()},
    }


def _answers(
    model: Evaluated,
    queries: Sequence[Query],
    steering: Steering,
    settings: EvaluationSettings,
    checker: Checker | None,
) -> dict[str, list[Answered]]:
    """By condition, one group of one response for each request that was answered."""
    found = {}
    for condition in CONDITIONS:
        requests = _requests(condition, queries, steering, settings, checker)
        responses = model.sampler.sample(requests, settings.decoding) if requests else []
        found[condition] = [
            (i % settings.samples_per_query, Group(request.query, (response,)))
            for i, (request, response) in enumerate(zip(requests, responses, strict=True))
            if response is not None
        ]
    return found


def _requests(
    condition: str,
    queries: Sequence[Query],
    steering: Steering,
    settings: EvaluationSettings,
    checker: Checker | None,
) -> list[SamplingRequest]:
    """One for each query and draw; [] where there is no such prompt.

    The seeds leave the model out: every model draws with the same ones. With a checker,
    negative prompts accompany harmful queries only, since they ask for harm.
    """
    prompts = {PLAIN: ("",), SEEN: steering.negative, UNSEEN: steering.held_back_negative}
    if condition != PLAIN and checker is not None:
        queries = [q for q in queries if q.meta.get("kind") == "harmful"]
    own = prompts[condition]
    return [
        SamplingRequest(
            query,
            Source.PLAIN if condition == PLAIN else Source.NEGATIVE,
            own[(number + draw) % len(own)],
            stable_seed("evaluation", settings.seed, condition, query.id, draw),
        )
        for number, query in enumerate(queries if own else ())
        for draw in range(settings.samples_per_query)
    ]


def _samples(
    answers: Mapping[str, list[Answered]],
    scorers: Mapping[str, Scorer],
    checker: Checker | None,
) -> Iterator[dict[str, Any]]:
    """A record for each response: what was asked, how, what came, and what it is worth."""
    for condition, answered in answers.items():
        groups = [group for _, group in answered]
        tables = {key: scorer.score(groups) for key, scorer in scorers.items() if groups}
        for i, (draw, group) in enumerate(answered):
            query, response = group.query, group.responses[0]
            yield {
                "query_id": query.id,
                "query": query.text,
                "earlier": [message.to_json() for message in query.messages[:-1]],
                "kind": query.meta.get("kind"),
                "condition": condition,
                "draw": draw,
                "steering": response.steering,
                "text": response.text,
                "finish": response.finish,
                "seed": response.seed,
                "tokens": _tokens(response),
                "verdict": checked_verdict(checker, query, response.text) if checker else None,
                "scores": {key: _score(table[i][0]) for key, table in tables.items()},
            }


def _score(value: float | None) -> float | None:
    """A score, or None where a scorer does not apply or could not tell."""
    return None if isinstance(value, Unscored) else value


def _compare(evaluation: Evaluation) -> None:
    """Each model's differences from the base, as soon as the base is there."""
    base = evaluation.models.get(BASE)
    for name, result in evaluation.models.items():
        if base is not None and name != BASE and not result.differences:
            result.differences = differences(result.samples, base.samples, evaluation.seed)


def _has_tokens(response: Response) -> bool:
    """False for a response that was cut before its first token."""
    return bool(response.token_ids or response.text or response.finish == "stop")


def _tokens(response: Response) -> int:
    """Tokens where the sampler tells them, else words."""
    return len(response.token_ids) if response.token_ids else len(response.text.split())
