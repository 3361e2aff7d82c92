"""What the model and the objective are given in a training or evaluation step, as records.

A micro-batch is cut into passes within the token budget; a pass becomes the log-probs of its
groups.

Shapes: G groups of up to K responses; R responses in all, the longest of T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from neat_align.errors import TrainingError
from neat_align.models.layout import Layout
from neat_align.models.layout.base import Rows, group_sums, on_device, token_logps
from neat_align.models.tokenized import TokenizedGroup
from neat_align.objectives import GroupLogps, LossTerms, Objective
from neat_align.scoring.raised import told
from neat_align.training.objective_terms import terms_problems
from neat_align.types import Source

CONTRACT = "neat_align.check_objective(objective) tells what an objective must do"


@dataclass(frozen=True)
class TrainingPass:
    """One forward and backward.

    Attributes:
        rows: the pieces of one group beyond the budget, or all groups laid out together.
        sizes: responses per group.
        weight: [G] float, share of each entry in the mean over groups.
        clean: [G] bool, the entries without a negative prompt before the query.
        score: [G, K] float64 until the objective: in fewer bits there would be ties.
        is_negative: [G, K] bool, sampled under a negative prompt.
        present: [G, K] bool, False where a group has fewer than K responses.
        reference: [G, K] float64, sums under the reference model, nats.
        is_plain: [G, K] bool, sampled without steering.
        kl: [] float, the step's estimate of KL(policy ‖ reference), nats.
        spread: [] float, the score spread of the whole run.
        border: [] float64, the score above which a response is good; None where that is unknown.
    """

    rows: tuple[Rows, ...]
    sizes: list[int]
    weight: Tensor
    clean: Tensor
    score: Tensor
    is_negative: Tensor
    present: Tensor
    is_plain: Tensor
    reference: Tensor | None = None
    kl: Tensor | None = None
    spread: Tensor | None = None
    border: Tensor | None = None

    def to(self, device: Any) -> TrainingPass:
        """Move the tensors to a device; no dtype changes."""
        return replace(on_device(self, device), rows=tuple(r.to(device) for r in self.rows))

    def idle(self) -> TrainingPass:
        """Return the same pass with groups of weight 0: it changes no gradient."""
        return replace(self, weight=torch.zeros_like(self.weight))

    def logps(self, model: Any, bare: Any, with_tokens: bool = False) -> GroupLogps:
        """Compute what the objective is given.

        The pieces of a split group are computed again one by one in the backward: all at
        once they are what the budget forbids. The first goes through the wrapper, which must
        see one forward, and not in the middle of a backward, so it alone keeps its
        activations.

        Args:
            model: as the trainer calls it, perhaps in DDP.
            bare: the model without wrappers.
            with_tokens: keep each token's log-prob, too.
        """
        first, *others = self.rows
        pieces = [token_logps(model, first)]
        pieces += [checkpoint(token_logps, bare, rows, use_reentrant=False) for rows in others]
        tokens, mask = _stack(pieces), _stack([rows.response_mask for rows in self.rows])
        reference = self.reference
        return GroupLogps(
            policy=group_sums(tokens.sum(-1), self.sizes),
            length=group_sums(mask.sum(-1), self.sizes),
            score=self.score,
            is_negative=self.is_negative,
            present=self.present,
            is_plain=self.is_plain,
            reference=None if reference is None else reference.to(tokens.dtype),
            tokens=group_sums(tokens, self.sizes) if with_tokens else None,
            token_mask=group_sums(mask, self.sizes) if with_tokens else None,
            kl=self.kl,
            spread=self.spread,
            border=self.border,
        )


@dataclass(frozen=True)
class MicroBatch:
    """The groups of one micro-batch, as the passes that add up to its gradient."""

    passes: list[TrainingPass]


def training_passes(
    layout: Layout,
    groups: Iterable[TokenizedGroup],
    spread: Tensor,
    kl: Tensor | None = None,
    may_split: bool = True,
    border: float | None = None,
) -> list[TrainingPass]:
    """Cut groups into passes within the budget, those of similar queries together.

    Args:
        spread, kl, border: see `TrainingPass`.
        may_split: a single group beyond the budget is split by its responses.
    """
    by_length = sorted(groups, key=lambda g: len(g.query_ids))
    known = None if border is None else torch.tensor(border, dtype=torch.float64)
    return [
        replace(_training_pass(layout, part, may_split), spread=spread, kl=kl, border=known)
        for part in layout.passes(by_length)
    ]


def loss_terms(objective: Objective, logps: GroupLogps) -> LossTerms:
    """Ask an objective for its terms.

    Raises:
        TrainingError: the objective raised, or returned what cannot be trained on.
    """
    try:
        terms = objective(logps)
    except Exception as error:  # whatever a user's code raises
        why = f"{told(error)}; reference, tokens, kl and border are there where needs_… says so"
        raise TrainingError(f"objective {objective.name!r}", why, CONTRACT) from error
    for why in terms_problems(terms, len(logps.policy)):
        raise TrainingError(f"objective {objective.name!r}", why, CONTRACT)
    return terms


def mismatched_pairs(
    groups: Sequence[TokenizedGroup], other_queries: Iterable[list[int]]
) -> list[TokenizedGroup]:
    """Pair each query with the first response of the next group that has another query.

    KTO estimates its reference point from them.

    Args:
        groups: of one optimiser step; those in a negative context are left out, since the
            same group stands beside them on the clean query.
        other_queries: token ids of further queries, looked at only where all groups have
            the same one; without a different one there are no pairs.
    """
    groups = [group for group in groups if group.clean]
    if not groups:
        return []
    queries = [group.query_ids for group in groups]
    if all(query == queries[0] for query in queries):
        another = next((ids for ids in other_queries if ids != queries[0]), None)
        shifted = [*groups[1:], *groups[:1]]
        return [] if another is None else [_pair(another, group) for group in shifted]
    return [_pair(query, _next_other(groups, i)) for i, query in enumerate(queries)]


def idle_entry(end_id: int) -> TokenizedGroup:
    """Make an entry of weight 0, for a batch without groups: it changes no gradient."""
    return TokenizedGroup([end_id], [[end_id]], [0.0], [Source.PLAIN], weight=0.0)


def _training_pass(
    layout: Layout, groups: Sequence[TokenizedGroup], may_split: bool
) -> TrainingPass:
    pieces = [list(groups)]
    if len(groups) == 1 and may_split:
        pieces = [[piece] for piece in layout.split(groups[0])]
    sizes = [len(g.response_ids) for g in groups]
    known = groups[0].reference is not None
    return TrainingPass(
        rows=tuple(layout.rows(piece) for piece in pieces),
        sizes=sizes,
        weight=torch.tensor([g.weight for g in groups]),
        clean=torch.tensor([g.clean for g in groups]),
        score=_ragged([g.scores for g in groups], torch.float64),
        is_negative=_ragged([[s == Source.NEGATIVE for s in g.sources] for g in groups]),
        is_plain=_ragged([[s == Source.PLAIN for s in g.sources] for g in groups]),
        present=_ragged([[True] * n for n in sizes]),
        reference=_ragged([g.reference or [] for g in groups], torch.float64) if known else None,
    )


def _next_other(groups: Sequence[TokenizedGroup], place: int) -> TokenizedGroup:
    """Find the first group after `place`, around the end, whose query is another one."""
    around = (*groups[place + 1 :], *groups[:place])
    return next(group for group in around if group.query_ids != groups[place].query_ids)


def _pair(query_ids: list[int], group: TokenizedGroup) -> TokenizedGroup:
    return TokenizedGroup(query_ids, group.response_ids[:1], [0.0], group.sources[:1])


def _stack(rows: Sequence[Tensor]) -> Tensor:
    """Stack [R_i, T_i] as [R, T]; responses end at the last column."""
    width = max(row.shape[1] for row in rows)
    return torch.cat([torch.nn.functional.pad(row, (width - row.shape[1], 0)) for row in rows])


def _ragged(rows: Sequence[Sequence[Any]], dtype: torch.dtype = torch.bool) -> Tensor:
    """Make one tensor [G, K] of ragged lists, filled with 0 or False."""
    return pad_sequence([torch.tensor(row, dtype=dtype) for row in rows], batch_first=True)
