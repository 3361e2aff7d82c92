"""What is logged of groups: where rewards, log-probs and diversity stand, by source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean

import torch

from neat_align.errors import RewardError
from neat_align.objectives import GroupLogps
from neat_align.types import Group, Response, Source


def group_metrics(groups: Sequence[Group]) -> dict[str, float]:
    """Of freshly sampled, scored groups.

    `reward/SOURCE` is the mean score by source; `negatives/still_bad` the share of negative
    responses that score below the mean of their group's other responses: as the policy
    learns, negative prompts bring out less that is bad; `length/SOURCE` in characters.
    """
    metrics = {"reward": _mean(r.score for g in groups for r in g.responses)}
    for source, responses in _by_source(groups).items():
        metrics[f"reward/{source}"] = _mean(r.score for r in responses)
        metrics[f"truncated/{source}"] = _mean(r.finish == "length" for r in responses)
    bad = [
        negative.score < _mean(r.score for r in others)
        for g in groups
        if (others := [r for r in g.responses if r.source != Source.NEGATIVE])
        for negative in g.responses
        if negative.source == Source.NEGATIVE and negative.score is not None
    ]
    if bad:
        metrics["negatives/still_bad"] = _mean(bad)
    metrics["distinct_2"] = distinct_2([r.text for g in groups for r in g.responses])
    return metrics


def logp_metrics(logps: GroupLogps) -> dict[str, float]:
    """Of one batch: log-probs by source and of the best and worst response, nats a token.

    `kl` is the mean of s − s_ref, in nats, over the responses drawn without a negative
    prompt. For plain responses of the current policy its expectation is KL(policy ‖
    reference); positive prompts favour responses that training makes likelier, so with
    them it lies above. The evaluation measures KL on plain responses alone.
    """
    mean_logps = logps.policy.detach() / logps.length.clamp(min=1)
    present, negative = logps.present, logps.is_negative & logps.present
    other = present & ~logps.is_negative
    order = torch.where(present, logps.score, float("-inf"))
    best = order.argmax(1, keepdim=True)
    worst = torch.where(present, logps.score, float("inf")).argmin(1, keepdim=True)
    chosen, rejected = mean_logps.gather(1, best), mean_logps.gather(1, worst)
    metrics = {
        "logps/chosen": float(chosen.mean()),
        "logps/rejected": float(rejected.mean()),
        "response_tokens": float(logps.length[present].float().mean()),
    }
    for name, mask in (("negative", negative), ("other", other)):
        if mask.any():
            metrics[f"logps/{name}"] = float(mean_logps[mask].mean())
    if logps.reference is not None:
        d = logps.policy.detach() - logps.reference
        margin = d.gather(1, best) - d.gather(1, worst)
        metrics["rewards/margins"] = float(margin.mean())
        metrics["rewards/accuracies"] = float((margin > 0).float().mean())
        if other.any():
            metrics["kl"] = float(d[other].mean())
    return metrics


TAKEN = ("loss", "step", "epoch", "learning_rate", "grad_norm", "reward", "kl", "distinct_2",
         "response_tokens", "negatives/still_bad", "stopped_early")  # fmt: skip
TAKEN_PREFIXES = ("reward/", "loss/", "logps/", "truncated/", "seconds/", "rewards/", "engine/")


def refuse_taken(metrics: Mapping[str, float]) -> Mapping[str, float]:
    """What reward functions told `log_metric`, unless a name is one of the trainer's own.

    Raises:
        RewardError: a name is taken: the two figures would be mixed.
    """
    for name in metrics:
        if name in TAKEN or name.startswith(TAKEN_PREFIXES):
            raise RewardError(
                f"log_metric({name!r}, …)",
                "the trainer logs a figure of its own under that name",
                f"give it another one, for example {'my_' + name.replace('/', '_')!r}",
            )
    return metrics


def distinct_2(texts: Sequence[str]) -> float:
    """Different pairs of neighbouring words over all such pairs; 0 when there is none."""
    pairs = [pair for text in texts for pair in pairwise(text.split())]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def _by_source(groups: Sequence[Group]) -> dict[Source, list[Response]]:
    found: dict[Source, list[Response]] = {}
    for group in groups:
        for response in group.responses:
            found.setdefault(response.source, []).append(response)
    return found


def _mean(values: Iterable[float | None]) -> float:
    known = [float(v) for v in values if v is not None]
    return fmean(known) if known else float("nan")
