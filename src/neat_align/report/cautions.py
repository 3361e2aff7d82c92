"""What a reader of an evaluation should be warned of before believing its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neat_align.evaluation.judges import agreement_told, judge
from neat_align.evaluation.reading import reading
from neat_align.evaluation.results import PARTED
from neat_align.evaluation.safety import Checker
from neat_align.types import Query

SECOND: dict[str | None, tuple[str, Checker]] = {
    "reading": ("judge", judge),
    "judge": ("reading", reading),
}
"""The other judge of refusals, by the one that was asked."""
FEW = 30  # queries below which an interval says next to nothing
OFTEN = 0.5  # share of the responses

Sample = Mapping[str, Any]


def cautions(results: Mapping[str, Any], samples: Mapping[str, Sequence[Sample]]) -> list[str]:
    """Sentences, the gravest first; none where all is well."""
    return [
        *([f"the rewards part: {results[PARTED]}"] if PARTED in results else []),
        *_of_training(results),
        *_of_tasks(results),
        *_of_size(results),
        *_of_names(results),
        *_of_lengths(samples, results.get("decoding", {}).get("max_new_tokens")),
        *_of_scores(samples),
        *_of_judges(results.get("checker"), samples),
        *_of_sameness(samples),
    ]


def _of_training(results: Mapping[str, Any]) -> Iterator[str]:
    for name, count in (results.get("seen_in_training") or {}).items():
        if count is None:
            yield f"{name}: what it was trained on is gone, so these may be training queries"
        else:
            yield (
                f"{name}: it was trained on {count} of the {results.get('queries')} queries, so "
                "its figures are not held out: give others"
            )


def _of_tasks(results: Mapping[str, Any]) -> Iterator[str]:
    missing: dict[str, list[str]] = {}
    for task, told in (results.get("tasks") or {}).items():
        for condition, count in told.get("asked_under", {}).items():
            if not count and told.get("queries"):
                missing.setdefault(condition.replace("_", " "), []).append(task)
        if told.get("queries") == 0:
            yield f"{task}: all of its queries were trained on, so none was asked: give others"
    for task, models in (results.get("failed") or {}).items():
        for model, why in models.items():
            yield f"{task} failed with {model} ({why}): neat evaluate … --resume asks it again"
    for task, why in (results.get("left_out") or {}).items():
        yield f"{task} was left out: {why['why']}; its data are at {why['url']}"
    if results.get("steering", "") is None and (plainly := _of_harm(results)):
        yield f"no steering pair was given, so that {', '.join(plainly)} are asked plainly alone"
        return
    for condition, tasks in missing.items():
        yield f"the steering pair has no {condition} prompt, which {', '.join(tasks)} asks under"


def _of_harm(results: Mapping[str, Any]) -> list[str]:
    """Name the benchmarks that would be asked under negative prompts, too."""
    return [task for task, told in (results.get("tasks") or {}).items() if "asked_under" in told]


def _of_size(results: Mapping[str, Any]) -> Iterator[str]:
    count = results.get("queries")
    if isinstance(count, int) and count < FEW:
        yield (
            f"{count} {'query' if count == 1 else 'queries'}: too few to tell a change from "
            "chance; a hundred or more are wanted"
        )


def _of_names(results: Mapping[str, Any]) -> Iterator[str]:
    names = list(results.get("models", ()))
    if len(names) > 1 and "base" not in names:
        told = ", ".join(names)
        yield f"no model of {told} is called base: no change and no KL can be told"


def _of_lengths(samples: Mapping[str, Sequence[Sample]], limit: Any) -> Iterator[str]:
    for name, own in samples.items():
        cut = sum(sample.get("finish") == "length" for sample in own)
        empty = sum(not str(sample.get("text", "")).strip() for sample in own)
        if own and cut / len(own) >= OFTEN:
            at = f" at {limit} tokens" if limit else ""
            yield (
                f"{name}: {cut} of {len(own)} responses were cut{at}; they are judged "
                "unfinished: raise max_new_tokens"
            )
        if own and empty / len(own) >= OFTEN:
            yield f"{name}: {empty} of {len(own)} responses are empty"


def _of_scores(samples: Mapping[str, Sequence[Sample]]) -> Iterator[str]:
    everything = [sample for own in samples.values() for sample in own]
    scorers = dict.fromkeys(name for s in everything for name in s.get("scores") or {})
    judged = any(sample.get("verdict") is not None for sample in everything)
    if everything and not scorers and not judged:
        yield "nothing judged the responses: give a reward or a checker"
    for scorer in scorers:
        values = {s["scores"].get(scorer) for s in everything} - {None}
        if len(values) == 1 and len(everything) > 1:
            yield f"the {scorer} scorer gives every response {values.pop():g}: it tells nothing"


def _of_judges(name: str | None, samples: Mapping[str, Sequence[Sample]]) -> Iterator[str]:
    """Tell how far a judge goes, and how often the other one sees a refusal otherwise."""
    if name == "judge":
        yield agreement_told()
    if name not in SECOND:
        return
    other, second = SECOND[name]
    for model, own in samples.items():
        differ = sum(
            (sample["verdict"] == "refusal") != (_verdict(second, sample) == "refusal")
            for sample in own
        )
        if differ:
            yield (
                f"{model}: {name} and {other} disagree on {differ} of {len(own)} responses "
                f"({differ / len(own):.0%}), whether they refuse: read them"
            )


def _verdict(checker: Checker, sample: Sample) -> str:
    return checker(Query.from_text(sample["query"], kind=sample["kind"]), sample["text"])


def _of_sameness(samples: Mapping[str, Sequence[Sample]]) -> Iterator[str]:
    base = [sample.get("text") for sample in samples.get("base", ())]
    for name, own in samples.items():
        if name != "base" and base and [sample.get("text") for sample in own] == base:
            yield f"{name}: every response is the base's, word for word"
