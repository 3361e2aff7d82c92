"""The pure maths that objectives share: one function, one formula.

G groups of K responses; "present" is the mask of `GroupLogps`. Absent responses are
replaced by zeros before anything is computed, so that neither their values nor their
gradients can leak, not even as NaN. Torch is imported where a function of it is called, so
that importing an objective costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neat_align.objectives.base import GroupLogps

if TYPE_CHECKING:
    from torch import Tensor

ROUNDING = 1e-6
"""Scores that differ by less than this, relative to their size, count as equal."""


def sums(logps: GroupLogps) -> Tensor:
    """s_i [G, K], nats over response tokens, 0 where absent."""
    return logps.policy.where(logps.present, 0.0)


def means(logps: GroupLogps) -> Tensor:
    """a_i = s_i / T_i [G, K], nats per token, 0 where absent."""
    return sums(logps) / logps.length.clamp(min=1)


def log_ratios(logps: GroupLogps) -> Tensor:
    """d_i = s_i − s_i^ref [G, K], nats, 0 where absent.

    Raises:
        ValueError: the batch carries no reference log-probs.
    """
    if logps.reference is None:
        raise ValueError("this objective compares with a reference: GroupLogps.reference is None")
    return (logps.policy - logps.reference).where(logps.present, 0.0)


def scores(logps: GroupLogps) -> Tensor:
    """r_i [G, K] in the log-probs' dtype, 0 where absent."""
    return logps.score.to(logps.policy.dtype).where(logps.present, 0.0)


def best(logps: GroupLogps) -> Tensor:
    """Index [G] of the present response with the highest score, the first on ties."""
    return _first(scores(logps), logps.present, highest=True)


def worst(logps: GroupLogps) -> Tensor:
    """Index [G] of the present response with the lowest score, the first on ties."""
    return _first(scores(logps), logps.present, highest=False)


def pick(values: Tensor, index: Tensor) -> Tensor:
    """values[g, index[g]] for each group: [G, K], [G] → [G]."""
    return values.gather(1, index[:, None]).squeeze(1)


def winner_margin(values: Tensor, logps: GroupLogps) -> Tensor:
    """values_w − values_l [G]: the highest-scored response's against the lowest-scored one's."""
    return pick(values, best(logps)) - pick(values, worst(logps))


def best_nll(logps: GroupLogps) -> Tensor:
    """−a_b [G], nats per token: the language-modelling term; 0 for groups without a response."""
    return -pick(means(logps), best(logps))


def log_odds(logps: GroupLogps) -> Tensor:
    """o_i = a_i − log(1 − e^{a_i}) [G, K]; a mean log-prob of 0 is held just below it."""
    a = means(logps).where(logps.present, -1.0).clamp(max=-1e-7)
    return (a - (-a.expm1()).log()).where(logps.present, 0.0)


def win_probabilities(logps: GroupLogps) -> Tensor:
    """P_i = mean_j σ(r_i − r_j) [G, K] over the group's responses, i itself included."""
    r = scores(logps)
    wins = (r[:, :, None] - r[:, None, :]).sigmoid()
    others = logps.present[:, None, :].expand_as(wins)
    return wins.where(others, 0.0).sum(2) / others.sum(2).clamp(min=1)


def rank_order(logps: GroupLogps) -> Tensor:
    """Sort responses by descending score, ties by position, absent ones last: indices [G, K]."""
    filled = scores(logps).where(logps.present, float("-inf"))
    return filled.argsort(dim=1, descending=True, stable=True)


def later(present: Tensor) -> Tensor:
    """[G, i, j] bool: i and j are present and j comes after i."""
    both = present[:, :, None] & present[:, None, :]
    return both & both.new_ones(both.shape).triu(1)


