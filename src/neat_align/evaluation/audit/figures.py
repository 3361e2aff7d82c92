"""Figures of a reward on pairs: accuracy, calibration, length, and what wrong labels do to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neat_align.evaluation.statistics import clustered_share

Array = npt.NDArray[Any]

BINS = 10
"""Of equal width, of the confidence from ½ to 1."""
FLIPPED = (0.1, 0.2, 0.3)
DRAWS = 2000
ROUNDING = 1e-9


@dataclass(frozen=True)
class ScoredPair:
    """The scores of a pair's answers, and their lengths in words.

    Attributes:
        query: id of the query; pairs of one query are no independent observations.
    """

    query: str
    chosen: float
    rejected: float
    chosen_words: int
    rejected_words: int

    @property
    def right(self) -> bool:
        """Tell whether the better answer scores higher; a tie orders nothing, and is not right."""
        return self.chosen > self.rejected

    @property
    def longer(self) -> int:
        """Count the words that the better answer has more than the other."""
        return self.chosen_words - self.rejected_words


def accuracy(pairs: Sequence[ScoredPair]) -> dict[str, Any] | None:
    """Compute the share of pairs in the right order, with its interval; None for no pair."""
    if not pairs:
        return None
    return clustered_share([p.right for p in pairs], [p.query for p in pairs]).to_json()


def calibration(pairs: Sequence[ScoredPair]) -> dict[str, float]:
    """Compare what σ(gap) claims with how often it is right.

    The confidence of a pair is σ(|gap|): what a Bradley–Terry model claims for the order it
    gives. ECE = Σ_b n_b/n · |share right in bin b − mean confidence in b|; a tie is half right.
    """
    gaps = np.array([p.chosen - p.rejected for p in pairs])
    confidence = 1 / (1 + np.exp(-np.abs(gaps)))
    right = np.where(gaps == 0, 0.5, gaps > 0)
    bins = np.minimum(((confidence - 0.5) * 2 * BINS).astype(int), BINS - 1)
    excess = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return {
        "ece": float(np.abs(excess).sum() / len(pairs)),
        "confidence": float(confidence.mean()),
        "right": float(right.mean()),
    }


def length_bias(pairs: Sequence[ScoredPair]) -> dict[str, Any]:
    """Tell how far scores follow length, which says nothing of quality.

    Returns:
        `correlation`: of score and words over all answers; `within_pairs`: of the gap in score
        and the gap in words. Rank correlations (Spearman), None where one of both is constant.
        `longer_is_better`: the accuracy of length alone. `shorter`, `longer`: the accuracy
        where the better answer is the shorter or the longer one.
    """
    scores = [s for p in pairs for s in (p.chosen, p.rejected)]
    words = [n for p in pairs for n in (p.chosen_words, p.rejected_words)]
    longer = [p for p in pairs if p.longer > 0]
    return {
        "correlation": rank_correlation(scores, words),
        "within_pairs": rank_correlation(
            [p.chosen - p.rejected for p in pairs], [p.longer for p in pairs]
        ),
        "longer_is_better": len(longer) / len(pairs),
        "shorter": accuracy([p for p in pairs if p.longer < 0]),
        "longer": accuracy(longer),
    }


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Compute Spearman's correlation, ties at their mean rank; None where one is constant."""
    a, b = _ranks(first), _ranks(second)
    if a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: Sequence[float]) -> Array:
    _, place, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def under_flipped_labels(
    pairs: Sequence[ScoredPair], share: float, seed: int = 0
) -> dict[str, float | None]:
    """Tell what accuracy reads, and what it hides, where labels are wrong.

    `reads`: the accuracy of the same scores once the labels of round(share · n) pairs, drawn at
    random, are exchanged: its expectation, with the middle 95 % of the draws (`low`, `high`).
    `true`: the accuracy on right labels if that share of the given ones is wrong, independently
    of the scores, (a − share) / (1 − 2 share); None where there is no such accuracy from 0 to 1.

    Nothing is trained: what wrong labels do to a reward that learns from them is not told.
    """
    n, right = len(pairs), sum(p.right for p in pairs)
    wrong = sum(p.chosen < p.rejected for p in pairs)
    flipped = round(share * n)
    rng = np.random.default_rng(seed)
    drawn = rng.multivariate_hypergeometric((right, wrong, n - right - wrong), flipped, DRAWS)
    reads = (right - drawn[:, 0] + drawn[:, 1]) / n
    low, high = np.percentile(reads, [2.5, 97.5])
    true = (right / n - share) / (1 - 2 * share)
    return {
        "share": share,
        "reads": (right * (n - flipped) + wrong * flipped) / n**2,
        "low": float(low),
        "high": float(high),
        "true": min(max(true, 0.0), 1.0) if -ROUNDING <= true <= 1 + ROUNDING else None,
    }
