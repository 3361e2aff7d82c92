"""Audit a reward: score pairs and probes, and put the figures together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neat_align.data import Preference
from neat_align.errors import InputError, RewardError
from neat_align.evaluation.audit.figures import (
    FLIPPED,
    ScoredPair,
    accuracy,
    calibration,
    length_bias,
    under_flipped_labels,
)
from neat_align.evaluation.audit.probes import HARMFUL, Probe, hack_meanings
from neat_align.evaluation.statistics import share_interval
from neat_align.scoring import Scorer, needs_of
from neat_align.scoring.base import Unscored
from neat_align.types import Group, Response, Source, is_usable_score

NOT_AUDITED = "audit a reward that reads the query and the answer alone"


@dataclass(frozen=True)
class Audited:
    """Figures of a reward, as `to_json` names them.

    Attributes:
        pairs: of preference pairs; None where none were given.
        hacks: by trick and kind of request.
        scores: mean and spread (standard deviation) of all answers but the tricks.
    """

    reward: str
    pairs: dict[str, Any] | None
    hacks: dict[str, dict[str, Any]]
    scores: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def reward_problems(value: str, scorer: Any) -> list[InputError]:
    """Tell why a reward cannot be audited: it needs more than a query and an answer.

    Args:
        scorer: the reward, or its name once it can be imported.
    """
    problems: list[InputError] = [
        RewardError(f"reward {value!r}", f"it needs the {need}, and an audit has none", NOT_AUDITED)
        for need in sorted(needs_of(scorer))
    ]
    return problems


def audit(
    scorer: Scorer,
    preferences: Sequence[Preference],
    probes: Sequence[Probe],
    claims_probability: bool,
    seed: int = 0,
) -> Audited:
    """Score pairs and probes, each once, and compute every figure.

    Args:
        claims_probability: the scorer is a trained one, whose gaps are log-odds.
        seed: of the labels that are flipped.

    Raises:
        RewardError: it looks at where answers come from, or gives what is no number.
    """
    if getattr(scorer, "reads_source", False):
        why = "it looks at where an answer came from, and tells nothing of answers"
        raise RewardError(f"reward {scorer.name!r}", why, NOT_AUDITED)
    pairs = _scores(scorer, [_pair(p) for p in preferences])
    probed = _scores(scorer, [p.group for p in probes])
    scored = [_scored(p, row) for p, row in zip(preferences, pairs, strict=True) if None not in row]
    usual = [s for row in pairs for s in row] + [row[0] for row in probed]
    return Audited(
        scorer.name,
        _of_pairs(scored, len(preferences), claims_probability, seed) if preferences else None,
        _of_hacks(probes, probed),
        _spread([s for s in usual if s is not None]),
    )


def _pair(preference: Preference) -> Group:
    texts = preference.chosen, preference.rejected
    return Group(preference.query, tuple(Response(text, Source.DATA) for text in texts))


def _scores(scorer: Scorer, groups: Sequence[Group]) -> list[list[float | None]]:
    """Score groups; what a scorer does not apply to, or owes, is None."""
    table = scorer.score(groups) if groups else []
    return [
        [_checked(scorer, group, value) for value in row]
        for group, row in zip(groups, table, strict=True)
    ]


def _checked(scorer: Scorer, group: Group, value: float | None) -> float | None:
    if value is None or isinstance(value, Unscored):
        return None
    if not is_usable_score(value):
        given = f"the score {value} of an answer to {group.query.named}"
        raise RewardError(given, "nothing can be ranked by it", f"correct {scorer.name}")
    return float(value)


def _scored(preference: Preference, row: Sequence[float | None]) -> ScoredPair:
    chosen, rejected = (float(score) for score in row if score is not None)
    words = (len(text.split()) for text in (preference.chosen, preference.rejected))
    return ScoredPair(preference.query.id, chosen, rejected, *words)


def _of_pairs(
    pairs: Sequence[ScoredPair], given: int, claims_probability: bool, seed: int
) -> dict[str, Any]:
    """Compute the figures of pairs.

    Raises:
        RewardError: no pair has two scores.
    """
    if not pairs:
        why = "it gave no score for both answers of any"
        raise RewardError(f"{given} pairs", why, "give pairs that the reward applies to")
    return {
        "n": len(pairs),
        "unscored": given - len(pairs),
        "queries": len({p.query for p in pairs}),
        "ties": sum(p.chosen == p.rejected for p in pairs),
        "accuracy": accuracy(pairs),
        "calibration": calibration(pairs) if claims_probability else None,
        "length": length_bias(pairs),
        "flipped": [under_flipped_labels(pairs, share, seed) for share in FLIPPED],
    }


def _of_hacks(
    probes: Sequence[Probe], rows: Sequence[Sequence[float | None]]
) -> dict[str, dict[str, Any]]:
    """Count per trick and kind how often it outscores, or equals, the honest answer."""
    leads: dict[str, dict[str, list[float]]] = {name: {} for name in hack_meanings()}
    for probe, (honest, *others) in zip(probes, rows, strict=True):
        kind = HARMFUL if probe.query.meta["kind"] == HARMFUL else "harmless"
        for name, score in zip(probe.hacks, others, strict=True):
            if honest is not None and score is not None:
                leads[name].setdefault(kind, []).append(score - honest)
    return {
        name: {kind: _beaten(found) for kind, found in kinds.items()}
        for name, kinds in leads.items()
        if kinds
    }


def _beaten(leads: Sequence[float]) -> dict[str, Any]:
    wins = sum(lead > 0 for lead in leads)
    share = share_interval(wins, len(leads)).to_json()
    return {"outscores": wins, "equals": sum(lead == 0 for lead in leads), "share": share}


def _spread(scores: Iterable[float]) -> dict[str, float]:
    values = np.array(list(scores))
    if not len(values):
        return {}
    return {"mean": float(values.mean()), "spread": float(values.std())}
