"""Tell a steering trial in words, for a terminal, a log and an error."""

from __future__ import annotations

from collections.abc import Iterator

from neat_align.sampling.trial_result import NOT_JUDGED, PhrasingTrial, SteeringTrial
from neat_align.types import Source

WIDTH = 160  # characters of an answer that are shown
SHOWN = 3  # queries whose answers are shown
ADVICE = (
    "read the answers; a negative prompt orders what must not be ('Answer with bullet points.', "
    "not 'Never answer with bullet points.'), a positive one what is wanted, and the reward must "
    "tell them apart"
)


def summary(trial: SteeringTrial) -> str:
    """Write one line: mean scores, and the change that each side makes."""
    told = f"steering {trial.steering!r} on {trial.queries} queries: "
    if trial.verdict == NOT_JUDGED:
        return told + "not judged"
    plain = f"plain {trial.means['plain']:.3g}"
    sides = (f"{s} {trial.means[s]:.3g} ({e.change:+.2g})" for s, e in trial.effects.items())
    return told + ", ".join((plain, *sides))


def told(trial: SteeringTrial, shown: int = SHOWN) -> str:
    """Write the whole of it: summary, a line per phrasing and channel, and some answers.

    Args:
        shown: queries whose answers are quoted.
    """
    several = len(trial.channels) > len({one.source for one in trial.channels})
    lines = [_line(trial.plain, "without steering")] if trial.plain else []
    lines += [_line(one, repr(one.prompt)) for one in trial.prompts]
    lines += [_line(one, f"through {one.channel}") for one in trial.channels if several]
    if trial.border is not None:
        lines.append(
            f"  good: a score above {trial.border:.3g}; a group is split where the plain answers "
            "and these are of both kinds"
        )
    return "\n".join([summary(trial), *lines, *_answers(trial, shown)])


def _line(one: PhrasingTrial, called: str) -> str:
    """Tell what a phrasing, or a channel, brought out."""
    line = f"  {one.source} {called}"
    if one.score is not None:
        line += f": {one.score:.3g}"
    if one.change is not None:
        line += f" ({one.change:+.2g})"
    if one.answers:
        line += f", {one.good} of {one.answers} good, {one.split} of {one.groups} groups split"
    if one.score is not None and one.flippable:
        old, new = ("bad", "good") if one.source == Source.POSITIVE else ("good", "bad")
        share = one.flipped / one.flippable
        line += f", turns {share:.0%} of {one.flippable} {old} plain answers {new}"
    return line


def _answers(trial: SteeringTrial, shown: int) -> Iterator[str]:
    """Quote, of some queries, the first plain answer and the first under each side."""
    ids = list(dict.fromkeys(a["query_id"] for a in trial.answers))[:shown]
    for number, query_id in enumerate(ids):
        own = [a for a in trial.answers if a["query_id"] == query_id]
        yield f"  query: {_short(own[0]['query'])}"
        for side in ("plain", "positive", "negative"):
            of_side = [a for a in own if a["source"] == side]
            if of_side:
                answer = of_side[number % len(of_side)]
                score = "" if answer["score"] is None else f" [{answer['score']:.3g}]"
                yield f"    {side}{score}: {_short(answer['text'])}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"
