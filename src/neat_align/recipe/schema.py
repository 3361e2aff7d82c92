"""What a recipe may hold: strict, nested, one class a section."""

from __future__ import annotations

from dataclasses import MISSING
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from neat_align import defaults
from neat_align.config import LIMITS, SETTINGS, help_of
from neat_align.prompts.steering import OWN, Steering
from neat_align.scoring.registry import by_name, named_scorers, written


class Section(BaseModel):
    """Unknown keys are errors, and so are NaN and infinity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_number(cls, value: Any, info: ValidationInfo) -> Any:
        wanted = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and {wanted, *get_args(wanted)} & {int, float}:
            raise ValueError("it should be a number, and is true or false")
        return value


def like(name: str, gt: float | None = None) -> Any:
    """Declare a key that is one of the settings of `config`: its default, limits and help.

    Args:
        gt: the limit that it must be above here, in place of its lowest value.
    """
    own, (low, high) = SETTINGS[name], LIMITS.get(name, (None, None))
    default = () if own.default is MISSING else own.default
    low = low if gt is None else None
    return Field(default, ge=low, gt=gt, le=high, description=help_of(name))


WorldPart = Literal["train", "development", "test", "documents", "preferences"]


class World(Section):
    """A part of the generated world, drawn with the recipe's seed.

    Attributes:
        part: queries of one of the three splits, the base model's documents, or preferences.
        misbehaves: share of harmful queries that the base complies with or answers with
            abuse when nothing steers it (documents).
        flipped: share of the pairs with exchanged labels (preferences).
        answers: every query comes with a good and a bad answer (queries).
        leaky: no polite compliance among the bad answers (preferences).
    """

    part: WorldPart
    misbehaves: float = Field(defaults.WORLD_MISBEHAVES, ge=0, le=1)
    flipped: float = Field(defaults.WORLD_FLIPPED, ge=0, le=0.5)
    leaky: bool = False
    answers: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"part": value} if isinstance(value, str) else value


class Data(Section):
    """Rows from a local file, the hub, or the generated world (`limit` is then how many).

    `share: [a, b]` keeps the rows whose content hash lies in that part of 0 to 1: two
    sections with parts that do not overlap share no query.

    Attributes:
        path: a local file; a text in place of the section is one.
        dataset: a data set of the hub, by its id.
        world: a part of the generated world.
        config, split: of the hub's data set.
        columns: our names (prompt, chosen, rejected, text …) to those of the data.
        limit: rows to read at most.
        share: the part of the rows, by their content, that is used.
    """

    path: str | None = None
    dataset: str | None = None
    world: World | None = None
    config: str | None = None
    split: str = "train"
    columns: dict[str, str] = Field(default_factory=dict)
    limit: int | None = Field(None, ge=1)
    share: tuple[float, float] = (0.0, 1.0)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        if [self.path, self.dataset, self.world].count(None) != 2:
            raise ValueError("give exactly one of path, dataset and world")
        if self.world and self.limit is None:
            raise ValueError("the world is endless: say how many with limit")
        if not 0 <= self.share[0] < self.share[1] <= 1:
            raise ValueError("share is [from, to] with 0 <= from < to <= 1")
        return self


class FromScratch(Section):
    """A small Llama and its tokenizer, trained on `data`; see `LanguageModelSettings`.

    Attributes:
        data: texts, or preferences of which both answers are read.
        hidden_size, layers, heads, intermediate_size: of the model.
        vocab_size: of the tokenizer.
        max_length: tokens; longer documents lose their beginning.
        steps, batch_size, learning_rate: of the training.
        prompt_weight: weight of the query's tokens in the loss; the answer's weigh 1.
        chat_template: Jinja template of the tokenizer; without one, Human/Assistant.
    """

    data: Data
    hidden_size: int = Field(defaults.LM_HIDDEN_SIZE, ge=8)
    layers: int = Field(defaults.LM_LAYERS, ge=1)
    heads: int = Field(defaults.LM_HEADS, ge=1)
    intermediate_size: int = Field(defaults.LM_INTERMEDIATE_SIZE, ge=8)
    vocab_size: int = Field(defaults.LM_VOCAB_SIZE, ge=300)
    max_length: int = Field(defaults.LM_MAX_LENGTH, ge=16)
    steps: int = Field(defaults.LM_STEPS, ge=1)
    batch_size: int = Field(defaults.LM_BATCH_SIZE, ge=1)
    learning_rate: float = Field(defaults.LM_LEARNING_RATE, gt=0)
    prompt_weight: float = Field(defaults.LM_PROMPT_WEIGHT, ge=0, le=1)
    chat_template: str | None = None


class Model(Section):
    """The model to align: `path`, or one trained from scratch.

    Attributes:
        path: a directory or hub id; a text in place of the section is one.
        from_scratch: trains a small model instead.
        dtype: of the forward passes, for the rewards' models too; auto is bfloat16 on a GPU
            that has it, else float32. Weights that are trained stay in float32.
        device: where all models run: auto (the best there is), cpu, cuda, cuda:1, mps …
        chat_template_kwargs: further arguments of the chat template, e.g.
            {enable_thinking: false}; those of a row go before them.
    """

    path: str | None = None
    from_scratch: FromScratch | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_source(self) -> Model:
        if (self.path is None) == (self.from_scratch is None):
            raise ValueError("give exactly one of path and from_scratch")
        return self


class Sample(Section):
    """How many responses of each source a group holds, and how they are drawn."""

    positive: int = like("positive_samples")
    negative: int = like("negative_samples")
    plain: int = like("plain_samples")
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


class RewardTraining(Section):
    """A reward model trained on preferences; see `RewardModelSettings`.

    Attributes:
        data: rows with prompt, chosen and rejected.
        learning_rate, epochs, batch_size: of the training.
        max_length: tokens; longer texts lose their beginning.
        holdout: share of the pairs kept for the reported accuracy.
    """

    data: Data
    learning_rate: float = Field(defaults.REWARD_LEARNING_RATE, gt=0)
    epochs: float = Field(defaults.REWARD_EPOCHS, gt=0)
    batch_size: int = Field(defaults.REWARD_BATCH_SIZE, ge=1)
    max_length: int = Field(defaults.REWARD_MAX_LENGTH, ge=16)
    holdout: float = Field(defaults.REWARD_HOLDOUT, gt=0, lt=1)


def reward_section(value: Any) -> Any:
    """Write the section that a text in its place stands for: what `--reward` takes."""
    if isinstance(value, list):
        return {"functions": value}
    if not isinstance(value, str):
        return value
    named = by_name(value)
    if named is None:
        return {"functions": [value]} if ":" in value else {"model": value}
    name, kind = named.kind.name, _own_keys().get(named.kind.name)
    if kind is bool:
        return {name: True}
    return {"functions": [value]} if kind != str | None else {name: named.argument}


def _own_keys() -> dict[str, Any]:
    """List the named scorers that have a key of their own in `reward`, with its type."""
    fields, named = Reward.model_fields, named_scorers()
    return {n: f.annotation for n, f in fields.items() if n in named and f.annotation is not float}


def _with_names(section: dict[str, Any]) -> dict[str, Any]:
    """Put named scorers without a key of their own among the functions: `NAME: true`."""
    found = [n for n in named_scorers() if n in section and n not in Reward.model_fields]
    if not found:
        return section
    own = [text for n in found if (text := written(n, section[n])) is not None]
    kept = {key: value for key, value in section.items() if key not in found}
    return {**kept, "functions": [*kept.get("functions", []), *own]}


class Reward(Section):
    """What scores the responses: models and functions, weighted; polarity; or trained here.

    A text or a list in place of the section names them, as `--reward` does.

    Attributes:
        model: a reward model's directory or hub id.
        functions: "file.py:function" or "module:function", in TRL's signature.
        weights: one per reward, in the order model, functions, polarity, judge, self_judge,
            self_contrast, train; 1 each by default. Further named scorers (`neat scorer
            list`) are functions, also where they are keys of their own.
        polarity: positive +1, plain 0, negative −1, without any reward model.
        self_judge: the policy grades itself (`scoring.named.self_judge`).
        self_contrast: distance from the data's answer, by this embedder: "words", a model or
            a function (`scoring.named.self_contrast`).
        judge: a model on a server that grades by a sentence of yours.
        plausibility: weight of what the reference model thinks of a response under a
            positive prompt (`scoring.named.plausibility`); 0 leaves it out.
        train: trains a reward model here.
    """

    model: str | None = None
    functions: list[str] = Field(default_factory=list)
    weights: list[float] | None = None
    polarity: bool = False
    judge: dict[str, Any] | None = None
    self_judge: bool = False
    self_contrast: str | None = None
    plausibility: float = Field(0.0, ge=0)
    train: RewardTraining | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        section = reward_section(value)
        return _with_names(section) if isinstance(section, dict) else section

    @property
    def names(self) -> list[str]:
        """List the named scorers, the model first."""
        named = [self.model] if self.model else []
        own = (written(name, getattr(self, name) or None) for name in _own_keys())
        return [*named, *self.functions, *(name for name in own if name)]

    @model_validator(mode="after")
    def _something(self) -> Reward:
        count = len(self.names) + (self.train is not None)
        if not count and not self.plausibility:
            raise ValueError(
                "give a model, functions, train, polarity: true, judge, self_judge: true, "
                "self_contrast or plausibility"
            )
        if self.weights is not None and len(self.weights) != count:
            raise ValueError(f"{len(self.weights)} weights for {count} rewards")
        if self.weights and not any(self.weights) and not self.plausibility:
            raise ValueError("all weights are 0, so every response would score alike")
        return self


class Evaluate(Section):
    """Held-out queries, and what judges the answers to them.

    Attributes:
        queries: none of them a training query.
        heldout_reward: a scorer that training never sees: a name, or a section that trains one.
        checker: "file.py:function" of (query, text) with a verdict, where there is a truth.
        prompt: evaluate the base under the positive prompts, too: what no training costs.
        samples_per_query: responses per query and condition.
        perplexity: texts whose perplexity is measured.
        during_training: other queries, which are measured every train.eval_steps; what is
            best by them is kept with train.load_best_model_at_end.
        batch_size: responses drawn at a time.
        tasks: benchmarks of `neat task list`, each with your file of it: {xstest: xstest.csv}.
    """

    queries: Data
    heldout_reward: str | RewardTraining | None = None
    checker: str | None = None
    prompt: bool = True
    samples_per_query: int = Field(defaults.SAMPLES_PER_QUERY, ge=1)
    perplexity: Data | None = None
    during_training: Data | None = None
    batch_size: int = Field(defaults.SAMPLING_BATCH_SIZE, ge=1)
    tasks: dict[str, str] = Field(default_factory=dict)


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
            "positive": list(pair.positive),
            "negative": list(pair.negative),
            "held_back": {side: list(own) for side, own in held_back.items()},
        }
        return self.model_copy(update={"steering": {**texts, TRIED: self.try_queries}})

    @property
    def try_queries(self) -> int:
        """On how many queries the pair is tried before the first step."""
        own = self.steering.get(TRIED) if isinstance(self.steering, dict) else None
        return defaults.TRY_QUERIES if own is None else int(own)

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
