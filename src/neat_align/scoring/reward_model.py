"""A sequence-classification reward model as a scorer; what it reads is in `reward_text`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from neat_align.errors import RewardError, raise_all
from neat_align.models import (
    AUTO,
    check_model_source,
    load_part,
    load_tokenizer,
    load_weights,
    place,
)
from neat_align.models.context import check_fits
from neat_align.models.fit import vocabulary_problems
from neat_align.models.kinds import kind_problems
from neat_align.models.layout import TOKENS, layout_of
from neat_align.models.layout.packable import can_pack, prepare_for_packing
from neat_align.models.tokenized import TokenizedGroup
from neat_align.scoring.reward_text import (
    CONVERSATION,
    MARK,
    ConversationRows,
    PairRows,
    reads_pairs,
)
from neat_align.types import Group


class RewardModelScorer:
    """Scores a response by the one logit of a sequence-classification model.

    The score does not depend on the batch, the padding or the pad token. Transformers
    finds the last token by comparing ids with the configured pad token, which goes wrong
    where that token also occurs in the text (pad = EOS); here an id that no row of the
    batch contains is used as pad.

    Args:
        model: with `num_labels=1`; run in evaluation mode.
        tokenizer: of that model.
        name: of its scores.
        max_tokens: of one forward pass, padding included.
    """

    def __init__(
        self, model: Any, tokenizer: Any, name: str = "reward_model", max_tokens: int = TOKENS
    ) -> None:
        self.model, self.name, self.max_tokens = model.eval(), name, max_tokens
        self.pairs = PairRows(tokenizer) if reads_pairs(tokenizer) else None
        trained_on = getattr(model.config, MARK, CONVERSATION)
        self.conversations = None if self.pairs else ConversationRows(tokenizer, trained_on)

    @classmethod
    def from_pretrained(
        cls, source: str | Path, device: Any = AUTO, dtype: str | None = AUTO
    ) -> RewardModelScorer:
        """Load the model of a directory or hub id.

        Args:
            device, dtype: see `models.device`.

        Raises:
            ModelError: there is no model, or it is damaged.
            RewardError: it is one without a single-score head.
        """
        from transformers import AutoConfig, AutoModelForSequenceClassification

        raise_all(check_model_source(source, "reward"))
        config = load_part(AutoConfig, source)
        for problem in kind_problems(config.to_dict(), "reward"):  # of the hub
            raise RewardError(f"reward model {str(source)!r}", *problem)
        where = place(str(device), dtype)
        model = load_weights(AutoModelForSequenceClassification, source, where.dtype)
        model = model.to(where.device)
        prepare_for_packing(model)
        name = str(source).rstrip("/").rpartition("/")[2]
        tokenizer = load_tokenizer(source)
        raise_all(vocabulary_problems(model, tokenizer))
        return cls(model, tokenizer, name)

    @torch.no_grad()
    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        """Score every response to its clean query by its logit.

        Groups are scored packed, what they share once, where the model allows it.

        Raises:
            DataError: a text is longer than the reward model's context, or its template
                refuses a conversation.
        """
        if self.pairs is not None:
            return self._of_pairs(self.pairs, groups)
        assert self.conversations is not None
        tokenized = [self.conversations.group(group) for group in groups]
        self._check_fits(
            groups, [len(t.query_ids) + max(map(len, t.response_ids)) for t in tokenized]
        )
        packed = [i for i, t in enumerate(tokenized) if can_pack(self.model, [t])]
        found = dict(zip(packed, self._packed([tokenized[i] for i in packed]), strict=True))
        rest = [i for i in range(len(groups)) if i not in found]
        found |= dict(zip(rest, self._padded([tokenized[i] for i in rest]), strict=True))
        return [found[i] for i in range(len(groups))]

    def _check_fits(self, groups: Sequence[Group], lengths: Sequence[int]) -> None:
        """Refuse what is longer than the context; some encoders number positions from 2 on."""
        taken = _positions_taken(self.model) if self.pairs is not None else 0
        check_fits(
            self.model,
            ((g.query.id, n + taken) for g, n in zip(groups, lengths, strict=True)),
            f"query and response for the reward model {self.name!r}",
            "leave such queries out, shorten them, or use another reward model",
        )

    def _of_pairs(self, pairs: PairRows, groups: Sequence[Group]) -> list[list[float | None]]:
        """Score groups by an encoder, a row per response."""
        rows = pairs.rows(groups)
        left = iter(rows)
        longest = [max(len(next(left)["input_ids"]) for _ in g.responses) for g in groups]
        self._check_fits(groups, longest)
        device = next(self.model.parameters()).device
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"]))
        scores = torch.zeros(len(rows))
        lengths = [row["input_ids"] for row in rows]
        for part in _batches(order, lengths, self.max_tokens):
            batch = pairs.tokenizer.pad(
                [rows[i] for i in part], padding_side="right", return_tensors="pt"
            )
            scores[part] = self.model(**batch.to(device)).logits[:, 0].float().cpu()
        flat = iter(scores.tolist())
        return [[next(flat) for _ in group.responses] for group in groups]

    def _packed(self, groups: Sequence[TokenizedGroup]) -> list[list[float | None]]:
        """Score groups in the packed layout."""
        layout = layout_of(self.model, 0, self.max_tokens)
        numbered = [(i, piece) for i, group in enumerate(groups) for piece in layout.split(group)]
        numbers = iter([i for i, _ in numbered])
        found: list[list[float | None]] = [[] for _ in groups]
        backbone = getattr(self.model, self.model.base_model_prefix)
        device = next(self.model.parameters()).device
        for part in layout.passes([piece for _, piece in numbered]):
            rows = layout.rows(part).to(device)
            hidden = backbone(**rows.forward_arguments(self.model)).last_hidden_state
            ends = hidden[rows.response_row, rows.ends_at]
            scores = iter(self.model.score(ends)[:, 0].float().tolist())
            for piece in part:
                found[next(numbers)] += [next(scores) for _ in piece.response_ids]
        return found

    def _padded(self, groups: Sequence[TokenizedGroup]) -> list[list[float | None]]:
        """Score groups with a row per response."""
        rows = [g.query_ids + ids for g in groups for ids in g.response_ids]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        scores = torch.zeros(len(rows))
        batches = list(_batches(order, rows, self.max_tokens))
        for part in tqdm(batches, desc=f"scoring by {self.name}", delay=3, leave=False):
            scores[part] = self._logits([rows[i] for i in part]).float().cpu()
        flat = iter(scores.tolist())
        return [[next(flat) for _ in group.response_ids] for group in groups]

    def _logits(self, rows: list[list[int]]) -> torch.Tensor:
        """Compute the logits of right-padded rows: [len(rows)]."""
        device = next(self.model.parameters()).device
        pad_id = _unused_id(rows)
        width = max(map(len, rows))
        ids = torch.tensor([row + [pad_id] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        config = self.model.config.get_text_config()
        configured = config.pad_token_id
        config.pad_token_id = pad_id
        try:
            output = self.model(input_ids=ids.to(device), attention_mask=mask.to(device))
        finally:
            config.pad_token_id = configured
        return output.logits[:, 0]


def _positions_taken(model: Any) -> int:
    """Count the table's positions that no token has: RoBERTa's begin behind its pad token's."""
    for name, part in model.named_modules():
        if name.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None:
            return int(part.padding_idx) + 1
    return 0


def _batches(
    order: Sequence[int], rows: Sequence[Sequence[int]], limit: int
) -> Iterator[list[int]]:
    """Cut `order` into stretches, shortest rows first, within the limit once padded."""
    part: list[int] = []
    for i in order:
        if part and (len(part) + 1) * len(rows[i]) > limit:
            yield part
            part = []
        part.append(i)
    if part:
        yield part


def _unused_id(rows: list[list[int]]) -> int:
    """Find the smallest token id that no row contains."""
    used = {token for row in rows for token in row}
    return next(i for i in range(len(used) + 1) if i not in used)
