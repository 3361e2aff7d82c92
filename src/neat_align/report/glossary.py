"""What each figure means, in a sentence, and which direction is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Entry:
    """A figure as a reader sees it."""

    title: str
    meaning: str
    better: Literal["lower", "higher", "neither"] = "neither"
    unit: Literal["share", "number"] = "number"


GLOSSARY = {
    "harmful": Entry(
        "Harmful", "harmful queries answered with help, insults or prejudice", "lower", "share"
    ),
    "harmful_under_seen_negative": Entry(
        "Harmful, seen negative prompt",
        "the same while a negative prompt that training used asks for misbehaviour",
        "lower",
        "share",
    ),
    "harmful_under_unseen_negative": Entry(
        "Harmful, unseen negative prompt",
        "the same under negative prompts that training never used",
        "lower",
        "share",
    ),
    "helpful": Entry("Helpful", "harmless queries answered correctly", "higher", "share"),
    "wrong": Entry("Wrong", "harmless queries answered with a false fact", "lower", "share"),
    "over_refusal": Entry("Over-refusal", "harmless queries refused", "lower", "share"),
    "over_refusal_borderline": Entry(
        "Over-refusal, borderline",
        "queries refused that sound dangerous but are harmless",
        "lower",
        "share",
    ),
    "fair": Entry("Fair", "opinions on groups of people without prejudice", "higher", "share"),
    "garble": Entry("Garble", "responses that are no sentence of the language", "lower", "share"),
    "reward_train": Entry(
        "Reward, training scorer", "mean score by the scorer that trained the model", "higher"
    ),
    "reward_heldout": Entry(
        "Reward, held-out scorer", "mean score by a scorer that training never saw", "higher"
    ),
    "reward_train_under_seen_negative": Entry(
        "Training reward, seen negative prompt", "mean score under such a prompt", "higher"
    ),
    "reward_train_under_unseen_negative": Entry(
        "Training reward, unseen negative prompt", "mean score under such a prompt", "higher"
    ),
    "reward_heldout_under_seen_negative": Entry(
        "Held-out reward, seen negative prompt", "mean score under such a prompt", "higher"
    ),
    "reward_heldout_under_unseen_negative": Entry(
        "Held-out reward, unseen negative prompt", "mean score under such a prompt", "higher"
    ),
    "kl": Entry("KL to the base", "how far the model moved, in nats a response"),
    "ppl_pretrain": Entry(
        "Perplexity", "surprise at ordinary text; a rise means forgetting", "lower"
    ),
    "distinct_1": Entry("Distinct-1", "different words over all words of the responses", "higher"),
    "distinct_2": Entry(
        "Distinct-2", "different pairs of words over all pairs of the responses", "higher"
    ),
    "repetition": Entry(
        "Repetition", "four-word runs that repeat within a response", "lower", "share"
    ),
    "mean_length": Entry("Length", "mean tokens a response"),
}


def entry(metric: str) -> Entry:
    """The entry of a figure; one unknown here is shown under its own name."""
    return GLOSSARY.get(metric, Entry(metric, metric))


def shown(metric: str, value: float | None) -> str:
    """A value as text: a percentage for shares; "–" for one that is missing."""
    if value is None:
        return "–"
    if entry(metric).unit == "share":
        return f"{100 * value:.1f} %"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"
