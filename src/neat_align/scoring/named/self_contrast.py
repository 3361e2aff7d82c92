"""Self-Contrast: what is least like the data's answer counts as bad.

Paper: Liu et al. 2024 (arXiv 2404.00604): the model answers each query many times, the
embedding of each response is compared with that of the supervised answer, and the least
similar three quarters are the negatives. With DPO as the objective and the data's answers
among the candidates this chooses its groups; no reward model is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neat_align.errors import InputError, RewardError
from neat_align.models.device import AUTO
from neat_align.models.source import check_model_source
from neat_align.prompts.chat.thinking import answer_of
from neat_align.scoring.base import NamedScorer, Scorer, Scores, Takes
from neat_align.scoring.user_code import function_problems, load_function
from neat_align.types import Group, Response, Source

if TYPE_CHECKING:
    import numpy.typing as npt

    Vectors = npt.NDArray[Any]
    Embedder = Callable[[list[str]], Vectors]

WORDS = "words"
HASHED = 1024  # dimensions of the word embedder


class SelfContrast(NamedScorer):
    """1 for the data's answer, similarity − 1 for the least similar, 0 for those spared.

    Args:
        embed: texts to vectors [n, d]; "words" for counts of words and word pairs,
            "module:function", "file.py:function", or a model's directory or hub id (the
            mean of its last hidden states).
        share: of the sampled responses that count as negatives.
        device, dtype: of an embedder that is a model; see `models.device`.
    """

    name = "self_contrast"
    about = "distance from the data's answer, by an embedder: words, a model or a function"
    takes = Takes.MODEL
    usual = WORDS
    needs_data_answers = True

    def __init__(
        self,
        embed: Embedder | str = WORDS,
        share: float = 0.75,
        device: Any = AUTO,
        dtype: str | None = AUTO,
    ) -> None:
        if not 0 < share <= 1:
            raise RewardError(f"share {share}", "it is no share", "use a number above 0, up to 1")
        self.embed = embed if callable(embed) else embedder(embed, device, dtype)
        self.share = share

    @classmethod
    def make(cls, argument: str, device: Any, dtype: str | None) -> Scorer:
        """Make the scorer with the embedder that the argument names."""
        return cls(argument, device=device, dtype=dtype)

    @classmethod
    def problems(cls, argument: str) -> list[InputError]:
        """Tell what is wrong with the embedder's name."""
        if ":" in argument:
            return function_problems(argument, reward=False)
        return [] if argument == WORDS else check_model_source(argument)

    @classmethod
    def content(cls, argument: str, content_of: Callable[[str], Any]) -> dict[str, Any]:
        """Tell what the embedder is."""
        embedder = {"name": WORDS} if argument == WORDS else content_of(argument)
        return {"name": cls.name, "embedder": embedder}

    def score(self, groups: Sequence[Group]) -> Scores:
        """Score every response by its likeness to the data's answer.

        Raises:
            RewardError: a group without an answer from the data.
        """
        return [self._score(group) for group in groups]

    def _score(self, group: Group) -> list[float | None]:
        answers = [i for i, r in enumerate(group.responses) if r.source == Source.DATA]
        if not answers:
            raise RewardError(
                f"a group without an answer from the data (query {group.query.id})",
                "Self-Contrast compares every response with it",
                "give queries with a `chosen` column and set add_data_responses",
            )
        chosen = answers[0]
        others = [i for i in range(len(group.responses)) if i != chosen]
        similarity = self._similarities(group.responses, chosen, others)
        scores: list[float | None] = [0.0] * len(group.responses)
        scores[chosen] = 1.0
        count = max(1, round(self.share * len(others)))
        for i in sorted(others, key=lambda i: similarity[i])[:count]:
            scores[i] = similarity[i] - 1.0
        return scores

    def _similarities(
        self, responses: Sequence[Response], chosen: int, others: Sequence[int]
    ) -> dict[int, float]:
        """Compute the cosine of each other response with the chosen one."""
        import numpy as np

        vectors = np.asarray(self.embed([answer_of(r.text) for r in responses]), dtype=float)
        norms = np.linalg.norm(vectors, axis=1)
        vectors = vectors / np.where(norms > 0, norms, 1.0)[:, None]
        return {i: float(vectors[i] @ vectors[chosen]) for i in others}


def embedder(name: str, device: Any = AUTO, dtype: str | None = AUTO) -> Embedder:
    """Make an embedder from its name; see `SelfContrast`."""
    if name == WORDS:
        return embed_words
    if ":" in name:
        return load_function(name)
    return _model_embedder(name, device, dtype)


def embed_words(texts: list[str]) -> Vectors:
    """Count words and pairs of neighbours, hashed into `HASHED` places: [n, HASHED]."""
    import zlib

    import numpy as np

    vectors = np.zeros((len(texts), HASHED))
    for row, text in enumerate(texts):
        words = text.lower().split()
        for token in (*words, *map(" ".join, pairwise(words))):
            vectors[row, zlib.crc32(token.encode()) % HASHED] += 1
    return vectors


def _model_embedder(source: str | Path, device: Any, dtype: str | None) -> Embedder:
    """Make the embedder that averages a model's last hidden states, one text at a time."""
    import torch
    from transformers import AutoModel

    from neat_align.models import load_tokenizer, load_weights, place

    where = place(str(device), dtype)
    heads = {"may_exceed": ("lm_head.", "score.", "cls."), "may_lack": ("pooler.",)}
    model = load_weights(AutoModel, source, where.dtype, **heads).to(where.device).eval()
    tokenizer = load_tokenizer(source)

    @torch.no_grad()
    def embed(texts: list[str]) -> Vectors:
        rows = []
        for text in texts:
            ids = tokenizer(text or " ", return_tensors="pt")["input_ids"]
            hidden = model(input_ids=ids.to(next(model.parameters()).device)).last_hidden_state
            rows.append(hidden[0].float().mean(0).cpu())
        return torch.stack(rows).numpy()

    return embed
