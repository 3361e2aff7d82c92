"""What an evaluation gives back, and the files it becomes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from neat_align import defaults
from neat_align.evaluation.statistics import Interval
from neat_align.sampling.base import Decoding
from neat_align.storage.atomic import atomic_write_json, atomic_write_text

BASE = "base"  # the model that the others are compared with
PLAIN, SEEN, UNSEEN = "plain", "seen_negative", "unseen_negative"  # conditions
STEERING = "steering"  # the task that every evaluation of queries has
PARTED = "rewards_parted"  # told by the training of a model: see training.reward_watch
TOLD = ("tasks", "failed", "left_out", PARTED)  # in results.json as in evaluation.json
PROMPT = "prompt"  # the base with a positive prompt before every query: see `prompted`


@dataclass(frozen=True)
class EvaluationSettings:
    """How models are evaluated.

    Attributes:
        decoding: the same for every model.
        seed: of the draws and of the bootstrap.
        samples_per_query: responses to each query and condition.
    """

    decoding: Decoding = field(default_factory=Decoding)
    seed: int = 0
    samples_per_query: int = defaults.SAMPLES_PER_QUERY


@dataclass
class ModelResult:
    """Figures with intervals, and every response behind them.

    Attributes:
        figures: the model's own.
        samples: one record for each response.
        differences: model − base, paired by query and draw, for the figures that allow it.
        tasks: the records of each benchmark, by its name.
    """

    figures: dict[str, Interval]
    samples: list[dict[str, Any]]
    differences: dict[str, Interval] = field(default_factory=dict)
    tasks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


@dataclass
class Evaluation:
    """The results of all models on the same queries.

    Attributes:
        settings: the same for every model.
        about: what was evaluated on what: queries, steering pair, scorers.
        models: results by name.
    """

    settings: EvaluationSettings
    about: dict[str, Any] = field(default_factory=dict)
    models: dict[str, ModelResult] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        return self.settings.seed

    def to_json(self) -> dict[str, Any]:
        """Return figures and differences with value, low, high and n; no samples."""
        return {
            "seed": self.seed,
            "decoding": asdict(self.settings.decoding),
            "samples_per_query": self.settings.samples_per_query,
            **self.about,
            "models": {name: _as_json(result.figures) for name, result in self.models.items()},
            "differences": {
                name: _as_json(result.differences)
                for name, result in self.models.items()
                if result.differences
            },
        }

    def flat(self) -> dict[str, dict[str, float]]:
        """Return {model: {metric: value}}, the form of results.json."""
        return {
            name: {metric: x.value for metric, x in result.figures.items()}
            for name, result in self.models.items()
        }

    def results(self, seconds: float) -> dict[str, Any]:
        """Return the content of results.json: seed, seconds of the whole run, `flat`, `TOLD`."""
        told = {key: self.about[key] for key in TOLD if key in self.about}
        return {"seed": self.seed, "seconds": seconds, "models": self.flat(), **told}

    def fail(self, task: str, model: str, why: str) -> None:
        """Note that a model could not be measured by a benchmark."""
        self.about.setdefault("failed", {}).setdefault(task, {})[model] = why

    def save(self, directory: Path) -> None:
        """Write evaluation.json, samples/MODEL.jsonl and samples/TASK/MODEL.jsonl.

        Samples are one response per line.
        """
        for name, result in self.models.items():
            own = {STEERING: result.samples} if "queries" in self.about else {}
            for task, rows in {**own, **result.tasks}.items():
                save_rows(samples_path(directory, name, task), rows)
        atomic_write_json(directory / "evaluation.json", self.to_json())


def samples_path(directory: Path, model: str, task: str) -> Path:
    """Return where the samples of a model lie; those of its queries beside the tasks' folders."""
    own = directory / "samples" if task == STEERING else directory / "samples" / task
    return own / f"{model}.jsonl"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read what `save_rows` wrote.

    Answers may hold what Unicode calls a line's end, so that only a line feed ends a record.
    """
    with path.open(encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def save_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one record per line."""
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    atomic_write_text(path, "".join(lines))


def _as_json(intervals: Mapping[str, Interval]) -> dict[str, dict[str, Any]]:
    return {name: interval.to_json() for name, interval in intervals.items()}
