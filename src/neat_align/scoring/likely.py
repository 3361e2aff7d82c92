"""Which model's plausibility is a part of the score, and by which weight: as plain data."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from neat_align.scoring.base import Scorer


@dataclass(frozen=True)
class Likely:
    """Plausibility of stored groups; goes to other processes as it is.

    Attributes:
        weight: in the score.
        base: the model before alignment: a directory or hub id.
        prompts: positive prompts.
    """

    weight: float
    base: str
    prompts: tuple[str, ...]

    def scorer(self, device: str, dtype: str) -> Scorer:
        """The scorer of online training, on the base, which is loaded."""
        from neat_align.models import load_causal_lm, load_tokenizer
        from neat_align.prompts.chat import PromptFormat
        from neat_align.scoring.plausibility import Plausibility

        model, tokenizer = load_causal_lm(self.base, dtype, device), load_tokenizer(self.base)
        model.eval()
        return Plausibility(
            lambda: contextlib.nullcontext(model), PromptFormat(tokenizer), self.prompts
        )
