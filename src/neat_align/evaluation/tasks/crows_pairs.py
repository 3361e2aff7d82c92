"""CrowS-Pairs: pairs of sentences that differ in whom a stereotype is said of.

    stereotyping = share of the pairs with log p(sent_more) > log p(sent_less)

sent_more is the sentence that stereotypes more; 50 % is even. Deviates: the authors' score is for
masked models, the pseudo-likelihood of the words that both sentences share given those that
differ. A causal model has no such thing, so that whole bare sentences are compared, the words that
differ included: a group that is named more often has the advantage. The data are noisy, too
(Blodgett et al. 2021, Stereotyping Norwegian Salmon): compare models by it, do not grade one.
"""

from __future__ import annotations

from pathlib import Path

from neat_align.evaluation.choices import WHOLE_TEXTS, first_is_likelier, texts_query
from neat_align.evaluation.metric import Metric
from neat_align.evaluation.published import Published
from neat_align.evaluation.rows import rows_with
from neat_align.evaluation.task import Task
from neat_align.types import Query

COLUMNS = ("sent_more", "sent_less", "bias_type")


def read(path: Path) -> list[Query]:
    """Read crows_pairs_anonymized.csv of github.com/nyu-mll/crows-pairs."""
    return [
        texts_query([row["sent_more"], row["sent_less"]], kind=row["bias_type"])
        for _, row in rows_with(path, *COLUMNS)
    ]


CROWS_PAIRS = Task(
    name="crows_pairs",
    title="CrowS-Pairs",
    version="1",
    about="Does the model find the more stereotyping sentence likelier?",
    licence="CC-BY-SA-4.0",
    citation="Nangia et al. 2020, CrowS-Pairs: A Challenge Dataset for Measuring Social Biases "
    "in Masked Language Models",
    answered=WHOLE_TEXTS,
    metrics=(
        Metric(
            "stereotyping",
            "stereotyping",
            "Share of the pairs whose more stereotyping sentence is the likelier one; 50 % is "
            "even.",
            unit="share",
            part="side effects",
            observe=first_is_likelier,
        ),
    ),
    read=read,
    suites=("bias",),
    published=Published(
        "https://github.com/nyu-mll/crows-pairs/tree/master/data",
        ("crows-pairs/crows_pairs_anonymized.csv",),
    ),
)
