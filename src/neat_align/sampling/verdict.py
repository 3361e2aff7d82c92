"""Judge a steering pair on a few queries: does the model do what each phrasing orders?

Each query is answered unsteered (`plain`) and under every phrasing of the sides that training
uses, whatever its channel. What counts is the mean over queries of (a side's score − the plain
score):

    side      stops where it                              unless
    negative  is not lower than plain by MARGIN standard  the positive side is higher by as much,
              errors                                       and the model misbehaves unasked
    positive  is not higher than plain by as much         plain answers are at the ceiling, or the
                                                           negative side is lower by as much

"Unasked" means: the side differs from plain in the wrong direction by less than SLACK of what
the other side differs in the right one, and its answers are not the plain ones. Such a side
warns. docs/decisions/0015-steering-is-tried-first.md says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean, stdev
from typing import Any

from neat_align.prompts.phrasing import Phrasing
from neat_align.sampling.trial import Tried, by_channel
from neat_align.sampling.trial_result import (
    NOT_JUDGED,
    STEERS,
    STOPS,
    Effect,
    PhrasingTrial,
    SteeringTrial,
)
from neat_align.types import Group, Query, Response, Source

SLACK = 0.25
CEILING = 0.05  # of the range of all scores, below the best one

Value = Callable[[Response], float | None]


def judged(groups: Sequence[Group], steering: str, value: Value | None) -> SteeringTrial:
    """Judge a trial's groups.

    Args:
        value: a response's score by whatever does not look at its source; None where there
            is nothing of that kind, and the answers can only be shown.
    """
    value = value or (lambda response: None)
    answers = tuple(_answer(group.query, r, value(r)) for group in groups for r in group.responses)
    tried = [one for one in dict.fromkeys(map(_tried, _responses(groups))) if one[1].channel]
    scores = {place: s for place, s in _scores(groups, value).items() if s}
    means = {str(side): fmean(s) for side in Source if (s := _all_of(scores, side))}
    sides = list(dict.fromkeys(str(source) for source, _ in tried))
    effects = {
        side: effect
        for side in sides
        if (effect := _effect([_difference(scores, g.query.id, side) for g in groups])) is not None
    }
    if not effects:
        bare = tuple(PhrasingTrial(str(s), one.channel, str(one)) for s, one in tried)
        why = ("no reward judges the answers (polarity cannot: it looks at the prompt): read them",)
        empty: dict[str, Any] = {}
        return SteeringTrial(
            steering, len(groups), NOT_JUDGED, None, empty, empty, bare, (), (), why, answers
        )
    own = [means[side] for side in ("plain", *effects)]
    border = (max(own) + min(own)) / 2 if max(own) > min(own) else None
    problems, warnings = _findings(effects, groups, scores, means)

    def of(parts: Sequence[Sequence[Tried]]) -> tuple[PhrasingTrial, ...]:
        return tuple(_phrasing_trial(part, groups, value, scores, border) for part in parts)

    return SteeringTrial(
        steering,
        len(groups),
        STOPS if problems else STEERS,
        border,
        means,
        effects,
        of([[one] for one in tried]),
        of(by_channel(tried)),
        tuple(problems),
        tuple(warnings),
        answers,
        _phrasing_trial([(Source.PLAIN, Phrasing())], groups, value, scores, border),
    )


def _findings(
    effects: dict[str, Effect],
    groups: Sequence[Group],
    scores: dict[tuple[str, str], list[float]],
    means: dict[str, float],
) -> tuple[list[str], list[str]]:
    """Find problems and warnings of the sides that were tried."""
    helpful = {
        side: effect if side == Source.POSITIVE else effect.turned()
        for side, effect in effects.items()
    }
    problems, warnings = [], []
    for side, effect in helpful.items():
        if effect.rises:
            continue
        direction = "higher" if side == Source.POSITIVE else "lower"
        told = (
            f"the {side} side scores {means[side]:.3g} and plain answers {means['plain']:.3g} "
            f"(difference {effects[side].change:+.3g} ± {effect.error:.2g}): "
            + ("not clearly " if effect.change > 0 else "no ") + direction
        )  # fmt: skip
        other = next((e for name, e in helpful.items() if name != side), None)
        carried = other is not None and other.rises and effect.change > -SLACK * other.change
        if side == Source.POSITIVE and _at_ceiling(scores) and effect.change >= -effect.error:
            warnings.append(told + "; plain answers score as well as any, so it cannot be higher")
        elif carried and not _same_texts(groups, side):
            warnings.append(
                told + "; either the model does so without being asked, or these prompts have "
                "no effect: read the answers"
            )
        else:
            problems.append(told)
    if problems and len({s for own in scores.values() for s in own}) == 1:
        problems.append(
            "every answer scores the same: the queries bring out nothing that the reward looks at, "
            "or it does not see it"
        )
    return problems, warnings


def _at_ceiling(scores: dict[tuple[str, str], list[float]]) -> bool:
    every = [s for own in scores.values() for s in own]
    plain = _all_of(scores, Source.PLAIN)
    return max(every) - fmean(plain) <= CEILING * (max(every) - min(every))


def _same_texts(groups: Sequence[Group], side: str) -> bool:
    """Tell whether a side brought out nothing that the plain answers are not."""
    return all(
        {r.text for r in g.responses if r.source == side}
        <= {r.text for r in g.responses if r.source == Source.PLAIN}
        for g in groups
    )


def _scores(groups: Sequence[Group], value: Value) -> dict[tuple[str, str], list[float]]:
    """Collect the scores that are known, by query id and source."""
    found: dict[tuple[str, str], list[float]] = {}
    for group in groups:
        for response in group.responses:
            score = value(response)
            if score is not None:
                place = (group.query.id, str(response.source))
                found.setdefault(place, []).append(score)
    return found


def _all_of(scores: dict[tuple[str, str], list[float]], side: str) -> list[float]:
    return [s for (_, source), own in scores.items() if source == side for s in own]


def _difference(
    scores: dict[tuple[str, str], list[float]], query_id: str, side: str
) -> float | None:
    plain, own = scores.get((query_id, "plain")), scores.get((query_id, side))
    return fmean(own) - fmean(plain) if plain and own else None


def _effect(differences: Sequence[float | None]) -> Effect | None:
    known = [d for d in differences if d is not None]
    if not known:
        return None
    error = stdev(known) / math.sqrt(len(known)) if len(known) > 1 else 0.0
    return Effect(fmean(known), error)


def _phrasing_trial(
    tried: Sequence[Tried],
    groups: Sequence[Group],
    value: Value,
    scores: dict[tuple[str, str], list[float]],
    border: float | None,
) -> PhrasingTrial:
    """Judge a phrasing, or several of one side and channel together; or the plain answers."""
    source, first = tried[0]
    rows = [
        (own, scores.get((group.query.id, "plain"), []))
        for group in groups
        if (own := _own_scores(group, value, tried))
    ]
    every = [score for own, _ in rows for score in own]
    changes = [score - fmean(plain) for own, plain in rows if plain for score in own]
    named = (str(source), first.channel, str(first) if len(tried) == 1 else "")
    mean = fmean(every) if every else None
    change = fmean(changes) if changes and source != Source.PLAIN else None
    if border is None:
        return PhrasingTrial(*named, mean, change)
    counts = [_counts(own, plain, source, border) for own, plain in rows]
    flipped, flippable, good, split = map(sum, zip(*counts, strict=True)) if counts else (0,) * 4
    sizes = (len(every), split, len(rows))
    return PhrasingTrial(*named, mean, change, flipped, flippable, good, *sizes)


def _counts(
    own: Sequence[float], plain: Sequence[float], source: Source, border: float
) -> tuple[int, int, int, bool]:
    """Count one query's flipped and flippable answers and good ones; tell whether it is split."""
    good, wanted = [score > border for score in own], source == Source.POSITIVE
    steered = 0 if source == Source.PLAIN else 1
    turnable = steered * sum((score > border) != wanted for score in plain)
    flipped = turnable * good.count(wanted)
    is_split = len({*good, *(score > border for score in plain)}) > 1
    return flipped, turnable * len(own), sum(good), is_split


def _own_scores(group: Group, value: Value, tried: Sequence[Tried]) -> list[float]:
    scores = (value(response) for response in group.responses if _tried(response) in tried)
    return [score for score in scores if score is not None]


def _tried(response: Response) -> Tried:
    return response.source, Phrasing.of(response)


def _responses(groups: Sequence[Group]) -> Iterator[Response]:
    return (response for group in groups for response in group.responses)


def _answer(query: Query, response: Response, score: float | None) -> dict[str, Any]:
    return {
        "query_id": query.id,
        "query": query.text,
        "source": str(response.source),
        "steering": str(Phrasing.of(response)),
        "text": response.text,
        "finish": response.finish,
        "score": score,
    }
