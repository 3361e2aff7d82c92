"""Sample from a transformers model in this process."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from peft import PeftModel
from transformers import GenerationConfig, PreTrainedModel

from neat_align.config import NEATSettings
from neat_align.errors import ModelError
from neat_align.models.context import check_fits
from neat_align.prompts.chat import PromptFormat
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.sampling.copied_prompts import CopiedPrompts, can_copy
from neat_align.sampling.draw import Decoder, Ends, draw_tokens
from neat_align.sampling.shared_prompts import SharedPrompts, can_share
from neat_align.types import Response

logger = logging.getLogger(__name__)


class TransformersSampler:
    """Draws responses from a causal language model in this process.

    Args:
        model: decoder-only; put in evaluation mode while it samples.
        prompt_format: renders queries for the model's tokenizer.
        name: recorded with every response ("policy", "reference").
        batch_size: responses drawn at a time.
        progress: called with the number of responses that ended, as they end.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        prompt_format: PromptFormat,
        name: str = "policy",
        batch_size: int = NEATSettings.sampling_batch_size,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.model, self.prompt_format, self.name = model, prompt_format, name
        self.batch_size, self.progress = batch_size, progress

    def sample(self, requests: Sequence[SamplingRequest], decoding: Decoding) -> list[Response]:
        """Draw one response per request, in their order.

        Raises:
            DataError: a prompt leaves no room in the model's context for the response.
        """
        tokens = self._tokens(requests, decoding)
        return [self._response(r, ids, decoding) for r, ids in zip(requests, tokens, strict=True)]

    def _tokens(self, requests: Sequence[SamplingRequest], decoding: Decoding) -> list[list[int]]:
        """Draw the token ids of each request's response, in their order."""
        prompts = [
            self.prompt_format.query_ids(r.conversation, r.steering) + self._prefix_ids(r)
            for r in requests
        ]
        check_fits(
            self.model,
            (
                (r.query.id, len(ids) + decoding.max_new_tokens)
                for r, ids in zip(requests, prompts, strict=True)
            ),
            f"prompt and response (max_new_tokens={decoding.max_new_tokens} included)",
            "leave such queries out, shorten them, or ask for fewer tokens",
        )
        # Rows of similar prompts need little padding; those of the same one share it.
        order = sorted(range(len(requests)), key=lambda i: (len(prompts[i]), prompts[i]))
        was_training = self.model.training
        self.model.eval()
        try:
            tokens = self._draw(
                [prompts[i] for i in order], [requests[i].seed for i in order], decoding
            )
        finally:
            self.model.train(was_training)
        drawn = dict(zip(order, tokens, strict=True))
        return [drawn[i] for i in range(len(requests))]

    def _draw(
        self, prompts: list[list[int]], seeds: list[int], decoding: Decoding
    ) -> list[list[int]]:
        ends = Ends(frozenset(self._eos_ids), self._stop_test(decoding))
        longest = max(map(len, prompts), default=0) + decoding.max_new_tokens
        if self.model._is_stateful or not can_copy(self.model):
            return self._alone(prompts, seeds, decoding, ends)
        shares = can_share(self.model, longest)
        decoder: Decoder = SharedPrompts(self.model) if shares else CopiedPrompts(self.model)
        return draw_tokens(decoder, prompts, seeds, decoding, ends, self.batch_size, self.progress)

    def _alone(
        self, prompts: list[list[int]], seeds: list[int], decoding: Decoding, ends: Ends
    ) -> list[list[int]]:
        """Draw each response by itself.

        Raises:
            ModelError: transformers cannot generate with this model either.
        """
        family = self.model.config.model_type
        _say_generate(family)
        try:
            return [
                _generate(self.model, prompt, seed, decoding, ends)
                for prompt, seed in zip(prompts, seeds, strict=True)
            ]
        except Exception as error:  # of any type, by the model's own code
            raise ModelError(
                f"a model of the family {family}",
                f"model.generate raised {type(error).__name__}: {error}",
                "use a model of another family, or another version of transformers",
            ) from error

    def _response(self, request: SamplingRequest, ids: list[int], decoding: Decoding) -> Response:
        finished = ids[-1] in self._eos_ids
        ids = self._prefix_ids(request) + ids
        text = self.prompt_format.decode(ids[:-1] if finished else ids, request.query)
        token_ids: tuple[int, ...] | None = tuple(ids)
        cuts = [text.find(stop) for stop in self._stop_strings(decoding) if stop in text]
        if cuts:  # e.g. the model went on to speak for the human: the answer ended before that
            text, token_ids, finished = text[: min(cuts)].strip(), None, True
        return Response(
            text=text,
            **request.provenance,
            finish="stop" if finished else "length",
            seed=request.seed,
            sampler=self.name,
            token_ids=token_ids,
        )

    def _prefix_ids(self, request: SamplingRequest) -> list[int]:
        """Tokenise how the answer begins: ids that the drawn ones follow in the response."""
        if not request.prefix:
            return []
        return self.prompt_format.prefix_ids(request.prefix, request.query)

    def _stop_strings(self, decoding: Decoding) -> tuple[str, ...]:
        return (*self.prompt_format.stop_strings, *decoding.stop_strings)

    def _stop_test(self, decoding: Decoding) -> Callable[[Sequence[int]], bool] | None:
        """Make the test whether a response's ids end in a stop string; None without any."""
        stops = self._stop_strings(decoding)
        if not stops:
            return None
        # A token may be a part of a character, of which the longest has four bytes.
        window = 4 * max(map(len, stops)) + 1
        decode = self.prompt_format.tokenizer.decode

        def stopped(ids: Sequence[int]) -> bool:
            text = decode(list(ids[-window:]), skip_special_tokens=True)
            return any(stop in text for stop in stops)

        return stopped

    @property
    def _eos_ids(self) -> set[int]:
        """Collect the turn's end, EOS, and what else the model's generation config stops at."""
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        listed = configured if isinstance(configured, list) else [configured]
        return {*self.prompt_format.stop_ids, *(i for i in listed if isinstance(i, int))}


