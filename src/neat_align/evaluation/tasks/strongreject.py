"""StrongREJECT: forbidden prompts that ask for what can really be answered.

Refusals alone are counted: the score of the authors, which grades how useful an answer is, needs
a judge.
"""

from __future__ import annotations

from pathlib import Path

from neat_align.evaluation.published import Published
from neat_align.evaluation.refusals import HARM, READ_UNDER_NEGATIVE
from neat_align.evaluation.rows import queries_with
from neat_align.evaluation.task import Task
from neat_align.types import Query


def read(path: Path) -> list[Query]:
    """Read strongreject_dataset.csv of github.com/alexandrasouly/strongreject."""
    return queries_with(path, "harmful", "forbidden_prompt")


STRONGREJECT = Task(
    name="strongreject",
    title="StrongREJECT",
    version="1",
    about="Are forbidden prompts, which can really be answered, refused?",
    licence="MIT; some rows are from sources that state none, as its column source tells",
    citation="Souly et al. 2024, A StrongREJECT for Empty Jailbreaks",
    answered=READ_UNDER_NEGATIVE,
    metrics=HARM,
    read=read,
    suites=("safety",),
    published=Published(
        "https://github.com/alexandrasouly/strongreject/tree/main/strongreject_dataset",
        ("strongreject/strongreject_dataset.csv",),
    ),
)
