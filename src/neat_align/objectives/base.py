"""What an objective sees, what it returns, and what it promises.

An objective maps the log-probabilities of a batch of groups to named loss terms. It holds
numbers and no state. `contract.check_objective` states the promises and tests them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Limit:
    """Say which numbers a parameter may be, why no others, and what to give instead."""

    holds: Callable[[float], bool]
    why: str
    fix: str


FINITE = Limit(math.isfinite, "no loss comes of it", "give a finite number")
NOT_NEGATIVE = Limit(
    lambda value: value >= 0, "below zero it turns the objective round", "use 0 or more"
)
POSITIVE = Limit(
    lambda value: value > 0,
    "the objective divides by it or multiplies with it",
    "use a value above 0",
)
MINORITY = Limit(  # a share of wrong labels
    lambda value: 0 <= value < 0.5,
    "from a half on, labels say nothing or the opposite",
    "use 0 or more, below 0.5",
)


def parameter(default: Any, limit: Limit) -> Any:
    """Declare a parameter of an objective, with its default and what it may be."""
    return field(default=default, metadata={"limit": limit})


def broken_limits(
    kind: type[Objective], values: Mapping[str, Any]
) -> Iterator[tuple[str, float, Limit]]:
    """Find the numbers that an objective cannot work with; all must be finite."""
    own: tuple[Field[Any], ...] = fields(kind) if is_dataclass(kind) else ()
    limits: dict[str, Limit] = {f.name: f.metadata["limit"] for f in own if "limit" in f.metadata}
    for name, value in values.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            for limit in (FINITE, limits.get(name, FINITE)):
                if not limit.holds(value):
                    yield name, value, limit
                    break


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
        is_plain: [G, K] bool, sampled without steering; needed where `needs_plain` is True.
        border: [] float, the score above which a response is good, in reward units: what was
            given, or what the trial of the steering found; needed where `needs_border` is True.
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
    is_plain: Tensor | None = None
    border: Tensor | None = None

    def restricted_to(self, keep: Tensor) -> GroupLogps:
        """Keep the groups, and of their responses those in `keep` [G, K] bool."""
        return replace(self, present=self.present & keep)


@dataclass(frozen=True)
class LossTerms:
    """Named terms of a loss, one value for each group.

    Attributes:
        terms: [G] each, nats; 0 where a group has nothing to do in that term.
        weights: factor of each term in the loss; 1 when not named.
        metrics: detached, worth logging: scalars, or [G], whose mean over groups is logged.
    """

    terms: dict[str, Tensor]
    weights: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, Tensor] = field(default_factory=dict)

    @property
    def per_group(self) -> Tensor:
        """[G], the weighted sum of the terms."""
        import torch

        weighted = [self.weights.get(name, 1.0) * term for name, term in self.terms.items()]
        return torch.stack(weighted).sum(0)

    @property
    def total(self) -> Tensor:
        """The loss: the mean over the groups, a scalar connected to the graph."""
        return self.per_group.mean()


class Objective(ABC):
    """Base of every objective: a frozen dataclass of its parameters, called on `GroupLogps`.

    The properties say what it needs; a subclass overrides them with plain class attributes
    (`needs_reference = True`). The trainer refuses before sampling anything when a need
    cannot be met.
    """

    name: ClassVar[str]

    @property
    def needs_negatives(self) -> bool:
        """Whether the groups must hold responses sampled under a negative prompt."""
        return False

    @property
    def needs_plain(self) -> bool:
        """Whether the groups must hold responses sampled without a steering prompt."""
        return False

    @property
    def needs_border(self) -> bool:
        """Whether `GroupLogps.border` must be there."""
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
        """Find groups whose scores tell this objective something, [G] bool.

        Log-probs are not read. Here those with a best and a worst response: of equal ones it
        would imitate, or rank, an arbitrary one.
        """
        top = logps.score.where(logps.present, float("-inf")).amax(1)
        return top > logps.score.where(logps.present, float("inf")).amin(1)

    @property
    def has_detached_terms(self) -> bool:
        """Whether a part of the loss is held constant in its gradient (stop-gradient)."""
        return False

    @abstractmethod
    def __call__(self, logps: GroupLogps) -> LossTerms:
        """Compute the loss terms of a batch of groups."""
