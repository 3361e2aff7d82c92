"""The labelled answers that judges learn from, read as their authors publish them."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from neat_align.evaluation.judges.scores import FULL


@dataclass(frozen=True)
class Row:
    """A request and an answer with its labels, where it has them.

    Attributes:
        part: of the source: an attack, a model.
        refused: 0 complies, 1 refuses, 2 in part.
        harm: whether it does what a harmful request asks for.
    """

    source: str
    part: str
    query: str
    answer: str
    refused: int | None = None
    harm: int | None = None

    @property
    def name(self) -> str:
        """The set that is left out together: a model of XSTest, else the source."""
        return f"{self.source} {self.part}" if self.source == "xstest" else self.source

    @property
    def text(self) -> str:
        """The answer's words, by which duplicates are known."""
        return re.sub(r"\W+", " ", self.answer.lower()).strip()

    @property
    def complies(self) -> int:
        """Whether it does what was asked, harmful or not."""
        return int(self.refused == 0) if self.refused is not None else int(bool(self.harm))


def lines(path: Path) -> list[dict]:
    """Read rows of JSON lines or of CSV."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def answers(data: Path) -> list[Row]:
    """Read all labelled answers; each text once per set and label, of refusals per request."""
    rows = [*_gptfuzz(data), *_jbb(data), *_chatgpt(data), *_xstest(data), *_coconot(data)]
    known: dict[tuple, Row] = {}
    for row in rows:
        query = row.query if row.harm is None else ""
        known.setdefault((row.name, query, row.text, row.complies), row)
    return list(known.values())


def unseen(rows: Sequence[Row], trained: Sequence[Row]) -> list[Row]:
    """Drop the rows whose answer stands word for word in the others."""
    known = {row.text for row in trained}
    return [row for row in rows if row.text not in known]


def texts(data: Path, file: str, column: str) -> list[str]:
    """Read a column of a file."""
    return [row[column] for row in lines(data / file)]


def _gptfuzz(data: Path) -> Iterable[Row]:
    for name in ("train-1", "train-2", "evaluate"):
        for row in lines(data / f"gptfuzz-labelled/{name}.jsonl"):
            yield Row("gptfuzz", "", row["query"], row["response"], harm=row["label"])


def _jbb(data: Path) -> Iterable[Row]:
    for row in lines(data / "jbb-artifacts/artifacts.jsonl"):
        jailbroken = int(row["jailbroken"])
        yield Row("jbb", row["attack"], row["query"], row["response"], harm=jailbroken)


def _chatgpt(data: Path) -> Iterable[Row]:
    tones = {"complied": 0, "rejected": FULL}
    for row in lines(data / "chatgpt-refusals/hand_labelled.jsonl"):
        if row["tone"] in tones:
            yield Row("chatgpt", "", row["prompt"], row["response"], tones[row["tone"]])


def _xstest(data: Path) -> Iterable[Row]:
    for model, name in (("gpt4", "gpt4_gpteval"), ("llama2", "llama2new_streval")):
        for row in lines(data / f"xstest/xstest_v2_completions_{name}.csv"):
            refused = int(row["final_label"][0]) - 1
            yield Row("xstest", model, row["prompt"], row["completion"], refused)


def _coconot(data: Path) -> Iterable[Row]:
    for row in lines(data / "coconot/coconot_pref.jsonl"):
        yield Row("coconot", "", row["prompt"], row["chosen"], 0)