def score_spread(logps: GroupLogps) -> Tensor:
    """Return what score gaps are relative to, in reward units: [] per run, or [G] per group.

    The run's is the batch's own field `spread`; without it, the standard deviation of each
    group's scores, 0 where they are equal to rounding.
    """
    if logps.spread is not None:
        return logps.spread.to(logps.policy)
    r = scores(logps)
    centred = r - masked_mean(r, logps.present)[:, None]
    deviation = masked_mean(centred**2, logps.present).sqrt()
    return deviation.where(deviation > ROUNDING * r.abs().amax(1), 0.0)


def plain(logps: GroupLogps) -> Tensor:
    """[G, K] bool: the present responses that were sampled without steering.

    Raises:
        ValueError: the batch does not tell.
    """
    if logps.is_plain is None:
        raise ValueError("this objective looks at plain responses: GroupLogps.is_plain is None")
    return logps.is_plain & logps.present


def border(logps: GroupLogps) -> Tensor:
    """[]: the score above which a response is good, in reward units.

    Raises:
        ValueError: the batch does not tell.
    """
    if logps.border is None:
        raise ValueError("this objective asks which responses are good: GroupLogps.border is None")
    return logps.border.to(logps.policy)


def any_present(logps: GroupLogps) -> Tensor:
    """[G] bool: groups with at least one response."""
    return logps.present.any(1)


def has_winner(logps: GroupLogps) -> Tensor:
    """[G] bool: the best score is higher than the worst; ties teach nothing."""
    r = scores(logps)
    return pick(r, best(logps)) > pick(r, worst(logps))


def has_best(logps: GroupLogps) -> Tensor:
    """[G] bool: groups with a winner, or with one response alone, which is not a choice."""
    return has_winner(logps) | (logps.present.sum(1) == 1)


def pair_gaps(logps: GroupLogps) -> Tensor:
    """r_i − r_j [G, K, K] for present i and j, 0 elsewhere."""
    r = scores(logps)
    both = logps.present[:, :, None] & logps.present[:, None, :]
    return (r[:, :, None] - r[:, None, :]).where(both, 0.0)


def pair_differences(values: Tensor) -> Tensor:
    """values_i − values_j: [G, K] → [G, K, K]."""
    return values[:, :, None] - values[:, None, :]


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over all but the first dimension where `mask`; 0 for groups with nothing there."""
    dims = tuple(range(1, values.dim()))
    kept = values.where(mask, 0.0)
    return kept.sum(dims) / mask.sum(dims).clamp(min=1)


def softplus(values: Tensor) -> Tensor:
    """Compute log(1 + e^x) without overflow."""
    from torch.nn.functional import softplus

    return softplus(values)


def negative_log_sigmoid(values: Tensor) -> Tensor:
    """−log σ(x) = softplus(−x), without overflow."""
    return softplus(-values)


def token_unlikelihood(logps: GroupLogps) -> Tensor:
    """mean_t −log(1 − p_it) [G, K], nats per token (Welleck et al. 2019, arXiv 1908.04319).

    Raises:
        ValueError: the batch carries no token log-probs.
    """
    if logps.tokens is None or logps.token_mask is None:
        raise ValueError("this objective looks at tokens: GroupLogps.tokens is None")
    mask = logps.token_mask & logps.present[:, :, None]
    # Masked places get p = 1/e: any p < 1 keeps their (discarded) gradient finite. A token
    # of probability 1 to rounding is held just below it for the same reason.
    log_p = logps.tokens.where(mask, -1.0).clamp(max=-1e-7)
    term = (-(-log_p.expm1()).log()).where(mask, 0.0)
    return term.sum(-1) / mask.sum(-1).clamp(min=1)


def _first(r: Tensor, present: Tensor, highest: bool) -> Tensor:
    """First index of the extreme among the present; `argmax` alone promises no order on ties."""
    filled = r.where(present, float("-inf") if highest else float("inf"))
    extreme = filled.amax(1, keepdim=True) if highest else filled.amin(1, keepdim=True)
    return ((filled == extreme) & present).byte().argmax(1)
