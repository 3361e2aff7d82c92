"""Every figure that a training logs, with what it means: the page and the checks come from it.

`neat_align.training.metrics` computes most of them. Capitals stand for any name.
"""

from __future__ import annotations

import re

STEP = "Every log"
SAMPLED = "Online: of the groups drawn at a refresh"
SCORES = "Whether the scores teach anything"
LOGPS = "Of the responses trained on, on the clean query"
SPEED = "Speed"

LOGGED: dict[str, dict[str, str]] = {
    STEP: {
        "step": "Optimiser steps done.",
        "epoch": "Passes over the data done.",
        "loss": "The loss, a mean over the groups of the global batch and over the steps since "
        "the last log.",
        "loss/TERM": "A term of the objective before its weight, a mean over groups; with "
        "`negative_context` a group counts half on the clean query and half in the negative "
        "context. The terms, times their weights, add up to `loss`.",
        "kto/z": "KTO: the estimate of KL(policy ‖ reference) from mismatched pairs, cut off at "
        "0, nats.",
        "lm/open": "NEAT: share of the groups whose best response is imitated; below 1 where "
        "`lm_gate` finds it good in some groups only.",
        "grad_norm": "Norm of the gradient before it is clipped.",
        "learning_rate": "In force at this step.",
        "stopped_early": "Why the run ended before its last step; there once, if at all.",
    },
    SCORES: {
        "signal/usable": "Share of the groups whose scores tell the objective something: for "
        "NEAT those with a pair further apart than `min_gap`, for the others those with a best "
        "and a worst response, for D2O those with a negative response and another.",
        "signal/spread": "What NEAT's default gaps are relative to, in reward units: the upper "
        "quartile of the standard deviations of the groups' scores, over the first 512 groups "
        "that have any (offline: over all).",
        "spread/SOURCE": "Standard deviation of all scores of that source.",
        "negatives/below_plain": "Share of the negative responses that score below the mean of "
        "their group's plain ones. Low from the start: the negative prompts do not bring out "
        "what the reward marks down. Falling: the model has learned to resist them.",
    },
    SAMPLED: {
        "reward": "Mean score of all responses.",
        "reward/SOURCE": "Mean score by source.",
        "negatives/still_bad": "Share of the negative responses that score below the mean of "
        "their group's other responses; it falls as the policy learns.",
        "truncated/SOURCE": "Share of responses that were cut at `max_new_tokens`.",
        "distinct_2": "Different pairs of neighbouring words over all such pairs, of each "
        "process's groups, and the mean of these shares; a steep fall warns of collapse.",
        "sampling/unanswered": "Share of the queries that were left out because no answer, or "
        "no grade, came for them; logged where there are any.",
        "watched_reward": "In an evaluation while training, with `evaluate.watch`: mean score of "
        "the plain responses by the reward that training never sees; compare `reward/plain`.",
        "rewards_parted": "There once that score falls while the training reward rises: since when "
        "and how far.",
        "groups/no_good": "Share of the groups without an answer that scores above the border "
        "between good and bad ones (`good_above`, or else what the trial of the steering found), "
        "after any were drawn again; logged where a border is known. High: no prompt brings out "
        "what is wanted.",
        "groups/no_bad": "The same without an answer at or below the border. It rises as the "
        "policy learns.",
        "groups/drawn_again": "With `resample_groups`: responses drawn again, per group.",
        "groups/left_out": "With `drop_unsplit` or `max_dispute`: share of the groups left out for "
        "want of a good or a bad answer, or because rewards dispute their order.",
        "groups/disputed": "With `max_dispute`: share of the groups in which two rewards order "
        "more of the response pairs in opposite ways. Rising: the policy finds what one of them "
        "likes and another does not.",
        "engine/logp_difference": "With an engine: nats per token by which its log-probs differ "
        "from the policy's, on average.",
    },
    LOGPS: {
        "logps/chosen": "Mean log-prob of the best response, nats per token, over the groups "
        "with a winner. It should not fall: that is how pairwise losses go wrong.",
        "logps/rejected": "The same of the worst response.",
        "logps/negative": "Of the responses drawn under a negative prompt.",
        "logps/other": "Of all the others.",
        "response_tokens": "Mean tokens of a response, its end included.",
        "rewards/margins": "(s_w − s_w^ref) − (s_l − s_l^ref), nats per response, a mean over "
        "the groups with a winner. It is not multiplied by any β, so it means the same for "
        "every objective; there where the objective has a reference.",
        "rewards/accuracies": "Share of those groups where the margin is above 0.",
        "kl": "Mean of s − s_ref, nats per response, over the responses drawn without a negative "
        "prompt. `stop_kl` stops on it.",
    },
    SPEED: {
        "seconds/PHASE": "Seconds spent in sampling, scoring, reference, training, optimizer "
        "and the rest, since the last log.",
        "tokens_per_second/PHASE": "Response tokens per second of a phase.",
    },
}


def logged_as(name: str) -> str | None:
    """Find the entry that a logged name belongs to; None for one that the trainer does not log."""
    known = [entry for section in LOGGED.values() for entry in section]
    return next((e for e in known if re.fullmatch(re.sub("[A-Z]+", r"[^/]+", e), name)), None)


def page() -> str:
    """Write docs/metrics.md."""
    tables = "\n\n".join(
        f"## {title}\n\n| logged | what it is |\n|---|---|\n"
        + "\n".join(f"| `{name}` | {meaning} |" for name, meaning in section.items())
        for title, section in LOGGED.items()
    )
    return f"{HEAD}\n{tables}\n\n{TAIL}"


HEAD = """# What training logs

One row per log in `metrics.jsonl`, beside the checkpoints. Figures are means over what was
trained on since the last log, over all micro-batches and ranks: however a step is cut, they are
the same. `s` is the sum of a response's log-probs on the clean query, `w` and `l` are the best
and the worst response of a group. SOURCE is `positive`, `negative`, `plain` or, for answers that
came with the data, what they are recorded as.

An evaluation while training logs the same names after `eval/`. What a reward function gives to
`log_metric` stands beside them, under names that are not here.

This page is written by `scripts/metrics_page.py` from `neat_align/training/logged.py`, and a test
compares it with what runs log.
"""

TAIL = """## A reward that teaches nothing

Before training, `neat score` and `neat dataset stats` print the figures of the second table.

- **No usable group** among the first 64, or in the whole run where it has fewer, or among stored
  groups: an error. Training would imitate an arbitrary one of equally scored answers. Stored
  groups are refused before a model is loaded.
- **Few** (under a tenth usable, or under a fifth of the negative responses below the plain ones):
  a warning, once.
- **None any more**, 64 groups in a row after there had been some: the run ends, with
  `stopped_early` in its log, and the policy is kept.

A reward may be in any unit: NEAT's `min_gap` and `gap_scale` are 0.2 and 0.8 of `signal/spread`
unless they are given as numbers, which are in reward units
([why](decisions/0014-a-gap-relative-to-the-spread.md)).

PRO and SPPO weigh score differences as they are, and warn when those are too small or too large
to act; the others only order the scores. ListMLE ranks equal scores by position: with rewards of
0 and 1 use another objective. A score that is NaN or infinite is an error, and so is a response
that no scorer applies to; where one of several scorers answers None, the others' sum counts.
"""
