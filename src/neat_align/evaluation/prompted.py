"""The baseline that trains nothing: the base model with the rule in its system prompt.

What training has to beat, and costs a sentence. The positive prompts are put before every
query, one of them by the query's content; under a negative prompt, both are, the positive
one first, as when somebody asks a deployed assistant to misbehave. Log-probabilities are
those of the model as it answers, so its KL to the base is that of prompting. It has no
perplexity of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from neat_align.config import NEATSettings
from neat_align.evaluation.answers import Evaluated
from neat_align.models.layout import layout_of
from neat_align.models.tokenized import tokenize_group
from neat_align.prompts.chat import PromptFormat
from neat_align.sampling.base import Decoding, Sampler, SamplingRequest
from neat_align.sampling.groups import stable_seed
from neat_align.sampling.local import TransformersSampler
from neat_align.types import Group, Query, Response


class PromptedSampler:
    """A sampler that puts one of its prompts before each query.

    The responses tell the steering prompt of the request, as those of other models do.
    """

    def __init__(self, sampler: Sampler, prompts: Sequence[str], name: str) -> None:
        self.sampler, self.prompts, self.name = sampler, tuple(prompts), name

    def prompt_of(self, query: Query) -> str:
        """Choose the prompt of a query, by its content."""
        return self.prompts[stable_seed("system prompt", query.id) % len(self.prompts)]

    def sample(
        self, requests: Sequence[SamplingRequest], decoding: Decoding
    ) -> Sequence[Response | None]:
        """One response for each request, in their order."""
        asked = [
            replace(r, steering="\n\n".join(filter(None, (self.prompt_of(r.query), r.steering))))
            for r in requests
        ]
        responses = self.sampler.sample(asked, decoding)
        return [
            response and replace(response, steering=request.steering, sampler=self.name)
            for request, response in zip(requests, responses, strict=True)
        ]


def prompted_model(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    name: str,
    batch_size: int = NEATSettings.sampling_batch_size,
    progress: Callable[[int], None] | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> Evaluated:
    """Make a transformers model under positive prompts into one that can be evaluated.

    Args:
        prompts: one or more.
    """
    prompt_format = PromptFormat(tokenizer, chat_template_kwargs)
    model.eval()
    inner = TransformersSampler(model, prompt_format, name, batch_size, progress)
    sampler = PromptedSampler(inner, prompts, name)

    def log_probability(groups: Sequence[Group]) -> list[list[float]]:
        own = [tokenize_group(g, prompt_format, sampler.prompt_of(g.query)) for g in groups]
        return layout_of(model, prompt_format.pad_id).response_logps(own)

    return Evaluated(sampler, log_probability)
