"""One pair of a model and a task: asked, or taken from what is kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neat_align.evaluation.answers import Evaluated, records, sampled, task_samples
from neat_align.evaluation.distance import DistanceToBase
from neat_align.evaluation.kept import Kept
from neat_align.evaluation.metrics.price import KL, PERPLEXITY
from neat_align.evaluation.observations import figures
from neat_align.evaluation.results import PLAIN, Evaluation
from neat_align.evaluation.task import Generate, Task
from neat_align.types import Group


@dataclass
class Asking:
    """Asks models by tasks, and puts what they answer into an evaluation.

    Attributes:
        evaluation: with an entry per model that is asked.
        distance: tells KL.
        kept: finished pairs; None where nothing is kept, and what a benchmark raises is raised.
        texts: for perplexity.
    """

    evaluation: Evaluation
    distance: DistanceToBase
    kept: Kept | None
    texts: Sequence[Any] = ()

    def by_benchmark(self, task: Task, name: str, model: Evaluated) -> None:
        """Ask a model by a benchmark; where pairs are kept, note what it raises and go on."""
        result, started = self.evaluation.models[name], time.monotonic()
        try:
            known = self.kept.samples(name, task.name) if self.kept else None
            found = known
            if found is None:
                found = task_samples(task, name, model, self.evaluation.settings)
            result.figures |= figures(found, task.named_metrics, self.evaluation.seed)
        except Exception as error:  # whatever it is, the other tasks are not to blame
            if self.kept is None:
                raise
            self.evaluation.fail(task.name, name, self.kept.failed(name, task.name, error))
            return
        result.tasks[task.name] = found
        if self.kept and known is None:
            self.kept.keep(name, task.name, found, time.monotonic() - started, {})

    def by_queries(self, suite: Task, name: str, model: Evaluated) -> None:
        """Ask a model the user's queries, and measure its perplexity and its KL to the base.

        A pair is finished when its KL is known, which may be after another model was asked.
        """
        result, started = self.evaluation.models[name], time.monotonic()
        known = self.kept.samples(name, suite.name) if self.kept else None
        plain: list[Group] = []
        if known is None:
            result.samples, plain = _answers(suite, model, self.evaluation)
            if model.perplexity is not None and self.texts:
                result.figures[PERPLEXITY.name] = model.perplexity(self.texts)
        elif self.kept:
            result.samples = known
            result.figures |= self.kept.figures(name, suite.name)
        result.figures |= figures(result.samples, suite.metrics, self.evaluation.seed)
        for other, kl in self.distance.of(name, model.log_probability, plain):
            self.evaluation.models[other].figures[KL.name] = kl
        self._keep(suite, time.monotonic() - started)

    def _keep(self, suite: Task, seconds: float) -> None:
        if self.kept is None:
            return
        for name, result in self.evaluation.models.items():
            waits = name in self.distance.waiting and self.kept.base_comes
            if not waits and not self.kept.has(name, suite.name):
                told = {k: v for k, v in result.figures.items() if k in (KL.name, PERPLEXITY.name)}
                self.kept.keep(name, suite.name, result.samples, seconds, told)


def _answers(
    suite: Task, model: Evaluated, evaluation: Evaluation
) -> tuple[list[dict[str, Any]], list[Group]]:
    """Return the samples of the suite, and the plain answers."""
    assert isinstance(suite.answered, Generate)
    answers = sampled(suite, model, evaluation.settings)
    return list(records(suite.answered, answers)), [group for _, group in answers[PLAIN]]
