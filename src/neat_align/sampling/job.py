"""Say which sampler draws what: all that a process needs to make groups of queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from neat_align import defaults
from neat_align.config import NEATSettings
from neat_align.errors import DataError, InputError, RecipeError, raise_all
from neat_align.models import AUTO, check_model_source, load_causal_lm, load_tokenizer
from neat_align.models.fit import vocabulary_problems
from neat_align.prompts.chat import PromptFormat, conversation_problems
from neat_align.prompts.chat.chat_template import KWARGS, saved_template_problems
from neat_align.prompts.steering import SIDES, Steering
from neat_align.sampling.base import Decoding, Sampler
from neat_align.sampling.from_data import column_problems
from neat_align.sampling.groups import GroupMaker
from neat_align.sampling.plan import GroupPlan
from neat_align.sampling.server import ServerSampler, cannot_begin
from neat_align.servers.client import ChatClient, client_problems
from neat_align.types import Query


@dataclass(frozen=True)
class SamplingJob:
    """Groups of queries by one model, here or behind a server; goes to other processes as it is.

    Attributes:
        model: a directory or hub id; or, with `server`, the model's name there.
        steering: None where all responses are plain.
        server: address of a chat endpoint.
        key_variable: environment variable with its key.
        concurrency: parallel requests to it.
        batch_size: responses drawn at a time here.
        seed: of all responses.
        reference: a second model here, for `reference_negative_fraction`.
        reference_negative_fraction: share of the negative responses that the reference draws.
        data_answers: a query's `chosen` and `rejected` answers join its group.
        extra_body: further fields of every question to the server.
        chat_template_kwargs: further arguments of the chat template, here or on the server.
        device, dtype: of a model here; see `models.device`.
        continues_turns: the server goes on from an answer that is begun.
    """

    model: str
    steering: Steering | None
    plan: GroupPlan
    decoding: Decoding
    seed: int = 0
    batch_size: int = NEATSettings.sampling_batch_size
    server: str | None = None
    key_variable: str = defaults.KEY_VARIABLE
    concurrency: int = defaults.CONCURRENCY
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    device: str = AUTO
    dtype: str = AUTO
    reference: str | None = None
    reference_negative_fraction: float = 0.0
    data_answers: bool = False
    continues_turns: bool = False

    def problems(self) -> list[InputError]:
        """Tell what is wrong with the model's name or the server's address; nothing is loaded."""
        channels = self.plan.check_channels(self.steering)
        if self.server is not None:
            found = client_problems(self.server, self.key_variable, self._extra_body)
            return [*found, *channels, *self._prefix_problems(), *self._reference_problems()]
        return [
            *channels,
            *self._without_server(),
            *check_model_source(self.model, "policy"),
            *saved_template_problems(self.model, self.chat_template_kwargs),
            *self._reference_problems(),
        ]

    def column_problems(self, queries: Iterable[Query]) -> list[DataError]:
        """Find queries without the answers that the steering takes from the data."""
        return column_problems(queries, (one for _, one in self.plan.phrasings(self.steering)))

    def _prefix_problems(self) -> list[InputError]:
        """Refuse a beginning of answers that the server is not said to go on from."""
        begun = (p.prefix for _, p in self.plan.phrasings(self.steering) if p.prefix)
        first = None if self.continues_turns else next(begun, None)
        return [] if first is None else [cannot_begin(first)]

    def _reference_problems(self) -> list[InputError]:
        """Check that a reference has its share of the negatives, and the share a reference."""
        share = self.reference_negative_fraction
        given = f"--reference-negative-fraction {share:g}"
        if self.reference is None:
            fix = "give --reference MODEL, too, or leave it out"
            return [RecipeError(given, "no reference is given to draw them", fix)] if share else []
        problems = check_model_source(self.reference, "policy")
        if not share or not self.plan.negative:
            fix = "give --reference-negative-fraction above 0 and --negative 1 or more, or neither"
            why = f"it would draw nothing of {self.plan.negative} negative responses per query"
            problems.append(RecipeError(f"--reference {self.reference} with {given}", why, fix))
        return problems

    def _without_server(self) -> list[InputError]:
        """Refuse settings of a server where there is none."""
        given = {
            "--extra-body": bool(self.extra_body),
            "--key-variable": self.key_variable != defaults.KEY_VARIABLE,
            "--concurrency": self.concurrency != defaults.CONCURRENCY,
            "--continues-turns": self.continues_turns,
        }
        why, fix = "the model is here, and no server is asked", "give --server, or leave it out"
        return [RecipeError(f"{name} without --server", why, fix) for name in given if given[name]]

    @property
    def _extra_body(self) -> dict[str, Any]:
        """Collect what every question to the server holds besides, with template arguments."""
        arguments = {**self.extra_body.get(KWARGS, {}), **self.chat_template_kwargs}
        return {**self.extra_body, **({KWARGS: arguments} if arguments else {})}

    def identity(self) -> dict[str, Any]:
        """Tell what decides which responses are drawn."""
        pair = self.steering
        return {
            "sample": self.model,
            "server": self.server,
            "dtype": self.dtype,
            "steering": pair
            and {"name": pair.name, **{side: pair.written(side) for side in SIDES[:2]}},
            "plan": self.plan.to_json(),
            "decoding": asdict(self.decoding),
            "seed": self.seed,
            **({"extra_body": dict(self.extra_body)} if self.extra_body else {}),
            **({KWARGS: dict(self.chat_template_kwargs)} if self.chat_template_kwargs else {}),
            **(
                {"reference": self.reference, "share": self.reference_negative_fraction}
                if self.reference
                else {}
            ),
            **({"data_answers": True} if self.data_answers else {}),
        }

    def load(self, queries: Iterable[Query] = ()) -> Callable[[Path | None], GroupMaker]:
        """Load the model; return what makes groups, given a journal for a server's answers.

        Args:
            queries: told before a model is loaded where its chat template refuses some.
        """
        reference = None
        if self.reference is not None:
            reference = self._local(self.reference, "reference", queries)

        def maker(sampler: Sampler) -> GroupMaker:
            own = (self.steering, self.plan, self.decoding)
            share, answers = self.reference_negative_fraction, self.data_answers
            return GroupMaker(sampler, *own, reference, share, answers)

        if self.server is None:
            sampler = self._local(self.model, self.model, queries)
            return lambda journal: maker(sampler)
        client = ChatClient(self.server, self.model, self.key_variable, extra_body=self._extra_body)
        goes_on = self.continues_turns
        return lambda journal: maker(
            ServerSampler(client, self.concurrency, journal, continues_turns=goes_on)
        )

    def _local(self, source: str, name: str, queries: Iterable[Query] = ()) -> Sampler:
        from neat_align.sampling.local import TransformersSampler

        tokenizer = load_tokenizer(source)
        form = PromptFormat(tokenizer, self.chat_template_kwargs)
        raise_all(conversation_problems(queries, form))
        model = load_causal_lm(source, self.dtype, self.device)
        raise_all(vocabulary_problems(model, tokenizer))
        return TransformersSampler(model, form, name, self.batch_size)
