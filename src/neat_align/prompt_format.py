r"""How a conversation becomes token ids, and nothing else does it.

With a chat template the tokenizer renders the conversation, and a steering prompt is its
system message (or, where the template refuses one, a prefix of the first user turn).
Without one, the format is stated here:

    [System: {steering}\n\n]Human: {turn}\n\nAssistant: {turn}\n\n … Human: {turn}\n\nAssistant:

and a response follows after one space. Query and response are tokenised apart and their
ids concatenated: tokenising the joined text may merge tokens across the boundary.

Text of queries and responses is never read as special tokens or as a turn of its own
(`forgery`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from neat_align.errors import ModelError
from neat_align.forgery import broken, marker_pattern
from neat_align.types import Finish, Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLACE = 0xF0000
"""Private-use characters from here on stand for the contents of a conversation's turns."""
PLACES = re.compile(f"[{chr(PLACE)}-{chr(PLACE + 0xFFFD)}]")

ROLE_NAMES = {"system": "System", "user": "Human", "assistant": "Assistant"}


class PromptFormat:
    """Renders queries and responses for one tokenizer.

    Args:
        tokenizer: needs an EOS token, which ends every finished response.
        template_kwargs: passed to `apply_chat_template` (e.g. `enable_thinking=False`).

    Raises:
        ModelError: the tokenizer has no EOS token.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, template_kwargs: dict[str, Any] | None = None
    ) -> None:
        if tokenizer.eos_token_id is None:
            raise ModelError(
                f"a tokenizer without an EOS token ({tokenizer.name_or_path or 'unnamed'})",
                "a finished response is marked by EOS; without it the model never learns to stop",
                "set tokenizer.eos_token before training",
            )
        self.tokenizer = tokenizer
        self.template_kwargs = template_kwargs or {}
        self.has_template = getattr(tokenizer, "chat_template", None) is not None
        # Asked of the tokenizer: a post-processor adds BOS without `add_bos_token` telling.
        bos = tokenizer.bos_token_id
        self._adds_bos = (
            not self.has_template and bos is not None and tokenizer("x")["input_ids"][:1] == [bos]
        )
        self._takes_system = self.has_template and self._template_takes_system()
        added = tokenizer.added_tokens_decoder
        self._special_ids = {*tokenizer.all_special_ids, *(i for i in added if added[i].special)}
        self._frames: dict[tuple[str, ...], str] = {}
        self._markers = marker_pattern(
            self._probe_frames(), [str(tokenizer.decode([i])) for i in self._special_ids]
        )

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """Text that ends a response in the Human/Assistant format."""
        return () if self.has_template else ("\n\nHuman:", "\n\nAssistant:")

    @property
    def response_prefix(self) -> str:
        """What stands between the prompt and a response's text."""
        return "" if self.has_template else " "

    def render(self, messages: Sequence[Message], steering: str = "") -> str:
        """The text that precedes the response, steering prompt included."""
        return self._render([self._unmarked(m) for m in messages], steering)

    def _render(self, messages: Sequence[Message], steering: str) -> str:
        if not self.has_template:
            turns = [Message("system", steering), *messages] if steering else list(messages)
            text = "\n\n".join(f"{ROLE_NAMES.get(m.role, m.role)}: {m.content}" for m in turns)
            return text + "\n\nAssistant:"
        return str(
            self.tokenizer.apply_chat_template(
                [m.to_json() for m in self._steered(messages, steering)],
                tokenize=False,
                add_generation_prompt=True,
                **self.template_kwargs,
            )
        )

    def query_ids(self, messages: Sequence[Message], steering: str = "") -> list[int]:
        """Token ids of `render`; a BOS is added only where the text does not hold one."""
        messages = [self._unmarked(m) for m in messages]
        frame = self._frame(tuple(m.role for m in messages), steering)
        ids = self._ids(self._render(messages, steering))
        if self._count_special(ids) != self._count_special(self._ids(frame)):
            ids = self._ids_apart(frame, messages)
        bos = self.tokenizer.bos_token_id
        return [bos, *ids] if self._adds_bos and ids[:1] != [bos] else ids

    def response_ids(self, text: str, finish: Finish) -> list[int]:
        """Token ids of a response; EOS is appended to a finished one, never to a cut one."""
        ids = self._ids(self.response_prefix + text, as_text=True)
        return [*ids, self.tokenizer.eos_token_id] if finish == "stop" else ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of sampled token ids, without special tokens and outer white space."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def _ids(self, text: str, as_text: bool = False) -> list[int]:
        """Token ids; `as_text` reads special tokens as the characters they are spelt with."""
        options = {"split_special_tokens": True} if as_text else {}
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, **options)["input_ids"]
        return ids

    def _ids_apart(self, frame: str, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation whose contents spell special tokens: each by itself."""
        ids, end = [], 0
        for place in PLACES.finditer(frame):
            ids += self._ids(frame[end : place.start()])
            ids += self._ids(messages[ord(place[0]) - PLACE].content, as_text=True)
            end = place.end()
        return ids + self._ids(frame[end:])

    def _frame(self, roles: tuple[str, ...], steering: str) -> str:
        """A conversation's text with a private-use character for each turn's content."""
        if (*roles, steering) not in self._frames:
            turns = [Message(role, chr(PLACE + i)) for i, role in enumerate(roles)]
            self._frames[*roles, steering] = self._render(turns, steering)
        return self._frames[*roles, steering]

    def _probe_frames(self) -> list[str]:
        """The texts around contents, of conversations that show every role's marks."""
        probes = [("user", "assistant", "user"), ("system", "user"), ("user", "system", "user")]
        found = []
        for roles in probes:
            try:
                found += PLACES.split(self._frame(roles, ""))
            except Exception:  # templates raise whatever they like to refuse a role
                continue
        return found

    def _unmarked(self, message: Message) -> Message:
        """The message without anything that passes for the frame's plain markers."""
        return replace(message, content=broken(message.content, self._markers))

    def _count_special(self, ids: Sequence[int]) -> int:
        return sum(i in self._special_ids for i in ids)

    def _steered(self, messages: Sequence[Message], steering: str) -> list[Message]:
        if not steering:
            return list(messages)
        first, *rest = messages
        if first.role == "system":
            return [Message("system", f"{steering}\n\n{first.content}"), *rest]
        if self._takes_system:
            return [Message("system", steering), *messages]
        return [Message(first.role, f"{steering}\n\n{first.content}"), *rest]

    def _template_takes_system(self) -> bool:
        """Whether the template accepts a system message and shows its text."""
        probe = "a7f3 probe"
        try:
            text = self.tokenizer.apply_chat_template(
                [{"role": "system", "content": probe}, {"role": "user", "content": "x"}],
                tokenize=False,
                **self.template_kwargs,
            )
        except Exception:  # templates raise whatever they like to refuse a role
            return False
        return probe in str(text)
