"""Compute what is logged of groups: rewards, log-probs and diversity, by source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from statistics import fmean

import torch

from neat_align.errors import RewardError
from neat_align.objectives import GroupLogps, LossTerms, terms
from neat_align.texts import distinct_n
from neat_align.training.logged import logged_as
from neat_align.training.running_means import Weighted
from neat_align.types import Group, Source


def group_metrics(groups: Sequence[Group]) -> Weighted:
    """Compute the figures of freshly sampled, scored groups, and the weight of each mean.

    `reward/SOURCE` is the mean score by source; `negatives/still_bad` the share of negative
    responses that score below the mean of their group's other responses: as the policy
    learns, negative prompts bring out less that is bad. `distinct_2` is no mean; of parts of
    a batch that of the whole is not known.
    """
    responses = [response for group in groups for response in group.responses]
    found = {"reward": _mean(r.score for r in responses)}
    for source in dict.fromkeys(r.source for r in responses):
        of_source = [r for r in responses if r.source == source]
        found[f"reward/{source}"] = _mean(r.score for r in of_source)
        found[f"truncated/{source}"] = _mean(r.finish == "length" for r in of_source)
    found["negatives/still_bad"] = _mean(chain.from_iterable(map(_still_bad, groups)))
    found["distinct_2"] = distinct_n([r.text for r in responses], 2), float(len(groups))
    return {name: (value, weight) for name, (value, weight) in found.items() if weight}


def loss_metrics(found: LossTerms, weight: torch.Tensor, groups: float) -> Weighted:
    """Compute per pass `loss/TERM`, which add up, times the objective's weights, to `loss`.

    Args:
        weight: [G], share of each entry in its group: a half where it stands there twice.
        groups: of the whole optimiser step, over all passes and ranks.
    """
    share = weight / weight.sum()
    part = float(weight.sum()) / groups
    named = {f"loss/{name}": value for name, value in found.terms.items()} | found.metrics
    return {name: (_of_groups(value, share), part) for name, value in named.items()}


def logp_metrics(logps: GroupLogps, clean: torch.Tensor) -> Weighted:
    """Compute per pass log-probs on the clean query, by source, best and worst response.

    `logps/…` are nats per token, those of chosen and rejected over the groups with a winner.
    `rewards/margins` is the mean of (s_w − s_w^ref) − (s_l − s_l^ref), nats per response, not
    multiplied by any β, for every objective that has a reference; `rewards/accuracies` the
    share of those groups where it is above 0.

    `kl` is the mean of s − s_ref, in nats, over the responses drawn without a negative
    prompt. For plain responses of the current policy its expectation is KL(policy ‖
    reference); positive prompts favour responses that training makes likelier, so with
    them it lies above. The evaluation measures KL on plain responses alone.

    Args:
        clean: [G] bool, the entries without a negative prompt in their context.
    """
    logps = replace(logps.restricted_to(clean[:, None]), policy=logps.policy.detach())
    means, present = terms.means(logps), logps.present
    winner = terms.has_winner(logps)
    best, worst = terms.best(logps), terms.worst(logps)
    metrics = {
        "logps/chosen": _masked(terms.pick(means, best), winner),
        "logps/rejected": _masked(terms.pick(means, worst), winner),
        "logps/negative": _masked(means, logps.is_negative & present),
        "logps/other": _masked(means, ~logps.is_negative & present),
        "response_tokens": _masked(logps.length, present),
    }
    if logps.reference is not None:
        d = terms.log_ratios(logps)
        margin = terms.pick(d, best) - terms.pick(d, worst)
        metrics["rewards/margins"] = _masked(margin, winner)
        metrics["rewards/accuracies"] = _masked(margin > 0, winner)
        metrics["kl"] = _masked(d, ~logps.is_negative & present)
    return metrics


def refuse_taken(metrics: Mapping[str, float]) -> Mapping[str, float]:
    """Return what reward functions told `log_metric`; refuse names of the trainer's own.

    Raises:
        RewardError: a name is taken: the two figures would be mixed.
    """
    for name in metrics:
        if logged_as(name) is not None:
            raise RewardError(
                f"log_metric({name!r}, …)",
                "the trainer logs a figure of its own under that name",
                f"give it another one, for example {'my_' + name.replace('/', '_')!r}",
            )
    return metrics


def _of_groups(value: torch.Tensor | float, share: torch.Tensor) -> float:
    """Return the weighted mean of what is [G], and a single number as it is."""
    values = torch.as_tensor(value).detach()
    return float(values) if values.numel() == 1 else float((values * share).sum())


def _masked(values: torch.Tensor, mask: torch.Tensor) -> tuple[float, float]:
    """Return the mean where `mask`, and over how many; (0, 0) where that is nowhere."""
    chosen = values[mask].float()
    return (float(chosen.mean()), float(len(chosen))) if len(chosen) else (0.0, 0.0)


def _still_bad(group: Group) -> list[bool]:
    """Tell per negative response whether it scores below the mean of the others."""
    scores = [r.score for r in group.responses if r.source != Source.NEGATIVE]
    if not scores:
        return []
    mean, _ = _mean(scores)
    negative = [r.score for r in group.responses if r.source == Source.NEGATIVE]
    return [score < mean for score in negative if score is not None]


def _mean(values: Iterable[float | None]) -> tuple[float, float]:
    """Return the mean of those that are known, and how many they are."""
    known = [float(v) for v in values if v is not None]
    return (fmean(known) if known else 0.0), float(len(known))
