"""Declare what a recipe may hold: strict, nested, one class per section."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from neat_align import defaults
from neat_align.config import NEATSettings
from neat_align.evaluation.safety import checker_place
from neat_align.prompts.steering import OWN, Steering
from neat_align.recipe.data_and_model import Data, Model, TaskData
from neat_align.recipe.reward import Reward, RewardTraining
from neat_align.recipe.section import Section, like


class Sample(Section):
    """How many responses of each source a group holds, and how they are drawn."""

    positive: int = like("positive_samples")
    negative: int = like("negative_samples")
    plain: int = like("plain_samples")
    positive_channels: tuple[str, ...] = like("positive_channels")
    negative_channels: tuple[str, ...] = like("negative_channels")
    max_new_tokens: int = like("max_new_tokens")
    temperature: float = like("temperature")
    top_p: float = like("top_p", gt=0)
    top_k: int = like("top_k")
    min_p: float = like("min_p")
    stop_strings: tuple[Annotated[str, Field(min_length=1)], ...] = like("stop_strings")
    batch_size: int = like("sampling_batch_size")

    @model_validator(mode="after")
    def _a_group(self) -> Sample:
        if self.positive + self.negative + self.plain < 2:
            raise ValueError("a group of one has nothing to rank: ask for two responses or more")
        return self

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out channels that are not named: a run of before is the same run."""
        return {k: v for k, v in write(self).items() if v or not k.endswith("_channels")}


LATER = ("max_new_tokens", "watch", "watch_rise", "watch_falls")
"""Keys of an evaluation that earlier versions had not."""


