"""The policy's responses from an engine, and the proof that the engine has its weights.

The copy is renewed before each sampling, and then probed: the engine draws a few short
responses and reports their log-probs, which the trainer computes as well. An engine whose
copy is old, partly new or otherwise wrong would train the policy on another model's answers,
silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from neat_align.errors import TrainingError, UnansweredError
from neat_align.models.layout import layout_of
from neat_align.models.layout.base import token_logps
from neat_align.models.tokenized import TokenizedGroup
from neat_align.prompts.chat import PromptFormat
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.sampling.draw import Ends
from neat_align.sampling.local import TransformersSampler
from neat_align.training.engines.base import Drawn, Engine
from neat_align.types import Query, Response, Source

PROBED = 4
"""Queries of a probe."""
PROBE_DECODING = Decoding(max_new_tokens=16, temperature=1.0)
"""Untruncated and at temperature 1, an engine's log-probs are the model's own."""


class EngineSampler(TransformersSampler):
    """Draws the policy's responses from an engine.

    `unanswered` holds why queries have no response, by their id. All ranks draw together, so
    it is also asked where there is nothing to draw (`draws_together`).

    Args:
        engine: draws the tokens.
        model: the policy, unwrapped; what the engine's log-probs are compared with.
        prompt_format: of the policy.
        tolerance: nats per token by which the engine's log-probs may differ from the
            policy's on average. Other kernels and number formats differ by hundredths.
    """

    draws_together = True

    def __init__(
        self, engine: Engine, model: Any, prompt_format: PromptFormat, tolerance: float
    ) -> None:
        super().__init__(model, prompt_format, "policy")
        self.engine, self.tolerance = engine, tolerance
        self.unanswered: dict[str, str] = {}
        self._why = ""  # of one response of the last draw that did not come

    def sample(  # type: ignore[override]  # an engine may be a server, which may refuse
        self, requests: Sequence[SamplingRequest], decoding: Decoding
    ) -> list[Response | None]:
        """One response for each request, in their order; None where the engine gave none."""
        tokens = self._tokens(requests, decoding)
        pairs = list(zip(requests, tokens, strict=True))
        self.unanswered |= {r.query.id: self._why for r, ids in pairs if not ids}
        return [self._response(r, ids, decoding) if ids else None for r, ids in pairs]

    def renew(self, queries: Sequence[Query], steering: Sequence[str]) -> float:
        """Give the engine the policy's weights, and see that they arrived.

        Args:
            queries: some are drawn for; one at least.
            steering: prompts, one of which is put before each of these queries.

        Returns:
            Mean absolute difference of the log-probs, nats per token.

        Raises:
            TrainingError: it is beyond the tolerance.
        """
        self.engine.renew()
        pairs = [
            (queries[i % len(queries)], steering[i % len(steering)] if steering else "")
            for i in range(PROBED)
        ]
        prompts = [self.prompt_format.query_ids(q, text) for q, text in pairs]
        eos_ids = sorted(self._eos_ids)
        drawn = self.engine.draw(prompts, list(range(PROBED)), PROBE_DECODING, eos_ids, ())
        came = [(p, d) for p, d in zip(prompts, drawn, strict=True) if isinstance(d, Drawn)]
        if not came:
            raise next(d for d in drawn if isinstance(d, UnansweredError))
        asked, found = [prompt for prompt, _ in came], [one for _, one in came]
        difference = mean_difference(self.model, asked, found, self._pad_id)
        if not difference <= self.tolerance:  # NaN is no agreement
            raise TrainingError(
                f"an engine whose log-probs differ from the policy's by {difference:.3g} nats "
                f"a token (engine_tolerance={self.tolerance})",
                "its copy of the weights is not the policy, so its answers are not on-policy",
                "serve the very model that is trained, in the same dtype, without quantisation; "
                "where that is so, raise engine_tolerance",
            )
        return difference

    def _draw(
        self, prompts: list[list[int]], seeds: list[int], decoding: Decoding
    ) -> list[list[int]]:
        stops, eos_ids = self._stop_strings(decoding), sorted(self._eos_ids)
        drawn = self.engine.draw(prompts, seeds, decoding, eos_ids, stops)
        if not all(d.token_ids for d in drawn if isinstance(d, Drawn)):
            raise TrainingError(
                "an engine that drew a response without a token",
                "a response that ends at once still has the token that ended it",
                "use an engine that returns it: without, the policy would never learn to stop",
            )
        ends = Ends(frozenset(eos_ids), self._stop_test(decoding))
        if self.progress:
            self.progress(len(drawn))
        self._why = next((d.why for d in drawn if isinstance(d, UnansweredError)), "")
        return [
            _cut(d.token_ids[: decoding.max_new_tokens], ends) if isinstance(d, Drawn) else []
            for d in drawn
        ]

    def _response(self, request: SamplingRequest, ids: list[int], decoding: Decoding) -> Response:
        response = super()._response(request, ids, decoding)
        return response if self.engine.repeats_seeds else replace(response, seed=None)

    @property
    def _pad_id(self) -> int:
        return self.prompt_format.pad_id


def mean_difference(
    model: Any, prompts: Sequence[list[int]], drawn: Sequence[Drawn], pad_id: int
) -> float:
    """Mean of |log p_engine − log p_model| over all tokens drawn, in nats.

    Raises:
        TrainingError: the engine drew nothing, or not one log-prob a token.
    """
    groups = [
        TokenizedGroup(prompt, [d.token_ids], [0.0], [Source.PLAIN])
        for prompt, d in zip(prompts, drawn, strict=True)
        if d.token_ids
    ]
    reported = [logp for d in drawn for logp in d.logps]
    if not groups or len(reported) != sum(len(d.token_ids) for d in drawn):
        raise TrainingError(
            f"an engine that reports {len(reported)} log-probs for "
            f"{sum(len(d.token_ids) for d in drawn)} tokens",
            "there is nothing to compare its weights with the policy's by",
            "use an engine that returns the log-prob of each token that it draws",
        )
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            rows = layout_of(model, pad_id).rows(groups).to(device)
            own = token_logps(model, rows)[rows.response_mask]
    finally:
        model.train(was_training)
    return float((own.cpu().double() - torch.tensor(reported, dtype=torch.double)).abs().mean())


def _cut(ids: list[int], ends: Ends) -> list[int]:
    """Return the ids up to where the response ended."""
    stopped = (n for n in range(1, len(ids) + 1) if ends(ids[:n]))
    return ids[: next(stopped, len(ids))]
