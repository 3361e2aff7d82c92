"""The one assembly of an evaluation: models, scorers, checker, prompts and precision.

`neat run`, `neat evaluate` and `neat compare` fill in an `Assembly` and call `evaluate`; the
models are then loaded one at a time, all in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from neat_align.config import NEATSettings
from neat_align.evaluation.answers import Evaluated
from neat_align.evaluation.kept import Kept
from neat_align.evaluation.results import BASE, PROMPT, STEERING, Evaluation, EvaluationSettings
from neat_align.evaluation.safety import Checker
from neat_align.evaluation.suite import evaluate
from neat_align.evaluation.task import Task
from neat_align.prompts.steering import Steering
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.scoring import (
    Bound,
    Combination,
    ScorerSet,
    bind_scorer,
    is_outside,
    resolve_scorer,
)
from neat_align.scoring.base import Scorer
from neat_align.types import Document, Group, Query, Response


@dataclass(frozen=True)
class Place:
    """Where models and scorers run, and how exactly.

    Attributes:
        device, dtype: see `models.device`; the same for models and scorers.
        batch_size: responses sampled together.
        chat_template_kwargs: arguments of the chat templates.
    """

    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = NEATSettings.sampling_batch_size
    chat_template_kwargs: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Assembly:
    """Everything that an evaluation is made of.

    Attributes:
        models: directories by name; "prompt" is the base under the pair's positive prompts.
        queries: held out; none where there are tasks alone.
        steering: its negative prompts are the seen ones, its held-back the unseen ones; may be
            None where there are no queries.
        settings: decoding, seed and draws, the same for every model.
        scorers: see `outside_scorers`.
        checker: see `safety.checker_for`.
        texts: for perplexity.
        place: where it runs.
        prompts: with some, the model named "base" comes again as "prompt", under them.
        tasks: benchmarks, with their queries.
        against: the model that KL is measured against; the one named "base" when None.
        kept: what is finished already; models of which nothing is to be asked are not loaded.
    """

    models: Mapping[str, Path]
    queries: Sequence[Query]
    steering: Steering | None
    settings: EvaluationSettings
    scorers: Mapping[str, Scorer] = field(default_factory=dict)
    checker: Checker | None = None
    texts: Sequence[Document] = ()
    place: Place = field(default_factory=Place)
    prompts: Sequence[str] = ()
    against: Path | None = None
    tasks: Sequence[Task] = ()
    kept: Kept | None = None

    def evaluate(self, progress: Callable[[str, Evaluation], None] | None = None) -> Evaluation:
        """Load and evaluate each model, one at a time."""
        return evaluate(
            loaded_models(
                self.models, self.place, self.settings.seed, self.prompts, self._finished()
            ),
            self.queries,
            self.steering,
            self.settings,
            self.scorers,
            self.checker,
            self.texts,
            self._reference(),
            progress,
            self.tasks,
            self.kept,
        )

    def _finished(self) -> set[str]:
        """Return the models that need not be loaded; the base is, where a KL is to be told."""
        if self.kept is None:
            return set()
        names = {*self.models, *([PROMPT] if self.prompts else [])}
        own = [STEERING] if self.queries else []
        tasks = [task.name for task in self.tasks if task.queries]
        asked = self.kept.missing(names, [*own, *tasks])
        return names - asked - ({BASE} if self.kept.missing(names, own) else set())

    def _reference(self) -> Any:
        """Load the model that KL is measured against, where it is none of the evaluated."""
        if self.against is None:
            return None
        models = loaded_models({BASE: self.against}, self.place, self.settings.seed)
        return next(models)[1].log_probability


def loaded_models(
    paths: Mapping[str, Path],
    place: Place,
    seed: int,
    prompts: Sequence[str] = (),
    finished: Collection[str] = (),
) -> Iterator[tuple[str, Evaluated]]:
    """Load models one at a time, ready to be evaluated.

    Args:
        prompts: with some, the one named "base" comes again as "prompt", under them, and one
            that is named "prompt" comes only so.
        finished: names of models of which nothing will be asked; they come without weights.
    """
    from neat_align.evaluation.local import evaluated_model
    from neat_align.evaluation.prompted import prompted_model
    from neat_align.models import load_causal_lm, load_tokenizer

    size, arguments = place.batch_size, place.chat_template_kwargs
    for name, path in paths.items():
        names = [name, PROMPT] if name == BASE and prompts else [name]
        if set(names) <= set(finished):
            yield from ((own, Evaluated(Unloaded())) for own in names)
            continue
        model = load_causal_lm(path, place.dtype, place.device)
        tokenizer = load_tokenizer(path)
        if not (name == PROMPT and prompts):
            with _bar(name) as bar:
                options = (name, size, seed, bar.update, arguments)
                yield name, evaluated_model(model, tokenizer, *options)
        if name in (BASE, PROMPT) and prompts:
            with _bar(PROMPT) as bar:
                own = (prompts, PROMPT, size, bar.update, arguments)
                yield PROMPT, prompted_model(model, tokenizer, *own)


class Unloaded:
    """Stands in for a model of which all is known."""

    name = "unloaded"

    def sample(
        self, requests: Sequence[SamplingRequest], decoding: Decoding
    ) -> Sequence[Response | None]:
        raise AssertionError("a finished model was asked")


def _bar(name: str) -> Any:
    return tqdm(desc=f"evaluating {name}", unit=" responses", delay=2, leave=False)


def outside_scorers(
    rewards: Sequence[str],
    weights: Sequence[float] | None,
    combination: Combination,
    others: Mapping[str, str | None],
    place: Place,
    steering: Steering | None = None,
) -> dict[str, Scorer]:
    """Resolve the training scorers as one, "train", and those that training never saw.

    What is a model's own opinion is left out, and so is what needs the data's answers: the
    figure is an outside reward (see `scoring.is_outside`).

    Args:
        others: scorers that only report, by name ("heldout", "rule"); None for none.
    """

    def made(name: str) -> Scorer:
        scorer = resolve_scorer(name, device=place.device, dtype=place.dtype)
        return bind_scorer(scorer, Bound(steering=steering, data_answers=False))

    weights = weights or [1.0] * len(rewards)
    outside = [i for i, name in enumerate(rewards) if is_outside(name)]
    scorers: dict[str, Scorer] = {}
    if outside:
        training, own = [made(rewards[i]) for i in outside], [weights[i] for i in outside]
        scorers["train"] = _Combined(ScorerSet(training, own, combination.of(outside)))
    return scorers | {name: made(other) for name, other in others.items() if other is not None}


class _Combined:
    """Several scorers as one."""

    name = "train"

    def __init__(self, scorers: ScorerSet) -> None:
        self.scorers = scorers

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        scored = zip(groups, self.scorers.score_each(groups), strict=True)
        return [
            [None] * len(given.responses) if group is None else [r.score for r in group.responses]
            for given, group in scored
        ]
