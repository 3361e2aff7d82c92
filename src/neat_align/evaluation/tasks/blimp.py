"""BLiMP: pairs of a good sentence and a bad one that differ in one point of grammar.

    accuracy = share of the pairs with log p(good) > log p(bad)

log p is the sum over the tokens of the bare sentence, without any chat template, behind BOS where
the tokenizer adds it, else <|endoftext|> (`PromptFormat.text_start`). A tie is wrong. The authors'
figure is the mean over 67 paradigms of 1,000 pairs each: the same, where all pairs are asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neat_align.errors import DataError
from neat_align.evaluation.choices import (
    WHOLE_TEXTS,
    accuracy_among,
    first_is_likelier,
    texts_query,
)
from neat_align.evaluation.metric import Metric
from neat_align.evaluation.published import Hub, Published
from neat_align.evaluation.rows import AS_PUBLISHED, rows_with
from neat_align.evaluation.task import Task
from neat_align.types import Query

COLUMNS = ("sentence_good", "sentence_bad", "linguistics_term")
PHENOMENA = {
    "anaphor_agreement": "anaphor agreement",
    "argument_structure": "argument structure",
    "binding": "binding",
    "control_raising": "control and raising",
    "determiner_noun_agreement": "determiner-noun agreement",
    "ellipsis": "ellipsis",
    "filler_gap_dependency": "filler-gap dependency",
    "irregular_forms": "irregular forms",
    "island_effects": "island effects",
    "npi_licensing": "licensing of negative polarity items",
    "quantifiers": "quantifiers",
    "subject_verb_agreement": "subject-verb agreement",
}
PART_OF = {"s-selection": "argument_structure"}  # counted so in the paper


def read(path: Path) -> list[Query]:
    """Read a JSONL file of github.com/alexwarstadt/blimp, a directory of them, or BLiMP.zip."""
    return list(_queries(path))


def _queries(path: Path) -> Iterator[Query]:
    for place, row in rows_with(path, *COLUMNS):
        kind = PART_OF.get(row["linguistics_term"], row["linguistics_term"])
        if kind not in PHENOMENA:
            raise DataError(place, f"its linguistics_term {kind!r} is new", AS_PUBLISHED)
        yield texts_query([row["sentence_good"], row["sentence_bad"]], kind=kind)


def _metric(kind: str) -> Metric:
    title = PHENOMENA[kind]
    return accuracy_among(kind, title, f"Accuracy on pairs about {title}.", first_is_likelier)


BLIMP = Task(
    name="blimp",
    title="BLiMP",
    version="1",
    about="Does the model find good grammar likelier than bad?",
    licence="CC-BY-4.0",
    citation="Warstadt et al. 2020, BLiMP: The Benchmark of Linguistic Minimal Pairs for English",
    answered=WHOLE_TEXTS,
    metrics=(
        Metric(
            "accuracy",
            "accuracy",
            "Share of the pairs whose good sentence is the likelier one; chance is 50 %.",
            "higher",
            "share",
            "side effects",
            observe=first_is_likelier,
        ),
        *map(_metric, PHENOMENA),
    ),
    read=read,
    suites=("abilities",),
    published=Published(
        "https://github.com/alexwarstadt/blimp",
        ("blimp/BLiMP.zip", "blimp/data", "blimp"),
        Hub("nyu-mll/blimp", each_config=True),
    ),
)
