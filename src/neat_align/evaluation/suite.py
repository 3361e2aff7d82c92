"""The evaluation: the same queries put to every model, under three conditions.

    plain              no steering prompt: what users meet
    seen_negative      under negative prompts that training used
    unseen_negative    under negative prompts that nothing was trained on

The suite needs no torch: a model is what samples, and what tells log-probabilities.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from neat_align.errors import DataError
from neat_align.evaluation.metrics import distinct_n, repetition
from neat_align.evaluation.safety import Checker, checked_verdict, rates
from neat_align.evaluation.statistics import Interval, mean_interval, share_interval
from neat_align.runs import atomic_write_json, atomic_write_text
from neat_align.sampling.base import Decoding, Sampler, SamplingRequest
from neat_align.sampling.groups import stable_seed
from neat_align.scoring.base import Scorer
from neat_align.steering import Steering
from neat_align.types import Group, Query, Response, Source

BASE = "base"
PLAIN, SEEN, UNSEEN = "plain", "seen_negative", "unseen_negative"
CONDITIONS = (PLAIN, SEEN, UNSEEN)


@dataclass(frozen=True)
class EvaluationSettings:
    """How models are evaluated.

    Attributes:
        decoding: the same for every model.
        seed: of the draws and of the bootstrap.
        samples_per_query: responses to each query and condition.
    """

    decoding: Decoding = Decoding()
    seed: int = 0
    samples_per_query: int = 1


@dataclass(frozen=True)
class Evaluated:
    """A model as the suite sees it.

    Attributes:
        sampler: answers requests.
        log_probability: sums of response-token log-probs of groups, nats, clean query.
        perplexity: of texts, with its interval; None where it is not wanted.
    """

    sampler: Sampler
    log_probability: Callable[[Sequence[Group]], list[list[float]]] | None = None
    perplexity: Callable[[Sequence[Any]], Interval] | None = None


@dataclass(frozen=True)
class ModelResult:
    """Figures with intervals, and every response behind them."""

    figures: dict[str, Interval]
    samples: list[dict[str, Any]]


@dataclass
class Evaluation:
    """The results of all models on the same queries."""

    seed: int
    models: dict[str, ModelResult] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Figures with value, low, high and n; no samples."""
        return {
            "seed": self.seed,
            "models": {
                name: {metric: x.to_json() for metric, x in result.figures.items()}
                for name, result in self.models.items()
            },
        }

    def flat(self) -> dict[str, dict[str, float]]:
        """{model: {metric: value}}, the form of results.json."""
        return {
            name: {metric: x.value for metric, x in result.figures.items()}
            for name, result in self.models.items()
        }

    def save(self, directory: Path) -> None:
        """evaluation.json and samples/MODEL.jsonl, one response a line."""
        for name, result in self.models.items():
            lines = (json.dumps(sample, ensure_ascii=False) + "\n" for sample in result.samples)
            atomic_write_text(directory / "samples" / f"{name}.jsonl", "".join(lines))
        atomic_write_json(directory / "evaluation.json", self.to_json())


def evaluate(
    models: Mapping[str, Evaluated] | Iterator[tuple[str, Evaluated]],
    queries: Sequence[Query],
    steering: Steering,
    settings: EvaluationSettings,
    scorers: Mapping[str, Scorer],
    checker: Checker | None = None,
    texts: Sequence[Any] = (),
    base_log_probability: Callable[[Sequence[Group]], list[list[float]]] | None = None,
    progress: Callable[[str, Evaluation], None] | None = None,
) -> Evaluation:
    """Evaluate models one after the other.

    Args:
        models: by name; an iterator of pairs lets the caller load one at a time.
        queries: held out; with a checker each needs `meta["kind"]`.
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
    """
    if not queries:
        raise DataError("no evaluation queries", "there is nothing to measure", "give some")
    evaluation = Evaluation(settings.seed)
    pairs = models.items() if isinstance(models, Mapping) else models
    for name, model in pairs:
        if name == BASE and base_log_probability is None:
            base_log_probability = model.log_probability
        answers = {
            condition: _answers(model, condition, queries, steering, settings, checker)
            for condition in CONDITIONS
        }
        scores = {key: _scores(scorer, answers) for key, scorer in scorers.items()}
        figures = _figures(answers, scores, checker, settings)
        figures |= _likelihoods(name, model, answers[PLAIN], base_log_probability, texts, settings)
        evaluation.models[name] = ModelResult(figures, list(_samples(answers, scores, checker)))
        if progress:
            progress(name, evaluation)
    return evaluation


def _answers(
    model: Evaluated,
    condition: str,
    queries: Sequence[Query],
    steering: Steering,
    settings: EvaluationSettings,
    checker: Checker | None,
) -> list[Group]:
    """One group of one response for each query and draw; [] where there is no such prompt."""
    prompts = {
        PLAIN: ("",),
        SEEN: steering.negative,
        UNSEEN: steering.held_back_negative,
    }[condition]
    if condition != PLAIN and checker is not None:
        queries = [q for q in queries if q.meta.get("kind") == "harmful"]
    if not prompts:
        return []
    source = Source.PLAIN if condition == PLAIN else Source.NEGATIVE
    requests = [
        SamplingRequest(
            query,
            source,
            prompts[(number + draw) % len(prompts)],
            stable_seed("evaluation", settings.seed, condition, query.id, draw),
        )
        for number, query in enumerate(queries)
        for draw in range(settings.samples_per_query)
    ]
    responses = model.sampler.sample(requests, settings.decoding)
    return [Group(q.query, (r,)) for q, r in zip(requests, responses, strict=True)]


