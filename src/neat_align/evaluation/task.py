"""A task: queries, how they are answered, and the metrics of the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from neat_align.errors import DataError
from neat_align.evaluation.metric import Metric
from neat_align.evaluation.published import Published, Suite
from neat_align.evaluation.results import PLAIN
from neat_align.evaluation.safety import Checker
from neat_align.sampling.base import Decoding
from neat_align.scoring.base import Scorer
from neat_align.types import Query, Source


@dataclass(frozen=True)
class Condition:
    """What stands before the queries while they are answered.

    Attributes:
        name: as samples tell it.
        prompts: steering prompts, taken in turn; "" for none. With no prompts nothing is asked.
        asks: which queries are asked under it; all when None.
    """

    name: str = PLAIN
    prompts: tuple[str, ...] = ("",)
    asks: Callable[[Query], bool] | None = None

    @property
    def source(self) -> Source:
        return Source.PLAIN if self.name == PLAIN else Source.NEGATIVE

    def asked(self, queries: Sequence[Query]) -> list[Query]:
        """Return those of the queries that are asked; [] where there is no prompt."""
        return [q for q in queries if self.prompts and (self.asks is None or self.asks(q))]


@dataclass(frozen=True)
class Generate:
    """Answer by sampling: one greedy answer per query and condition.

    Attributes:
        conditions: under which queries are answered.
        under_negative: harmful queries are asked under the steering pair's negative prompts,
            too (`conditions.under_pair`).
        drawn: as many answers as the evaluation draws, and drawn as it draws them.
        max_new_tokens: those of the evaluation when None.
        checker: gives each answer a verdict.
        scorers: give each answer a score, by name.
    """

    conditions: tuple[Condition, ...] = (Condition(),)
    under_negative: bool = False
    drawn: bool = False
    max_new_tokens: int | None = None
    checker: Checker | None = None
    scorers: Mapping[str, Scorer] = field(default_factory=dict, hash=False)

    def decoding(self, own: Decoding) -> Decoding:
        """Return how tokens are drawn, where the evaluation draws them in its `own` way."""
        tokens = self.max_new_tokens or own.max_new_tokens
        return replace(own, max_new_tokens=tokens, temperature=own.temperature * self.drawn)


@dataclass(frozen=True)
class LogLikelihood:
    """Answer by comparing log-likelihoods: nothing is sampled.

    Attributes:
        choices: the answers to a query that are compared.
        start: the bare text that they go on from, without any chat template; "" where they are
            whole texts themselves. When None they answer the query as the template writes it.
    """

    choices: Callable[[Query], Sequence[str]]
    start: Callable[[Query], str] | None = None


@dataclass(frozen=True)
class Task:
    """A benchmark, or the three-condition suite.

    Attributes:
        name, title: for files and for readers.
        version: another one when its figures are no longer comparable with those before.
        about: a sentence on what it measures.
        licence: of the data.
        citation: whom to cite.
        answered: how.
        metrics: declared beside what they read.
        read: the queries of the user's file; None for a task that is given queries.
        queries: what is asked.
        suites: which `--suite` it is in; none where the data are the user's own.
        published: where its data are; None where they are the user's own.
        told: how many rows the file has, and what of them is not asked, for the results.
    """

    name: str
    title: str
    version: str
    about: str
    licence: str
    citation: str
    answered: Generate | LogLikelihood
    metrics: tuple[Metric, ...] = ()
    read: Callable[[Path], Sequence[Query]] | None = None
    queries: tuple[Query, ...] = field(default=(), hash=False)
    suites: tuple[Suite, ...] = ()
    published: Published | None = None
    told: Mapping[str, int] = field(default_factory=dict, hash=False)

    def of(self, path: Path) -> Task:
        """Return the task with the queries of a file.

        Raises:
            DataError: the file is not there, has another format, or is empty.
        """
        queries = tuple(self.read(path)) if self.read else ()
        if not queries:
            raise DataError(f"task {self.name} with {path}", "it has no rows", "give its file")
        different = tuple({query.id: query for query in queries}.values())
        told = {"rows": len(queries), "repeated": len(queries) - len(different)}
        return replace(self, queries=different, told=told)

    @property
    def named_metrics(self) -> tuple[Metric, ...]:
        """The metrics under the names that they have beside those of other tasks."""
        return tuple(
            replace(m, name=f"{self.name}/{m.name}", title=f"{self.title}: {m.title}")
            for m in self.metrics
        )
