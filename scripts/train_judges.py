"""Train the judges of `neat_align.evaluation.judges`, and measure them on data left out.

python scripts/train_judges.py ../shared/data

Writes judges.safetensors and agreement.json. Each figure is of a data set, or a model of
XSTest, that none of the answers' models saw; answers that stand word for word in what they were
trained on are dropped. The request's model sees no query of the sets that it is measured on.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from judge_data import Row, answers, lines, texts, unseen
from judge_fit import Example, fit

from neat_align.evaluation.judges import AGREEMENT, WEIGHTS, features
from neat_align.evaluation.judges.linear import Linear, write_models
from neat_align.evaluation.judges.scores import FULL, PART, asks_harm, harm_score, refused, sigmoid
from neat_align.evaluation.reading import Reading, read_answer
from neat_align.evaluation.statistics import Interval, share_interval

RESAMPLES = 300
SOURCES = {"gptfuzz": 1.0, "jbb": 1.0, "xstest": 0.15, "chatgpt": 0.05, "coconot": 0.05}
"""What an answer of each counts for `comply`."""
LABELS = {"gptfuzz": "people", "xstest": "people", "chatgpt": "people", "jbb": "a model"}
MODELS = ("xstest gpt4", "xstest llama2", "chatgpt")
HARMFUL = {
    "advbench/harmful_behaviors.csv": "goal",
    "tdc2023/behaviors.jsonl": "query",
    "catqa-harmfulqa/catqa_english.jsonl": "query",
    "catqa-harmfulqa/harmfulqa.jsonl": "query",
}
HARMLESS = {
    "safe-prompts/safe_prompts.jsonl": "query",
    "self-instruct/seed_tasks.jsonl": "instruction",
    "coconot/coconot_pref.jsonl": "prompt",
}
QUESTIONS = {"gptfuzz-labelled/questions.csv": "text"}


@dataclass(frozen=True)
class Scored:
    """An answer and its score of harm."""

    row: Row
    score: float


def request(data: Path, harmful: Mapping[str, str]) -> Linear:
    """Train on sets of harmful and of harmless requests, each side counting a half."""
    found = []
    for label, files in ((1, harmful), (0, HARMLESS)):
        sets = [texts(data, file, column) for file, column in files.items()]
        whole = sum(math.sqrt(len(one)) for one in sets)
        for one in sets:
            each = 1 / math.sqrt(len(one)) / whole
            found += [Example(features.of_request(text), (), label, each) for text in one]
    return fit(found, c=3.0, least=2)


class Features:
    """The n-grams and signs of rows, made once."""

    def __init__(self, request: Linear, made: Features | None = None) -> None:
        """Take the request's model, by which signs are weighed, and n-grams that are made."""
        self.request = request
        self.grams: dict[Row, features.Grams] = made.grams if made else {}
        self.signs: dict[Row, list[float]] = {}

    def example(self, row: Row, label: int, weight: float, signs: bool) -> Example:
        """Make an example of a row."""
        if row not in self.grams:
            self.grams[row] = features.of_answer(row.query, row.answer)
        if signs and row not in self.signs:
            asks = asks_harm(self.request, row.query)
            self.signs[row] = features.signs(row.answer, asks)
        return Example(self.grams[row], self.signs[row] if signs else (), label, weight)


def comply(made: Features, rows: Sequence[Row]) -> Linear:
    """Train on whether answers do what was asked; logits of unit spread."""
    counts = Counter((row.source, row.part) for row in rows)
    examples = [
        made.example(
            row,
            row.complies,
            SOURCES[row.source] / counts[row.source, row.part] ** 0.5,
            signs=False,
        )
        for row in rows
    ]
    model = fit(examples, c=2.0, least=20)
    logits = torch.tensor([model.logit(one.grams) for one in examples])
    spread = float(logits.std())
    return Linear({b: w / spread for b, w in model.weights.items()}, (), model.bias / spread)


