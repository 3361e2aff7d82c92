"""What is odd about a group: told with the data, dropped only where that is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from neat_align.types import Group, Response, Source

DUPLICATE, EMPTY, TRUNCATED = "duplicate", "empty", "truncated"
REVERSED = "negative_above_positives"
TIE = "tie"


def group_flags(group: Group) -> list[str]:
    """Return the group's flags, in alphabetical order.

    `duplicate`, `empty`, `truncated`: some response is. `negative_above_positives`: a
    response under a negative prompt scores above every one that was drawn otherwise; the
    reward is wrong there, or the prompt did nothing. `tie`: no pair can be made, since the
    scores, or the texts of the best and the worst response, are equal.
    """
    found = {flag for flag in (DUPLICATE, EMPTY, TRUNCATED) if any(odd_responses(group, flag))}
    if group.is_scored:
        if best_and_worst(group) is None:
            found.add(TIE)
        negative = [r.score for r in group.responses if r.source == Source.NEGATIVE]
        others = [r.score for r in group.responses if r.source != Source.NEGATIVE]
        known = [s for s in negative if s is not None], [s for s in others if s is not None]
        if all(known) and max(known[0]) > max(known[1]):
            found.add(REVERSED)
    return sorted(found)


def best_and_worst(group: Group) -> tuple[Response, Response] | None:
    """Return the responses of a scored group with the highest and the lowest score.

    None where the scores are equal, or the texts: such a pair prefers nothing.
    """
    scores = group.scores
    best = group.responses[scores.index(max(scores))]
    worst = group.responses[scores.index(min(scores))]
    differ = max(scores) > min(scores) and best.text.strip() != worst.text.strip()
    return (best, worst) if differ else None


@dataclass(frozen=True)
class Filter:
    """Drops what it is asked to, and counts it.

    Attributes:
        drop: responses that are `duplicate` (all but the first), `empty` or `truncated`.
        min_gap: groups without two scores that differ by more than this, in reward units, as
            the objective's `min_gap` has it: 0 drops those whose scores are all equal.
    """

    drop: frozenset[str] = frozenset()
    min_gap: float | None = None

    def __call__(self, groups: Iterable[Group]) -> tuple[list[Group], Counter[str]]:
        """Return the groups that stay, with the responses that stay; at least two each.

        Returns:
            Also how many responses and groups were dropped, by reason.
        """
        kept: list[Group] = []
        dropped: Counter[str] = Counter()
        for group in groups:
            odd = [any(flags) for flags in zip(*(odd_responses(group, flag) for flag in self.drop))]
            left = group.responses
            if odd:
                left = tuple(r for r, bad in zip(left, odd, strict=True) if not bad)
            dropped["responses"] += len(group.responses) - len(left)
            if len(left) < 2:
                dropped["groups with fewer than two responses left"] += 1
            elif self.min_gap is not None and _gap(left) <= self.min_gap:
                dropped[f"groups without a gap above {self.min_gap:g}"] += 1
            else:
                kept.append(Group(group.query, left))
        return kept, dropped


def odd_responses(group: Group, flag: str) -> list[bool]:
    """Of each response, whether the flag is true of it."""
    tests: dict[str, Callable[[Response, set[str]], bool]] = {
        DUPLICATE: lambda response, seen: response.text.strip() in seen,
        EMPTY: lambda response, seen: not response.text.strip(),
        TRUNCATED: lambda response, seen: response.finish == "length",
    }
    seen: set[str] = set()
    found = []
    for response in group.responses:
        found.append(tests[flag](response, seen))
        seen.add(response.text.strip())
    return found


def _gap(responses: Iterable[Response]) -> float:
    scores = [r.score for r in responses if r.score is not None]
    return max(scores) - min(scores) if scores else float("inf")
