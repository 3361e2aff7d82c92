"""A model in this process, as the evaluation sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from neat_align.config import NEATSettings
from neat_align.errors import raise_all
from neat_align.evaluation.answers import Evaluated
from neat_align.evaluation.statistics import Interval, perplexity_interval
from neat_align.models.fit import vocabulary_problems
from neat_align.models.logprobs import bare_logps, response_logps, text_nll
from neat_align.models.padding import padding_problems
from neat_align.models.tokenized import document_ids
from neat_align.prompts.chat import PromptFormat
from neat_align.sampling.local import TransformersSampler
from neat_align.types import Document, Group


def evaluated_model(
    model: Any,
    tokenizer: Any,
    name: str,
    batch_size: int = NEATSettings.sampling_batch_size,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> Evaluated:
    """Give a transformers model's sampler, log-probabilities and perplexity.

    Raises:
        ModelError: its log-probabilities depend on padding (see `models.padding`), or it
            is not the tokenizer's.
    """
    raise_all(vocabulary_problems(model, tokenizer) or padding_problems(model))
    prompt_format = PromptFormat(tokenizer, chat_template_kwargs)
    model.eval()

    def log_probability(groups: Sequence[Group]) -> list[list[float]]:
        return response_logps(model, prompt_format, groups)

    def perplexity(documents: Sequence[Document]) -> Interval:
        rows = [list(chain(*document_ids(d, prompt_format))) for d in documents]
        nll, tokens = zip(*text_nll(model, rows, batch_size))
        return perplexity_interval(nll, tokens, seed)

    def bare(texts: Sequence[tuple[str, Sequence[str]]]) -> list[list[tuple[float, int]]]:
        return bare_logps(model, prompt_format, texts)

    sampler = TransformersSampler(model, prompt_format, name, batch_size, progress)
    return Evaluated(sampler, log_probability, perplexity, bare)
