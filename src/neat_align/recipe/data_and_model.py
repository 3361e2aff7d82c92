"""Declare where rows come from, and what is aligned: the sections that a run starts from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from neat_align import defaults
from neat_align.recipe.section import Section

Kind = Literal["harmful", "borderline", "benign"]
Split = Literal["train", "development", "test"]
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


class Requests(Section):
    """Requests that were written for this project; see `neat_align.demo`.

    Attributes:
        part: one of the three splits, which share no topic.
        kinds: harmful requests, their harmless twins (borderline), everyday ones (benign).
        shuffled: in an order drawn by the seed that keeps twins side by side; trained on in this
            order (`train_sampling_strategy: sequential`), both stand in one step.
    """

    part: Split
    shuffled: bool = False
    kinds: tuple[Kind, ...] = Field(("harmful", "borderline", "benign"), min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"part": value} if isinstance(value, str) else value


class Data(Section):
    """Rows from a local file, the hub, the requests of this project, or the generated world.

    `share: [a, b]` keeps the rows whose content hash lies in that part of 0 to 1: two
    sections with parts that do not overlap share no query.

    Attributes:
        path: a local file; a text in place of the section is one.
        dataset: a data set of the hub, by its id.
        world: a part of the generated world, of which `limit` says how much.
        requests: a part of the requests written for this project.
        config, split: of the hub's data set.
        columns: our names (prompt, chosen, rejected, text …) to those of the data.
        limit: rows to read at most.
        share: the part of the rows, by their content, that is used.
    """

    path: str | None = None
    dataset: str | None = None
    world: World | None = None
    requests: Requests | None = None
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
        if [self.path, self.dataset, self.world, self.requests].count(None) != 3:
            raise ValueError("give exactly one of path, dataset, world and requests")
        if self.world and self.limit is None:
            raise ValueError("the world is endless: say how many with limit")
        if not 0 <= self.share[0] < self.share[1] <= 1:
            raise ValueError("share is [from, to] with 0 <= from < to <= 1")
        return self


class TaskData(Section):
    """The file of a benchmark.

    Attributes:
        path: your file of it; a text in place of the section is one.
        limit: queries asked at most, drawn by the recipe's seed.
        max_new_tokens: of an answer; those of the evaluation when none.
    """

    path: str
    limit: int | None = Field(None, ge=1)
    max_new_tokens: int | None = Field(None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> Any:
        """Write the path alone where it is all: a run of before is the same run."""
        return self.path if self.is_whole else write(self)

    @property
    def is_whole(self) -> bool:
        return self.limit is None and self.max_new_tokens is None


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
        path: a directory, a GGUF file, a hub id or a name of `neat model list`; a text in
            place of the section is one.
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
