"""A sampler that answers from a script: for tests and dry runs, without a model."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from neat_align.errors import InputError
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.types import Response, Source

Script = Mapping[Source, Sequence[str]] | Callable[[SamplingRequest], str]


class ScriptedSampler:
    """Answers each request from the script; the same seed gives the same answer.

    Every answer is finished, however long: there are no tokens to count.

    Args:
        script: the answers of each source, one of which is drawn, or a function.
        name: recorded with every response.

    Raises:
        InputError: when sampling, a source for which the script holds no answer.
    """

    def __init__(self, script: Script, name: str = "scripted") -> None:
        self.script, self.name = script, name

    def sample(self, requests: Sequence[SamplingRequest], decoding: Decoding) -> list[Response]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: SamplingRequest) -> Response:
        if callable(self.script):
            text = self.script(request)
            if not isinstance(text, str):
                given = f"a script that returned {type(text).__name__}"
                raise InputError(given, "an answer is a text", "return a string for each request")
        else:
            text = random.Random(request.seed).choice(self._answers(request.source))
        return Response(text, seed=request.seed, sampler=self.name, **request.provenance)

    def _answers(self, source: Source) -> Sequence[str]:
        assert not callable(self.script)
        answers = self.script.get(source, ())
        if isinstance(answers, str) or not answers:
            raise InputError(
                f"a script with {answers!r} for the source {source}",
                "there is no list of answers to draw from",
                f'write {{"{source}": ["an answer", …]}}',
            )
        return answers