class Evaluate(Section):
    """Held-out queries, and what judges the answers to them.

    Attributes:
        queries: none of them a training query.
        heldout_reward: a scorer that training never sees: a name, or a section that trains one.
        rule: a function in a reward's form that gives 1 where an answer keeps the rule, and 0
            where it breaks it; counted plainly and under negative prompts.
        checker: "file.py:function" of (query, text) with a verdict, where there is a truth; or
            "reading" or "judge", which tell refusals from help, by rules (`evaluation.reading`) or
            trained on people's labels (`evaluation.judges`).
        prompt: evaluate the base under the positive prompts, too: what no training costs.
        samples_per_query: responses per query and condition.
        max_new_tokens: of an answer, where it is not the sample's.
        perplexity: texts whose perplexity is measured.
        during_training: other queries, which are measured every train.eval_steps; what is
            best by them is kept with train.load_best_model_at_end.
        watch: what happens when the heldout_reward, which then also scores the plain answers to
            during_training, falls while the training reward rises: off, warn or stop.
        watch_rise: by more than so many spreads of its scores must the training reward rise …
        watch_falls: … while the other one falls in so many evaluations in a row.
        batch_size: responses drawn at a time.
        tasks: benchmarks of `neat task list`, each with your file of it: {xstest: xstest.csv}. What
            `queries` trains on is not asked.
    """

    queries: Data
    heldout_reward: str | RewardTraining | None = None
    rule: str | None = None
    checker: str | None = None
    prompt: bool = True
    samples_per_query: int = Field(defaults.SAMPLES_PER_QUERY, ge=1)
    max_new_tokens: int | None = Field(None, ge=1)
    perplexity: Data | None = None
    during_training: Data | None = None
    watch: Literal["off", "warn", "stop"] = "off"
    watch_rise: float = Field(defaults.WATCH_RISE, ge=0)
    watch_falls: int = Field(defaults.WATCH_FALLS, ge=1)
    batch_size: int = Field(NEATSettings.sampling_batch_size, ge=1)
    tasks: dict[str, TaskData] = Field(default_factory=dict)

    @field_validator("checker")
    @classmethod
    def _placed(cls, value: str | None) -> str | None:
        return value and checker_place(value)

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not asked for: a run of before is the same run."""
        fields = self.__class__.model_fields
        return {k: v for k, v in write(self).items() if k not in LATER or v != fields[k].default}


class Development(Section):
    """What settings are chosen on, so that the test queries stay for reporting.

    Attributes:
        queries: none of them a test query.
        negative_prompts: stand in for the held-back ones.
    """

    queries: Data
    negative_prompts: list[str] = Field(default_factory=list)


class Variant(Section):
    """A part of a comparison with other data or rewards, in the settings the main part chose.

    Attributes:
        overrides: section.key=value, as on the command line.
        methods: of `neat method list`.
        seeds: how many of the comparison's seeds.
    """

    overrides: list[str] = Field(default_factory=list)
    methods: list[str]
    seeds: int = Field(3, ge=1)


class Compare(Section):
    """What `neat compare` runs beside the recipe; see `neat_align.study`.

    Attributes:
        development: what settings are chosen on.
        methods: of `neat method list`, where --methods names none.
        tuning_seed: of the runs that choose settings.
        variants: further parts, by name.
    """

    development: Development
    methods: list[str] = Field(default_factory=lambda: ["base", "sft", "dpo", "dpo_neg", "neat"])
    tuning_seed: int = Field(1000, ge=0)
    variants: dict[Annotated[str, Field(pattern=r"^[\w-]+$")], Variant] = Field(
        default_factory=dict
    )


TRIED = "try_queries"  # the key beside a pair's texts


class Recipe(Section):
    """A whole run.

    Attributes:
        about: a title for the report.
        seed: of everything that is drawn.
        model: what is aligned.
        queries: what is answered in training.
        steering: a built-in name, a file, or a mapping of a pair's texts (or its `name`),
            which may also hold `try_queries`.
        sample: the responses of a group.
        reward: what scores them; a text or a list of them, as `--reward` takes it, will do.
        objective: what is minimised: a name, or its `name` and parameters.
        train: the training's settings.
        evaluate: what the aligned model is measured on; without it there is no report.
        compare: what `neat compare` does.
    """

    about: str = ""
    seed: int = Field(0, ge=0)
    model: Model
    queries: Data
    steering: str | dict[str, Any]
    sample: Sample = Sample()
    reward: Reward
    objective: dict[str, Any] = Field(default_factory=lambda: {"name": "neat"})
    train: dict[str, Any] = Field(default_factory=dict)
    evaluate: Evaluate | None = None
    compare: Compare | None = None

    @field_validator("steering", mode="before")
    @classmethod
    def _a_pair(cls, value: Any) -> Any:
        tried = value.get(TRIED) if isinstance(value, dict) else None
        if not isinstance(value, str | dict):
            raise ValueError(f"it is neither a name, a file nor a mapping: write {OWN}")
        if tried is not None and (type(tried) is not int or tried < 0):
            raise ValueError(f"{TRIED} {tried!r} is no whole number from 0 on")
        return value

    @property
    def device(self) -> str:
        """Where the models of this recipe run, as asked for."""
        return "cpu" if self.train.get("use_cpu") else self.model.device

    @property
    def pair(self) -> Steering:
        """The steering pair.

        Raises:
            SteeringError: it is unknown, or its texts cannot be used.
        """
        return Steering.from_value(steering_texts(self.steering))

    def with_pair(self, pair: Steering) -> Recipe:
        """Put the texts of a pair in place of its name or file."""
        held_back = {"positive": pair.held_back_positive, "negative": pair.held_back_negative}
        texts = {
            "name": pair.name,
            "version": pair.version,
            "about": pair.about,
            "positive": list(pair.written("positive")),
            "negative": list(pair.written("negative")),
            "held_back": {side: list(own) for side, own in held_back.items()},
        }
        return self.model_copy(update={"steering": {**texts, TRIED: self.try_queries}})

    @property
    def try_queries(self) -> int:
        """On how many queries the pair is tried before the first step."""
        own = self.steering.get(TRIED) if isinstance(self.steering, dict) else None
        return NEATSettings.steering_try_queries if own is None else int(own)

    @model_validator(mode="before")
    @classmethod
    def _objective_from_text(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("objective"), str):
            return {**value, "objective": {"name": value["objective"]}}
        return value


def steering_texts(value: str | dict[str, Any]) -> str | dict[str, Any]:
    """Leave out of a recipe's `steering` what only says how it is tried."""
    if isinstance(value, str):
        return value
    return {key: own for key, own in value.items() if key != TRIED}
