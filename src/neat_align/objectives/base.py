"""What an objective sees, what it returns, and what it promises.

An objective maps the log-probabilities of a batch of groups to named loss terms. It holds
numbers and no state. `contract.check_objective` states the promises and tests them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class GroupLogps:
    """Log-probabilities of G groups of up to K responses, on the clean query.

    Attributes:
        policy: [G, K] float, s: sums of response-token log-probs, nats.
        length: [G, K] int, T: response tokens in that sum (EOS included when the
            response ended itself).
        score: [G, K] float, r: higher is better.
        is_negative: [G, K] bool, sampled under a negative prompt.
        present: [G, K] bool, False where a group has fewer than K responses.
        reference: [G, K] float, the same sums under the reference model; needed by
            objectives whose `needs_reference` is True.
        tokens: [G, K, T] float, token log-probs; needed where `needs_tokens` is True.
        token_mask: [G, K, T] bool, which of `tokens` count.
        kl: [] float, mean of d over queries paired with another query's response, nats: an
            estimate of KL(policy ‖ reference) of the whole optimiser step; used by
            objectives whose `needs_kl` is True.
        spread: [] float, the score spread of the whole run, in reward units, that gaps are
            relative to; see `terms.score_spread`. None: each group's own, [G].
    """

    policy: Tensor
    length: Tensor
    score: Tensor
    is_negative: Tensor
    present: Tensor
    reference: Tensor | None = None
    tokens: Tensor | None = None
    token_mask: Tensor | None = None
    kl: Tensor | None = None
    spread: Tensor | None = None

    def restricted_to(self, keep: Tensor) -> GroupLogps:
        """The same groups, only the responses in `keep` [G, K] bool being present."""
        return replace(self, present=self.present & keep)


@dataclass(frozen=True)
class LossTerms:
    """Named terms of a loss, one value for each group.

    Attributes:
        terms: [G] each, nats; 0 where a group has nothing to do in that term.
        weights: factor of each term in the loss; 1 when not named.
        metrics: detached scalars worth logging.
    """

    terms: dict[str, Tensor]
    weights: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, Tensor] = field(default_factory=dict)

    @property
    def per_group(self) -> Tensor:
        """[G], the weighted sum of the terms."""
        weighted = [self.weights.get(name, 1.0) * term for name, term in self.terms.items()]
        return torch.stack(weighted).sum(0)

    @property
    def total(self) -> Tensor:
        """The loss: the mean over the groups, a scalar connected to the graph."""
        return self.per_group.mean()


class Objective(ABC):
    """Base of every objective: a frozen dataclass of its parameters, called on `GroupLogps`.

    Properties state what a subclass needs; the trainer refuses before sampling anything
    when it cannot be given.
    """

    name: ClassVar[str]

    @property
    def needs_negatives(self) -> bool:
        """Whether the groups must hold responses sampled under a negative prompt."""
        return False

    @property
    def min_responses(self) -> int:
        """Responses a group must hold for the loss to say anything."""
        return 2

    @property
    def suggested_negative_context(self) -> float:
        """`NEATConfig.negative_context` when the user leaves it open."""
        return 0.0

    @property
    def needs_reference(self) -> bool:
        """Whether `GroupLogps.reference` must be there."""
        return False

    @property
    def needs_tokens(self) -> bool:
        """Whether `GroupLogps.tokens` must be there."""
        return False

    @property
    def needs_kl(self) -> bool:
        """Whether `GroupLogps.kl` is used."""
        return False

    @property
    def score_range(self) -> tuple[float, float] | None:
        """Score spreads for which the loss works as meant; None where only the order counts."""
        return None

    def usable(self, logps: GroupLogps) -> Tensor:
        """[G] bool: groups whose scores tell this objective something; log-probs are not read.

        Here those with a best and a worst response: of equal ones it would imitate, or rank,
        an arbitrary one.
        """
        top = torch.where(logps.present, logps.score, float("-inf")).amax(1)
        return top > torch.where(logps.present, logps.score, float("inf")).amin(1)

    @property
    def has_detached_terms(self) -> bool:
        """Whether a part of the loss is held constant in its gradient (stop-gradient)."""
        return False

    @abstractmethod
    def __call__(self, logps: GroupLogps) -> LossTerms:
        """The loss terms of a batch of groups."""
