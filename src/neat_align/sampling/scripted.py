"""A sampler that answers from a script: for tests and dry runs, without a model."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.types import Response, Source

Script = Mapping[Source, Sequence[str]] | Callable[[SamplingRequest], str]


class ScriptedSampler:
    """Answers each request from the script; the same seed gives the same answer.

    Args:
        script: the answers of each source, one of which is drawn, or a function.
        name: recorded with every response.
    """

    def __init__(self, script: Script, name: str = "scripted") -> None:
        self.script, self.name = script, name

    def sample(self, requests: Sequence[SamplingRequest], decoding: Decoding) -> list[Response]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: SamplingRequest) -> Response:
        if callable(self.script):
            text = self.script(request)
        else:
            text = random.Random(request.seed).choice(self.script[request.source])
        return Response(
            text, request.source, request.steering, seed=request.seed, sampler=self.name
        )
