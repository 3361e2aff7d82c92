"""Which sampler draws what: all that a process needs to know to make groups of queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neat_align import defaults
from neat_align.chat_client import ChatClient, url_problems
from neat_align.errors import InputError, raise_all
from neat_align.modeling import check_model_source, load_causal_lm, load_tokenizer
from neat_align.modeling.fit import vocabulary_problems
from neat_align.prompt_format import PromptFormat
from neat_align.sampling.base import Decoding, Sampler
from neat_align.sampling.groups import GroupPlan, sample_groups
from neat_align.sampling.server import ServerSampler
from neat_align.steering import Steering
from neat_align.types import Group, Query

Make = Callable[[Sequence[Query]], Sequence[Group]]


@dataclass(frozen=True)
class SamplingJob:
    """Groups of queries by one model, here or behind a server; goes to other processes as it is.

    Attributes:
        model: a directory or hub id; or, with `server`, the model's name there.
        steering: None where all responses are plain.
        server: address of a chat endpoint.
        key_variable: environment variable with its key.
        concurrency: questions open to it at a time.
        batch_size: responses drawn at a time here.
        seed: of all responses.
    """

    model: str
    steering: Steering | None
    plan: GroupPlan
    decoding: Decoding
    seed: int = 0
    batch_size: int = defaults.SAMPLING_BATCH_SIZE
    server: str | None = None
    key_variable: str = defaults.KEY_VARIABLE
    concurrency: int = defaults.CONCURRENCY

    def problems(self) -> list[InputError]:
        """What is wrong with the model's name or the server's address; nothing is loaded."""
        return (
            url_problems(self.server) if self.server else check_model_source(self.model, "policy")
        )

    def identity(self) -> dict[str, Any]:
        """What decides which responses are drawn."""
        pair = self.steering
        return {
            "sample": self.model,
            "server": self.server,
            "steering": pair
            and {"name": pair.name, "positive": pair.positive, "negative": pair.negative},
            "plan": asdict(self.plan),
            "decoding": asdict(self.decoding),
            "seed": self.seed,
        }

    def load(self) -> Callable[[Path | None], Make]:
        """The model, loaded; gives what makes groups, with a journal for a server's answers."""
        if self.server is None:
            sampler = self._local()
            return lambda journal: self._make(sampler)
        client = ChatClient(self.server, self.model, self.key_variable)
        return lambda journal: self._make(ServerSampler(client, self.concurrency, journal))

    def _local(self) -> Sampler:
        from neat_align.sampling.local import TransformersSampler

        model, tokenizer = load_causal_lm(self.model), load_tokenizer(self.model)
        raise_all(vocabulary_problems(model, tokenizer))
        return TransformersSampler(model, PromptFormat(tokenizer), self.model, self.batch_size)

    def _make(self, sampler: Sampler) -> Make:
        def make(queries: Sequence[Query]) -> Sequence[Group]:
            return sample_groups(
                sampler, queries, self.steering, self.plan, self.decoding, self.seed
            )

        return make
