"""WikiText-2: perplexity of encyclopedia articles, as a reader would have them.

    nll             = −Σ log p(token) / number of tokens
    perplexity      = exp(nll)
    word_perplexity = exp(−Σ log p(token) / number of words)

Articles are detokenised first: the published words have spaces around punctuation and marks such
as "@-@", which a subword model has never read. Words are counted as published, split at white
space. <unk> stays, so that figures of the raw variant are others. An article is read without a
chat template in windows of the model's context, 1,024 tokens at most, that do not overlap, each
behind BOS or <|endoftext|> (`PromptFormat.text_start`): the first token of a window counts and has
no context. The perplexity per word compares models with different tokenizers, the one per token
does not. Intervals are over articles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import log
from pathlib import Path

from neat_align.data.opening import open_text, undecodable
from neat_align.errors import DataError
from neat_align.evaluation.choices import WHOLE_TEXTS, texts_query
from neat_align.evaluation.metric import Metric, Sample
from neat_align.evaluation.published import Hub, Published
from neat_align.evaluation.rows import AS_PUBLISHED
from neat_align.evaluation.statistics import Interval, perplexity_interval
from neat_align.evaluation.task import Task
from neat_align.storage.paths import is_file
from neat_align.types import Query

TITLE = re.compile(r"\s*= [^=](.*[^=])? =\s*")
DETOKENISED = (
    (r" @([-,.])@ ", r"\1"),
    (r"\b '(s|t|d|m|re|ve|ll)\b", r"'\1"),
    (r'" ([^"]*) "', r'"\1"'),
    (r" ([.,;:!?%)\]])", r"\1"),
    (r"([(\[$£]) ", r"\1"),
    (r"(?<==) (?==)", ""),
)


def read(path: Path) -> list[Query]:
    """Read wiki.test.tokens or wiki.valid.tokens of WikiText-2, one query per article."""
    if not is_file(path):
        raise DataError(f"data file {path}", "there is no such file", AS_PUBLISHED)
    try:
        with open_text(path) as file:
            articles = list(_articles(list(file)))
    except UnicodeDecodeError as error:
        raise undecodable(path, error) from error
    return [
        texts_query([detokenised("".join(lines))], answer=sum(len(x.split()) for x in lines))
        for lines in articles
    ]


def _articles(lines: Sequence[str]) -> Iterator[list[str]]:
    """Yield the lines of each article; its title stands between blank lines."""
    own: list[str] = []
    for before, line, after in zip(["", *lines], lines, [*lines[1:], ""], strict=False):
        if TITLE.fullmatch(line) and not before.strip() and not after.strip() and own:
            yield own
            own = []
        if line.strip():
            own.append(line)
    if own:
        yield own


def detokenised(text: str) -> str:
    """Write words as a text again: punctuation and quotes where a reader expects them."""
    for pattern, written in DETOKENISED:
        text = re.sub(pattern, written, text)
    return "\n".join(line.strip() for line in text.splitlines())


def _perplexity(samples: Sequence[Sample], per_word: bool = False) -> Interval | None:
    nll = [-sample["logps"][0] for sample in samples]
    units = [sample["answer"] if per_word else sample["tokens"][0] for sample in samples]
    return perplexity_interval(nll, units) if samples else None


def _word_perplexity(samples: Sequence[Sample]) -> Interval | None:
    return _perplexity(samples, per_word=True)


def _nll(samples: Sequence[Sample]) -> Interval | None:
    found = _perplexity(samples)
    return found and Interval(log(found.value), log(found.low), log(found.high), found.n)


WIKITEXT = Task(
    name="wikitext",
    title="WikiText-2",
    version="1",
    about="How well does the model predict articles of an encyclopedia?",
    licence="CC-BY-SA-3.0",
    citation="Merity et al. 2017, Pointer Sentinel Mixture Models",
    answered=WHOLE_TEXTS,
    metrics=(
        Metric(
            "perplexity",
            "perplexity",
            "Perplexity per token of the detokenised articles.",
            "lower",
            part="side effects",
            measure=_perplexity,
        ),
        Metric(
            "word_perplexity",
            "perplexity per word",
            "The same per word, which compares models with different tokenizers.",
            "lower",
            part="side effects",
            measure=_word_perplexity,
        ),
        Metric(
            "nll",
            "nats per token",
            "Negative log-likelihood per token of the detokenised articles, nats.",
            "lower",
            part="side effects",
            shown=(),
            measure=_nll,
        ),
    ),
    read=read,
    suites=("abilities",),
    published=Published(
        "https://huggingface.co/datasets/Salesforce/wikitext",
        ("wikitext-2/wiki.test.tokens", "wikitext-2/test.txt"),
        Hub("Salesforce/wikitext", "wikitext-2-v1", "test", lines=True),
    ),
)