@torch.no_grad()
def _generate(
    model: Any, prompt: list[int], seed: int, decoding: Decoding, ends: Ends
) -> list[int]:
    """Draw one response by `model.generate`, alone, so that its seed fixes it.

    The model's own generation config would fill in what is not said here (a repetition
    penalty, suppressed tokens, beams …), and is put aside: draws depend on `decoding` alone.
    """
    settings = GenerationConfig(
        max_new_tokens=decoding.max_new_tokens,
        do_sample=decoding.temperature > 0,
        eos_token_id=sorted(ends.token_ids),
        pad_token_id=min(ends.token_ids),
        **_sampling_options(decoding),
    )
    ids = torch.tensor([prompt], device=next(model.parameters()).device)
    if isinstance(model, PeftModel):  # its own `generate` would set the base's config
        model = model.get_base_model()
    with torch.random.fork_rng(), _no_settings_of_its_own(model):
        torch.manual_seed(seed)
        rows = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)
    drawn: list[int] = rows[0, len(prompt) :].tolist()
    stopped = (n for n in range(1, len(drawn) + 1) if ends(drawn[:n]))
    return drawn[: next(stopped, len(drawn))]


@contextlib.contextmanager
def _no_settings_of_its_own(model: Any) -> Iterator[None]:
    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


def _sampling_options(decoding: Decoding) -> dict[str, float | None]:
    if decoding.temperature == 0:
        return {}
    return {
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "top_k": decoding.top_k,
        "min_p": decoding.min_p or None,
    }


@functools.cache
def _say_generate(model_type: str) -> None:
    """Warn, once per model type."""
    logger.warning(
        "sampling by model.generate, one response at a time and slowly: "
        "our sampler cannot share or cut what a %s model keeps of a text",
        model_type,
    )
