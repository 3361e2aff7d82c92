"""Tokenise text, reading a special token that it spells as its letters; and decode ids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neat_align.prompts.chat.forgery import hidden, spelling
from neat_align.prompts.chat.thinking import TAGS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Standing = Mapping[str, str]
"""Private-use character → the text that it stands for."""


class Tokens:
    """The token ids of one tokenizer.

    Attributes:
        added: spelling → id of the tokens added to the vocabulary, special or not.
        marks: spellings of those that mark turns: the special ones, and others that the chat
            template writes.
        special_ids: ids of the special ones; tags of thoughts are not among them.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder
        special = {*tokenizer.all_special_ids, *(i for i in added if added[i].special)}
        self.added = {str(added[i].content): i for i in added}
        self.added |= {str(tokenizer.decode([i])): i for i in special}
        written = str(getattr(tokenizer, "chat_template", None) or "")
        self.marks = [
            text
            for text, i in self.added.items()
            if i in special or (text in written and not text.isspace())
        ]
        self.special_ids = special - {i for text, i in self.added.items() if text in TAGS}
        self._spelt = spelling(self.marks)

    def hidden(self, value: Any) -> tuple[Any, Standing]:
        """Replace spelt marks by private-use characters; return what each stands for, too."""
        return hidden(value, self._spelt)

    def ids(self, text: str, standing: Standing | None = None) -> list[int]:
        """Tokenise a text; what its private-use characters stand for is read as its letters."""
        if not standing:
            return self._encode(text)
        ids, end = list[int](), 0
        for place in re.finditer(f"[{''.join(standing)}]", text):
            ids += self._encode(text[end : place.start()])
            ids += self._spelt_ids(standing[place[0]])
            end = place.end()
        return ids + self._encode(text[end:])

    def ids_behind(self, prompt: str, text: str, standing: Standing) -> list[int]:
        """Tokenise a text behind a prompt so that no token reaches over the boundary."""
        starts = [prompt.rfind(token) for token in self.added if token in prompt]
        before = prompt[max(starts, default=0) :]
        head, whole = self.ids(before), self.ids(before + text, standing)
        return whole[len(head) :] if whole[: len(head)] == head else self.ids(text, standing)

    def count_special(self, ids: Sequence[int]) -> int:
        """Count the special tokens among the ids."""
        return sum(i in self.special_ids for i in ids)

    def told(self, ids: Sequence[int], lead: str) -> tuple[str, str]:
        """Split sampled ids into thoughts and answer, if special tokens separate the two.

        Args:
            lead: what the template writes before an answer. If it holds a special token
                (`<|channel|>final<|message|>`), everything before it counts as thoughts.
        """
        mark, drawn = self.ids(lead), [int(i) for i in ids]
        if not self.count_special(mark):
            return "", self.decode(drawn)
        starts = [n for n in range(len(drawn)) if drawn[n : n + len(mark)] == mark]
        if starts:
            return self.decode(drawn[: starts[-1]]), self.decode(drawn[starts[-1] + len(mark) :])
        text = self.decode(drawn)  # of another channel where it begins as one does
        return (text, "") if drawn[:1] == mark[:1] and len(mark) > 1 else ("", text)

    def decode(self, ids: Sequence[int]) -> str:
        """Decode token ids, without special tokens and outer white space."""
        kept = [int(i) for i in ids if int(i) not in self.special_ids]
        return str(self.tokenizer.decode(kept)).strip()

    def _encode(self, text: str, **options: bool) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, **options)["input_ids"]
        return ids

    def _spelt_ids(self, text: str) -> list[int]:
        """Tokenise the letters of a text, whatever token it spells."""
        if text in self.added and self.added[text] not in self.special_ids:
            return [i for part in (text[:1], text[1:]) for i in self._encode(part)]
        return self._encode(text, split_special_tokens=True)


def with_thoughts(text: str, standing: Standing) -> str:
    """Put the tags of thoughts back into a text."""
    for character, token in standing.items():
        if token in TAGS:
            text = text.replace(character, token)
    return text
