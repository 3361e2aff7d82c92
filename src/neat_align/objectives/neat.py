"""NEAT: ranking, language modelling, and a penalty on what negative prompts brought out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from neat_align.objectives import terms
from neat_align.objectives.base import (
    NOT_NEGATIVE,
    POSITIVE,
    GroupLogps,
    LossTerms,
    Objective,
    parameter,
)

if TYPE_CHECKING:
    from torch import Tensor

MIN_GAP, GAP_SCALE = 0.2, 0.8
"""`min_gap` and `gap_scale` by default, in spreads of the run's scores."""


@dataclass(frozen=True)
class NEAT(Objective):
    """rank_weight · L_rank + lm_weight · L_lm + penalty_weight · L_pen.

    L_rank is the mean over the pairs with r_i − r_j > `min_gap` of
        "hinge":      max(0, margin + a_j − a_i)
        "logsigmoid": min((r_i − r_j) / gap_scale, 1) · softplus(−rank_beta · (d_i − d_j))
    L_lm = −a_b in groups whose best response is good, 0 in the others. `lm_gate` says which:
        "threshold":   r_b > lm_threshold, in reward units; None, the default, means the border
                       of the run (`GroupLogps.border`)
        "above_plain": r_b − mean r of the group's plain responses > `min_gap`; no group
                       without a plain response
        "off":         all groups
    `min_gap` and `gap_scale` are in reward units; None, the default, means 0.2 and 0.8 times
    the spread of the run's scores (`GroupLogps.spread`), so that no reward is too small or too
    large to rank by. At the study's reward these are its 0.5 and 2.0.
    L_pen is the mean, over the responses sampled under a negative prompt (with
    `gate="below_mean"`, over those of them that score below their group's mean), of
        "npo":          (2/β) · softplus(β · d_i), β = penalty_beta
        "linear":       max(0, a_i + penalty_bound)
        "hinge":        max(0, a_i − stopgrad(a_b) + penalty_margin)
        "unlikelihood": mean_t −log(1 − p_it)
        "none":         0

    Paper: Qiao et al. 2024 (arXiv 2410.12194), Eq. 8 combines ranking and language modelling.
    Deviates: the paper's penalty and weights are not public; these are our reading. The
    log-sigmoid ranking is ours: it is corrected by the reference and weighted by how sure
    the scores are. `NEAT.paper()` is the plain reading.
    """

    rank: Literal["hinge", "logsigmoid"] = "logsigmoid"
    rank_weight: float = parameter(12.0, NOT_NEGATIVE)
    margin: float = 0.1
    min_gap: float | None = parameter(None, NOT_NEGATIVE)
    rank_beta: float = parameter(0.1, POSITIVE)
    gap_scale: float | None = parameter(None, POSITIVE)
    lm_weight: float = parameter(4.0, NOT_NEGATIVE)
    penalty: Literal["npo", "linear", "hinge", "unlikelihood", "none"] = "none"
    penalty_weight: float = parameter(0.0, NOT_NEGATIVE)
    penalty_beta: float = parameter(0.1, POSITIVE)
    penalty_bound: float = 5.0
    penalty_margin: float = 1.0
    gate: Literal["below_mean", "none"] = "below_mean"
    lm_gate: Literal["threshold", "above_plain", "off"] = "off"
    lm_threshold: float | None = None

    name = "neat"

    @classmethod
    def paper(cls) -> NEAT:
        """Make the plain reading of the paper: hinge ranking, LM, penalty on every negative."""
        return cls(
            rank="hinge",
            rank_weight=1.0,
            margin=0.0,
            min_gap=0.0,
            lm_weight=1.0,
            penalty="npo",
            penalty_weight=0.5,
            gate="none",
            lm_gate="off",
        )

    @property
    def suggested_negative_context(self) -> float:
        """0.7 with the ranking of ours, for which it was measured; 0 for the paper's."""
        return 0.7 if self.rank == "logsigmoid" else 0.0

    @property
    def needs_negatives(self) -> bool:
        return self.penalty != "none" and self.penalty_weight != 0

    @property
    def needs_reference(self) -> bool:
        ranks = self.rank == "logsigmoid" and self.rank_weight != 0
        return ranks or (self.penalty == "npo" and self.penalty_weight != 0)

    @property
    def needs_plain(self) -> bool:
        return self.lm_gate == "above_plain" and self.lm_weight != 0

    @property
    def needs_border(self) -> bool:
        return self.lm_gate == "threshold" and self.lm_threshold is None and self.lm_weight != 0

    @property
    def needs_tokens(self) -> bool:
        return self.penalty == "unlikelihood" and self.penalty_weight != 0

    @property
    def has_detached_terms(self) -> bool:
        return self.penalty == "hinge" and self.penalty_weight != 0

    def usable(self, logps: GroupLogps) -> Tensor:
        """[G] bool: groups with a pair to rank.

        Where nothing is ranked, those with a best response, to be imitated or penalised beside.
        """
        if self.rank_weight:
            return (terms.pair_gaps(logps) > self._gaps(logps)[0]).any(2).any(1)
        acts = self._is_open(logps)
        if self.needs_negatives:
            acts = acts | self._gated(logps).any(1)
        return super().usable(logps) & acts

    def __call__(self, logps: GroupLogps) -> LossTerms:
        a_best = terms.pick(terms.means(logps), terms.best(logps))
        is_open = self._is_open(logps)
        parts = {"lm": (-a_best).where(is_open, 0.0)}
        if self.rank_weight:
            parts["rank"] = self._rank(logps)
        if self.needs_negatives:
            parts["penalty"] = terms.masked_mean(self._penalty(logps, a_best), self._gated(logps))
        return LossTerms(
            parts,
            weights={
                "lm": self.lm_weight,
                "rank": self.rank_weight,
                "penalty": self.penalty_weight,
            },
            metrics={"lm/open": is_open.to(a_best.dtype)},
        )

    def _is_open(self, logps: GroupLogps) -> Tensor:
        """[G] bool: groups whose best response is imitated."""
        some, r = terms.any_present(logps), terms.scores(logps)
        if self.lm_gate == "off" or not self.lm_weight:
            return some
        best = terms.pick(r, terms.best(logps))
        if self.lm_gate == "threshold":
            own = self.lm_threshold
            return some & (best > (terms.border(logps) if own is None else own))
        plain = terms.plain(logps)
        lead = best - terms.masked_mean(r, plain)
        return plain.any(1) & (lead > self._gaps(logps)[0].reshape(-1))

    def _rank(self, logps: GroupLogps) -> Tensor:
        """L_rank [G]."""
        gaps = terms.pair_gaps(logps)
        least, full = self._gaps(logps)
        if self.rank == "hinge":
            pairs = (self.margin - terms.pair_differences(terms.means(logps))).relu()
        else:
            certainty = (gaps / full).clamp(max=1.0)
            d = terms.pair_differences(terms.log_ratios(logps))
            pairs = certainty * terms.negative_log_sigmoid(self.rank_beta * d)
        return terms.masked_mean(pairs, gaps > least)

    def _gaps(self, logps: GroupLogps) -> tuple[Tensor, Tensor]:
        """Return the gaps above which a pair counts, and counts fully, [G|1, 1, 1].

        Without any spread there is nothing to be relative to, and no pair counts.
        """
        spread = terms.score_spread(logps).reshape(-1, 1, 1)
        least = (MIN_GAP * spread).where(spread > 0, float("inf"))
        full = (GAP_SCALE * spread).where(spread > 0, 1.0)
        return (
            least if self.min_gap is None else spread.new_full(spread.shape, self.min_gap),
            full if self.gap_scale is None else spread.new_full(spread.shape, self.gap_scale),
        )

    def _gated(self, logps: GroupLogps) -> Tensor:
        """[G, K] bool: the negatives that are penalised."""
        negatives = logps.is_negative & logps.present
        if self.gate == "none":
            return negatives
        mean_score = terms.masked_mean(terms.scores(logps), logps.present)
        return negatives & (terms.scores(logps) < mean_score[:, None])

    def _penalty(self, logps: GroupLogps, a_best: Tensor) -> Tensor:
        """Compute the penalty of every response [G, K], before gating."""
        if self.penalty == "npo":
            return (
                2 / self.penalty_beta * terms.softplus(self.penalty_beta * terms.log_ratios(logps))
            )
        if self.penalty == "linear":
            return (terms.means(logps) + self.penalty_bound).relu()
        if self.penalty == "hinge":
            return (terms.means(logps) - a_best.detach()[:, None] + self.penalty_margin).relu()
        return terms.token_unlikelihood(logps)