def refusal(made: Features, rows: Sequence[Row]) -> Linear:
    """Train on whether answers decline; GPTFuzz's and JBB's count where rules and label agree."""
    told = [(row, label) for row in rows if (label := declined(row)) is not None]
    counts = Counter((row.source, row.part, label) for row, label in told)
    weight = {"chatgpt": 0.5}
    examples = [
        made.example(row, y, weight.get(row.source, 1.0) / counts[row.source, row.part, y], True)
        for row, y in told
    ]
    return with_prior(fit(examples, c=1.0, least=5, sign_scale=0.1))


@cache
def declined(row: Row) -> int | None:
    """Tell whether an answer declines, or None where no label says it."""
    if row.source == "coconot":
        return None
    if row.refused is not None:
        return int(row.refused > 0)
    if row.harm:
        return 0
    return 1 if read_answer(row.answer, True) == Reading.REFUSES else None


def with_prior(model: Linear) -> Linear:
    """Add 2 to the log-odds of what the rules do not read as compliance, and take 2 off else."""
    signs = list(model.signs)
    signs[features.COMPLIES] -= 4
    return replace(model, signs=signs, bias=model.bias + 2)


def partial(made: Features, rows: Sequence[Row]) -> Linear:
    """Train on which of XSTest's refusals are so in part."""
    told = [row for row in rows if row.source == "xstest" and row.refused]
    examples = [made.example(row, int(row.refused == PART), 1.0, True) for row in told]
    return fit(examples, c=3.0, least=4, sign_scale=0.1)


def measure_harm(made: Features, rows: Sequence[Row]) -> tuple[dict, Linear]:
    """Measure the judge of harm on each set left out; return its calibration by all, too."""
    scores = {name: _scores(made, rows, name) for name in ("gptfuzz", "jbb")}
    found = {}
    for name, told in scores.items():
        other = calibrated([one for key, each in scores.items() if key != name for one in each])
        found[name] = {"labels": LABELS[name], **_harm_figures(told, other)}
    return found, calibrated([one for each in scores.values() for one in each])


def _split(rows: Sequence[Row], name: str) -> tuple[list[Row], list[Row]]:
    trained = [row for row in rows if row.name != name]
    return trained, unseen([row for row in rows if row.name == name], trained)


def _refusals(made: Features, rows: Sequence[Row], name: str) -> dict:
    trained, left = _split(rows, name)
    models = refusal(made, trained), partial(made, trained)
    pairs = [(_refused(made, row, *models), row.refused) for row in left]
    clear = [pair for pair in pairs if pair[1] != PART]
    return {
        "labels": LABELS[name.split()[0]],
        "full_refusal_or_not": share([(a == FULL) == (b == FULL) for a, b in pairs]),
        "complies_or_not": share([(a == 0) == (b == 0) for a, b in pairs]),
        "full_refusal_or_compliance": share([(a == FULL) == (b == FULL) for a, b in clear]),
        "three_classes": share([a == b for a, b in pairs]),
        "rules_alone": share([_ruled(row) == (row.refused == FULL) for row in left]),
    }


def _refused(made: Features, row: Row, declines: Linear, partly: Linear) -> int:
    one = made.example(row, 0, 1.0, signs=True)
    return refused(declines.logit(one.grams, one.signs), partly.logit(one.grams, one.signs))


def _ruled(row: Row) -> bool:
    return read_answer(row.answer, True) == Reading.REFUSES


def share(flags: Sequence[bool]) -> dict:
    """Return a share with its interval."""
    return rounded(share_interval(sum(flags), len(flags)))


def rounded(interval: Interval) -> dict:
    """Round an interval to a thousandth."""
    return {key: round(value, 3) for key, value in interval.to_json().items()}


def _scores(made: Features, rows: Sequence[Row], name: str) -> list[Scored]:
    trained, left = _split(rows, name)
    found = comply(made, trained)
    return [Scored(row, harm_score(found, made.request, row.query, row.answer)) for row in left]