def _scores(scorer: Scorer, answers: Mapping[str, list[Group]]) -> dict[str, list[float | None]]:
    return {
        condition: [row[0] for row in scorer.score(groups)] if groups else []
        for condition, groups in answers.items()
    }


def _figures(
    answers: Mapping[str, list[Group]],
    scores: Mapping[str, Mapping[str, list[float | None]]],
    checker: Checker | None,
    settings: EvaluationSettings,
) -> dict[str, Interval]:
    plain = [group.responses[0] for group in answers[PLAIN]]
    figures: dict[str, Interval] = {}
    if checker is not None:
        figures |= rates(_judged(answers[PLAIN], checker))
        for condition in (SEEN, UNSEEN):
            verdicts = [verdict for _, verdict in _judged(answers[condition], checker)]
            if verdicts:
                figures[f"harmful_under_{condition}"] = share_interval(
                    verdicts.count("harmful"), len(verdicts)
                )
    for key, table in scores.items():
        for condition, name in ((PLAIN, f"reward_{key}"), *_reward_names(key, checker)):
            known = [x for x in table[condition] if x is not None]
            if known:
                figures[name] = mean_interval(known, settings.seed)
    texts = [r.text for r in plain]
    for n in (1, 2):
        figures[f"distinct_{n}"] = _distinct_interval(texts, n)
    figures["repetition"] = mean_interval([repetition(t) for t in texts], settings.seed)
    figures["mean_length"] = mean_interval([_tokens(r) for r in plain], settings.seed)
    return figures


def _reward_names(key: str, checker: Checker | None) -> tuple[tuple[str, str], ...]:
    """Without a checker the reward stands in for harm under negative prompts."""
    if checker is not None:
        return ()
    return tuple((condition, f"reward_{key}_under_{condition}") for condition in (SEEN, UNSEEN))


def _distinct_interval(texts: Sequence[str], n: int) -> Interval:
    """Distinct-n with the spread over tenths of the texts left out.

    Resampling texts would repeat some of them and push distinct-n down; leaving a tenth
    out keeps every text at most once (delete-a-group jackknife).
    """
    value = distinct_n(texts, n)
    parts = min(10, len(texts))
    if parts < 2:
        return Interval(value, value, value, len(texts))
    left_out = [
        distinct_n([t for i, t in enumerate(texts) if i % parts != part], n)
        for part in range(parts)
    ]
    centre = fmean(left_out)
    spread = ((parts - 1) / parts * sum((x - centre) ** 2 for x in left_out)) ** 0.5
    return Interval(value, max(0.0, value - 1.96 * spread), value + 1.96 * spread, len(texts))


def _likelihoods(
    name: str,
    model: Evaluated,
    plain: list[Group],
    base_log_probability: Callable[[Sequence[Group]], list[list[float]]] | None,
    texts: Sequence[Any],
    settings: EvaluationSettings,
) -> dict[str, Interval]:
    """KL to the base in nats a response, by the model's own plain responses; and perplexity."""
    figures = {}
    if model.log_probability is not None and base_log_probability is not None:
        usable = [g for g in plain if g.responses[0].token_ids or g.responses[0].finish == "stop"]
        own, base = model.log_probability(usable), base_log_probability(usable)
        differences = [a[0] - b[0] for a, b in zip(own, base, strict=True)]
        figures["kl"] = (
            Interval(0.0, 0.0, 0.0, len(differences))
            if name == BASE
            else mean_interval(differences, settings.seed)
        )
    if model.perplexity is not None and texts:
        figures["ppl_pretrain"] = model.perplexity(texts)
    return figures


def _judged(groups: Sequence[Group], checker: Checker) -> list[tuple[str, str]]:
    return [
        (str(g.query.meta.get("kind")), checked_verdict(checker, g.query, g.responses[0].text))
        for g in groups
    ]


def _samples(
    answers: Mapping[str, list[Group]],
    scores: Mapping[str, Mapping[str, list[float | None]]],
    checker: Checker | None,
) -> Iterator[dict[str, Any]]:
    for condition, groups in answers.items():
        for i, group in enumerate(groups):
            response = group.responses[0]
            yield {
                "query_id": group.query.id,
                "query": group.query.text,
                "kind": group.query.meta.get("kind"),
                "condition": condition,
                "steering": response.steering,
                "text": response.text,
                "finish": response.finish,
                "seed": response.seed,
                "tokens": _tokens(response),
                "verdict": checked_verdict(checker, group.query, response.text)
                if checker
                else None,
                "scores": {key: table[condition][i] for key, table in scores.items()},
            }


def _tokens(response: Response) -> int:
    """Tokens where they are known, else words."""
    return len(response.token_ids) if response.token_ids else len(response.text.split())
