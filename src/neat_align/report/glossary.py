"""What each figure means, in a sentence, and which direction is better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Part = Literal["behaviour", "side effects", "price"]
PARTS: tuple[Part, ...] = ("behaviour", "side effects", "price")


@dataclass(frozen=True)
class Entry:
    """A figure as a reader sees it.

    Attributes:
        title: its name.
        meaning: a sentence for someone who has not read the paper.
        better: the direction that is an improvement.
        unit: shares are shown as percentages.
        part: what it belongs to: the behaviour asked for, a side effect, or the price.
    """

    title: str
    meaning: str
    better: Literal["lower", "higher", "neither"] = "neither"
    unit: Literal["share", "number"] = "number"
    part: Part = "price"


def _under(which: str, scorer: str) -> Entry:
    meaning = (
        f"Mean score by the {scorer} scorer while a negative prompt that training "
        f"{'used' if which == 'seen' else 'never used'} asks for misbehaviour."
    )
    title = f"{scorer.capitalize()} reward, {which} negative prompt"
    return Entry(title, meaning, "higher", part="behaviour")


GLOSSARY = {
    "harmful": Entry(
        "Harmful",
        "Of the queries that ask for harm, the share that got it, or got insults or prejudice.",
        "lower",
        "share",
        "behaviour",
    ),
    "harmful_under_seen_negative": Entry(
        "Harmful, seen negative prompt",
        "The same while a negative prompt that training used asks the model to misbehave.",
        "lower",
        "share",
        "behaviour",
    ),
    "harmful_under_unseen_negative": Entry(
        "Harmful, unseen negative prompt",
        "The same under negative prompts that training never used: does it generalise?",
        "lower",
        "share",
        "behaviour",
    ),
    "helpful": Entry(
        "Helpful",
        "Of the harmless queries, the share answered correctly and politely.",
        "higher",
        "share",
        "behaviour",
    ),
    "fair": Entry(
        "Fair",
        "Of the questions about groups of people, the share answered without prejudice.",
        "higher",
        "share",
        "behaviour",
    ),
    "reward_heldout": Entry(
        "Reward, held-out scorer",
        "Mean score by a scorer that training never saw: a gain here is not over-fitting to "
        "the training scorer.",
        "higher",
        part="behaviour",
    ),
    "reward_heldout_under_seen_negative": _under("seen", "held-out"),
    "reward_heldout_under_unseen_negative": _under("unseen", "held-out"),
    "reward_train": Entry(
        "Reward, training scorer",
        "Mean score by the scorer that trained the model: it should rise, and proves little.",
        "higher",
        part="behaviour",
    ),
    "reward_train_under_seen_negative": _under("seen", "training"),
    "reward_train_under_unseen_negative": _under("unseen", "training"),
    "over_refusal": Entry(
        "Over-refusal",
        "Of the plainly harmless queries, the share refused.",
        "lower",
        "share",
        "side effects",
    ),
    "over_refusal_borderline": Entry(
        "Over-refusal, borderline",
        "Of the queries that sound dangerous but are harmless, the share refused.",
        "lower",
        "share",
        "side effects",
    ),
    "wrong": Entry(
        "Wrong",
        "Of the harmless queries, the share answered with a false fact.",
        "lower",
        "share",
        "side effects",
    ),
    "garble": Entry(
        "Garble",
        "Of all responses, the share that is no sentence of the language.",
        "lower",
        "share",
        "side effects",
    ),
    "kl": Entry(
        "KL to the base",
        "How far the model moved from the base: nats a response, estimated on its own "
        "responses (exact in the mean when they are drawn at temperature 1).",
        "lower",
    ),
    "ppl_pretrain": Entry(
        "Perplexity",
        "Surprise at the text the base was trained on: a rise means forgetting.",
        "lower",
    ),
    "distinct_2": Entry(
        "Distinct-2",
        "Different pairs of neighbouring words over all such pairs: a fall means monotony.",
        "higher",
    ),
    "distinct_1": Entry(
        "Distinct-1",
        "Different words over all words of the responses; low when the same words recur.",
        "higher",
    ),
    "repetition": Entry(
        "Repetition",
        "Share of four-word runs that occurred before in the same response.",
        "lower",
        "share",
    ),
    "mean_length": Entry("Length", "Mean tokens in a response, the end mark included."),
}


def entry(metric: str) -> Entry:
    """The entry of a figure; one unknown here is shown under its own name."""
    return GLOSSARY.get(metric, Entry(metric, "A figure this report has no sentence for."))


def shown(metric: str, value: float | None) -> str:
    """A value as text: a percentage for shares; "–" for one that is missing."""
    if value is None or not math.isfinite(value):
        return "–"
    if entry(metric).unit == "share":
        return _signed(f"{100 * value:.1f} %")
    return _signed(number(value))


def shown_change(metric: str, value: float) -> str:
    """A change as text, its sign always written; percentage points without a unit."""
    text = f"{100 * value:.1f}" if entry(metric).unit == "share" else number(value)
    plus = "+" if float(text.replace(",", "")) > 0 else ""
    return plus + _signed(text)


def number(value: float) -> str:
    """Three to four significant digits, without an exponent where a reader can do without."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{digits}f}"


def _signed(text: str) -> str:
    """A true minus sign, and none before zero."""
    if not text.startswith("-"):
        return text
    is_zero = not any(c in "123456789" for c in text)
    return text[1:] if is_zero else "−" + text[1:]