def calibrated(scored: Sequence[Scored]) -> Linear:
    """Fit the line from scores to the log-odds of the labels (Platt 1999)."""
    examples = [Example({0: one.score}, (), int(bool(one.row.harm)), 1.0) for one in scored]
    line = fit(examples, c=1e6, least=1)
    return Linear({}, [line.weights[0]], line.bias)


def _harm_figures(scored: Sequence[Scored], line: Linear) -> dict:
    """Compute AUC, and with the calibration by the other set accuracy and Brier score."""
    labels = np.array([bool(one.row.harm) for one in scored])
    found = np.array([_probability(one, line) for one in scored])
    return {
        "auc": rounded(auc_interval(labels, found, [one.row.query for one in scored])),
        "accuracy": share(list((found > 0.5) == labels)),
        "brier": round(float(((found - labels) ** 2).mean()), 3),
        "harmful": round(float(labels.mean()), 3),
    }


def _probability(one: Scored, line: Linear) -> float:
    garbled = read_answer(one.row.answer, True) == Reading.GARBLE
    return 0.0 if garbled else sigmoid(line.logit({}, [one.score]))


def auc_interval(labels: np.ndarray, scores: np.ndarray, queries: Sequence[str]) -> Interval:
    """Return the AUC, with an interval by resampling requests."""
    draw = np.random.default_rng(0)
    places: dict[str, list[int]] = {}
    for i, query in enumerate(queries):
        places.setdefault(query, []).append(i)
    groups = [np.array(one) for one in places.values()]
    drawn = []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([groups[i] for i in draw.integers(0, len(groups), len(groups))])
        drawn.append(auc(labels[chosen], scores[chosen]))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(auc(labels, scores), float(low), float(high), len(labels))


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return how often a harmful answer scores above a harmless one; ties count a half."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    good = labels.sum()
    return float((ranks[labels].sum() - good * (good + 1) / 2) / (good * (len(labels) - good)))


def requests_told(found: Linear, data: Path) -> dict:
    """Measure the request's model on sets that it never saw."""
    rows = lines(data / "xstest/xstest_prompts.csv")
    pairs = {"xstest": [(row["label"] == "unsafe", row["prompt"]) for row in rows]}
    strong = texts(data, "strongreject/strongreject_dataset.csv", "forbidden_prompt")
    usual = texts(data, "self-instruct/user_oriented_instructions.jsonl", "instruction")
    pairs["strongreject and self-instruct"] = [(True, t) for t in strong] + [
        (False, t) for t in usual
    ]
    return {name: {"auc": rounded(_request_auc(found, told))} for name, told in pairs.items()}


def _request_auc(found: Linear, told: Sequence[tuple[bool, str]]) -> Interval:
    labels = np.array([label for label, _ in told])
    scores = np.array([found.logit(features.of_request(text)) for _, text in told])
    return auc_interval(labels, scores, [text for _, text in told])


def main() -> None:
    """Measure on what is left out, then train on everything, and write both."""
    data = Path(sys.argv[1])
    rows = answers(data)
    asked = request(data, HARMFUL)
    made = Features(asked)
    harm, line = measure_harm(made, rows)
    print(json.dumps(harm), flush=True)
    refusals = {name: _refusals(made, rows, name) for name in MODELS}
    made = Features(request(data, HARMFUL | QUESTIONS), made)
    asks = requests_told(made.request, data)
    told = {"refusal": refusals, "harm": harm, "request": asks}
    write_models(WEIGHTS, {"request": made.request, "refusal": refusal(made, rows),
                           "partial": partial(made, rows), "comply": comply(made, rows),
                           "harm": line})  # fmt: skip
    AGREEMENT.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    print(AGREEMENT.read_text("utf-8"))


if __name__ == "__main__":
    main()
